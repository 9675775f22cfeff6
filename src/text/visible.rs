//! Text from visitors, made safe to show to people.

use std::{borrow::Cow, path::Path};

use icu_properties::{
    CodePointSetData,
    props::{EmojiModifier, ExtendedPictographic, Ideographic},
};

use super::is_invisible;

/// Replaces the characters that control a terminal, and those that nobody would see, by escapes such as `\n` or `\u{200b}`:
///
/// - control characters (C0, C1, DEL) and line separators;
/// - invisible characters: format characters, with the bidirectional controls of
///   [UAX 9](https://www.unicode.org/reports/tr9/), and the characters that are ignored in display
///   ([`Default_Ignorable_Code_Point`](https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point)).
///
/// All others are unchanged, and so are invisible characters where an emoji or a script needs them, which is decided by the
/// characters around them:
///
/// - a joiner between two emoji ([UTS 51](https://www.unicode.org/reports/tr51/#def_emoji_zwj_sequence)), or after a letter
///   of a script whose letters join or stack
///   ([UAX 31](https://www.unicode.org/reports/tr31/#Layout_and_Format_Control_Characters));
/// - a presentation selector after an emoji, and in a keycap
///   ([UTS 51](https://www.unicode.org/reports/tr51/#def_emoji_presentation_sequence));
/// - the tags of the flags of England, Scotland and Wales
///   ([UTS 51](https://www.unicode.org/reports/tr51/#def_std_emoji_tag_sequence_set));
/// - the selector of a form of an ideograph, as in Japanese names ([UTS 37](https://www.unicode.org/reports/tr37/)), and of
///   a Mongolian letter.
///
/// So text as people write it is unchanged. The rules are simpler than those of Unicode: some joiners and selectors that
/// stay have no effect after their letter.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find(is_unsafe) else {
        return Cow::Borrowed(text);
    };
    let mut shown = String::with_capacity(text.len() + 8);
    shown.push_str(&text[..first]);
    for (at, character) in text[first..].char_indices() {
        let (before, rest) = text.split_at(first + at);
        if is_unsafe(character) && !is_needed(before, character, rest) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// A path that is [`visible`].
pub(crate) fn visible_path(path: &Path) -> String {
    visible(&path.display().to_string()).into_owned()
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}')
        || is_invisible(character)
}

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';
const TEXT_SELECTOR: char = '\u{fe0e}';
const EMOJI_SELECTOR: char = '\u{fe0f}';
const COMBINING_KEYCAP: char = '\u{20e3}';

/// The only sequences of tags that Unicode recommends: the black flag, the code of a part of a country in tags, and the
/// tag that ends it.
const FLAGS: [&str; 3] = [
    "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    "🏴\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}",
];

/// Whether an emoji or a script needs the invisible `character` at this place. `rest` begins with it.
fn is_needed(before: &str, character: char, rest: &str) -> bool {
    let after = &rest[character.len_utf8()..];
    let has_joining_letter_before = before.ends_with(joins_or_stacks);
    match character {
        // At the end of a word, it shows the form that a letter has within one.
        ZERO_WIDTH_JOINER => has_joining_letter_before || joins_emoji(before, after),
        ZERO_WIDTH_NON_JOINER => has_joining_letter_before && after.starts_with(joins_or_stacks),
        EMOJI_SELECTOR if after.starts_with(COMBINING_KEYCAP) => {
            before.ends_with(|key: char| matches!(key, '0'..='9' | '#' | '*'))
        }
        TEXT_SELECTOR | EMOJI_SELECTOR => before.ends_with(is_emoji),
        '\u{fe00}'..='\u{fe02}' | '\u{e0100}'..='\u{e01ef}' => before.ends_with(is_ideograph),
        '\u{180b}'..='\u{180f}' => {
            before.ends_with(|letter| matches!(letter, '\u{1820}'..='\u{18aa}'))
        }
        '\u{e0020}'..='\u{e007f}' => FLAGS.iter().any(|flag| {
            flag.match_indices(character)
                .any(|(at, _)| before.ends_with(&flag[..at]) && rest.starts_with(&flag[at..]))
        }),
        _ => false,
    }
}

/// Whether a joiner between `before` and `after` joins two emoji. The first may have a presentation selector and a skin
/// tone.
fn joins_emoji(before: &str, after: &str) -> bool {
    let is_skin_tone = |character| CodePointSetData::new::<EmojiModifier>().contains(character);
    let before = before.strip_suffix(is_skin_tone).unwrap_or(before);
    let before = before.strip_suffix(EMOJI_SELECTOR).unwrap_or(before);
    before.ends_with(is_emoji) && after.starts_with(is_emoji)
}

/// All emoji but for keycaps, skin tones and the letters of flags.
fn is_emoji(character: char) -> bool {
    CodePointSetData::new::<ExtendedPictographic>().contains(character)
}

fn is_ideograph(character: char) -> bool {
    CodePointSetData::new::<Ideographic>().contains(character)
}

/// Whether the character is from a block of a script whose letters join each other, as Arabic's, or stack, as those of most
/// Indian scripts. In these scripts a joiner can change the form of a letter.
fn joins_or_stacks(character: char) -> bool {
    matches!(
        character,
        // Arabic to Sinhala.
        '\u{600}'..='\u{dff}'
            // Tibetan and Myanmar.
            | '\u{f00}'..='\u{109f}'
            // The Philippine scripts, Khmer and Mongolian.
            | '\u{1700}'..='\u{18af}'
            // Limbu to Lepcha.
            | '\u{1900}'..='\u{1c4f}'
            // Syloti Nagri to Rejang; Javanese to Meetei Mayek.
            | '\u{a800}'..='\u{a95f}'
            | '\u{a980}'..='\u{aaff}'
            | '\u{abc0}'..='\u{abff}'
            // Tifinagh.
            | '\u{2d30}'..='\u{2d7f}'
            // Scripts in little use, most of them historic.
            | '\u{10a00}'..='\u{11fff}'
            | '\u{16100}'..='\u{1613f}'
            | '\u{16d40}'..='\u{16d7f}'
            // Adlam.
            | '\u{1e900}'..='\u{1e95f}'
    ) && !is_invisible(character)
}

#[cfg(test)]
mod tests {
    use icu_properties::{
        CodePointMapData,
        props::{CanonicalCombiningClass, JoiningType, Script},
    };
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn controls_are_shown_and_text_is_kept() {
        assert_eq!(visible("Zoë 🦀 👩‍💻 \"x\""), "Zoë 🦀 👩‍💻 \"x\"");
        assert_eq!(
            visible("\u{1b}[31mred\r\n\t\u{7f}\u{9b}\u{202e}\u{2028}"),
            r"\u{1b}[31mred\r\n\t\u{7f}\u{9b}\u{202e}\u{2028}"
        );
    }

    #[test]
    fn joiners_selectors_and_tags_are_kept_where_an_emoji_or_a_script_needs_them() {
        for text in [
            "👩\u{200d}💻 👩🏽\u{200d}⚕\u{fe0f} 🏳\u{fe0f}\u{200d}🌈 ⛹\u{fe0f}🏽\u{200d}♂\u{fe0f} 👨\u{200d}👩\u{200d}👧",
            "☂\u{fe0f} ☂\u{fe0e} ©\u{fe0f} 1\u{fe0f}\u{20e3} #\u{fe0f}\u{20e3} 🇩🇪",
            FLAGS[0],
            FLAGS[1],
            FLAGS[2],
            // Persian and Arabic: within a word, after a vowel sign, and at the end of an abbreviation.
            "می\u{200c}خواهم بَ\u{200c}ب ه\u{200d}",
            // Hindi, Bengali, Sinhala, and Malayalam as it was written before Unicode 5.1.
            "क्\u{200d}ष क्\u{200c}ष র\u{200d}্যাব ශ්\u{200d}රී അവന്\u{200d}",
            // Names with a form of an ideograph.
            "葛\u{e0100}城 辻\u{e0101} 神\u{fe00}",
            // Mongolian.
            "ᠠ\u{180b} ᠨ\u{180e}ᠠ",
        ] {
            assert_eq!(visible(text), text);
        }
    }

    #[test]
    fn joiners_selectors_and_tags_are_shown_where_nobody_would_see_them() {
        for (text, shown) in [
            ("an\u{200d}na\u{200c}", r"an\u{200d}na\u{200c}"),
            ("ана\u{200d} 안나\u{200d}", r"ана\u{200d} 안나\u{200d}"),
            ("\u{200d}👩 👩\u{200d} x", r"\u{200d}👩 👩\u{200d} x"),
            ("👩\u{200d}\u{200d}💻", r"👩\u{200d}\u{200d}💻"),
            (
                "سارا\u{200c} س\u{200d}\u{200d}",
                "سارا\\u{200c} س\u{200d}\\u{200d}",
            ),
            (
                "anna1\u{fe0f} a\u{fe0e} ☂\u{fe0f}\u{fe0f}",
                "anna1\\u{fe0f} a\\u{fe0e} ☂\u{fe0f}\\u{fe0f}",
            ),
            (
                "🏴\u{e0067}\u{e007f} a\u{e0061}",
                r"🏴\u{e0067}\u{e007f} a\u{e0061}",
            ),
            (
                "a\u{e0100} a\u{fe00} a\u{180b}",
                r"a\u{e0100} a\u{fe00} a\u{180b}",
            ),
        ] {
            assert_eq!(visible(text), shown);
        }
        // A flag in which one tag is different.
        let flag = FLAGS[0].replace('\u{e0065}', "\u{e0066}");
        assert_eq!(
            visible(&flag),
            r"🏴\u{e0067}\u{e0062}\u{e0066}\u{e006e}\u{e0067}\u{e007f}"
        );
    }

    #[test]
    fn in_latin_text_every_control_and_invisible_character_of_unicode_is_shown_and_no_other() {
        for character in char::MIN..=char::MAX {
            let text = format!("a{character}b");
            let is_shown = visible(&text) != text;
            let is_separator = matches!(character, '\u{2028}' | '\u{2029}');
            assert_eq!(
                is_shown,
                character.is_control() || is_separator || is_invisible(character),
                "{character:?}"
            );
        }
    }

    #[test]
    fn joiners_are_kept_after_every_letter_that_joins_and_every_virama_and_in_no_other_common_script()
     {
        let joining = CodePointMapData::<JoiningType>::new();
        let combining = CodePointMapData::<CanonicalCombiningClass>::new();
        let scripts = CodePointMapData::<Script>::new();
        for character in char::MIN..=char::MAX {
            let script = scripts.get(character);
            // Their sign of this class neither joins nor stacks letters.
            let is_thai_or_lao = matches!(script, Script::Thai | Script::Lao);
            let needs_joiners = matches!(
                joining.get(character),
                JoiningType::DualJoining | JoiningType::LeftJoining | JoiningType::RightJoining
            ) || combining.get(character) == CanonicalCombiningClass::Virama
                && !is_thai_or_lao;
            let never_needs_them = is_thai_or_lao
                || matches!(
                    script,
                    Script::Latin
                        | Script::Greek
                        | Script::Cyrillic
                        | Script::Armenian
                        | Script::Hebrew
                        | Script::Georgian
                        | Script::Hangul
                        | Script::Han
                        | Script::Hiragana
                        | Script::Katakana
                        | Script::Ethiopic
                );
            let is_kept = joins_or_stacks(character);
            assert!(!needs_joiners || is_kept, "{character:?}");
            assert!(!never_needs_them || !is_kept, "{character:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_has_nothing_more_to_show(
            text in any::<String>(),
            sequence in "[a1س0क👩🏽💻☂🏴葛ᠠ\u{200b}-\u{200f}\u{fe00}-\u{fe0f}\u{20e3}\u{e0062}-\u{e007f}\u{180b}-\u{180f}\n]{0,12}",
        ) {
            for text in [text, sequence] {
                let shown = visible(&text);
                prop_assert_eq!(visible(&shown), &*shown);
                prop_assert!(!shown.contains(char::is_control));
            }
        }
    }
}
