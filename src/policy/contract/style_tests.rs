//! Parameters in every style of OpenAPI, each in a real head.

use std::path::Path as FilePath;

use crate::policy::contract::openapi::{Document, Operation};
use crate::policy::contract::parameters::Unknown;
use crate::policy::contract::{Contract, Scratch};
use crate::policy::denial::Denial;
use crate::proto::head::RequestHead;
use crate::proto::target::Path;

const COLOR: &str = "schema: {type: array, minItems: 2, maxItems: 3, items: {type: string, enum: [blue, black, brown]}}";
const NUMBERS: &str = "schema: {type: array, maxItems: 3, items: {type: integer, maximum: 9}}";
const RGB: &str = "schema: {type: object, required: [R], additionalProperties: false, properties: {R: {type: integer, maximum: 255}, G: {type: integer}, B: {type: [integer, string]}}}";

/// The one operation of a document with these parameters.
fn operation(path: &str, parameters: &[&str]) -> Operation {
    let list: String = parameters
        .iter()
        .map(|each| format!("        - {{{each}}}\n"))
        .collect();
    let text = format!(
        "openapi: 3.1.0\npaths:\n  {path}:\n    get:\n      operationId: a\n      parameters:\n{list}"
    );
    let document = Document::read(FilePath::new("a.yaml"), &text).unwrap();
    let mut operations = document
        .operations()
        .unwrap_or_else(|found| panic!("{found:#?}"));
    operations.remove(0)
}

type Outcome = Result<(), (Denial, &'static str)>;

fn ask(contract: &Contract, target: &str, fields: &str) -> (Outcome, Scratch) {
    let text = format!("GET {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    let mut head = RequestHead::default();
    assert_eq!(head.read(text.as_bytes()), Ok(true), "{text}");
    let mut path = Path::default();
    path.read(head.path.of(text.as_bytes())).unwrap();
    assert_eq!(path.matrix() & !contract.matrix(), 0, "{target}");
    let mut scratch = Scratch::default();
    let outcome = contract.check_head(&head, text.as_bytes(), &path, &mut scratch);
    let rule = scratch.detail().map_or("", |detail| detail.rule);
    (
        outcome.map(|_| ()).map_err(|denial| (denial, rule)),
        scratch,
    )
}

/// Every query with the rule that it breaks, or nothing.
fn queries(parameters: &[&str], cases: &[(&str, &str)]) {
    let operation = operation("/a", parameters);
    for (query, rule) in cases {
        let (outcome, _) = ask(&operation.contract, &format!("/a?{query}"), "");
        let broken = outcome.err().map_or("", |(_, rule)| rule);
        assert_eq!(broken, *rule, "{query} of {parameters:?}");
    }
}

fn paths(parameter: &str, cases: &[(&str, &str)]) {
    let parameter = format!("name: c, in: path, required: true, {parameter}");
    let operation = operation("/a/{c}", &[&parameter]);
    for (segment, rule) in cases {
        let (outcome, _) = ask(&operation.contract, &format!("/a/{segment}"), "");
        let broken = outcome.err().map_or("", |(_, rule)| rule);
        assert_eq!(broken, *rule, "{segment} of {parameter}");
    }
}

fn fields(parameter: &str, cases: &[(&str, &str)]) {
    let operation = operation("/a", &[parameter]);
    for (lines, rule) in cases {
        let (outcome, _) = ask(&operation.contract, "/a", &lines.replace('|', "\r\n"));
        let broken = outcome.err().map_or("", |(_, rule)| rule);
        assert_eq!(broken, *rule, "{lines} of {parameter}");
    }
}

#[test]
fn paths_have_three_styles() {
    let of = |style: &str, explode: bool, schema: &str| {
        format!("style: {style}, explode: {explode}, {schema}")
    };
    let text = "schema: {type: string, enum: [blue, '']}";
    for explode in [false, true] {
        paths(
            &of("simple", explode, text),
            &[("blue", ""), (".blue", "enum")],
        );
        let label = [(".blue", ""), ("blue", "style"), (".blu", "enum")];
        paths(&of("label", explode, text), &label);
        let matrix = [
            (";c=blue", ""),
            (";c=", ""),
            (";c", ""),
            (";d=blue", "style"),
            ("blue", "style"),
            (";c=blue;c=blue", "style"),
        ];
        paths(&of("matrix", explode, text), &matrix);
        let list = [
            ("blue,black", ""),
            ("blue%2Cblack", ""),
            ("blue", "minItems"),
            ("blue,,black", "enum"),
            ("blue,black,brown,blue", "maxItems"),
        ];
        paths(&of("simple", explode, COLOR), &list);
    }
    let list = [
        (".blue,black", ""),
        (".blue.black", "enum"),
        (".blue", "minItems"),
    ];
    paths(&of("label", false, COLOR), &list);
    let list = [(".blue.black", ""), (".blue,black", "enum")];
    paths(&of("label", true, COLOR), &list);
    let list = [
        (";c=blue,black", ""),
        (";c=blue;c=black", "style"),
        (";c=blue", "minItems"),
    ];
    paths(&of("matrix", false, COLOR), &list);
    let list = [
        (";c=blue;c=black", ""),
        (";c=blue,black", "enum"),
        (";c=blue;d=black", "style"),
    ];
    paths(&of("matrix", true, COLOR), &list);
    let object = [
        ("R,100,G,200,B,150", ""),
        ("R,100", ""),
        ("G,1", "required"),
        ("R,256", "maximum"),
        ("R,x", "type"),
        ("R,1,R,2", "repeated"),
        ("R,1,X,2", "declared"),
        ("R,1,G", "member"),
        ("R=100", "member"),
    ];
    paths(&of("simple", false, RGB), &object);
    let object = [
        ("R=100,G=200,B=150", ""),
        ("R=1,B=x=y", ""),
        ("R=100,G", "member"),
        ("R,100", "member"),
        ("R=1,R=1", "repeated"),
    ];
    paths(&of("simple", true, RGB), &object);
    paths(
        &of("label", false, RGB),
        &[(".R,100,G,200", ""), (".R=100", "member")],
    );
    paths(
        &of("label", true, RGB),
        &[(".R=100.G=200", ""), (".R,100", "member")],
    );
    paths(
        &of("matrix", false, RGB),
        &[(";c=R,100,G,200", ""), (";c=R", "member")],
    );
    let object = [
        (";R=100;G=200", ""),
        (";G=200", "required"),
        (";R=1;X=1", "declared"),
    ];
    paths(&of("matrix", true, RGB), &object);
}

#[test]
fn queries_have_four_styles() {
    let of = |style: &str, explode: bool, schema: &str| {
        format!("name: c, in: query, style: {style}, explode: {explode}, {schema}")
    };
    queries(
        &[&of("form", true, COLOR)],
        &[
            ("", ""),
            ("c=blue&c=black", ""),
            ("c=blue,black", "enum"),
            ("c=blue", "minItems"),
        ],
    );
    queries(
        &[&of("form", false, COLOR)],
        &[
            ("c=blue,black", ""),
            ("c=blue%2Cblack", "separator"),
            ("c=blue,black&c=black", "repeated"),
        ],
    );
    for (style, good) in [
        ("spaceDelimited", ["c=blue%20black", "c=blue+black"]),
        ("pipeDelimited", ["c=blue%7Cblack", "c=blue%7cblack"]),
    ] {
        for query in good {
            queries(
                &[&of(style, false, COLOR)],
                &[(query, ""), ("c=blue,black", "enum")],
            );
        }
        queries(&[&of(style, true, COLOR)], &[("c=blue&c=black", "")]);
    }
    queries(
        &[&of("pipeDelimited", false, RGB)],
        &[("c=R%7C100%7CG%7C200", ""), ("c=R%7C100%7CG", "member")],
    );
    queries(
        &[&of("spaceDelimited", false, NUMBERS)],
        &[
            ("c=1%202%209", ""),
            ("c=1%2010", "maximum"),
            ("c=1%20x", "type"),
        ],
    );
    queries(
        &[&of("form", false, RGB)],
        &[
            ("c=R,100,B,x", ""),
            ("c=R,100,X,1", "declared"),
            ("c=R,1,R,1", "repeated"),
        ],
    );
    queries(
        &[
            &of("form", true, RGB),
            "name: d, in: query, schema: {type: string}",
        ],
        &[
            ("R=100&G=200&d=1", ""),
            ("d=1", ""),
            ("G=1", "required"),
            ("R=1&R=2", "repeated"),
            ("R=1&X=1", "declared"),
            ("c=1", "declared"),
            ("R=1.0", ""),
            ("R=1.5", "type"),
        ],
    );
    queries(
        &[&of("deepObject", true, RGB)],
        &[
            ("c[R]=100&c[G]=200", ""),
            ("c%5BR%5D=100", ""),
            ("c[G]=1", "required"),
            ("c[R]=1&c%5bR%5d=1", "repeated"),
            ("c[X]=1&c[R]=1", "declared"),
            ("c[R][S]=1", "declared"),
            ("c[]=1", "declared"),
            ("c=1", "declared"),
            ("c[R=1", "declared"),
        ],
    );
}

#[test]
fn members_may_be_arrays_and_other_names_have_a_schema() {
    let schema = "schema: {type: object, properties: {t: {type: array, items: {type: integer}}}, additionalProperties: {type: boolean}}";
    queries(
        &[
            &format!("name: f, in: query, style: deepObject, {schema}"),
            "name: g, in: query, schema: {type: integer}",
        ],
        &[
            ("f[t]=1&g=2&f[t]=3&f[x]=true", ""),
            ("f[t]=1&f[t]=x", "type"),
            ("f[x]=1", "type"),
            ("x=true", "declared"),
        ],
    );
    queries(
        &[
            &format!("name: f, in: query, {schema}"),
            "name: g, in: query, schema: {type: integer}",
        ],
        &[("t=1&g=2&t=3&x=true", ""), ("x=1", "type"), ("g=x", "type")],
    );
}

#[test]
fn texts_are_numbers_only_where_the_schema_has_numbers() {
    for (schema, good, bad) in [
        (
            "{type: string, maxLength: 2}",
            &["12", "x", "", "nu"][..],
            &["null"][..],
        ),
        (
            "{type: integer}",
            &["1", "-0", "1.0", "1e1"],
            &["01", "+1", "1x", "", "true"],
        ),
        ("{type: boolean}", &["true", "false"], &["1", "True", ""]),
        ("{type: [integer, 'null']}", &["1", "null"], &["x", "Null"]),
        ("{enum: ['1', 2]}", &["1", "2"], &["3"]),
        (
            "{anyOf: [{type: integer, maximum: 5}, {type: string, pattern: '^9'}]}",
            &["1", "9"],
            &["6"],
        ),
        ("{}", &["1", "x", "null"], &[]),
    ] {
        let parameter = format!("name: c, in: query, schema: {schema}");
        let operation = operation("/a", &[&parameter]);
        for (texts, is_good) in [(good, true), (bad, false)] {
            for text in texts {
                let text = text.replace('+', "%2B");
                let (outcome, _) = ask(&operation.contract, &format!("/a?c={text}"), "");
                assert_eq!(outcome.is_ok(), is_good, "{text} of {schema}");
            }
        }
    }
}

#[test]
fn a_parameter_can_be_a_document() {
    let content = "content: {application/json: {schema: {type: object, additionalProperties: false, properties: {a: {type: integer}}}}}";
    queries(
        &[&format!("name: c, in: query, {content}")],
        &[
            ("c=%7B%22a%22:1%7D", ""),
            ("c=%7B%22a%22:%22x%22%7D", "type"),
            ("c=%7B%22b%22:1%7D", "additionalProperties"),
            ("c=%7B%7D%7B%7D", "json"),
            ("c=%7B%22a%22:1,%22a%22:2%7D", "unique names"),
            ("c=", "json"),
        ],
    );
    fields(
        &format!("name: X-C, in: header, {content}"),
        &[
            ("X-C: {\"a\": 1}|", ""),
            ("X-C: {\"a\": 1}|X-C: {}|", "repeated"),
            ("X-C: {\"a\"|", "json"),
        ],
    );
    let any = "name: c, in: query, content: {application/json: {}}";
    queries(&[any], &[("c=%5B1,2%5D", ""), ("c=x", "json")]);
}

#[test]
fn headers_are_lists_and_objects() {
    let of = |explode: bool, schema: &str| {
        format!("name: X-C, in: header, required: true, explode: {explode}, {schema}")
    };
    fields(
        &of(false, COLOR),
        &[
            ("X-C: blue, black|", ""),
            ("X-C: blue|x-c: black|", ""),
            ("X-C: blue|", "minItems"),
            ("", "required"),
        ],
    );
    fields(
        &of(false, RGB),
        &[
            ("X-C: R, 100, G,200|", ""),
            ("X-C: R,100|X-C: G,200|", ""),
            ("X-C: R|", "member"),
            ("X-C: R,1,R,1|", "repeated"),
        ],
    );
    fields(
        &of(true, RGB),
        &[("X-C: R=100, G=200|", ""), ("X-C: R=100, G|", "member")],
    );
}

#[test]
fn declared_cookies_are_checked_and_others_pass() {
    fields(
        "name: c, in: cookie, required: true, schema: {type: integer, maximum: 9}",
        &[
            ("Cookie: c=1|", ""),
            ("Cookie: a=b; c=1; d|", ""),
            ("Cookie: a=b|cookie: c=%31|", ""),
            ("Cookie: a=b|", "required"),
            ("", "required"),
            ("Cookie: C=1|", "required"),
            ("Cookie: c=10|", "maximum"),
            ("Cookie: c=\"1\"|", "quotes"),
            ("Cookie: c=1; c=1|", "repeated"),
            ("Cookie: c=1|Cookie: c=2|", "repeated"),
            ("Cookie: c=%3|", "encoding"),
            ("Connection: cookie|Cookie: c=1|", "required"),
        ],
    );
    let list = "name: c, in: cookie, explode: false, ";
    fields(
        &format!("{list}{COLOR}"),
        &[
            ("Cookie: c=blue,black|", ""),
            ("Cookie: c=blue|", "minItems"),
            ("Cookie: c=blue%2Cblack|", "separator"),
        ],
    );
    fields(&format!("{list}{RGB}"), &[("Cookie: c=R,1,G,2|", "")]);
}

#[test]
fn arrays_and_objects_may_be_several_cookies() {
    for required in ["", "required: true, "] {
        let missing = if required.is_empty() { "" } else { "required" };
        fields(
            &format!("name: c, in: cookie, {required}{COLOR}"),
            &[
                ("Cookie: c=blue; a=b; c=black|", ""),
                ("Cookie: c=blue|Cookie: c=%62lack; c=brown|", ""),
                ("Cookie: a=b|", missing),
                ("Cookie: c=blue|", "minItems"),
                ("Cookie: c=blue; c=green|", "enum"),
                ("Cookie: c=blue; c=black; c=brown; c=blue|", "maxItems"),
                ("Cookie: c=blue; c=\"black\"|", "quotes"),
                ("Cookie: c=blue&c=black|", "separator"),
                ("Cookie: c=blue; c=%3|", "encoding"),
                ("Cookie: c=blue,black|", "enum"),
            ],
        );
        fields(
            &format!("name: c, in: cookie, {required}{RGB}"),
            &[
                ("Cookie: R=1; session=x; B=two|", ""),
                ("Cookie: G=2; R=1|", ""),
                ("Cookie: R=256|", "maximum"),
                ("Cookie: G=1|", "required"),
                ("Cookie: R=1; R=2|", "repeated"),
                ("Cookie: R=1&G=2|", "separator"),
                ("Cookie: r=1; c=1|", missing),
            ],
        );
    }
    let many = (0..=256).map(|at| format!("c={at}"));
    let line = format!("Cookie: {}|", many.collect::<Vec<_>>().join("; "));
    let all = "schema: {type: array, items: {type: integer}}";
    fields(
        &format!("name: c, in: cookie, {all}"),
        &[(&line, "too-many")],
    );
    let lists = "schema: {type: object, properties: {x: {type: array, maxItems: 2, items: {type: integer}}}}";
    fields(
        &format!("name: c, in: cookie, {lists}"),
        &[
            ("Cookie: x=1; x=2|", ""),
            ("Cookie: x=1; x=2; x=3|", "maxItems"),
            ("Cookie: x=a|", "type"),
        ],
    );
}

#[test]
fn empty_and_reserved_values_are_for_parameters_that_say_so() {
    queries(
        &["name: c, in: query, allowEmptyValue: true, schema: {type: integer}"],
        &[
            ("c=", ""),
            ("c", ""),
            ("c=1", ""),
            ("c=x", "type"),
            ("c=&c=", "repeated"),
        ],
    );
    queries(
        &[
            "name: c, in: query, allowReserved: true, schema: {type: string}",
            "name: d, in: query, schema: {type: string}",
        ],
        &[
            ("c=a;b:/?@!$", ""),
            ("c=a;d=b", ""),
            ("c=a;b&d=1", ""),
            ("d=a;b", "separator"),
            ("c;=1", "separator"),
            ("e=a;b", "separator"),
        ],
    );
}

#[test]
fn undeclared_queries_are_refused_stripped_or_reported() {
    let parameters = ["name: c, in: query, schema: {type: integer}"];
    let with = |unknown: Unknown| {
        let operation = operation("/a", &parameters);
        operation.contract.with_unknown_query(unknown)
    };
    let query = "/a?x=1&c=1&y";
    let (outcome, mut scratch) = ask(&with(Unknown::Reject), query, "");
    assert_eq!(outcome, Err((Denial::UndeclaredParameter, "declared")));
    assert_eq!(scratch.take_noted(), None);

    let strip = with(Unknown::Strip);
    let (outcome, mut scratch) = ask(&strip, query, "");
    assert_eq!((outcome, scratch.take_noted()), (Ok(()), None));
    let stripped = strip.strips_query().unwrap();
    for (pair, stays) in [
        ("x=1", false),
        ("c=1", true),
        ("%63=1", true),
        ("y", false),
        ("", true),
    ] {
        assert_eq!(stripped.declares(pair.as_bytes()), stays, "{pair}");
    }

    let report = with(Unknown::Report);
    assert!(report.strips_query().is_none());
    let (outcome, mut scratch) = ask(&report, query, "");
    assert_eq!(outcome, Ok(()));
    let (denial, detail) = scratch.take_noted().unwrap();
    assert_eq!(denial, Denial::UndeclaredParameter);
    let first = detail.first().unwrap();
    assert_eq!(
        (first.part, &*first.name, first.rule),
        ("query", "x", "declared")
    );
    // What is declared is checked all the same.
    for unknown in [Unknown::Strip, Unknown::Report] {
        let (outcome, _) = ask(&with(unknown), "/a?x=1&c=x", "");
        assert_eq!(outcome, Err((Denial::InvalidParameter, "type")));
        let (outcome, _) = ask(&with(unknown), "/a?x=1;c=1", "");
        assert_eq!(outcome, Err((Denial::InvalidParameter, "separator")));
    }
}
