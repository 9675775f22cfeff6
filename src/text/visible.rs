//! Text from strangers, made safe to show on a terminal.

use std::borrow::Cow;

/// Shows what would otherwise steer the terminal: control characters (C0, C1, DEL), line separators and the
/// controls of bidirectional text become escapes such as `\n` or `\u{1b}`. Everything else stays as it is.
///
/// The bidirectional controls are those of [Unicode's UAX 9](https://www.unicode.org/reports/tr9/).
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if steers(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

fn steers(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
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
        fn nothing_that_steers_a_terminal_is_left(text in any::<String>()) {
            let shown = visible(&text);
            prop_assert!(!shown.contains(steers));
        }
    }
}
