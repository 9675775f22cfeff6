//! The one form in which emails and usernames are compared, whatever their spelling.
//!
//! docs/identity.md lists what counts as the same, with its sources.

use std::borrow::Cow;

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{
    CodePointMapData,
    props::{GeneralCategory, GeneralCategoryGroup},
};

use crate::text::is_invisible;

/// How often the rules are applied at most. Each can make work for another: an invisible character may hide white space,
/// and a domain in Punycode may hold capitals. Texts that need more than three rounds are not known.
const ROUNDS_MAX: usize = 8;

/// The canonical form of an email address, by which leads are compared: trimmed, without invisible characters,
/// case-folded, in NFC, and with the domain in its Unicode form, as far as IDNA accepts it. Plus-addresses and dots are kept: only
/// the mail server knows what they mean ([RFC 5321, 2.3.11](https://www.rfc-editor.org/rfc/rfc5321#section-2.3.11)).
///
/// The text need not be a valid address, because a host app may have stored any.
#[must_use]
pub fn canonical_email(email: &str) -> Cow<'_, str> {
    let trimmed = email.trim();
    if trimmed.is_ascii() && !has_punycode(trimmed) {
        return ascii_lower_case(trimmed);
    }
    settled(trimmed, |text| {
        let folded = fold_once(text.trim());
        match folded.rsplit_once('@') {
            // https://www.unicode.org/reports/tr46/#ToUnicode
            Some((local, domain)) => match idna::domain_to_unicode(domain) {
                (domain, Ok(())) => format!("{local}@{domain}"),
                _ => folded,
            },
            None => folded,
        }
    })
}

/// The canonical form of an expert's username: trimmed, without invisible characters, in NFC. Its case is kept.
#[must_use]
pub fn canonical_username(username: &str) -> Cow<'_, str> {
    let trimmed = username.trim();
    if trimmed.is_ascii() {
        return Cow::Borrowed(trimmed);
    }
    settled(trimmed, |text| {
        compose(&without_invisible(text)).trim().to_owned()
    })
}

/// Whether this is the canonical form of the email `stored`; faster than [`canonical_email`].
#[must_use]
pub fn is_email(stored: &str, canonical: &str) -> bool {
    if is_plain(stored) && !has_punycode(stored) {
        stored.eq_ignore_ascii_case(canonical)
    } else {
        canonical_email(stored) == canonical
    }
}

/// Whether this is the canonical form of the username `stored`; faster than [`canonical_username`].
#[must_use]
pub fn is_username(stored: &str, canonical: &str) -> bool {
    stored == canonical || (!is_plain(stored) && canonical_username(stored) == canonical)
}

/// Whether a text is ASCII, and neither begins nor ends with white space.
fn is_plain(text: &str) -> bool {
    let is_visible = |byte: Option<&u8>| byte.is_none_or(|byte| *byte > b' ');
    let bytes = text.as_bytes();
    text.is_ascii() && is_visible(bytes.first()) && is_visible(bytes.last())
}

/// Folds a text for comparison without regard to case: without invisible characters, case-folded, in NFC
/// ([Unicode, 3.13.5](https://www.unicode.org/versions/latest/core-spec/chapter-3/#G53253)). Also parts of texts that differ only
/// so become equal.
#[must_use]
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return ascii_lower_case(text);
    }
    settled(text, fold_once)
}

/// Whether `text` contains this canonical email address, in any spelling, between other characters than those of a longer
/// address: `Ann <ann@example.com>`, `mailto:ANN@example.com` and `to ann@example.com.` contain `ann@example.com`;
/// `joann@example.com` and `ann@example.com.au` do not.
#[must_use]
pub fn mentions(text: &str, email: &str) -> bool {
    let Some((local, domain)) = email.rsplit_once('@') else {
        return false;
    };
    text.match_indices('@').any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + 1..]);
        ends_with_local_part(before, local) && begins_with_domain(after, domain)
    })
}

fn ends_with_local_part(text: &str, local: &str) -> bool {
    // Most texts end differently, which is seen at once.
    let (last, local_last) = (text.as_bytes().last(), local.as_bytes().last());
    if let (Some(last), Some(local_last)) = (last, local_last)
        && last.is_ascii()
        && local_last.is_ascii()
        && !last.eq_ignore_ascii_case(local_last)
    {
        return false;
    }
    // An invisible character takes room too, so this is more than enough for any that is not hidden on purpose.
    let from = text.char_indices().rev().take(LOCAL_PART_CHARS_MAX).last();
    let tail = fold(from.map_or("", |(from, _)| &text[from..]));
    tail.strip_suffix(local).is_some_and(|before| {
        !before.ends_with(|c: char| is_part_of_local(c, local)) || ends_with_escape(before)
    })
}

/// Whether a local part that begins like `local` could begin earlier, with this character. Scripts without spaces put an
/// address next to their letters.
fn is_part_of_local(character: char, local: &str) -> bool {
    if local.starts_with(|first: char| first.is_ascii()) && !character.is_ascii() {
        return false;
    }
    character.is_alphanumeric() || matches!(character, '.' | '_' | '+' | '-')
}

/// Whether a text ends with an escape of JSON, as in `Hello\nann@example.com` and `\u003cann@example.com`.
fn ends_with_escape(text: &str) -> bool {
    let unicode = text.len().checked_sub(6).and_then(|at| text.get(at..));
    ["\\n", "\\r", "\\t", "\\b", "\\f"]
        .iter()
        .any(|escape| text.ends_with(escape))
        || unicode.is_some_and(|escape| {
            escape
                .strip_prefix("\\u")
                .is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        })
}

/// How far before an `@` its local part may begin, in characters: several times the longest local part, which has 64.
const LOCAL_PART_CHARS_MAX: usize = 320;

fn begins_with_domain(text: &str, domain: &str) -> bool {
    let is_part =
        |c: char| c.is_alphanumeric() || is_invisible(c) || is_mark(c) || ".-。．｡".contains(c);
    if !domain.chars().all(is_part) {
        // An address in brackets, or a domain that no registry has.
        let chars_max = DOMAIN_CHARS_MAX.max(2 * domain.chars().count());
        let end = text
            .char_indices()
            .nth(chars_max)
            .map_or(text.len(), |(end, _)| end);
        return fold(&text[..end]).starts_with(domain);
    }
    let ends = [
        text.find(|c| !is_part(c)),
        // Scripts without spaces put their letters next to a domain.
        text.find(|c: char| !c.is_ascii() || !is_part(c)),
    ];
    ends.into_iter().any(|end| {
        let address = format!("@{}", &text[..end.unwrap_or(text.len())]);
        // A sentence may end behind it.
        canonical_email(&address)[1..].trim_end_matches('.') == domain.trim_end_matches('.')
    })
}

/// How far a domain may extend, in characters: that of an address has at most 255.
const DOMAIN_CHARS_MAX: usize = 320;

/// Whether a character combines with the one before it.
fn is_mark(character: char) -> bool {
    GeneralCategoryGroup::Mark.contains(CodePointMapData::<GeneralCategory>::new().get(character))
}

/// Applies `rules` until they change nothing.
fn settled(text: &str, rules: impl Fn(&str) -> String) -> Cow<'_, str> {
    let mut settled = Cow::Borrowed(text);
    for _ in 0..ROUNDS_MAX {
        let next = rules(&settled);
        if next == *settled {
            break;
        }
        settled = Cow::Owned(next);
    }
    settled
}

fn fold_once(text: &str) -> String {
    let visible = without_invisible(text);
    compose(&CaseMapper::new().fold_string(&compose(&visible))).into_owned()
}

/// The text in Unicode's normalization form C ([UAX 15](https://www.unicode.org/reports/tr15/)).
fn compose(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

fn without_invisible(text: &str) -> Cow<'_, str> {
    if text.contains(is_invisible) {
        text.chars().filter(|c| !is_invisible(*c)).collect()
    } else {
        Cow::Borrowed(text)
    }
}

fn ascii_lower_case(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether an address may have a domain in Punycode, in which a label of other than ASCII characters begins with `xn--`
/// ([RFC 5890, 2.3.2.1](https://www.rfc-editor.org/rfc/rfc5890#section-2.3.2.1)).
fn has_punycode(email: &str) -> bool {
    let prefix = b"xn--";
    // Most addresses have no hyphen.
    email.contains('-')
        && email
            .as_bytes()
            .windows(prefix.len())
            .any(|bytes| bytes.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_email_has_one_form_whatever_its_spelling() {
        for (canonical, spellings) in [
            (
                "ana@example.com",
                &[
                    "ana@example.com",
                    "  Ana@EXAMPLE.com\n",
                    "ana@example.com\u{200b}",
                    "\u{feff}ana@example.com",
                    "a\u{ad}na@example.com",
                    "ana@exam\u{2060}ple.com",
                    "an\u{200d}a@example.com",
                    "ana\u{fe0f}@example.com",
                    "ana\u{3164}@example.com",
                    "ana@\u{e0041}example.com",
                    "\u{200b} ana@example.com \u{200b}",
                    "ana@ｅｘａｍｐｌｅ。com",
                ][..],
            ),
            (
                "jörg@example.com",
                &[
                    "JÖRG@example.com",
                    "jo\u{308}rg@example.com",
                    "JO\u{308}RG@Example.com",
                ],
            ),
            ("иван@example.com", &["ИВАН@example.com"]),
            ("σασ@example.com", &["ΣΑΣ@example.com", "σας@example.com"]),
            (
                "strasse@example.com",
                &["straße@example.com", "STRAẞE@example.com"],
            ),
            (
                "bo@münchen.example",
                &[
                    "bo@xn--mnchen-3ya.example",
                    "BO@XN--Mnchen-3YA.example",
                    "bo@MÜNCHEN.example",
                ],
            ),
        ] {
            assert_eq!(canonical_email(canonical), canonical);
            for spelling in spellings {
                assert_eq!(canonical_email(spelling), canonical, "{spelling:?}");
            }
        }
    }

    #[test]
    fn different_addresses_stay_different() {
        for email in [
            "ana+news@example.com",
            "a.na@example.com",
            "ana@example.org",
            "ana@mail.example.com",
            "ána@example.com",
            "аna@example.com",
            "\"ana\"@example.com",
        ] {
            assert_eq!(canonical_email(email), email);
        }
    }

    #[test]
    fn a_domain_that_idna_rejects_is_only_folded() {
        for (email, canonical) in [
            ("a@XN--A.example", "a@xn--a.example"),
            ("a@xn--ÄÖ.example", "a@xn--äö.example"),
            ("a@[::1]", "a@[::1]"),
            ("É", "é"),
        ] {
            assert_eq!(canonical_email(email), canonical);
        }
    }

    #[test]
    fn the_fast_comparisons_are_those_of_the_canonical_form() {
        for stored in [
            "Ana@X.com",
            " ana@x.com",
            "ana@x.com\t",
            "ana@x.com\u{200b}",
            "bob@x.com",
            "ana@XN--A.com",
            "",
        ] {
            for other in ["ana@x.com", "bob@x.com", "ana@xn--a.com", ""] {
                assert_eq!(
                    is_email(stored, other),
                    canonical_email(stored) == other,
                    "{stored}"
                );
                assert_eq!(
                    is_username(stored, other),
                    canonical_username(stored) == other,
                    "{stored}"
                );
            }
        }
    }

    #[test]
    fn a_text_mentions_an_address_in_any_spelling_but_not_as_part_of_another() {
        for text in [
            "ann@example.com",
            "Ann <ANN@Example.com>",
            "mailto:ann@example.com?subject=x",
            "write to ann@example.com.",
            "[\"bo@example.com\",\"a\u{ad}nn@example.com\"]",
            "ann@example.com,bo@example.com",
            "ann\u{200b}@exa\u{2060}mple.com!",
            "bo@example.com ann@example.com",
            r#"{"text":"Hello\nann@example.com"}"#,
            r"Ann \u003cann@example.com\u003e",
            "请联系ann@example.com谢谢",
        ] {
            assert!(mentions(text, "ann@example.com"), "{text}");
        }
        for text in [
            "",
            "@",
            "ann",
            "joann@example.com",
            "jo.ann@example.com",
            "ann@example.com.au",
            "ann@example.community",
            "ann@mail.example.com",
            "ann @example.com",
        ] {
            assert!(!mentions(text, "ann@example.com"), "{text}");
        }
        assert!(mentions(
            "<bo@XN--mnchen-3ya.example>",
            "bo@münchen.example"
        ));
        assert!(mentions(
            "an bo@mu\u{308}nchen.example",
            "bo@münchen.example"
        ));
        for email in [
            "a@[::1]",
            "a@my_host.example",
            "ann@paral·lel.cat",
            "x@☕.example",
        ] {
            assert!(mentions(&format!("x {email} y"), email), "{email}");
        }
    }

    #[test]
    fn a_username_is_composed_and_its_case_is_kept() {
        for (username, canonical) in [
            (" JDoe ", "JDoe"),
            ("zoe\u{308}", "zoë"),
            ("\u{feff}Zoë\u{200b} ", "Zoë"),
            ("xn--mnchen-3ya", "xn--mnchen-3ya"),
        ] {
            assert_eq!(canonical_username(username), canonical);
        }
    }

    #[test]
    fn an_email_is_blind_to_the_case_of_every_character() {
        for character in '\0'..=char::MAX {
            let cases = [
                character.to_string(),
                character.to_lowercase().to_string(),
                character.to_uppercase().to_string(),
            ];
            // The capital of the dotless i is the ASCII I, which is also that of i.
            if cases.iter().all(|case| *case == cases[0]) || character == 'ı' {
                continue;
            }
            let [canonical, lower, upper] =
                cases.map(|case| canonical_email(&format!("a{case}a@example.com")).into_owned());
            assert_eq!([&lower, &upper], [&canonical; 2], "{character:?}");
        }
    }

    proptest! {
        #[test]
        fn canonical_forms_are_stable(
            text in "\\PC{0,12}@\\PC{0,12}|.{0,20}|[a-zA-Zöẞıİς\u{308}\u{200b} ]{0,8}@(xn--)?[a-zA-Z0-9ö\u{ad}-]{0,12}\\.x",
        ) {
            for canonical in [canonical_email, canonical_username, fold] {
                let once = canonical(&text).into_owned();
                prop_assert_eq!(canonical(&once), &*once);
            }
        }

        #[test]
        fn a_text_mentions_the_address_that_it_is(
            email in "[a-zA-Zöß\u{308}\u{200b}.+_-]{1,8}@[a-zA-Zö\u{ad}-]{1,12}\\.(x|com)",
        ) {
            let canonical = canonical_email(&email).into_owned();
            prop_assume!(!canonical.starts_with('@'));
            prop_assert!(mentions(&email, &canonical));
            let shown = format!("Jo <{email}>");
            prop_assert!(mentions(&shown, &canonical));
        }

        #[test]
        fn emails_are_blind_to_case(text in "[^ı]{0,12}@[^ı]{0,12}") {
            let canonical = canonical_email(&text).into_owned();
            for other in [text.to_uppercase(), text.to_lowercase()] {
                prop_assert_eq!(canonical_email(&other), &*canonical);
            }
        }
    }
}
