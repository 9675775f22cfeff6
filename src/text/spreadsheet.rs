//! The guard against cells that a spreadsheet would run as formulas
//! ([OWASP on CSV injection](https://owasp.org/www-community/attacks/CSV_Injection)), and how to remove it.
//!
//! A formula begins with `=`, `+`, `-` or `@`, also in full width, at the beginning of a cell. Where a cell begins is not up to
//! the CSV alone: a spreadsheet may be given another separator than the comma, in some countries by default, may then take the
//! quotes of the CSV for text or skip them, and may drop control characters and white space. So every such character gets a `'`
//! before it if nothing but quotes, control characters and white space is between it and the beginning of the text, a comma, a
//! semicolon, a tab, a `|` or a line break. A tab or CR at the beginning of the text gets a `'` too, as OWASP advises.
//!
//! The `'` changes nothing about which characters are guarded, so removing one `'` before each of them restores the text.

use std::borrow::Cow;

/// How the cells of a CSV are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cells {
    /// With a `'` wherever a spreadsheet would run a formula, for people.
    #[default]
    Guarded,
    /// Unchanged, for programs.
    Raw,
}

impl Cells {
    /// `text` as a cell.
    #[must_use]
    pub fn write(self, text: &str) -> Cow<'_, str> {
        if self == Self::Raw || is_address_with_plus(text) {
            return Cow::Borrowed(text);
        }
        let mut positions = formulas(text).peekable();
        if positions.peek().is_none() {
            return Cow::Borrowed(text);
        }
        let mut cell = String::with_capacity(text.len() + 4);
        let mut written = 0;
        for position in positions {
            cell.push_str(&text[written..position]);
            cell.push('\'');
            written = position;
        }
        cell.push_str(&text[written..]);
        Cow::Owned(cell)
    }

    /// The text that a cell was written from.
    #[must_use]
    pub fn read(self, cell: &str) -> Cow<'_, str> {
        if self == Self::Raw || !cell.contains('\'') {
            return Cow::Borrowed(cell);
        }
        let mut text = String::with_capacity(cell.len());
        let mut read = 0;
        for position in formulas(cell) {
            if let Some(before) = cell[read..position].strip_suffix('\'') {
                text.push_str(before);
                read = position;
            }
        }
        text.push_str(&cell[read..]);
        Cow::Owned(text)
    }
}

/// The positions of the characters with which a formula may begin.
fn formulas(text: &str) -> impl Iterator<Item = usize> {
    let mut cell_begins = true;
    let mut text_begins = true;
    text.char_indices().filter_map(move |(at, character)| {
        let is_formula = match character {
            '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' => cell_begins,
            '\t' | '\r' => text_begins,
            _ => false,
        };
        text_begins &= character == '\'';
        cell_begins = match character {
            ',' | ';' | '|' | '\t' | '\r' | '\n' => true,
            '\'' | '"' => cell_begins,
            _ => cell_begins && (character.is_whitespace() || character.is_control()),
        };
        is_formula.then_some(at)
    })
}

/// Whether a text is an email address such as `+jane@example.com`, which cannot be a formula: it calls no function, and refers
/// to no cell of another sheet or program.
fn is_address_with_plus(text: &str) -> bool {
    let is_harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    text.starts_with('+')
        && text.split_once('@').is_some_and(|(name, domain)| {
            !domain.is_empty() && name.bytes().all(is_harmless) && domain.bytes().all(is_harmless)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_quote_is_put_before_whatever_a_spreadsheet_would_run() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@x", "'@x"),
            ("＝1", "'＝1"),
            ("\tx", "'\tx"),
            ("\rx", "'\rx"),
            ("\t=1", "'\t'=1"),
            ("'=1", "''=1"),
            ("''@", "'''@"),
            ("\0=1", "\0'=1"),
            ("\n =1", "\n '=1"),
            ("\u{3000}＋1", "\u{3000}'＋1"),
            ("x;=1+1", "x;'=1+1"),
            ("x,\"=1+1", "x,\"'=1+1"),
            ("x\t-1|@y\r\n+z", "x\t'-1|'@y\r\n'+z"),
            ("bob;=4+4;@example.com", "bob;'=4+4;'@example.com"),
            ("=a=b", "'=a=b"),
            ("+jane;=1@example.com", "'+jane;'=1@example.com"),
            ("+A1!x@example.com", "'+A1!x@example.com"),
            ("+1@x@y", "'+1@x@y"),
            ("+@", "'+@"),
            ("-jane@example.com", "'-jane@example.com"),
        ] {
            assert_eq!(Cells::Guarded.write(text), cell, "{text:?}");
            assert_eq!(Cells::Guarded.read(cell), text, "{cell:?}");
        }
        for text in [
            "",
            "'",
            "'tis",
            "1=1",
            "jane@example.com",
            "+jane.o-neil@mail.example.com",
            "c++, c#",
            "growth - b2b",
            "a=b;c=d",
            "\u{85}x",
            "\nx",
        ] {
            assert_eq!(Cells::Guarded.write(text), text, "{text:?}");
            assert_eq!(Cells::Guarded.read(text), text, "{text:?}");
        }
    }

    #[test]
    fn a_cell_of_an_earlier_version_is_read_as_it_was_written() {
        for (cell, text) in [
            ("'=1;=2", "=1;=2"),
            ("'+jane@example.com", "+jane@example.com"),
            ("'\t=1", "\t=1"),
            ("''=1", "'=1"),
            ("x;=1", "x;=1"),
        ] {
            assert_eq!(Cells::Guarded.read(cell), text, "{cell:?}");
        }
    }

    /// Texts in which almost every character matters.
    const TEXT: &str = "['\"=+@＝,;|\t\r\n\0 \u{a0}x-]{0,9}|.{0,9}|[+][a-c@+.-]{0,5}";

    proptest! {
        #[test]
        fn the_guard_can_be_removed(text in TEXT) {
            let cell = Cells::Guarded.write(&text);
            prop_assert_eq!(Cells::Guarded.read(&cell), &*text);
        }

        #[test]
        fn no_part_of_a_cell_begins_like_a_formula_whatever_separates_parts(text in TEXT) {
            let cell = Cells::Guarded.write(&text);
            if is_address_with_plus(&cell) {
                return Ok(());
            }
            for part in cell.split([',', ';', '|', '\t', '\r', '\n']) {
                let part = part.trim_start_matches(|character: char| {
                    character == '"' || character.is_whitespace() || character.is_control()
                });
                prop_assert!(!part.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']), "{cell:?}");
            }
        }
    }
}
