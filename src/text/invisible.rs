//! Characters that nobody sees.

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory, PrependedConcatenationMark},
};

/// Whether a character is invisible by itself: a format character (general category Cf) or one that is ignored in display
/// (`Default_Ignorable_Code_Point`), among them variation selectors, Hangul fillers and tags. Texts that differ only in
/// such characters can look the same.
///
/// The Arabic number signs and their like (`Prepended_Concatenation_Mark`) are format characters too, but have a glyph.
/// White space and control characters are not invisible in this sense.
///
/// The properties are those of the [Unicode Character Database](https://www.unicode.org/reports/tr44/#Property_Index),
/// version 18.
pub(crate) fn is_invisible(character: char) -> bool {
    if character.is_ascii() {
        return false;
    }
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
        || CodePointMapData::<GeneralCategory>::new().get(character) == GeneralCategory::Format
            && !CodePointSetData::new::<PrependedConcatenationMark>().contains(character)
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use super::*;

    /// From DerivedCoreProperties.txt (`Default_Ignorable_Code_Point`) and DerivedGeneralCategory.txt (Cf) without the
    /// `Prepended_Concatenation_Mark` of PropList.txt.
    const INVISIBLE: &[RangeInclusive<char>] = &[
        '\u{ad}'..='\u{ad}',       // soft hyphen
        '\u{34f}'..='\u{34f}',     // combining grapheme joiner
        '\u{61c}'..='\u{61c}',     // Arabic letter mark
        '\u{115f}'..='\u{1160}',   // Hangul fillers
        '\u{17b4}'..='\u{17b5}',   // Khmer inherent vowels
        '\u{180b}'..='\u{180f}',   // Mongolian variation selectors and vowel separator
        '\u{200b}'..='\u{200f}',   // zero width space, joiners, direction marks
        '\u{202a}'..='\u{202e}',   // direction embeddings and overrides
        '\u{2060}'..='\u{206f}',   // word joiner, invisible operators, direction isolates
        '\u{3164}'..='\u{3164}',   // Hangul filler
        '\u{fe00}'..='\u{fe0f}',   // variation selectors
        '\u{feff}'..='\u{feff}',   // byte order mark
        '\u{ffa0}'..='\u{ffa0}',   // halfwidth Hangul filler
        '\u{fff0}'..='\u{fffb}',   // unassigned, and interlinear annotation
        '\u{13430}'..='\u{1343f}', // Egyptian hieroglyph format controls
        '\u{1bca0}'..='\u{1bca3}', // shorthand format controls
        '\u{1d173}'..='\u{1d17a}', // musical format controls
        '\u{e0000}'..='\u{e0fff}', // tags, and more variation selectors
    ];

    #[test]
    fn exactly_these_characters_of_unicode_are_invisible() {
        let mut found: Vec<RangeInclusive<char>> = Vec::new();
        for character in (char::MIN..=char::MAX).filter(|character| is_invisible(*character)) {
            match found.last_mut() {
                Some(range) if u32::from(*range.end()) + 1 == u32::from(character) => {
                    *range = *range.start()..=character;
                }
                _ => found.push(character..=character),
            }
        }
        assert_eq!(found, INVISIBLE);
    }
}
