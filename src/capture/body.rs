//! From the bytes of a body to a click, or to what is wrong with it, in the shape that FastAPI answers 422 with.

use std::{borrow::Cow, fmt};

use hyper::body::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::click::{Click, Field, Rule};

/// Reads a click from a JSON object. Of a key that stands twice the last value counts, as browsers have it;
/// unknown keys are ignored.
///
/// # Errors
/// What breaks the contract, each field once. Nothing of `bytes` is repeated in it.
pub(super) fn parse(bytes: &[u8]) -> Result<Click, Refusal> {
    let fields = match serde_json::from_slice(bytes) {
        Ok(Body::Object(fields)) => fields,
        Ok(Body::Other) => return Err(Refusal::not_an_object()),
        Err(error) => return Err(Refusal::not_json(bytes, &error)),
    };
    let Fields {
        email,
        expert_username,
        search_query,
    } = fields;
    let mut details = Vec::new();
    let mut text = |field: Field, value: Value<'_>| match value {
        Value::Text(text) => text.into_owned(),
        Value::Missing if field == Field::SearchQuery => String::new(),
        Value::Missing => {
            details.push(Detail::of(field, "missing", "Field required".to_owned()));
            String::new()
        }
        Value::Other => {
            let msg = "Input should be a valid string".to_owned();
            details.push(Detail::of(field, "string_type", msg));
            String::new()
        }
    };
    let email = text(Field::Email, email);
    let expert_username = text(Field::ExpertUsername, expert_username);
    let search_query = text(Field::SearchQuery, search_query);
    let click = Click::new(&email, &expert_username, search_query);
    let violations = click.as_ref().err().map_or(&[][..], Vec::as_slice);
    for violation in violations {
        // A field that was no string is told once, as that.
        if details.iter().all(|detail| !detail.is_of(violation.field)) {
            details.push(Detail::of(
                violation.field,
                rule_type(violation.rule),
                rule_message(violation.rule),
            ));
        }
    }
    match click {
        Ok(click) if details.is_empty() => Ok(click),
        _ => Err(Refusal { detail: details }),
    }
}

/// Why a body is no click: the body of a 422.
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

    /// The database's own constraint, of a host app's table, refuses the click.
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

    fn whole(kind: &'static str, within: Vec<Location>, msg: String) -> Self {
        let mut loc = vec![Location::Name("body")];
        loc.extend(within);
        Self {
            detail: vec![Detail { kind, loc, msg }],
        }
    }
}

impl Detail {
    fn of(field: Field, kind: &'static str, msg: String) -> Self {
        let loc = vec![Location::Name("body"), Location::Name(field.name())];
        Self { kind, loc, msg }
    }

    fn is_of(&self, field: Field) -> bool {
        self.loc.last() == Some(&Location::Name(field.name()))
    }
}

fn rule_type(rule: Rule) -> &'static str {
    match rule {
        Rule::Empty => "string_too_short",
        Rule::TooLong(_) => "string_too_long",
        Rule::ControlCharacter | Rule::NotAnEmail => "value_error",
    }
}

fn rule_message(rule: Rule) -> String {
    match rule {
        Rule::Empty | Rule::TooLong(_) => format!("String {rule}"),
        Rule::ControlCharacter | Rule::NotAnEmail => format!("Value error, this {rule}"),
    }
}

/// A JSON document, read only as far as a click needs it.
enum Body<'a> {
    Object(Fields<'a>),
    Other,
}

#[derive(Default)]
struct Fields<'a> {
    email: Value<'a>,
    expert_username: Value<'a>,
    search_query: Value<'a>,
}

/// A field's value. Text without escapes is borrowed from the body.
#[derive(Default)]
enum Value<'a> {
    #[default]
    Missing,
    Text(Cow<'a, str>),
    /// `null`, a number, a boolean, an array or an object.
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

/// What both visitors do with a value that is of no use: read past it.
macro_rules! ignore_scalars {
    ($other:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($other)
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

    ignore_scalars!(Body::Other);

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
    #[serde(other)]
    Other,
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    ignore_scalars!(Value::Other);

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

    #[test]
    fn a_click_is_read_with_or_without_a_search_query() {
        let click = Click::new("jane@example.com", "jdoe", "rust \u{1b}".to_owned()).unwrap();
        let body = r#"{"email":" Jane@Example.com ","expert_username":"jdoe","search_query":"rust \u001b","x":[{}]}"#;
        assert_eq!(parse(body.as_bytes()), Ok(click));
        let click = Click::new("jane@example.com", "jdoe", String::new()).unwrap();
        let body = r#"{"expert_username":"jdoe","email":"jane@example.com"}"#;
        assert_eq!(parse(body.as_bytes()), Ok(click));
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        let body = r#"{"email":5,"expert_username":"x","expert_username":"jdoe","email":"a@b"}"#;
        let click = Click::new("a@b", "jdoe", String::new()).unwrap();
        assert_eq!(parse(body.as_bytes()), Ok(click));
    }

    #[test]
    fn every_field_that_is_wrong_is_told_once_and_never_repeated() {
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
    fn what_is_not_a_json_object_is_told_as_that() {
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
        fn any_bytes_are_a_click_or_a_refusal(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn what_json_can_say_arrives_unchanged(query in ".{0,60}") {
            let body = serde_json::json!({"email": "a@b", "expert_username": "jdoe", "search_query": query});
            let click = parse(body.to_string().as_bytes()).unwrap();
            prop_assert_eq!(click.search_query(), query);
        }
    }
}
