//! The texts that requests are made of.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::random::Random;

/// By kind, and the words that are put into them.
pub struct Texts {
    kinds: BTreeMap<String, Vec<String>>,
    words: BTreeMap<String, Vec<String>>,
}

impl Texts {
    pub fn read(text: &str) -> Texts {
        let mut texts = Texts {
            kinds: BTreeMap::new(),
            words: BTreeMap::new(),
        };
        let mut list: Option<&mut Vec<String>> = None;
        for line in text.lines() {
            // A comment at the beginning, before the first list.
            if line.is_empty() || list.is_none() && line.starts_with('#') {
                continue;
            }
            if let Some(kind) = line.strip_prefix("@ ") {
                list = Some(texts.kinds.entry(kind.to_owned()).or_default());
            } else if let Some(word) = line.strip_prefix("= ") {
                list = Some(texts.words.entry(word.to_owned()).or_default());
            } else if let Some(list) = &mut list {
                list.push(line.to_owned());
            }
        }
        texts
    }

    /// Every text with its kind.
    pub fn templates(&self) -> impl Iterator<Item = (&str, &str)> {
        self.kinds
            .iter()
            .flat_map(|(kind, list)| list.iter().map(move |text| (kind.as_str(), text.as_str())))
    }

    /// All texts of a kind.
    pub fn of(&self, kind: &str) -> impl Iterator<Item = &str> {
        self.kinds[kind].iter().map(String::as_str)
    }

    /// A text of a kind.
    pub fn text(&self, kind: &str, random: &mut Random) -> String {
        let list = self.kinds.get(kind).unwrap_or_else(|| panic!("{kind}"));
        let template = random.one_of(list);
        self.filled(template, random)
    }

    /// A text of one of the kinds.
    pub fn any(&self, kinds: &[&str], random: &mut Random) -> String {
        let kind: &&str = random.one_of(kinds);
        self.text(kind, random)
    }

    /// The text with words where they are left out.
    pub fn filled(&self, template: &str, random: &mut Random) -> String {
        let mut out = String::new();
        let mut signs = template.chars();
        while let Some(sign) = signs.next() {
            match sign {
                '‹' => {
                    let name: String = signs.by_ref().take_while(|&sign| sign != '›').collect();
                    out.push_str(&self.word(&name, random));
                }
                '\\' => match signs.next() {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('\\') => out.push('\\'),
                    other => panic!("{template}: \\{other:?}"),
                },
                sign => out.push(sign),
            }
        }
        out
    }

    fn word(&self, name: &str, random: &mut Random) -> String {
        let encoded = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
        match name {
            "n" => (random.below(9_000) + 1).to_string(),
            "uuid" => random.uuid(),
            "hex" => random.hex(),
            "ip" => format!("203.0.113.{}", random.below(255)),
            "b64" => {
                let length = 24 + random.below(600);
                let head = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR".to_vec();
                STANDARD.encode([head, random.bytes(length)].concat())
            }
            "jwt" => {
                let claims = format!(
                    r#"{{"sub":"{}","scope":"read write","iat":{}}}"#,
                    random.uuid(),
                    random.below(1 << 30)
                );
                let head = encoded(br#"{"alg":"ES256","typ":"JWT","kid":"1"}"#.to_vec());
                let claims = encoded(claims.into_bytes());
                format!("{head}.{claims}.{}", encoded(random.bytes(64)))
            }
            name => {
                let list = self.words.get(name).unwrap_or_else(|| panic!("{name}"));
                random.one_of(list).clone()
            }
        }
    }
}
