//! What an answer must not tell: stack traces, errors of databases, private keys and keys of
//! clouds, in bodies that the contract reads anyway.
//!
//! One search for the texts that every rule requires, then the pattern of a rule whose text was
//! found. Bodies are looked at as they stand, so that patterns know line ends and quotes in the
//! way JSON writes them too. Time is linear. A finding names the rule and the place, never the
//! text.

use std::sync::Arc;

use aho_corasick::AhoCorasick;
use regex::bytes::Regex;

/// How the answers of an operation are looked at.
#[derive(Clone)]
pub struct Watch {
    pub leaks: Arc<Leaks>,
    /// The client gets a 502 instead of an answer that leaks; or else it passes, and is noted.
    pub blocks: bool,
}

struct Rule {
    name: &'static str,
    /// One of these stands in every match.
    texts: &'static [&'static str],
    pattern: &'static str,
}

const RULES: [Rule; 17] = [
    Rule {
        name: "stack-trace-java",
        texts: &[
            ".java:",
            ".kt:",
            ".scala:",
            "(Native Method)",
            "(Unknown Source)",
        ],
        pattern: r"(?:^|\W|\\[rnt])at (?:[\w$./]{1,200}[./])?[\w$]{1,200}\.[\w$<>]{1,200}\((?:[\w$]{1,200}\.(?:java|kt|scala):\d{1,6}|Native Method|Unknown Source)\)",
    },
    Rule {
        name: "stack-trace-python",
        texts: &["Traceback (most recent call last)", ".py"],
        pattern: r#"Traceback \(most recent call last\):|(?:^|\W|\\[rnt])File \\?"[^"\n]{1,300}\.py\\?", line \d{1,6}, in "#,
    },
    Rule {
        name: "stack-trace-dotnet",
        texts: &[":line ", "at System.", "at Microsoft."],
        pattern: r"(?:^|\W|\\[rnt])at [^\n]{1,300}\) in [^\n]{1,300}\.(?:cs|vb|fs):line \d{1,6}|(?:^|\s|\\[rnt])at (?:System|Microsoft)\.[\w.`<>\[\],+]{1,300}\(",
    },
    Rule {
        name: "stack-trace-php",
        texts: &[".php(", ".php:", ".php on line ", ".php</b> on line "],
        pattern: r"#\d{1,4} [^\s]{1,300}\.php\(\d{1,6}\): |\b(?:Fatal error|Parse error|Warning|Notice|Deprecated)(?:</b>)?: [^\n]{1,1000}\.php(?::\d{1,6}\b|(?:</b>)? on line )",
    },
    Rule {
        name: "stack-trace-node",
        texts: &[".js:", ".mjs:", ".cjs:", ".ts:", "node:internal/"],
        pattern: r"(?:^|\W|\\[rnt])at (?:[^\n()]{1,200} \()?(?:node:internal/[\w/]{1,200}|[^\s()]{1,300}\.(?:js|mjs|cjs|ts)):\d{1,6}:\d{1,6}",
    },
    Rule {
        name: "stack-trace-go",
        texts: &["goroutine ", "panic: runtime error"],
        pattern: r"\bgoroutine \d{1,10} \[[A-Za-z][^\]\n]{0,60}\]:|\bpanic: runtime error: ",
    },
    Rule {
        name: "stack-trace-ruby",
        texts: &[".rb:"],
        pattern: r"[\w./-]{1,300}\.rb:\d{1,6}:in [`'][^\n']{1,200}'",
    },
    Rule {
        name: "sql-error-mysql",
        texts: &["SQL syntax", "MySQL", "mysql", "MariaDB", "SQLSTATE["],
        pattern: r"You have an error in your SQL syntax|\bcom\.mysql\.(?:cj\.)?jdbc\.|\bMySQLSyntaxErrorException\b|\bmysqli?_[a-z_]{1,40}\(\)|\bSQLSTATE\[\w{5}\]|\bMySQL server version for the right syntax",
    },
    Rule {
        name: "sql-error-postgresql",
        texts: &[
            "PSQLException",
            "PG::",
            "pq: ",
            "psycopg",
            "ERROR: ",
            "pg_query",
        ],
        pattern: r#"\borg\.postgresql\.util\.PSQLException\b|\bPG::[A-Z]\w{2,60}\b|\bpq: (?:syntax error|relation|column|duplicate key|invalid input syntax|password authentication)|\bpsycopg[23]?\.(?:errors\.|\w*Error\b)|\bERROR: {1,2}(?:syntax error at or near|relation \\?"[^"\n]{1,100}" does not exist|relation \\"[^"\n]{1,100}\\" does not exist|column [^\n]{1,100} does not exist|unterminated quoted string|duplicate key value violates)|\bpg_query\(\)"#,
    },
    Rule {
        name: "sql-error-oracle",
        texts: &["ORA-", "OracleException", "oracle.jdbc"],
        pattern: r"\bORA-\d{5}: |\bOracle\.(?:ManagedDataAccess|DataAccess)\.Client\.OracleException\b|\boracle\.jdbc\.(?:driver\.|OracleDatabaseException)",
    },
    Rule {
        name: "sql-error-sql-server",
        texts: &[
            "SqlException",
            "SQLServerException",
            "quotation mark",
            "Incorrect syntax near",
            "SQL Server]",
            "OLE DB",
        ],
        pattern: r"\b(?:System|Microsoft)\.Data\.SqlClient\.SqlException\b|\bcom\.microsoft\.sqlserver\.jdbc\.SQLServerException\b|\bUnclosed quotation mark (?:after|before) the character string\b|\bIncorrect syntax near (?:the keyword )?\\?'|\[SQL Server\]|\bOLE DB Provider for SQL Server\b",
    },
    Rule {
        name: "sql-error-sqlite",
        texts: &["sqlite", "SQLITE_", "SQLite"],
        pattern: r"\bsqlite3\.(?:Operational|Integrity|Programming|Database)Error\b|\bSQLITE_(?:ERROR|CONSTRAINT|MISUSE|CORRUPT|BUSY)\b|\bSQLite3?::\w*Exception\b|\bSystem\.Data\.SQLite\.SQLiteException\b|\borg\.sqlite\.SQLiteException\b",
    },
    Rule {
        name: "sql-error-other",
        texts: &[
            "DB2 SQL error",
            "JDBCException",
            "SQLGrammarException",
            "SequelizeDatabaseError",
            "MongoServerError",
            "E11000 duplicate key",
            "PDOException",
            "QueryFailedError",
        ],
        pattern: r"\bDB2 SQL error: SQLCODE|\borg\.hibernate\.(?:exception\.)?(?:JDBCException|SQLGrammarException|GenericJDBCException)\b|\bSequelizeDatabaseError\b|\bMongoServerError\b|\bE11000 duplicate key error collection\b|\bPDOException\b|\bQueryFailedError: ",
    },
    Rule {
        name: "private-key",
        texts: &["PRIVATE KEY"],
        pattern: r"-----BEGIN (?:(?:RSA|EC|DSA|OPENSSH|ENCRYPTED|PGP) )?PRIVATE KEY(?: BLOCK)?-----",
    },
    Rule {
        name: "cloud-key-aws",
        texts: &["AKIA", "ASIA", "aws_secret_access_key", "SecretAccessKey"],
        pattern: r#"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b|(?:aws_secret_access_key|SecretAccessKey)[\\"'\s:=]{1,10}[A-Za-z0-9/+]{40}\b"#,
    },
    Rule {
        name: "cloud-key-google-azure",
        texts: &["AIza", "AccountKey=", "service_account", "SharedAccessKey="],
        pattern: r#"\bAIza[A-Za-z0-9_-]{35}\b|\b(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,90}={0,2}|\\?"type\\?"\s{0,4}:\s{0,4}\\?"service_account\\?""#,
    },
    Rule {
        name: "service-token",
        texts: &[
            "ghp_",
            "gho_",
            "ghu_",
            "ghs_",
            "ghr_",
            "github_pat_",
            "xoxb-",
            "xoxp-",
            "xoxa-",
            "sk_live_",
            "rk_live_",
            "glpat-",
        ],
        pattern: r"\bgh[pousr]_[A-Za-z0-9]{36,255}\b|\bgithub_pat_[A-Za-z0-9_]{60,255}\b|\bxox[abp]-[0-9]{8,16}-[A-Za-z0-9-]{10,100}|\b[sr]k_live_[A-Za-z0-9]{20,100}\b|\bglpat-[A-Za-z0-9_-]{20}\b",
    },
];

/// The compiled rules.
pub struct Leaks {
    texts: AhoCorasick,
    /// Of each text, the rule that requires it.
    rules: Vec<usize>,
    patterns: Vec<Regex>,
    names: Vec<&'static str>,
}

/// A rule, and where in the body it found something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leak {
    pub rule: &'static str,
    pub at: usize,
}

impl Leaks {
    /// # Errors
    /// What is wrong with a rule; none is, as the tests see.
    pub fn compile() -> Result<Leaks, String> {
        Leaks::of(&RULES.iter().collect::<Vec<_>>())
    }

    /// One rule alone.
    ///
    /// # Errors
    /// As of all; a name that no rule has finds nothing.
    pub fn only(name: &str) -> Result<Leaks, String> {
        let rules = RULES.iter().filter(|rule| rule.name == name);
        Leaks::of(&rules.collect::<Vec<_>>())
    }

    fn of(rules: &[&'static Rule]) -> Result<Leaks, String> {
        let all = rules.iter().enumerate();
        let texts: Vec<(&str, usize)> = all
            .flat_map(|(rule, each)| each.texts.iter().map(move |text| (*text, rule)))
            .collect();
        let patterns = rules.iter().map(|rule| {
            let pattern = regex::bytes::RegexBuilder::new(rule.pattern)
                .unicode(false)
                .multi_line(true)
                .build();
            pattern.map_err(|error| format!("{}: {error}", rule.name))
        });
        let search = AhoCorasick::new(texts.iter().map(|(text, _)| text));
        Ok(Leaks {
            texts: search.map_err(|error| error.to_string())?,
            rules: texts.iter().map(|(_, rule)| *rule).collect(),
            patterns: patterns.collect::<Result<_, _>>()?,
            names: rules.iter().map(|rule| rule.name).collect(),
        })
    }

    /// The first rule that finds something.
    pub fn find(&self, body: &[u8]) -> Option<Leak> {
        let mut asked = 0_u32;
        for text in self.texts.find_overlapping_iter(body) {
            let rule = self.rules[text.pattern().as_usize()];
            if asked >> rule & 1 == 1 {
                continue;
            }
            asked |= 1 << rule;
            if let Some(found) = self.patterns[rule].find(body) {
                return Some(Leak {
                    rule: self.names[rule],
                    at: found.start(),
                });
            }
        }
        None
    }

    /// The names of all rules.
    pub fn names() -> impl Iterator<Item = &'static str> {
        RULES.iter().map(|rule| rule.name)
    }
}
