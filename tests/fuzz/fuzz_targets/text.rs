//! Text from visitors can't run in a spreadsheet or control a terminal, and the guard for spreadsheets can be removed.
#![no_main]

use leadclicks::text::{spreadsheet::Cells, visible};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let cell = Cells::Guarded.write(text);
    let is_address = cell.starts_with('+') && cell.contains('@');
    for part in cell.split([',', ';', '|', '\t', '\r', '\n']) {
        let part =
            part.trim_start_matches(|c: char| c == '"' || c.is_whitespace() || c.is_control());
        let is_formula = part.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
        assert!(!is_formula || is_address, "{cell:?}");
    }
    assert!(!cell.starts_with(['\t', '\r']), "{cell:?}");
    assert!(cell.len() <= 2 * text.len(), "{cell:?}");
    assert_eq!(Cells::Guarded.read(&cell), text);

    let shown = visible(text);
    assert!(!shown.contains(is_unsafe), "{shown:?}");
    assert_eq!(visible(&shown), shown);
    let is_plain = |c: char| c == ' ' || c.is_alphanumeric();
    if text.chars().all(is_plain) && text.is_ascii() {
        assert_eq!(shown, text);
    }
});

fn is_unsafe(character: char) -> bool {
    let bidi = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
    let lines = "\u{2028}\u{2029}";
    character.is_control() || bidi.contains(character) || lines.contains(character)
}
