//! Text that is fitted to the columns of a terminal.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Marks the end of a text that was cut.
const CUT: char = '…';

/// `text` in exactly `columns` columns.
pub(crate) fn padded(text: &str, columns: usize) -> String {
    at_least(&cut(text, columns), columns)
}

/// `text`, padded with spaces to at least `columns` columns.
pub(crate) fn at_least(text: &str, columns: usize) -> String {
    let blanks = columns.saturating_sub(text.width());
    format!("{text}{}", " ".repeat(blanks))
}

/// `text` in at most `columns` columns, and at least one. A text that is cut ends in `…`.
pub(crate) fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let mut left = columns.saturating_sub(1);
    let end = text.char_indices().find(|(_, character)| {
        let columns = columns_at_most(*character);
        let is_too_wide = columns > left;
        left = left.saturating_sub(columns);
        is_too_wide
    });
    let beginning = &text[..end.map_or(text.len(), |(end, _)| end)];
    Cow::Owned(format!("{}{CUT}", beginning.trim_end()))
}

/// The most columns that a character takes in any context.
fn columns_at_most(character: char) -> usize {
    match character {
        // It turns a character of one column into an emoji of two.
        '\u{fe0f}' => 1,
        _ => character.width().unwrap_or(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::visible;
    use proptest::prelude::*;

    #[test]
    fn only_a_text_that_is_too_wide_is_cut() {
        assert_eq!(cut("pricing", 7), "pricing");
        assert_eq!(cut("pricing", 6), "prici…");
        assert_eq!(cut("big prices", 5), "big…");
        assert_eq!(cut("東京のエンジニア", 6), "東京…");
        assert_eq!(cut("☂\u{fe0f}☂\u{fe0f}☂", 4), "☂\u{fe0f}☂…");
        assert_eq!(cut("pricing", 1), "…");
    }

    proptest! {
        #[test]
        fn any_text_is_fitted_to_its_columns(text in any::<String>(), columns in 1_usize..40) {
            let text = visible(&text);
            let shown = cut(&text, columns);
            prop_assert!(shown.width() <= columns);
            prop_assert!(shown == text || shown.ends_with(CUT));
            prop_assert_eq!(padded(&text, columns).width(), columns);
        }
    }
}
