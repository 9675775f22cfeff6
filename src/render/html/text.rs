//! Text that is escaped for HTML, and numbers for people.

use std::fmt::{self, Display, Formatter, Write};

use crate::{render::plural, text::visible};

/// Text from a visitor in HTML, between tags or in a quoted attribute. Control characters are shown as by [`visible`], and
/// markup is escaped, so a browser shows exactly the text of `visible`.
pub(super) struct Text<'a>(pub(super) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let shown = visible(self.0);
        let mut rest = &*shown;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            f.write_str(&rest[..at])?;
            f.write_str(match rest.as_bytes()[at] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                _ => "&#39;",
            })?;
            rest = &rest[at + 1..];
        }
        f.write_str(rest)
    }
}

/// Text from a visitor with its own direction, so that text written from right to left does not affect what is around it.
pub(super) struct Isolated<'a>(pub(super) &'a str);

impl Display for Isolated<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "<bdi>{}</bdi>", Text(self.0))
    }
}

/// The part of a search that is shown, in characters. A visitor can send 2,000, and each may take eight bytes here, so a page
/// with many such clicks would have 80 MB.
const SEARCH_CHARS_MAX: usize = 500;

/// A search, or its beginning if it is long.
pub(super) struct Search<'a>(pub(super) &'a str);

impl Display for Search<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(SEARCH_CHARS_MAX);
        let (shown, rest) = self.0.split_at(end.map_or(self.0.len(), |(at, _)| at));
        write!(f, "{}", Isolated(shown))?;
        if !rest.is_empty() {
            let more = counted(rest.chars().count() as u64, "more character");
            write!(f, " <span class=\"none\">… {more}</span>")?;
        }
        Ok(())
    }
}

/// An email address. On a narrow screen, the line breaks before the domain.
pub(super) struct Email<'a>(pub(super) &'a str);

impl Display for Email<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (name, domain) = self.0.split_at(self.0.find('@').unwrap_or(self.0.len()));
        write!(f, "<bdi>{}<wbr>{}</bdi>", Text(name), Text(domain))
    }
}

/// A domain as `--email` takes it.
pub(super) struct Domain<'a>(pub(super) &'a str);

impl Display for Domain<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "<bdi>@{}</bdi>", Text(self.0))
    }
}

/// An expert's name, and the username if it is different.
pub(super) struct Expert<'a> {
    pub(super) username: &'a str,
    pub(super) name: &'a str,
}

impl Display for Expert<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Isolated(self.name))?;
        if self.name != self.username {
            write!(
                f,
                " <span class=\"username\">({})</span>",
                Isolated(self.username)
            )?;
        }
        Ok(())
    }
}

/// `1,234,567`.
pub(super) struct Number(pub(super) u64);

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.char_indices() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_char(',')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

/// `1,234 leads`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    format!("{} {}", Number(number), plural(number, noun))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The text that a browser reads, with the five references that are written.
    fn read_back(html: &str) -> String {
        html.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&amp;", "&")
    }

    #[test]
    fn markup_is_text_and_controls_are_shown() {
        let shown = |text| Text(text).to_string();
        assert_eq!(
            shown("<script>alert(1)</script>"),
            "&lt;script&gt;alert(1)&lt;/script&gt;"
        );
        assert_eq!(
            shown("\" onload='x' &amp;"),
            "&quot; onload=&#39;x&#39; &amp;amp;"
        );
        assert_eq!(shown("a\r\n\0\u{202e}b"), r"a\r\n\u{0}\u{202e}b");
        assert_eq!(shown("Zoë 🦀"), "Zoë 🦀");
    }

    #[test]
    fn a_username_that_is_also_the_name_is_written_once() {
        let expert = |username, name| Expert { username, name }.to_string();
        assert_eq!(expert("zoe", "zoe"), "<bdi>zoe</bdi>");
        assert_eq!(
            expert("<i>", "Zoë"),
            r#"<bdi>Zoë</bdi> <span class="username">(<bdi>&lt;i&gt;</bdi>)</span>"#
        );
    }

    #[test]
    fn the_end_of_a_long_search_is_counted_and_not_shown() {
        let longest = "ö".repeat(500);
        assert_eq!(
            Search(&longest).to_string(),
            format!("<bdi>{longest}</bdi>")
        );
        assert_eq!(
            Search(&format!("{longest}<b")).to_string(),
            format!("<bdi>{longest}</bdi> <span class=\"none\">… 2 more characters</span>")
        );
        assert_eq!(Search("").to_string(), "<bdi></bdi>");
    }

    #[test]
    fn long_numbers_are_grouped() {
        let numbers = [0, 999, 1000, 1_234_567].map(|number| Number(number).to_string());
        assert_eq!(numbers, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(counted(1, "search"), "1 search");
        assert_eq!(counted(1000, "search"), "1,000 searches");
    }

    proptest! {
        #[test]
        fn a_browser_reads_what_visible_shows_and_no_markup(text in any::<String>()) {
            let html = Text(&text).to_string();
            prop_assert!(!html.contains(['<', '>', '"', '\'']));
            prop_assert_eq!(read_back(&html), visible(&text));
        }

        #[test]
        fn text_that_looks_like_markup_is_read_as_text(text in "[<>&\"'a-z;#!/= -]{0,40}") {
            let html = Text(&text).to_string();
            prop_assert!(!html.contains(['<', '>', '"', '\'']));
            prop_assert_eq!(read_back(&html), text);
        }
    }
}
