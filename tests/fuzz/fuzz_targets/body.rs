//! A body is a valid click, or is refused for exactly the rules that it breaks. The oracle reads it as a
//! `serde_json::Value` and has its own implementation of the rules, but for the canonical form to which they apply.
#![no_main]

use std::time::Duration;

use leadclicks::{
    capture,
    click::{Click, PostedClick, canonical_email, canonical_username},
};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let parsed = capture::parse_body(bytes);
    let problems = match &parsed {
        Ok(posted) => {
            assert_keeps_the_contract(posted);
            Vec::new()
        }
        Err(refusal) => problems(refusal, bytes),
    };
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(said)) => assert_is_what_was_said(parsed.as_ref().ok(), &problems, &said),
        Ok(_) => assert_eq!(problems, [Problem::new("", "model_attributes_type")]),
        // Ignored values may contain numbers, escapes and bytes that a `Value` cannot.
        Err(_) if serde_json::from_slice::<IgnoredAny>(bytes).is_ok() => {}
        Err(_) => assert_eq!(problems, [Problem::new("", "json_invalid")]),
    }
});

fn assert_keeps_the_contract(posted: &PostedClick) {
    let click: &Click = &posted.click;
    assert_eq!(email_problem(click.email()), None);
    assert_eq!(username_problem(click.expert_username()), None);
    assert_eq!(query_problem(click.search_query()), None);
    assert_eq!(click.email(), click.email().trim());
    assert_eq!(click.expert_username(), click.expert_username().trim());
    assert!(!click.email().contains(|c: char| c.is_ascii_uppercase()));
    if let Some(id) = posted.id {
        assert_eq!(id_problem(id.as_str()), None);
        assert_eq!(id.as_str(), id.as_str().to_ascii_lowercase());
    }
    assert!(posted.age.is_zero() || (SECOND..=DAY).contains(&posted.age));
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// A field, or `""` for the whole body, and FastAPI's type of its error.
#[derive(Debug, PartialEq)]
struct Problem {
    field: String,
    kind: String,
}

impl Problem {
    fn new(field: &str, kind: &str) -> Self {
        let [field, kind] = [field, kind].map(str::to_owned);
        Self { field, kind }
    }
}

type Rule = fn(&str) -> Option<&'static str>;
const RULES: [(&str, Rule); 4] = [
    ("email", |text| email_problem(&canonical_email(text))),
    ("expert_username", |text| {
        username_problem(&canonical_username(text))
    }),
    ("search_query", query_problem),
    ("click_id", id_problem),
];

/// The object's click, or every invalid field once.
fn assert_is_what_was_said(
    posted: Option<&PostedClick>,
    problems: &[Problem],
    said: &serde_json::Map<String, Value>,
) {
    let mut expected: Vec<Problem> = RULES
        .iter()
        .filter_map(|(field, rule)| {
            let kind = match said.get(*field) {
                None if ["search_query", "click_id"].contains(field) => None,
                None => Some("missing"),
                Some(Value::String(text)) => rule(text),
                Some(_) => Some("string_type"),
            };
            kind.map(|kind| Problem::new(field, kind))
        })
        .collect();
    let age_ms = said.get("age_ms");
    if age_ms.is_some_and(|age_ms| !age_ms.is_number()) {
        expected.push(Problem::new("age_ms", "float_type"));
    }
    assert_eq!(problems.len(), expected.len(), "{problems:?} {expected:?}");
    for problem in &expected {
        assert!(problems.contains(problem), "{problems:?} {expected:?}");
    }
    let text = |field| said.get(field).and_then(Value::as_str).unwrap_or_default();
    if let Some(PostedClick { click, id, age }) = posted {
        assert_eq!(
            id.map(|id| id.as_str().to_owned()),
            said.get("click_id")
                .map(|_| text("click_id").to_ascii_lowercase())
        );
        let age_ms = age_ms.and_then(Value::as_f64).unwrap_or_default();
        if age_ms < 999.9 {
            assert_eq!(*age, Duration::ZERO);
        } else if age_ms > 1000.1 {
            let expected = age_ms.min(DAY.as_secs_f64() * 1e3);
            assert!(
                (age.as_secs_f64() * 1e3 - expected).abs() < 0.001,
                "{age:?}"
            );
        }
        assert_eq!(click.email(), canonical_email(text("email")));
        assert_eq!(
            click.expert_username(),
            canonical_username(text("expert_username"))
        );
        assert_eq!(click.search_query(), text("search_query"));
    }
}

fn email_problem(email: &str) -> Option<&'static str> {
    let parts: Vec<&str> = email.split('@').collect();
    match email.chars().count() {
        0 => Some("string_too_short"),
        321.. => Some("string_too_long"),
        _ if email.chars().any(|c| c.is_control() || c.is_whitespace()) => Some("value_error"),
        _ if parts.len() != 2 || parts.contains(&"") => Some("value_error"),
        _ => None,
    }
}

fn username_problem(username: &str) -> Option<&'static str> {
    match username.chars().count() {
        0 => Some("string_too_short"),
        101.. => Some("string_too_long"),
        _ if username.chars().any(char::is_control) => Some("value_error"),
        _ => None,
    }
}

fn id_problem(id: &str) -> Option<&'static str> {
    let groups: Vec<&str> = id.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let digits = groups.concat().to_ascii_lowercase();
    let is_id = lengths == [8, 4, 4, 4, 12]
        && digits
            .bytes()
            .all(|digit| b"0123456789abcdef".contains(&digit))
        && !["0", "f"].iter().any(|digit| digits == digit.repeat(32));
    (!is_id).then_some("uuid_parsing")
}

fn query_problem(query: &str) -> Option<&'static str> {
    (query.chars().count() > 2000).then_some("string_too_long")
}

/// Every allowed refusal. The text is fixed, except for the position in invalid JSON, which is a number. So a refusal
/// cannot contain any text of the input.
const MESSAGES: [(&str, &str); 11] = [
    (
        "model_attributes_type",
        "Input should be a valid dictionary or object to extract fields from",
    ),
    ("missing", "Field required"),
    ("string_type", "Input should be a valid string"),
    (
        "uuid_parsing",
        "Input should be a UUID of 36 characters, and neither the nil nor the max UUID",
    ),
    ("float_type", "Input should be a valid number"),
    (
        "string_too_short",
        "String should have at least 1 character",
    ),
    (
        "string_too_long",
        "String should have at most 320 characters",
    ),
    (
        "string_too_long",
        "String should have at most 100 characters",
    ),
    (
        "string_too_long",
        "String should have at most 2000 characters",
    ),
    (
        "value_error",
        "Value error, this should have no control characters",
    ),
    (
        "value_error",
        "Value error, this should have one @ with text on both sides and no white space",
    ),
];

/// The errors in a refusal, which must have exactly FastAPI's shape and at least one error.
fn problems(refusal: &[u8], bytes: &[u8]) -> Vec<Problem> {
    let refusal: Value = serde_json::from_slice(refusal).expect("a refusal is JSON");
    let details = refusal["detail"].as_array().expect("a list of details");
    assert_eq!(refusal.as_object().map(serde_json::Map::len), Some(1));
    assert!(!details.is_empty());
    details
        .iter()
        .map(|detail| problem(detail, bytes))
        .collect()
}

fn problem(detail: &Value, bytes: &[u8]) -> Problem {
    let [kind, msg] = ["type", "msg"].map(|key| detail[key].as_str().expect("a text"));
    assert_eq!(detail.as_object().map(serde_json::Map::len), Some(3));
    let loc = detail["loc"].as_array().expect("a list");
    assert_eq!(loc[0], "body");
    if kind == "json_invalid" {
        assert_is_a_place(&loc[1..], msg, bytes);
        return Problem::new("", kind);
    }
    assert!(MESSAGES.contains(&(kind, msg)), "{kind} {msg}");
    match &loc[1..] {
        [] => Problem::new("", kind),
        [Value::String(field)] => Problem::new(field, kind),
        _ => panic!("{loc:?}"),
    }
}

fn assert_is_a_place(loc: &[Value], msg: &str, bytes: &[u8]) {
    let byte = loc[0].as_u64().expect("a number");
    assert!(loc.len() == 1 && byte <= bytes.len() as u64, "{loc:?}");
    let place = msg
        .strip_prefix("JSON decode error at line ")
        .and_then(|place| place.split_once(" column "));
    let (line, column) = place.expect("a line and a column");
    let [line, column]: [usize; 2] = [line, column].map(|number| number.parse().expect("a number"));
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    assert!((1..=lines.len()).contains(&line), "{msg}");
    assert!(column <= lines[line - 1].len() + 1, "{msg}");
}
