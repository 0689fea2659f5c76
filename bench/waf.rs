//! What the WAF does to each value on its own: transformations, tokenisers, body readers.
//!
//! `all` times every stage. With a stage and a count it runs that stage so often and prints nothing, so that its
//! instructions can be counted.

use std::hint::black_box;
use std::time::Instant;

use portcullis::policy::waf::body::{self, Bounds, Kind, Scratch};
use portcullis::policy::waf::injection::{sqli, xss};
use portcullis::policy::waf::transform::{ByteSet, Transformation};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long each stage is timed, in nanoseconds.
const TIME: u128 = 200_000_000;

type Stage = Box<dyn FnMut()>;

type Make = fn() -> Stage;

/// The stages by name; each is made when it is asked for.
const STAGES: [(&str, Make); 22] = [
    ("byte_set_40", byte_set),
    ("identity_chain", identity_chain),
    ("url_decode_uni", || {
        transformation(Transformation::UrlDecodeUni)
    }),
    ("html_entity", || {
        transformation(Transformation::HtmlEntityDecode)
    }),
    ("js_decode", || transformation(Transformation::JsDecode)),
    ("css_decode", || transformation(Transformation::CssDecode)),
    ("utf8_to_unicode", || {
        transformation(Transformation::Utf8ToUnicode)
    }),
    ("cmd_line", || transformation(Transformation::CmdLine)),
    ("normalize_path", || {
        transformation(Transformation::NormalizePath)
    }),
    ("hostile_32k", hostile_transformations),
    ("sqli_word", || tokens("alexandra_42")),
    ("sqli_short", || tokens("acc-000001 2026")),
    ("sqli_text", || {
        tokens("It's 5 o'clock; please leave the parcel with the neighbours.")
    }),
    ("sqli_attack", || {
        tokens("-1' union all select null,version(),3 from users-- ")
    }),
    ("sqli_hostile_32k", hostile_sqli),
    ("xss_text", || {
        markup("Please leave the parcel with the neighbours on the second floor.")
    }),
    ("xss_markup", || {
        markup("<b>a</b> <a href=\"https://a.example/?b=c\">d</a> e = 'f'")
    }),
    ("xss_hostile_32k", hostile_xss),
    ("form_1k", form),
    ("json_1k", json),
    ("xml_1k", xml),
    ("multipart_1k", multipart),
];

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|each| each != "--bench")
        .collect();
    if let [name, count] = arguments.as_slice() {
        let found = STAGES.iter().find(|(stage, _)| stage == name);
        let (Some((_, make)), Ok(count)) = (found, count.parse::<u64>()) else {
            eprintln!("usage: waf [STAGE COUNT]");
            std::process::exit(2);
        };
        let mut stage = make();
        (0..count).for_each(|_| stage());
        return;
    }
    // `cargo test` runs this too, to see that every stage still does.
    let is_timed = std::env::args().any(|each| each == "--bench" || each == "all");
    for (name, make) in STAGES {
        let mut stage = make();
        stage();
        if is_timed {
            println!("{name} {:.1}", nanoseconds(&mut stage));
        }
    }
}

/// The best of several slices: whatever else runs only ever adds.
fn nanoseconds(stage: &mut Stage) -> f64 {
    let mut best = f64::MAX;
    let start = Instant::now();
    while start.elapsed().as_nanos() < TIME {
        let slice = Instant::now();
        (0..20).for_each(|_| stage());
        best = best.min(slice.elapsed().as_nanos() as f64 / 20.0);
    }
    best
}

const TEXT: &str = "Alexandra Beispiel-Musterfrau, Bern 3000";

fn byte_set() -> Stage {
    Box::new(|| {
        black_box(ByteSet::of(black_box(TEXT.as_bytes())));
    })
}

/// The six steps that rules on markup take, none of which changes a plain text.
fn identity_chain() -> Stage {
    const CHAIN: [Transformation; 6] = [
        Transformation::Utf8ToUnicode,
        Transformation::UrlDecodeUni,
        Transformation::HtmlEntityDecode,
        Transformation::JsDecode,
        Transformation::CssDecode,
        Transformation::RemoveNulls,
    ];
    let seen = ByteSet::of(TEXT.as_bytes());
    Box::new(move || {
        let seen = black_box(&seen);
        assert!(CHAIN.iter().all(|step| step.is_identity(seen)));
    })
}

/// One step on an encoded value of some hundred bytes.
fn transformation(step: Transformation) -> Stage {
    let value = "%3Cscript%3e+&lt;a&#x3e; \\x3c\\u0041\\6a  caf\u{E9}/../b \"'^ ".repeat(2);
    let mut output = Vec::with_capacity(4096);
    Box::new(move || {
        output.clear();
        assert!(step.apply(black_box(value.as_bytes()), &mut output));
    })
}

/// The slowest of the steps on the bytes that are slowest for it: 32 KB of each.
fn hostile_transformations() -> Stage {
    let parts = [
        "%u00", "&", "&lt", "&amp;", "\\", "/*", "<!--", "../", "\u{E9}", " /",
    ];
    let values: Vec<String> = parts
        .iter()
        .map(|part| part.repeat(32 * 1024 / part.len()))
        .collect();
    let steps = [
        Transformation::UrlDecodeUni,
        Transformation::HtmlEntityDecode,
        Transformation::JsDecode,
        Transformation::CssDecode,
        Transformation::ReplaceComments,
        Transformation::RemoveComments,
        Transformation::NormalizePathWin,
        Transformation::Utf8ToUnicode,
        Transformation::CmdLine,
    ];
    let mut output = Vec::with_capacity(256 * 1024);
    Box::new(move || {
        for (value, step) in values
            .iter()
            .flat_map(|value| steps.map(|step| (value, step)))
        {
            output.clear();
            step.apply(black_box(value.as_bytes()), &mut output);
        }
    })
}

fn tokens(value: &'static str) -> Stage {
    Box::new(move || {
        black_box(sqli(black_box(value.as_bytes())));
    })
}

fn markup(value: &'static str) -> Stage {
    Box::new(move || {
        black_box(xss(black_box(value.as_bytes())));
    })
}

/// Values that fold for ever: the whole of each is read, in every context.
fn hostile_sqli() -> Stage {
    let parts = ["1+", "'x' ", "(1)-", "a,", "/**/-"];
    let values: Vec<String> = parts
        .iter()
        .map(|part| part.repeat(32 * 1024 / part.len()))
        .collect();
    Box::new(move || {
        for value in &values {
            black_box(sqli(black_box(value.as_bytes())));
        }
    })
}

fn hostile_xss() -> Stage {
    let parts = ["<a b=c ", "<", "= ", "<!--", "'\"=`"];
    let values: Vec<String> = parts
        .iter()
        .map(|part| part.repeat(32 * 1024 / part.len()))
        .collect();
    Box::new(move || {
        for value in &values {
            black_box(xss(black_box(value.as_bytes())));
        }
    })
}

fn reader(kind: Kind<'static>, text: String) -> Stage {
    let bounds = Bounds::default();
    let mut scratch = Scratch::default();
    Box::new(move || {
        let mut bytes = 0;
        let outcome = body::read(
            kind,
            black_box(text.as_bytes()),
            &bounds,
            &mut scratch,
            &mut |_, _, value| bytes += value.len(),
        );
        assert!(outcome.is_ok() && bytes > 0);
    })
}

fn form() -> Stage {
    let fields: Vec<String> = (0..40)
        .map(|field| format!("field{field}=value+number+%C3%A9"))
        .collect();
    reader(Kind::Form, fields.join("&"))
}

fn json() -> Stage {
    let items: Vec<String> = (0..12)
        .map(|item| {
            format!("{{\"sku\": \"SKU-{item:04}\", \"quantity\": {item}, \"price\": 19.99, \"gift\": true}}")
        })
        .collect();
    let note = "Please leave the parcel with the neighbours.";
    reader(
        Kind::Json,
        format!(
            "{{\"note\": \"{note}\", \"items\": [{}]}}",
            items.join(", ")
        ),
    )
}

fn xml() -> Stage {
    let items: Vec<String> = (0..16)
        .map(|item| format!("<item sku=\"SKU-{item:04}\"><price>19.99 &amp; more</price></item>"))
        .collect();
    reader(Kind::Xml, format!("<items>{}</items>", items.concat()))
}

fn multipart() -> Stage {
    let parts: Vec<String> = (0..10)
        .map(|part| {
            format!("--boundary\r\nContent-Disposition: form-data; name=\"field{part}\"\r\n\r\nvalue of it\r\n")
        })
        .collect();
    reader(
        Kind::Multipart(b"boundary"),
        format!("{}--boundary--\r\n", parts.concat()),
    )
}
