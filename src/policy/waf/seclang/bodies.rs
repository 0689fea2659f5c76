//! What rule files say of the bodies of answers: whether rules look at them, at which of them, and
//! at how much.

use crate::policy::waf::seclang::fault::Fault;

/// What `SecResponseBodyMimeType` calls an answer without a media type.
pub const UNTYPED: &str = "(null)";

/// None: the files say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bodies {
    /// `SecResponseBodyAccess`
    pub access: Option<bool>,
    /// `SecResponseBodyMimeType`: media types in lower case.
    pub types: Option<Vec<Box<str>>>,
    /// `SecResponseBodyLimit`, in bytes.
    pub limit: Option<usize>,
    /// `SecResponseBodyLimitAction`: whether the beginning of a longer one is enough.
    pub partial: Option<bool>,
}

impl Bodies {
    /// Takes one of these directives. False: it is another one.
    pub fn take(&mut self, name: &str, words: &[String]) -> Result<bool, Fault> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let one = || match words {
            [word] => Ok(word.as_str()),
            _ => Err(Fault::broken(format!("`{name}` takes one word"))),
        };
        let either = |no: &str, yes: &str| {
            let word = one()?;
            match (
                word.eq_ignore_ascii_case(no),
                word.eq_ignore_ascii_case(yes),
            ) {
                (true, _) => Ok(false),
                (_, true) => Ok(true),
                (false, false) => {
                    let message = format!("`{name}` takes `{no}` or `{yes}`, not `{word}`");
                    Err(Fault::broken(message))
                }
            }
        };
        if is("SecResponseBodyAccess") {
            self.access = Some(either("Off", "On")?);
        } else if is("SecResponseBodyLimitAction") {
            self.partial = Some(either("Reject", "ProcessPartial")?);
        } else if is("SecResponseBodyLimit") {
            let limit = one()?.parse();
            let message = format!("`{name}` takes a number of bytes");
            self.limit = Some(limit.map_err(|_| Fault::broken(message))?);
        } else if is("SecResponseBodyMimeTypesClear") {
            self.types = Some(Vec::new());
        } else if is("SecResponseBodyMimeType") {
            let named = words.iter().flat_map(|word| word.split_ascii_whitespace());
            let types = self.types.get_or_insert_default();
            for name in named {
                if name != UNTYPED && !name.contains('/') {
                    return Err(Fault::broken(format!("`{name}` is no media type")));
                }
                types.push(name.to_ascii_lowercase().into());
            }
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(lines: &[&str]) -> Result<Bodies, Fault> {
        let mut bodies = Bodies::default();
        for line in lines {
            let mut words = line.split(' ').map(str::to_owned);
            let name = words.next().unwrap();
            assert!(bodies.take(&name, &words.collect::<Vec<_>>())?, "{line}");
        }
        Ok(bodies)
    }

    #[test]
    fn directives_are_read_in_any_case_and_types_add_up() {
        let bodies = taken(&[
            "secresponsebodyaccess on",
            "SecResponseBodyMimeType text/plain",
            "SecResponseBodyMimeType Text/HTML (null)",
            "SecResponseBodyLimit 524288",
            "SecResponseBodyLimitAction processpartial",
        ]);
        let expected = Bodies {
            access: Some(true),
            types: Some(["text/plain", "text/html", UNTYPED].map(Into::into).into()),
            limit: Some(524_288),
            partial: Some(true),
        };
        assert_eq!(bodies, Ok(expected));
        let cleared = taken(&[
            "SecResponseBodyMimeType text/plain",
            "SecResponseBodyMimeTypesClear",
        ]);
        assert_eq!(cleared.unwrap().types, Some(Vec::new()));
        assert_eq!(Bodies::default().take("SecRule", &[]), Ok(false));
    }

    #[test]
    fn what_means_nothing_is_broken() {
        for line in [
            "SecResponseBodyAccess maybe",
            "SecResponseBodyAccess",
            "SecResponseBodyAccess On Off",
            "SecResponseBodyLimit many",
            "SecResponseBodyLimit -1",
            "SecResponseBodyLimitAction Partly",
            "SecResponseBodyMimeType text",
        ] {
            assert!(matches!(taken(&[line]), Err(Fault::Broken(_))), "{line}");
        }
    }
}
