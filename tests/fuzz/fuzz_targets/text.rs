//! Text from strangers can't run in a spreadsheet or steer a terminal, and a spreadsheet's guard can be undone.
#![no_main]

use leadclicks::{
    spreadsheet::{guarded, unguarded},
    visible::visible,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let cell = guarded(text);
    assert!(
        !cell.starts_with(['=', '+', '-', '@', '\t', '\r']),
        "{cell:?}"
    );
    assert!(cell.len() <= text.len() + 1, "{cell:?}");
    assert_eq!(unguarded(&cell), text);

    let shown = visible(text);
    assert!(!shown.contains(steers), "{shown:?}");
    assert_eq!(visible(&shown), shown);
    assert_eq!(shown == text, !text.contains(steers));
});

fn steers(character: char) -> bool {
    let bidi = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
    let lines = "\u{2028}\u{2029}";
    character.is_control() || bidi.contains(character) || lines.contains(character)
}
