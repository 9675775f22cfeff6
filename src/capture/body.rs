//! Parses the bytes of a body into a click, or into the list of its errors, in the shape of FastAPI's 422.

use std::{borrow::Cow, fmt, time::Duration};

use hyper::body::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::click::{AGE_MAX, AGE_MIN, Click, ClickId, Field, PostedClick, Rule};

/// Reads a click from a JSON object. If a key occurs twice, the last value counts, as in browsers. Unknown keys are
/// ignored.
///
/// # Errors
/// At most one error for each field. It never repeats any part of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Result<PostedClick, Refusal> {
    let fields = match serde_json::from_slice(bytes) {
        Ok(Body::Object(fields)) => fields,
        Ok(Body::Other) => return Err(Refusal::not_an_object()),
        Err(error) => return Err(Refusal::not_json(bytes, &error)),
    };
    let Fields {
        email,
        expert_username,
        search_query,
        click_id,
        age_ms,
    } = fields;
    let mut details = Vec::new();
    let mut text = |field: Field, value: Value<'_>| match value {
        Value::Text(text) => text.into_owned(),
        Value::Missing if field == Field::SearchQuery => String::new(),
        Value::Missing => {
            details.push(Detail::new(field, "missing", "Field required".to_owned()));
            String::new()
        }
        Value::Number(_) | Value::Other => {
            details.push(Detail::not_a_string(field));
            String::new()
        }
    };
    let email = text(Field::Email, email);
    let expert_username = text(Field::ExpertUsername, expert_username);
    let search_query = text(Field::SearchQuery, search_query);
    let click = Click::new(&email, &expert_username, search_query);
    let violations = click.as_ref().err().map_or(&[][..], Vec::as_slice);
    for violation in violations {
        // A field that is missing or not a string has its error already.
        if details.iter().all(|detail| !detail.is_for(violation.field)) {
            details.push(Detail::new(
                violation.field,
                rule_type(violation.rule),
                rule_message(violation.rule),
            ));
        }
    }
    let id = read_id(&click_id).map_err(|detail| details.push(detail));
    let age = read_age(&age_ms).map_err(|detail| details.push(detail));
    match (click, id, age) {
        (Ok(click), Ok(id), Ok(age)) if details.is_empty() => Ok(PostedClick { click, id, age }),
        _ => Err(Refusal { detail: details }),
    }
}

fn read_id(value: &Value<'_>) -> Result<Option<ClickId>, Detail> {
    const FIELD: Field = Field::ClickId;
    match value {
        Value::Missing => Ok(None),
        Value::Text(text) => ClickId::parse(text)
            .map(Some)
            .map_err(|rule| Detail::new(FIELD, rule_type(rule), rule_message(rule))),
        Value::Number(_) | Value::Other => Err(Detail::not_a_string(FIELD)),
    }
}

/// Returns the age, clamped to its limits. Every number is finite here: serde_json rejects one that is too large.
fn read_age(value: &Value<'_>) -> Result<Duration, Detail> {
    match value {
        Value::Missing => Ok(Duration::ZERO),
        Value::Number(age_ms) => {
            let age_secs = (age_ms / 1e3).clamp(0.0, AGE_MAX.as_secs_f64());
            // `from_secs_f64` would panic on NaN, which JSON cannot express.
            let age = Duration::try_from_secs_f64(age_secs).unwrap_or_default();
            Ok(if age < AGE_MIN { Duration::ZERO } else { age })
        }
        Value::Text(_) | Value::Other => {
            let msg = "Input should be a valid number".to_owned();
            Err(Detail::new(Field::AgeMs, "float_type", msg))
        }
    }
}

/// Why a body is not a click: the body of a 422.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Refusal {
    detail: Vec<Detail>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Detail {
    #[serde(rename = "type")]
    kind: &'static str,
    loc: Vec<Location>,
    msg: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Location {
    Name(&'static str),
    Byte(usize),
}

impl Refusal {
    /// The body as JSON.
    pub(super) fn to_json(&self) -> Bytes {
        // Strings and numbers in a struct always serialize.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// A constraint of the host app's table rejected the click.
    pub(super) fn database() -> Self {
        Self::whole(
            "value_error",
            vec![],
            "Value error, the database does not take this click".to_owned(),
        )
    }

    fn not_an_object() -> Self {
        let msg = "Input should be a valid dictionary or object to extract fields from";
        Self::whole("model_attributes_type", vec![], msg.to_owned())
    }

    fn not_json(bytes: &[u8], error: &serde_json::Error) -> Self {
        let line_start: usize = bytes
            .split_inclusive(|&byte| byte == b'\n')
            .take(error.line().saturating_sub(1))
            .map(<[u8]>::len)
            .sum();
        let byte = line_start + error.column().saturating_sub(1);
        let msg = format!(
            "JSON decode error at line {} column {}",
            error.line(),
            error.column()
        );
        Self::whole("json_invalid", vec![Location::Byte(byte)], msg)
    }

    /// One error about the whole body, or about a byte in it.
    fn whole(kind: &'static str, within: Vec<Location>, msg: String) -> Self {
        let mut loc = vec![Location::Name("body")];
        loc.extend(within);
        Self {
            detail: vec![Detail { kind, loc, msg }],
        }
    }
}

impl Detail {
    fn new(field: Field, kind: &'static str, msg: String) -> Self {
        let loc = vec![Location::Name("body"), Location::Name(field.name())];
        Self { kind, loc, msg }
    }

    fn not_a_string(field: Field) -> Self {
        Self::new(
            field,
            "string_type",
            "Input should be a valid string".to_owned(),
        )
    }

    fn is_for(&self, field: Field) -> bool {
        self.loc.last() == Some(&Location::Name(field.name()))
    }
}

fn rule_type(rule: Rule) -> &'static str {
    match rule {
        Rule::Empty => "string_too_short",
        Rule::TooLong(_) => "string_too_long",
        Rule::ControlCharacter | Rule::NotAnEmail => "value_error",
        Rule::NotAUuid => "uuid_parsing",
    }
}

fn rule_message(rule: Rule) -> String {
    match rule {
        Rule::Empty | Rule::TooLong(_) => format!("String {rule}"),
        Rule::ControlCharacter | Rule::NotAnEmail => format!("Value error, this {rule}"),
        Rule::NotAUuid => format!("Input {rule}"),
    }
}

/// A JSON document, of which only the fields of a click are kept.
enum Body<'a> {
    Object(Fields<'a>),
    Other,
}

#[derive(Default)]
struct Fields<'a> {
    email: Value<'a>,
    expert_username: Value<'a>,
    search_query: Value<'a>,
    click_id: Value<'a>,
    age_ms: Value<'a>,
}

/// The value of a field. Text without escapes is borrowed from the body.
#[derive(Default)]
enum Value<'a> {
    #[default]
    Missing,
    Text(Cow<'a, str>),
    Number(f64),
    /// `null`, a boolean, an array or an object.
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for Body<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BodyVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

/// The methods of both visitors for numbers, and for values that are skipped.
macro_rules! visit_scalars {
    ($number:expr, $other:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
            // Integers that a double cannot represent are far beyond every limit.
            #[expect(clippy::cast_precision_loss)]
            Ok($number(number as f64))
        }
        fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
            #[expect(clippy::cast_precision_loss)]
            Ok($number(number as f64))
        }
        fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
            Ok($number(number))
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok($other)
        }
    };
}

struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Body<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    visit_scalars!(|_| Body::Other, Body::Other);

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Body::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Email => fields.email = map.next_value()?,
                Key::ExpertUsername => fields.expert_username = map.next_value()?,
                Key::SearchQuery => fields.search_query = map.next_value()?,
                Key::ClickId => fields.click_id = map.next_value()?,
                Key::AgeMs => fields.age_ms = map.next_value()?,
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Body::Object(fields))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Key {
    Email,
    ExpertUsername,
    SearchQuery,
    ClickId,
    AgeMs,
    #[serde(other)]
    Other,
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    visit_scalars!(Value::Number, Value::Other);

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(body: &str) -> String {
        let refusal = parse(body.as_bytes()).expect_err(body);
        String::from_utf8(refusal.to_json().to_vec()).unwrap()
    }

    fn parsed(body: &str) -> PostedClick {
        parse(body.as_bytes()).expect(body)
    }

    /// A body with this `click_id` and `age_ms`, as JSON.
    fn retry(click_id: &str, age_ms: &str) -> String {
        format!(
            r#"{{"email":"a@b","expert_username":"jdoe","click_id":{click_id},"age_ms":{age_ms}}}"#
        )
    }

    const ID: &str = "0198c2a1-7d3e-7b4f-9c5d-0123456789ab";

    fn age_of(age_ms: &str) -> Duration {
        parsed(&retry(&format!("\"{ID}\""), age_ms)).age
    }

    #[test]
    fn a_click_is_read_with_or_without_a_search_query() {
        let click = Click::new("jane@example.com", "jdoe", "rust \u{1b}".to_owned()).unwrap();
        let body = r#"{"email":" Jane@Example.com ","expert_username":"jdoe","search_query":"rust \u001b","x":[{}]}"#;
        assert_eq!(parsed(body).click, click);
        let click = Click::new("jane@example.com", "jdoe", String::new()).unwrap();
        let body = r#"{"expert_username":"jdoe","email":"jane@example.com"}"#;
        let (id, age) = (None, Duration::ZERO);
        assert_eq!(parsed(body), PostedClick { click, id, age });
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        let body = r#"{"email":5,"expert_username":"x","expert_username":"jdoe","email":"a@b"}"#;
        let click = Click::new("a@b", "jdoe", String::new()).unwrap();
        assert_eq!(parsed(body).click, click);
    }

    #[test]
    fn a_click_id_is_read_in_lower_case() {
        let posted = parsed(&retry(&format!("\"{}\"", ID.to_uppercase()), "0"));
        assert_eq!(posted.id, Some(ClickId::parse(ID).unwrap()));
    }

    #[test]
    fn an_age_counts_from_one_second_to_one_day() {
        const DAY: Duration = Duration::from_hours(24);
        for (age_ms, age) in [
            ("0", Duration::ZERO),
            ("-0", Duration::ZERO),
            ("-5.5e300", Duration::ZERO),
            ("-99999999999999999999", Duration::ZERO),
            ("1e-999", Duration::ZERO),
            ("999.999", Duration::ZERO),
            ("1000", Duration::from_secs(1)),
            ("1500.25", Duration::from_micros(1_500_250)),
            ("86399999", Duration::from_millis(86_399_999)),
            ("86400000", DAY),
            ("86400001", DAY),
            ("18446744073709551615", DAY),
            ("1e308", DAY),
        ] {
            assert_eq!(age_of(age_ms), age, "{age_ms}");
        }
    }

    #[test]
    fn invalid_click_ids_and_ages_are_refused() {
        let id_refusal = |kind: &str, msg: &str| {
            format!(r#"{{"detail":[{{"type":"{kind}","loc":["body","click_id"],"msg":"{msg}"}}]}}"#)
        };
        for id in [
            "\"\"",
            "\"00000000-0000-0000-0000-000000000000\"",
            "\"FFFFFFFF-FFFF-ffff-FFFF-FFFFFFFFFFFF\"",
            "\" 0198c2a1-7d3e-7b4f-9c5d-0123456789ab\"",
        ] {
            let msg =
                "Input should be a UUID of 36 characters, and neither the nil nor the max UUID";
            assert_eq!(
                refusal(&retry(id, "0")),
                id_refusal("uuid_parsing", msg),
                "{id}"
            );
        }
        for id in ["null", "5", "true", "[]", "{}"] {
            let msg = "Input should be a valid string";
            assert_eq!(
                refusal(&retry(id, "0")),
                id_refusal("string_type", msg),
                "{id}"
            );
        }
        for age in ["null", "\"5\"", "true", "[5]", "{}"] {
            assert_eq!(
                refusal(&retry(&format!("\"{ID}\""), age)),
                r#"{"detail":[{"type":"float_type","loc":["body","age_ms"],"msg":"Input should be a valid number"}]}"#,
                "{age}"
            );
        }
        for age in ["1e999", "-1e999", "NaN", "Infinity"] {
            assert!(
                refusal(&retry(&format!("\"{ID}\""), age)).contains("json_invalid"),
                "{age}"
            );
        }
        assert_eq!(
            refusal(r#"{"email":"a@b","click_id":1,"age_ms":null}"#),
            concat!(
                r#"{"detail":[{"type":"missing","loc":["body","expert_username"],"msg":"Field required"},"#,
                r#"{"type":"string_type","loc":["body","click_id"],"msg":"Input should be a valid string"},"#,
                r#"{"type":"float_type","loc":["body","age_ms"],"msg":"Input should be a valid number"}]}"#
            )
        );
    }

    #[test]
    fn each_invalid_field_has_one_error_that_does_not_repeat_it() {
        assert_eq!(
            refusal(r#"{"email":null,"search_query":null}"#),
            concat!(
                r#"{"detail":[{"type":"string_type","loc":["body","email"],"msg":"Input should be a valid string"},"#,
                r#"{"type":"missing","loc":["body","expert_username"],"msg":"Field required"},"#,
                r#"{"type":"string_type","loc":["body","search_query"],"msg":"Input should be a valid string"}]}"#
            )
        );
        let long = "x".repeat(101);
        assert_eq!(
            refusal(&format!(
                r#"{{"email":"secret","expert_username":"{long}"}}"#
            )),
            concat!(
                r#"{"detail":[{"type":"value_error","loc":["body","email"],"#,
                r#""msg":"Value error, this should have one @ with text on both sides and no white space"},"#,
                r#"{"type":"string_too_long","loc":["body","expert_username"],"#,
                r#""msg":"String should have at most 100 characters"}]}"#
            )
        );
    }

    #[test]
    fn a_body_that_is_not_a_json_object_is_refused_as_that() {
        for body in ["[]", "5", "-5.5", "\"text\"", "null", "true", "[{\"a\":1}]"] {
            assert_eq!(
                refusal(body),
                concat!(
                    r#"{"detail":[{"type":"model_attributes_type","loc":["body"],"#,
                    r#""msg":"Input should be a valid dictionary or object to extract fields from"}]}"#
                )
            );
        }
        assert_eq!(
            refusal("{\n \"email\": x}"),
            r#"{"detail":[{"type":"json_invalid","loc":["body",12],"msg":"JSON decode error at line 2 column 11"}]}"#
        );
        for body in ["", "{", "{}{}", "{\"email\":\"\\ud800\"}", "\u{feff}{}"] {
            assert!(refusal(body).contains("json_invalid"), "{body}");
        }
        assert!(parse(b"{\"email\":\"\xff\"}").is_err());
    }

    #[test]
    fn deep_nesting_is_refused_without_a_stack_overflow() {
        let deep = "[".repeat(10_000);
        assert!(refusal(&deep).contains("json_invalid"));
        assert!(refusal(&format!("{{\"email\":{deep}")).contains("json_invalid"));
        assert!(refusal(&format!("{{\"x\":{deep}")).contains("json_invalid"));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_click_or_a_refusal(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn every_string_in_json_arrives_unchanged(query in ".{0,60}") {
            let body = serde_json::json!({"email": "a@b", "expert_username": "jdoe", "search_query": query});
            let posted = parsed(&body.to_string());
            prop_assert_eq!(posted.click.search_query(), query.replace('\0', "\u{fffd}"));
        }

        #[test]
        fn every_finite_number_is_a_valid_age(age_ms in any::<f64>().prop_filter("finite", |ms| ms.is_finite())) {
            let age = age_of(&serde_json::json!(age_ms).to_string());
            prop_assert!(age == Duration::ZERO || (AGE_MIN..=AGE_MAX).contains(&age));
            if (1e3..=86_400e3).contains(&age_ms) {
                prop_assert!((age.as_secs_f64() * 1e3 - age_ms).abs() < 0.001);
            }
        }
    }
}
