//! What the configuration says of patterns that do not run in linear time.

use crate::config::file;
use crate::config::reader::Reader;
use crate::policy::contract::schema::Backtracking;

/// The patterns of an API that may be tried path by path; none unless they are named.
pub fn compile(reader: &Reader<'_>, declared: Option<&file::Backtracking>) -> Backtracking {
    let Some(declared) = declared else {
        return Backtracking::new([], Backtracking::STEPS);
    };
    if declared.patterns.is_empty() {
        let hint = "write patterns = [\"^(?=.*[0-9]).{8,64}$\"]";
        reader.error(declared.position, "no pattern is named", hint);
    }
    let most = Backtracking::MOST_STEPS;
    let steps = declared.max_steps.as_ref().map(|steps| {
        let sound = u32::try_from(steps.value).ok();
        let sound = sound.filter(|sound| (1..=most).contains(sound));
        if sound.is_none() {
            let message = format!("{} is no bound on steps", steps.value);
            reader.error(steps.position, message, format!("write 1 to {most}"));
        }
        sound.unwrap_or(most)
    });
    let named = declared
        .patterns
        .iter()
        .map(|pattern| pattern.value.clone());
    Backtracking::new(named, steps.unwrap_or(Backtracking::STEPS))
}

/// What is named has to be there, or a typing error would stay unseen.
pub fn check_used(
    reader: &Reader<'_>,
    declared: Option<&file::Backtracking>,
    unused: impl Iterator<Item = usize>,
) {
    let patterns = declared.map_or(&[][..], |declared| &declared.patterns);
    for pattern in unused.filter_map(|at| patterns.get(at)) {
        let message = format!("no pattern \"{}\" has to backtrack", pattern.value);
        let hint = "write its exact text, or its place as in #/components/schemas/Name/pattern; \
                    what runs in linear time need not be named";
        reader.error(pattern.position, message, hint);
    }
}

/// Where there is no description there are no patterns.
pub fn refuse(reader: &Reader<'_>, declared: Option<&file::Backtracking>) {
    if let Some(declared) = declared {
        let message = "patterns are known by a description only";
        reader.error(
            declared.position,
            message,
            "add `openapi`, or remove the key",
        );
    }
}
