//! Fuzz targets of the WAF: both loaders of rules, transformations, readers of bodies, the
//! tokenisers of injections, and the search for secrets in what is logged.

use std::path::Path;

use portcullis::config::rules;
use portcullis::policy::redact::{secrets, shown};
use portcullis::policy::waf::body::{self, Bounds, Kind, Scratch, Told};
use portcullis::policy::waf::compile::OnUnsupported;
use portcullis::policy::waf::injection::{sqli, xss};
use portcullis::policy::waf::load::{Settings, assemble, load};
use portcullis::policy::waf::seclang::Files;
use portcullis::policy::waf::template::Slots;
use portcullis::policy::waf::transform::{ByteSet, Transformation};

use crate::fuzz::fuzz;

/// Whatever a file of rules holds, it loads or is refused at a place within it.
#[test]
fn rules_in_seclang() {
    let (mut loaded, mut refused) = (0, 0);
    fuzz("seclang", |bytes| {
        let read = |path: &str| match path {
            "rules.conf" => Ok(bytes.to_vec()),
            _ => Err("no such file".to_owned()),
        };
        let files = Files {
            read: &read,
            list: &|_| Ok(Vec::new()),
        };
        let settings = Settings {
            on_unsupported: OnUnsupported::Refuse,
            ..Settings::default()
        };
        let lines = 1 + bytes.iter().filter(|&&byte| byte == b'\n').count();
        match load(&["rules.conf"], files, &settings) {
            Ok(_) => loaded += 1,
            Err(errors) => {
                refused += 1;
                assert!(!errors.is_empty());
                for error in errors {
                    assert!(
                        error.place.line as usize <= lines,
                        "{error} of {lines} lines"
                    );
                }
            }
        }
    });
    assert!(
        loaded > 50 && refused > 50,
        "{loaded} loaded, {refused} refused"
    );
}

/// What reads without a fault also runs, since nobody would be told of it later.
#[test]
fn rules_in_toml() {
    let (mut loaded, mut refused) = (0, 0);
    fuzz("native-rules", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let mut slots = Slots::default();
        match rules::read(Path::new("rules.toml"), &text, &mut slots) {
            Ok(natives) => {
                let mut items: Vec<_> = natives.into_iter().map(rules::Native::into_item).collect();
                items.push(rules::verdict(&mut slots));
                let settings = Settings {
                    variables: &rules::VARIABLES,
                    on_unsupported: OnUnsupported::Refuse,
                    ..Settings::default()
                };
                let assembled = assemble(items, slots, &settings);
                assert!(assembled.is_ok(), "{text}\n{assembled:?}");
                loaded += 1;
            }
            Err(found) => {
                assert!(!found.is_empty(), "{text}");
                refused += 1;
            }
        }
    });
    assert!(
        loaded > 50 && refused > 50,
        "{loaded} loaded, {refused} refused"
    );
}

/// Every transformation keeps its bounds, tells truly whether it changed anything, and changes
/// nothing where the bytes of a value say that it need not be called.
#[test]
fn transformations() {
    let names: Vec<&str> = Transformation::names().collect();
    let all: Vec<Transformation> = names
        .iter()
        .filter_map(|name| Transformation::named(name))
        .collect();
    assert_eq!(all.len(), names.len());
    let mut output = Vec::new();
    fuzz("value", |bytes| {
        let seen = ByteSet::of(bytes);
        for &transformation in &all {
            output.clear();
            output.extend_from_slice(b"before");
            let is_changed = transformation.apply(bytes, &mut output);
            let made = output.strip_prefix(b"before").unwrap();
            let name = transformation.name();
            assert!(made.len() <= 6 * bytes.len().max(8), "{name} of {bytes:?}");
            match is_changed {
                true => assert_ne!(made, bytes, "{name}"),
                false => assert!(made.is_empty(), "{name} of {bytes:?}"),
            }
            let is_identity = transformation.is_identity(&seen);
            assert!(!is_identity || !is_changed, "{name} of {bytes:?}");
            if transformation.is_identity_but_for_case(&seen) && is_changed {
                assert!(made.eq_ignore_ascii_case(bytes), "{name} of {bytes:?}");
            }
        }
    });
}

/// Tokenisers say the same of a value each time, and their shapes are short.
#[test]
fn injections() {
    let mut found = 0;
    fuzz("value", |bytes| {
        let shape = sqli(bytes);
        assert_eq!(shape, sqli(bytes));
        if let Some(shape) = &shape {
            let text = shape.as_str();
            assert!(!text.is_empty() && text.len() <= 5, "{text}");
        }
        assert_eq!(xss(bytes), xss(bytes));
        found += usize::from(shape.is_some() || xss(bytes));
    });
    assert!(found > 50, "only {found} injections");
}

/// Secrets are parts of the text, in order and apart, and none of a part that is shown is longer than
/// the text.
#[test]
fn secrets_in_texts() {
    let mut masked = 0;
    fuzz("secrets", |bytes| {
        let found = secrets(bytes);
        assert!(
            found
                .iter()
                .all(|each| !each.is_empty() && each.end <= bytes.len())
        );
        assert!(
            found.is_sorted_by(|one, next| one.end < next.start),
            "{found:?}"
        );
        let (from, to) = (bytes.len() / 3, bytes.len() - bytes.len() / 3);
        let part = shown(bytes, from..to);
        let is_touched = found.iter().any(|each| each.start < to && each.end > from);
        assert!(!is_touched || part.contains(" bytes)"), "{part}");
        masked += usize::from(is_touched);
    });
    assert!(masked > 50, "only {masked} texts with a secret");
}

/// Every reader of bodies keeps its bounds, on whatever it is given, and reads the same again with
/// the memory of other bodies.
#[test]
fn bodies_that_are_inspected() {
    const KINDS: [Kind<'_>; 12] = [
        Kind::Form,
        Kind::Json,
        Kind::JsonLines,
        Kind::Graphql,
        Kind::GraphqlDocument,
        Kind::Multipart(b"b"),
        Kind::Xml,
        Kind::LikeJson(Told::Type),
        Kind::LikeXml(Told::Nothing),
        Kind::LikeForm,
        Kind::Text,
        Kind::Empty,
    ];
    let bounds = Bounds {
        bytes: 4096,
        values: 64,
        depth: 8,
        parts: 4,
    };
    let (mut used, mut read) = (Scratch::default(), [0; KINDS.len()]);
    fuzz("waf-body", |bytes| {
        for (at, kind) in KINDS.into_iter().enumerate() {
            let run = |scratch: &mut Scratch| {
                let mut values = Vec::new();
                let outcome =
                    body::read(kind, bytes, &bounds, scratch, &mut |target, name, value| {
                        values.push((target, name.to_vec(), value.to_vec()));
                    });
                // Joined fields come in the order of a hash with a seed of its own.
                values.sort_by(|(_, a, x), (_, b, y)| (a, x).cmp(&(b, y)));
                if outcome == Err(body::Error::TooManyValues) {
                    values.truncate(0);
                }
                (outcome, values)
            };
            let (outcome, values) = run(&mut used);
            assert!(values.len() <= bounds.values);
            assert!(outcome.is_err() || bytes.len() <= bounds.bytes);
            read[at] += usize::from(outcome.is_ok());
            assert_eq!((outcome, values), run(&mut Scratch::default()), "{kind:?}");
        }
        let _ = Kind::of(&[bytes], b"a");
        let mut values = 0;
        let _ = body::unpack(bytes, &bounds, &mut used, &mut |_, _, _| values += 1);
        assert!(values <= bounds.values);
    });
    assert!(read.iter().all(|&count| count > 0), "{read:?}");
}
