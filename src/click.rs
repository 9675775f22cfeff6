//! A lead's click on an expert, and the rules for its fields.
//!
//! A [`Click`] can only be made from input that follows every rule of the capture contract, so code that has one need not
//! check again. Lengths are in Unicode characters, as `length()` counts them in schema.sql.

mod canonical;

use std::{str, time::Duration};

pub use canonical::{canonical_email, canonical_username, fold, is_email, is_username, mentions};

/// The longest valid email address: 64 for the local part, `@`, and 255 for the domain
/// ([RFC 5321, 4.5.3.1](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1)).
pub const EMAIL_CHARS_MAX: usize = 320;
/// The longest valid expert username.
pub const EXPERT_USERNAME_CHARS_MAX: usize = 100;
/// The longest valid search query.
pub const SEARCH_QUERY_CHARS_MAX: usize = 2000;

/// The greatest age of a posted click; an older one gets this age. A page keeps a click that it could not send for as
/// long.
pub const AGE_MAX: Duration = Duration::from_hours(24);
/// A posted click that is younger than this is dated by its arrival, so that clicks that a page posts at once keep their
/// order: their ages differ by less than the network delays them.
pub const AGE_MIN: Duration = Duration::from_secs(1);

/// A lead clicked an expert's card. The time is not part of it, because it is only known when the click arrives.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Click {
    email: String,
    expert_username: String,
    search_query: String,
}

impl Click {
    /// Makes a click: `email` and `expert_username` get their [canonical](canonical_email) [form](canonical_username), to which
    /// the rules apply. `search_query` is kept as it is, with one exception: U+0000, which PostgreSQL can't store, becomes
    /// U+FFFD.
    ///
    /// # Errors
    /// One [`Violation`] for each field that breaks its rule, in the order of the parameters.
    pub fn new(
        email: &str,
        expert_username: &str,
        search_query: String,
    ) -> Result<Self, Vec<Violation>> {
        let email = canonical_email(email);
        let expert_username = canonical_username(expert_username);
        let violations: Vec<Violation> = [
            (Field::Email, email_rule(&email)),
            (
                Field::ExpertUsername,
                expert_username_rule(&expert_username),
            ),
            (
                Field::SearchQuery,
                longest(&search_query, SEARCH_QUERY_CHARS_MAX),
            ),
        ]
        .into_iter()
        .filter_map(|(field, checked)| checked.err().map(|rule| Violation { field, rule }))
        .collect();
        if !violations.is_empty() {
            return Err(violations);
        }
        Ok(Self {
            email: email.into_owned(),
            expert_username: expert_username.into_owned(),
            search_query: without_nul(search_query),
        })
    }

    /// The lead's [canonical email address](canonical_email); 1 to [`EMAIL_CHARS_MAX`] characters.
    #[must_use]
    pub fn email(&self) -> &str {
        &self.email
    }

    /// The expert's [canonical username](canonical_username); 1 to [`EXPERT_USERNAME_CHARS_MAX`] characters.
    #[must_use]
    pub fn expert_username(&self) -> &str {
        &self.expert_username
    }

    /// What the lead had searched for; at most [`SEARCH_QUERY_CHARS_MAX`] characters, any of them but U+0000.
    #[must_use]
    pub fn search_query(&self) -> &str {
        &self.search_query
    }
}

/// Text with U+FFFD instead of U+0000, which PostgreSQL can't store.
#[must_use]
pub fn without_nul(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

/// A click as a page posts it, possibly more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostedClick {
    /// The click.
    pub click: Click,
    /// Identifies retries: posts with the same id are one click. Without an id each post is a click.
    pub id: Option<ClickId>,
    /// How long before the post the click happened: none, or [`AGE_MIN`] to [`AGE_MAX`].
    pub age: Duration,
}

/// The id that a page gives a click: a UUID of any version, but not the nil or the max UUID, which mean "no id"
/// ([RFC 9562, 5.9 and 5.10](https://www.rfc-editor.org/rfc/rfc9562#section-5.9)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClickId {
    /// ASCII, in lower case.
    text: [u8; ClickId::CHARS],
}

impl ClickId {
    /// The length of a UUID's text: 32 hexadecimal digits in five groups with hyphens between them.
    pub const CHARS: usize = 36;

    /// Reads a UUID in upper or lower case. Ids that differ only in case are equal.
    ///
    /// # Errors
    /// [`Rule::NotAUuid`].
    pub fn parse(text: &str) -> Result<Self, Rule> {
        const NIL: &[u8; ClickId::CHARS] = b"00000000-0000-0000-0000-000000000000";
        const MAX: &[u8; ClickId::CHARS] = b"ffffffff-ffff-ffff-ffff-ffffffffffff";
        let mut text: [u8; Self::CHARS] = text.as_bytes().try_into().map_err(|_| Rule::NotAUuid)?;
        text.make_ascii_lowercase();
        let has_form = text.iter().zip(NIL).all(|(byte, form)| match form {
            b'-' => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
        if !has_form || text == *NIL || text == *MAX {
            return Err(Rule::NotAUuid);
        }
        Ok(Self { text })
    }

    /// The UUID in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // All bytes are ASCII, so the fallback is never taken.
        str::from_utf8(&self.text).unwrap_or_default()
    }
}

/// A field of a posted click.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `email`
    Email,
    /// `expert_username`
    ExpertUsername,
    /// `search_query`
    SearchQuery,
    /// `click_id`
    ClickId,
    /// `age_ms`
    AgeMs,
}

impl Field {
    /// The field's name in the capture contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::ExpertUsername => "expert_username",
            Self::SearchQuery => "search_query",
            Self::ClickId => "click_id",
            Self::AgeMs => "age_ms",
        }
    }
}

/// A rule that a field can break. Its text says what the field should be and never repeats the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// The field is empty after trimming.
    #[error("should have at least 1 character")]
    Empty,
    /// The field has more characters than this.
    #[error("should have at most {0} characters")]
    TooLong(usize),
    /// The field holds a control character (Unicode category Cc).
    #[error("should have no control characters")]
    ControlCharacter,
    /// The field is not an email address.
    #[error("should have one @ with text on both sides and no white space")]
    NotAnEmail,
    /// The field is not a UUID that can be an id.
    #[error("should be a UUID of 36 characters, and neither the nil nor the max UUID")]
    NotAUuid,
}

/// A field and the first rule that it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// The field.
    pub field: Field,
    /// The rule.
    pub rule: Rule,
}

/// Checks an email address, which must be in its [canonical form](canonical_email).
///
/// # Errors
/// The first [`Rule`] that it breaks.
pub fn email_rule(email: &str) -> Result<(), Rule> {
    not_empty(email)?;
    longest(email, EMAIL_CHARS_MAX)?;
    no_control_characters(email)?;
    match email.split_once('@') {
        Some((local, domain))
            if !local.is_empty()
                && !domain.is_empty()
                && !domain.contains('@')
                && !email.contains(char::is_whitespace) =>
        {
            Ok(())
        }
        _ => Err(Rule::NotAnEmail),
    }
}

/// Checks an expert's username, which must be in its [canonical form](canonical_username).
///
/// # Errors
/// The first [`Rule`] that it breaks.
pub fn expert_username_rule(username: &str) -> Result<(), Rule> {
    not_empty(username)?;
    longest(username, EXPERT_USERNAME_CHARS_MAX)?;
    no_control_characters(username)
}

fn not_empty(text: &str) -> Result<(), Rule> {
    if text.is_empty() {
        return Err(Rule::Empty);
    }
    Ok(())
}

/// Checks that `text` has at most `chars_max` characters.
///
/// # Errors
/// [`Rule::TooLong`].
pub fn longest(text: &str, chars_max: usize) -> Result<(), Rule> {
    // A character takes at least one byte, so a text with few bytes need not be counted.
    if text.len() > chars_max && text.chars().count() > chars_max {
        return Err(Rule::TooLong(chars_max));
    }
    Ok(())
}

fn no_control_characters(text: &str) -> Result<(), Rule> {
    if text.contains(char::is_control) {
        return Err(Rule::ControlCharacter);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule_of_email(email: &str) -> Option<Rule> {
        Click::new(email, "jdoe", String::new())
            .err()
            .map(|violations| violations[0].rule)
    }

    #[test]
    fn a_click_has_the_canonical_email_and_username_and_the_query_as_typed_without_nul() {
        let click = Click::new("  Jané@Example.COM\n", " JDoe ", " As Typed ".to_owned()).unwrap();
        assert_eq!(click.email(), "jané@example.com");
        assert_eq!(click.expert_username(), "JDoe");
        assert_eq!(click.search_query(), " As Typed ");
        let click = Click::new("a@b", "jdoe", "\0a\0".to_owned()).unwrap();
        assert_eq!(click.search_query(), "\u{fffd}a\u{fffd}");
        let click = Click::new("\u{feff}JANÉ@example.com", "zoe\u{308}", String::new()).unwrap();
        assert_eq!(click.email(), "jané@example.com");
        assert_eq!(click.expert_username(), "zoë");
    }

    #[test]
    fn an_email_has_one_at_sign_with_text_on_both_sides() {
        for email in ["a@b", "a+b@c", "=1@x", "a@[::1]", "\"quoted\"@example.com"] {
            assert_eq!(rule_of_email(email), None, "{email}");
        }
        for email in ["a", "@", "a@", "@b", "a@b@c", "a@@b", "a b@c", "a@b\u{a0}c"] {
            assert_eq!(rule_of_email(email), Some(Rule::NotAnEmail), "{email}");
        }
        for email in ["a\0@b", "a@b\u{7f}c", "a\n@b", "a\u{85}@b"] {
            assert_eq!(rule_of_email(email), Some(Rule::ControlCharacter));
        }
        assert_eq!(rule_of_email("  "), Some(Rule::Empty));
    }

    #[test]
    fn lengths_are_counted_in_characters_after_trimming() {
        let email = |chars: usize| format!(" {}@x ", "é".repeat(chars - 2));
        assert_eq!(rule_of_email(&email(320)), None);
        assert_eq!(rule_of_email(&email(321)), Some(Rule::TooLong(320)));
        let click = |username: usize, query: usize| {
            Click::new("a@b", &"🦀".repeat(username), "🦀".repeat(query)).map(|_| ())
        };
        assert_eq!(click(100, 2000), Ok(()));
        assert_eq!(
            click(101, 2001),
            Err(vec![
                Violation {
                    field: Field::ExpertUsername,
                    rule: Rule::TooLong(100)
                },
                Violation {
                    field: Field::SearchQuery,
                    rule: Rule::TooLong(2000)
                },
            ])
        );
    }

    #[test]
    fn a_click_id_is_a_uuid_of_36_characters_in_any_case_and_version() {
        for id in [
            "00000000-0000-0000-0000-000000000001",
            "0198c2a1-7d3e-7b4f-9c5d-0123456789ab",
            "c232ab00-9414-11ec-b3c8-9f6bdeced846",
            "ffffffff-ffff-ffff-ffff-fffffffffffe",
        ] {
            assert_eq!(ClickId::parse(id).unwrap().as_str(), id);
            assert_eq!(ClickId::parse(&id.to_uppercase()).unwrap().as_str(), id);
        }
        for id in [
            "",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
            "0198c2a17d3e7b4f9c5d0123456789ab",
            "{0198c2a1-7d3e-7b4f-9c5d-0123456789ab}",
            "0198c2a1-7d3e-7b4f-9c5d-0123456789a",
            "0198c2a1-7d3e-7b4f-9c5d-0123456789ag",
            "0198c2a17-d3e-7b4f-9c5d-0123456789ab",
            " 198c2a1-7d3e-7b4f-9c5d-0123456789ab",
            "0198c2a1-7d3e-7b4f-9c5d-0123456789é",
        ] {
            assert_eq!(ClickId::parse(id), Err(Rule::NotAUuid), "{id}");
        }
    }

    proptest! {
        #[test]
        fn a_click_id_is_its_own_lower_case_text(
            id in "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
        ) {
            let lower_case = id.to_ascii_lowercase();
            let parsed = ClickId::parse(&id).unwrap();
            prop_assert_eq!(parsed.as_str(), &lower_case);
            prop_assert_eq!(ClickId::parse(parsed.as_str()), Ok(parsed));
        }

        #[test]
        fn no_text_of_another_form_is_a_click_id(text in ".{0,40}|[0-9a-f-]{36}") {
            if let Ok(id) = ClickId::parse(&text) {
                prop_assert_eq!(id.as_str(), text.to_ascii_lowercase());
                let groups: Vec<usize> = id.as_str().split('-').map(str::len).collect();
                prop_assert_eq!(groups, [8, 4, 4, 4, 12]);
            }
        }

        #[test]
        fn every_click_is_within_the_bounds_of_schema_sql(
            email in "\\PC{0,10}@\\PC{0,10}|.{0,400}",
            username in ".{0,120}",
            query in ".{0,40}",
        ) {
            if let Ok(click) = Click::new(&email, &username, query.clone()) {
                let chars = |text: &str| text.chars().count();
                prop_assert!((3..=320).contains(&chars(click.email())));
                prop_assert!((1..=100).contains(&chars(click.expert_username())));
                prop_assert_eq!(click.email().matches('@').count(), 1);
                prop_assert!(!click.email().contains(|c: char| c.is_control() || c.is_whitespace()));
                prop_assert!(!click.expert_username().contains(char::is_control));
                prop_assert_eq!(click.search_query(), query.replace('\0', "\u{fffd}"));
            }
        }
    }
}
