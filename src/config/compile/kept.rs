//! What a load has made of files, for the next one: what would be made of the same is not made
//! again.
//!
//! Nothing is assumed about which files there are. What is made depends on settings and on what the
//! disk says meanwhile, so each question to the disk is noted with the fingerprint of the answer.
//! Where the settings are the same and every question has the same answer as before, the outcome
//! would be the same.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::compile::description::Description;
use crate::config::compile::waf::Rules;
use crate::config::rules::disk;
use crate::fingerprint::Fingerprint;

/// What the last load that was taken has made.
#[derive(Default)]
pub struct Kept {
    rules: Vec<Known<Rules>>,
    descriptions: Vec<Known<Description>>,
}

/// Something that was made of files, and what it was made from.
struct Known<T> {
    settings: Fingerprint,
    asked: Box<[(Question, Fingerprint)]>,
    made: Arc<T>,
}

/// What one load makes; what it does not ask for is forgotten.
pub struct Making<'k> {
    pub rules: Shelf<'k, Rules>,
    pub descriptions: Shelf<'k, Description>,
}

impl<'k> Making<'k> {
    pub fn after(kept: &'k Kept) -> Making<'k> {
        Making {
            rules: Shelf::after(&kept.rules),
            descriptions: Shelf::after(&kept.descriptions),
        }
    }

    pub fn into_kept(self) -> Kept {
        Kept {
            rules: self.rules.now.into_inner(),
            descriptions: self.descriptions.now.into_inner(),
        }
    }
}

/// Things of one kind.
pub struct Shelf<'k, T> {
    before: &'k [Known<T>],
    now: RefCell<Vec<Known<T>>>,
}

impl<'k, T> Shelf<'k, T> {
    fn after(before: &'k [Known<T>]) -> Shelf<'k, T> {
        Shelf {
            before,
            now: RefCell::default(),
        }
    }

    /// What was made with these settings, if the disk still says what it said; or else what is made
    /// now. All that `make` reads has to come from the disk that it is given. What it tells must be
    /// errors, with which nothing is kept.
    pub fn made(
        &self,
        settings: Fingerprint,
        make: impl FnOnce(&Disk) -> Option<T>,
    ) -> Option<Arc<T>> {
        let mut before = self.before.iter();
        let known = before.find(|known| known.settings == settings && known.is_true());
        let known = match known {
            Some(known) => known.clone(),
            None => {
                let disk = Disk::default();
                let made = Arc::new(make(&disk)?);
                let asked = disk.asked.into_inner().into();
                Known {
                    settings,
                    asked,
                    made,
                }
            }
        };
        let made = Arc::clone(&known.made);
        self.now.borrow_mut().push(known);
        Some(made)
    }
}

impl<T> Known<T> {
    fn is_true(&self) -> bool {
        let mut asked = self.asked.iter();
        asked.all(|(question, answer)| fingerprint(&question.answer()) == *answer)
    }
}

impl<T> Clone for Known<T> {
    fn clone(&self) -> Known<T> {
        Known {
            settings: self.settings,
            asked: self.asked.clone(),
            made: Arc::clone(&self.made),
        }
    }
}

/// The disk, and what was asked of it.
#[derive(Default)]
pub struct Disk {
    asked: RefCell<Vec<(Question, Fingerprint)>>,
}

#[derive(Clone)]
enum Question {
    /// What is in a file?
    File(PathBuf),
    /// Which paths are in a folder?
    Folder(PathBuf),
    /// What is in a file below the folder of another, by its path from there?
    Below(PathBuf, String),
}

type Answer = Result<Vec<u8>, String>;

impl Disk {
    pub fn file(&self, path: &Path) -> Answer {
        self.ask(Question::File(path.to_owned()))
    }

    /// In no order.
    pub fn folder(&self, path: &str) -> Result<Vec<String>, String> {
        let found = self.ask(Question::Folder(path.into()))?;
        let paths = found
            .split(|&byte| byte == 0)
            .filter(|path| !path.is_empty());
        let paths = paths.map(|path| String::from_utf8_lossy(path).into_owned());
        Ok(paths.collect())
    }

    /// `name` must stand below the folder of `file`, also where links lead elsewhere.
    pub fn below(&self, file: &Path, name: &str) -> Result<String, String> {
        let found = self.ask(Question::Below(file.to_owned(), name.to_owned()))?;
        String::from_utf8(found).map_err(|_| format!("{name} is not in UTF-8"))
    }

    fn ask(&self, question: Question) -> Answer {
        let answer = question.answer();
        let asked = (question, fingerprint(&answer));
        self.asked.borrow_mut().push(asked);
        answer
    }
}

impl Question {
    fn answer(&self) -> Answer {
        match self {
            Question::File(path) => std::fs::read(path).map_err(|error| error.to_string()),
            Question::Folder(path) => {
                let path = path.to_str().ok_or("its name is not in UTF-8")?;
                let mut found = (disk::FILES.list)(path)?;
                found.sort();
                // No path holds a NUL.
                Ok(found.join("\0").into_bytes())
            }
            Question::Below(file, name) => below(file, name),
        }
    }
}

fn fingerprint(answer: &Answer) -> Fingerprint {
    match answer {
        Ok(bytes) => Fingerprint::of([b"+", bytes.as_slice()]),
        Err(why) => Fingerprint::of([b"-", why.as_bytes()]),
    }
}

fn below(file: &Path, name: &str) -> Answer {
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let told = |error: io::Error| format!("{name} cannot be read: {error}");
    let root = directory.canonicalize().map_err(told)?;
    let found = root.join(name).canonicalize().map_err(told)?;
    if !found.starts_with(&root) {
        return Err(format!(
            "{name} leads out of the directory of the description"
        ));
    }
    std::fs::read(found).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Configuration, load, load_after};

    /// Files below a directory that is gone with the value.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let name = format!("portcullis-kept-{name}-{}", std::process::id());
            let folder = Folder(std::env::temp_dir().join(name));
            std::fs::create_dir_all(folder.0.join("parts")).unwrap();
            folder
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.path(name), text).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    const CONFIGURATION: &str = r#"
[[listener]]
address = "127.0.0.1:0"

[upstream.backend]
address = "127.0.0.1:9"

[waf.own]
rules = ["main.conf", "native.toml"]
paranoia_level = 1

[api.one]
openapi = "api.yaml"
upstream = "backend"
owner = "team"
authentication = "none"
waf = "own"
"#;

    const FILES: [(&str, &str); 6] = [
        (
            "main.conf",
            "Include rules-*.conf\nIncludeOptional more.conf\n",
        ),
        (
            "rules-1.conf",
            "SecRule ARGS \"@pmFromFile words.data\" \"id:10001,phase:2,deny\"\nSecUploadDir /tmp\nSecRequestBodyLimit 9\n",
        ),
        ("words.data", "one\ntwo\n"),
        (
            "native.toml",
            "[[rule]]\nid = 1901\nname = \"a\"\ncategory = \"b\"\nseverity = \"notice\"\ncontains = \"xyz\"\n",
        ),
        (
            "api.yaml",
            "openapi: 3.1.0\ninfo: {title: T, version: '1'}\npaths:\n  /a:\n    post:\n      operationId: a\n      requestBody: {content: {application/json: {schema: {$ref: 'parts/a.yaml'}}}}\n      responses: {'200': {description: Done}}\n",
        ),
        ("parts/a.yaml", "type: object\n"),
    ];

    fn folder(name: &str) -> Folder {
        let folder = Folder::new(name);
        folder.write("gateway.toml", CONFIGURATION);
        FILES
            .iter()
            .for_each(|(name, text)| folder.write(name, text));
        folder
    }

    fn reload(folder: &Folder, before: &Configuration) -> Configuration {
        load_after(&before.kept, &folder.path("gateway.toml"), 2)
            .unwrap_or_else(|found| panic!("{found:#?}"))
    }

    /// Whether the rules and the description are those of the load before.
    fn stays(before: &Configuration, after: &Configuration) -> (bool, bool) {
        let rules = |loaded: &Configuration| Arc::clone(&loaded.snapshot.waf[0].rules);
        let made = |loaded: &Configuration| Arc::clone(&loaded.kept.descriptions[0].made);
        (
            Arc::ptr_eq(&rules(before), &rules(after)),
            Arc::ptr_eq(&made(before), &made(after)),
        )
    }

    #[test]
    fn what_is_unchanged_is_taken_over_and_tells_what_it_told() {
        let folder = folder("same");
        let first = load(&folder.path("gateway.toml"), 1);
        let first = first.unwrap_or_else(|found| panic!("{found:#?}"));
        let second = reload(&folder, &first);
        // Also what was taken over is taken over again.
        let third = reload(&folder, &second);
        assert_eq!(stays(&first, &second), (true, true));
        assert_eq!(stays(&second, &third), (true, true));
        let told = |loaded: &Configuration| format!("{:?}", loaded.warnings);
        assert!(
            told(&first).contains("SecRequestBodyLimit"),
            "{}",
            told(&first)
        );
        assert!(told(&first).contains("OpenObject"), "{}", told(&first));
        assert_eq!((told(&second), told(&third)), (told(&first), told(&first)));
        let known =
            |loaded: &Configuration| (loaded.kept.rules.len(), loaded.kept.descriptions.len());
        assert_eq!(known(&third), (1, 1), "nothing gathers");
    }

    #[test]
    fn one_byte_of_any_file_makes_what_it_belongs_to_anew() {
        let folder = folder("bytes");
        for (name, text) in FILES {
            let is_document = name.ends_with(".yaml");
            let first = load(&folder.path("gateway.toml"), 1);
            let first = first.unwrap_or_else(|found| panic!("{name}: {found:#?}"));
            folder.write(name, &format!("{text}\n"));
            let second = reload(&folder, &first);
            assert_eq!(
                stays(&first, &second),
                (is_document, !is_document),
                "{name}"
            );
            folder.write(name, text);
        }
    }

    #[test]
    fn files_that_come_and_go_count() {
        let folder = folder("files");
        let first = load(&folder.path("gateway.toml"), 1);
        let first = first.unwrap_or_else(|found| panic!("{found:#?}"));
        // One that may be there, and one more that a pattern stands for.
        for name in ["more.conf", "rules-2.conf"] {
            folder.write(
                name,
                "SecRule ARGS \"@streq x\" \"id:10002,phase:2,deny\"\n",
            );
            let with = reload(&folder, &first);
            assert_eq!(stays(&first, &with), (false, true), "{name}");
            std::fs::remove_file(folder.path(name)).unwrap();
            assert_eq!(
                stays(&with, &reload(&folder, &with)),
                (false, true),
                "{name}"
            );
            assert_eq!(
                stays(&first, &reload(&folder, &first)),
                (true, true),
                "{name}"
            );
        }
        std::fs::remove_file(folder.path("parts/a.yaml")).unwrap();
        let found = load_after(&first.kept, &folder.path("gateway.toml"), 2);
        let found = format!("{:?}", found.err().unwrap());
        assert!(found.contains("cannot be read"), "{found}");
    }

    #[test]
    fn settings_count_as_far_as_they_go_in() {
        let folder = folder("settings");
        let first = load(&folder.path("gateway.toml"), 1);
        let first = first.unwrap_or_else(|found| panic!("{found:#?}"));
        for (from, to, expected) in [
            ("paranoia_level = 1", "paranoia_level = 2", (false, true)),
            (
                "paranoia_level = 1",
                "variables = { a = \"1\" }",
                (false, true),
            ),
            ("paranoia_level = 1", "mode = \"block\"", (true, true)),
            ("owner", "base_path = \"/v2\"\nowner", (true, false)),
            (
                "owner",
                "lint = { left_out = \"warn\" }\nowner",
                (true, false),
            ),
            ("owner", "responses = \"off\"\nowner", (true, false)),
            ("owner = \"team\"", "\n\nowner = \"others\"", (true, true)),
            ("127.0.0.1:9", "127.0.0.1:10", (true, true)),
        ] {
            folder.write("gateway.toml", &CONFIGURATION.replace(from, to));
            assert_eq!(stays(&first, &reload(&folder, &first)), expected, "{to}");
        }
    }

    #[test]
    fn other_files_stand_below_the_description_also_behind_links() {
        let folder = Folder::new("links");
        std::fs::create_dir_all(folder.path("api/parts")).unwrap();
        folder.write("outside.yaml", "a: 1");
        folder.write("api/parts/inside.yaml", "b: 2");
        std::os::unix::fs::symlink(folder.path("outside.yaml"), folder.path("api/link.yaml"))
            .unwrap();
        let description = folder.path("api/root.yaml");
        let open = |name: &str| Disk::default().below(&description, name);
        assert_eq!(open("parts/inside.yaml").as_deref(), Ok("b: 2"));
        let refused = open("link.yaml").unwrap_err();
        assert!(refused.contains("leads out"), "{refused}");
        assert!(open("none.yaml").unwrap_err().contains("cannot be read"));
        // The same bytes behind a link that leads out are another answer.
        let inside = Question::Below(description.clone(), "parts/inside.yaml".to_owned());
        let before = fingerprint(&inside.answer());
        std::fs::rename(
            folder.path("api/parts/inside.yaml"),
            folder.path("moved.yaml"),
        )
        .unwrap();
        std::os::unix::fs::symlink(
            folder.path("moved.yaml"),
            folder.path("api/parts/inside.yaml"),
        )
        .unwrap();
        assert_ne!(before, fingerprint(&inside.answer()));
    }
}
