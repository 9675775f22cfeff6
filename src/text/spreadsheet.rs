//! The guard against cells that a spreadsheet would run as formulas
//! ([OWASP on CSV injection](https://owasp.org/www-community/attacks/CSV_Injection)), and how to remove it.
//!
//! A cell that begins with `=`, `+`, `-`, `@`, tab or CR gets a leading `'`. So does a cell that begins with one or more `'`
//! followed by such a character. Removing one `'` from every cell of that kind restores the original text.

use std::borrow::Cow;

/// How the cells of a CSV are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    /// With a leading `'` if a spreadsheet would run the cell, for people.
    Guarded,
    /// Unchanged, for programs.
    Raw,
}

impl Cells {
    /// `text` as a cell.
    #[must_use]
    pub fn write(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Guarded if is_formula_after_quotes(text) => Cow::Owned(format!("'{text}")),
            _ => Cow::Borrowed(text),
        }
    }

    /// The text that a cell was written from.
    #[must_use]
    pub fn read(self, cell: &str) -> &str {
        match (self, cell.strip_prefix('\'')) {
            (Self::Guarded, Some(text)) if is_formula_after_quotes(text) => text,
            _ => cell,
        }
    }
}

fn is_formula_after_quotes(cell: &str) -> bool {
    cell.trim_start_matches('\'')
        .starts_with(['=', '+', '-', '@', '\t', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cell_that_a_spreadsheet_would_run_gets_a_quote() {
        for cell in ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'=1", "''@"] {
            assert_eq!(Cells::Guarded.write(cell), format!("'{cell}"));
        }
        for cell in ["", "'", "'tis", "1=1", " =1", "jane@example.com"] {
            assert_eq!(Cells::Guarded.write(cell), cell);
        }
    }

    proptest! {
        #[test]
        fn the_guard_can_be_removed(cell in "['=+x-]{0,5}|.{0,9}") {
            let in_a_spreadsheet = Cells::Guarded.write(&cell);
            prop_assert_eq!(Cells::Guarded.read(&in_a_spreadsheet), &cell);
        }
    }
}
