//! Text from visitors, made safe to show on a terminal.

use std::{borrow::Cow, path::Path};

use super::is_invisible;

/// Replaces the characters that control a terminal by escapes such as `\n` or `\u{1b}`: control characters (C0, C1, DEL) and
/// line separators; and those that nobody would see. All others are unchanged.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_unsafe(character) {
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
        || is_invisible(character) && !is_part_of_emoji_or_script(character)
}

/// Joiners, variation selectors and tags, which emoji and some scripts need.
fn is_part_of_emoji_or_script(character: char) -> bool {
    matches!(
        character,
        '\u{200c}' | '\u{200d}' | '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0020}'..='\u{e01ef}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn controls_are_shown_and_text_is_kept() {
        assert_eq!(visible("Zoë 🦀 👩‍💻 \"x\""), "Zoë 🦀 👩‍💻 \"x\"");
        assert_eq!(
            visible("\u{1b}[31mred\r\n\t\u{7f}\u{9b}\u{202e}"),
            r"\u{1b}[31mred\r\n\t\u{7f}\u{9b}\u{202e}"
        );
    }

    proptest! {
        #[test]
        fn no_character_that_controls_a_terminal_is_left(text in any::<String>()) {
            let shown = visible(&text);
            prop_assert!(!shown.contains(is_unsafe));
        }
    }
}
