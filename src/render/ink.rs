//! Colours of a terminal, and bars of block characters.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

const HEADING: Style = Style::new().bold();
const ASIDE: Style = Style::new().dimmed();
const DRAWING: Style = AnsiColor::Cyan.on_default();

/// Whether text may be coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColorMode {
    /// Plain text.
    Plain,
    /// Text with the escape sequences of a terminal.
    Color,
}

impl ColorMode {
    pub(super) fn heading(self, text: impl Display) -> String {
        self.paint(HEADING, text)
    }

    pub(super) fn aside(self, text: impl Display) -> String {
        self.paint(ASIDE, text)
    }

    pub(super) fn drawing(self, text: impl Display) -> String {
        self.paint(DRAWING, text)
    }

    /// `line` with the bar at its end coloured, if it ends in one.
    pub(super) fn with_bar(self, line: &str) -> String {
        let text = line.trim_end_matches(BAR);
        match &line[text.len()..] {
            "" => line.to_owned(),
            bar => format!("{text}{}", self.drawing(bar)),
        }
    }

    fn paint(self, style: Style, text: impl Display) -> String {
        match self {
            Self::Plain => text.to_string(),
            Self::Color => format!("{style}{text}{style:#}"),
        }
    }
}

/// One eighth of a character, two eighths and so on, from the left.
const BAR: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
/// The same from below.
const COLUMN: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar for `value`; it has `columns` columns if `value` is `max`. Every value above zero is visible.
pub(super) fn bar(value: u64, max: u64, columns: u16) -> String {
    let eighths = eighths(value, max, columns);
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(BAR[eighths % 8 - 1]);
    }
    bar
}

/// One character for each value, as high as its proportion to the largest.
pub(super) fn sparkline(values: &[u64]) -> String {
    chart(values, 1).concat()
}

/// Lines from top to bottom, with one character for each value.
pub(super) fn chart(values: &[u64], lines: u16) -> Vec<String> {
    let max = values.iter().copied().max().unwrap_or_default();
    (0..usize::from(lines))
        .rev()
        .map(|line| {
            let character = |value: &u64| {
                let above = eighths(*value, max, lines).saturating_sub(line * 8);
                match above.min(8) {
                    0 => ' ',
                    filled => COLUMN[filled - 1],
                }
            };
            values.iter().map(character).collect()
        })
        .collect()
}

/// The length of `value` in eighths, if `max` has the full `length`.
fn eighths(value: u64, max: u64, length: u16) -> usize {
    if value == 0 {
        return 0;
    }
    let all = u128::from(length) * 8;
    let part = (u128::from(value) * all).div_ceil(u128::from(max.max(value)));
    usize::try_from(part).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_value_and_visible_above_zero() {
        let bars = [0, 1, 50, 99, 100].map(|value| bar(value, 100, 4));
        assert_eq!(bars, ["", "▏", "██", "████", "████"]);
        assert_eq!(bar(0, 0, 4), "");
        assert_eq!(bar(u64::MAX, u64::MAX, 2), "██");
    }

    #[test]
    fn a_sparkline_has_a_character_for_each_value() {
        assert_eq!(sparkline(&[0, 1, 4, 8]), " ▁▄█");
        assert_eq!(sparkline(&[]), "");
        assert_eq!(chart(&[0, 1, 8, 16], 2), ["   █", " ▁██"]);
    }

    #[test]
    fn without_colour_nothing_is_added() {
        assert_eq!(ColorMode::Plain.with_bar("x ██▏"), "x ██▏");
        assert_eq!(ColorMode::Plain.heading("x"), "x");
        assert_eq!(ColorMode::Color.with_bar("x █"), "x \u{1b}[36m█\u{1b}[0m");
    }
}
