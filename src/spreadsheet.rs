//! The guard against cells that a spreadsheet would run as formulas
//! ([OWASP on CSV injection](https://owasp.org/www-community/attacks/CSV_Injection)), and its undoing.
//!
//! A cell that begins with `=`, `+`, `-`, `@`, tab or CR gets a `'` before it. So does one in which such a character
//! stands behind one `'` or more: taking one `'` off every cell of that kind gives back what there was.

use std::borrow::Cow;

/// `cell` as a spreadsheet may have it.
#[must_use]
pub fn guarded(cell: &str) -> Cow<'_, str> {
    if is_formula_behind_quotes(cell) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

/// What `cell` was before the guard.
#[must_use]
pub fn unguarded(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(original) if is_formula_behind_quotes(original) => original,
        _ => cell,
    }
}

fn is_formula_behind_quotes(cell: &str) -> bool {
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
            assert_eq!(guarded(cell), format!("'{cell}"));
        }
        for cell in ["", "'", "'tis", "1=1", " =1", "jane@example.com"] {
            assert_eq!(guarded(cell), cell);
        }
    }

    proptest! {
        #[test]
        fn the_guard_can_be_undone(cell in "['=+x-]{0,5}|.{0,9}") {
            let in_a_spreadsheet = guarded(&cell);
            prop_assert_eq!(unguarded(&in_a_spreadsheet), &cell);
        }
    }
}
