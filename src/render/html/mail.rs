//! A page as the body of a mail: without script and style sheet, which mail programs remove, and small enough to be shown whole. It
//! is readable without any style, as all of its layout is in tables and their attributes.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use jiff::{civil::Date, tz::TimeZone};

use super::{
    BAR_COLOR, Heading, chart,
    lists::{self, is_short},
    text::{Email, Number, Search, counted},
};
use crate::{
    render::rows::{self, Cell, List},
    reports::{ByLead, Day, Ranking},
};

/// Gmail cuts a mail off at 102 KiB.
const BYTES_MAX: usize = 100_000;
/// Room for what follows the last list.
const END_BYTES: usize = 500;
/// The most characters of a search.
const SEARCH_CHARS_MAX: usize = 100;
/// The most clicks of one lead in a report by lead.
const LEAD_CLICKS_MAX: u64 = 10;
/// The most bars of the chart, so that a month has one for each day.
const BARS_MAX: usize = 31;
/// A line of a mail has at most 998 characters ([RFC 5322](https://www.rfc-editor.org/rfc/rfc5322#section-2.1.1)). Lines break at
/// the next space after so many, and a text without spaces where it would need `RUN_BYTES_MAX`.
const LINE_BYTES: usize = 100;
const RUN_BYTES_MAX: usize = 600;

/// Longer parts of an email may be broken anywhere.
const WORD_BYTES_MAX: usize = 24;
/// A list of leads with more columns would not fit on a phone.
const LEAD_COLUMNS_MAX: usize = 3;

const BODY_STYLE: &str = "margin:0;padding:16px;font:15px/1.45 -apple-system,'Segoe UI',Roboto,Arial,sans-serif;overflow-wrap:anywhere";
/// Has enough contrast on a white and on a black page.
const QUIET_STYLE: &str = "opacity:.7";
const CELL_STYLE: &str = "border-top:1px solid #8884";

/// A mail that grows while there is room.
pub(super) struct Mail<'z> {
    /// ASCII, so that the mail needs no transfer encoding, in lines that are short enough for a mail.
    text: String,
    line: LineBreaks,
    zone: &'z TimeZone,
}

impl<'z> Mail<'z> {
    /// A mail with the title, the filters and the totals.
    pub(super) fn new(heading: &Heading, zone: &'z TimeZone) -> Self {
        let mut mail = Self {
            text: String::new(),
            line: LineBreaks::default(),
            zone,
        };
        mail.push(
            "<!doctype html>
<html lang=\"en\">
<head>
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">
<meta charset=\"utf-8\">
",
        );
        mail.push(&format!("<title>{}</title>", heading.page_title));
        mail.push(
            "
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"color-scheme\" content=\"light dark\">
</head>
",
        );
        mail.push(&format!(
            "<body style=\"{BODY_STYLE}\">\n<div style=\"max-width:640px\">\n"
        ));
        mail.push(&format!(
            "<h1 style=\"margin:0 0 4px;font-size:22px\">{}</h1>\n",
            heading.title
        ));
        mail.push(&format!("<p style=\"margin:0 0 12px;{QUIET_STYLE}\">"));
        for (number, (term, what)) in heading.facts.iter().enumerate() {
            let line = if number == 0 { "" } else { "<br>\n" };
            mail.push(&format!("{line}{term}: {what}"));
        }
        mail.push("</p>\n<p style=\"margin:0 0 12px\">");
        for (number, (count, what)) in heading.totals.iter().enumerate() {
            let gap = if number == 0 { "" } else { ",\n" };
            mail.push(&format!("{gap}<b>{}</b> {what}", Number(*count)));
        }
        mail.push("</p>\n");
        mail
    }

    pub(super) fn finish(mut self, out: &mut impl Write) -> io::Result<()> {
        self.push("</div>\n</body>\n</html>\n");
        out.write_all(self.text.as_bytes())?;
        out.flush()
    }

    fn push(&mut self, html: &str) {
        self.line.write(html, &mut self.text);
    }

    /// Adds `html` unless it would leave no room for the end.
    fn push_if_fits(&mut self, html: &str) -> bool {
        let (bytes, line) = (self.text.len(), self.line);
        self.push(html);
        let fits = self.text.len() + END_BYTES <= BYTES_MAX;
        if !fits {
            self.text.truncate(bytes);
            self.line = line;
        }
        fits
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.push(&format!(
            "<h2 style=\"margin:20px 0 6px;font-size:16px\">{text}</h2>\n"
        ));
    }

    fn note(&mut self, text: &str) {
        self.push(&format!(
            "<p style=\"margin:6px 0;{QUIET_STYLE}\">{text}</p>\n"
        ));
    }

    pub(super) fn nothing(&mut self) {
        self.note("No clicks.");
    }

    /// Adds a bar for each day, or for each week and so on if there are many, the last one first as in the other lists.
    pub(super) fn chart(&mut self, days: &[Day], first: Date, last: Date) {
        let (caption, bars) = chart::rows(days, first, last, BARS_MAX);
        let bars: Vec<_> = bars.collect();
        let most = bars.iter().map(|(_, clicks)| *clicks).max();
        self.heading(&caption);
        self.push("<table width=\"100%\" border=\"0\" cellspacing=\"0\" cellpadding=\"2\" style=\"overflow-wrap:normal\">\n");
        for (name, clicks) in bars.iter().rev() {
            let bar = bar(*clicks, most.unwrap_or_default());
            self.push(&format!(
                "<tr><td nowrap>{name}</td><td align=\"right\">{}</td><td width=\"75%\">{bar}</td></tr>\n",
                Number(*clicks)
            ));
        }
        self.push("</table>\n");
    }

    /// Adds the first rows of a ranking, without share and time.
    pub(super) fn ranking(&mut self, ranking: &Ranking, rows_max: usize) -> io::Result<()> {
        self.table(&rows::ranking(ranking), rows_max, |cell| {
            is_short(cell) && !matches!(cell, Cell::Bar { .. })
        })
    }

    /// Adds the rows of a list for which there is room.
    pub(super) fn list(&mut self, list: &List<'_>) -> io::Result<()> {
        let columns = list.for_people(&list.sample);
        let has_lead = columns
            .iter()
            .any(|column| matches!(column.cell, Cell::Email(_)));
        if has_lead && columns.len() > LEAD_COLUMNS_MAX {
            return self.cards(list);
        }
        let has_day = list
            .sample
            .iter()
            .any(|column| matches!(column.cell, Cell::Day(_)));
        self.table(list, usize::MAX, |cell| match cell {
            Cell::Share(_) => false,
            Cell::Bar { .. } => has_day,
            _ => true,
        })
    }

    /// Adds a list of leads, each with the other columns below it.
    fn cards(&mut self, list: &List<'_>) -> io::Result<()> {
        self.begin_table();
        let mut written = 0;
        let mut is_full = false;
        (list.rows)(&mut |row| {
            let columns = list.for_people(row);
            let mut html = format!("<tr><td style=\"{CELL_STYLE};overflow-wrap:anywhere\">");
            for column in &columns {
                if let Cell::Email(email) = column.cell {
                    let _ = writeln!(html, "<b>{}</b>", Email(email));
                }
            }
            let mut was_count = false;
            for column in columns {
                match column.cell {
                    Cell::Email(_) => continue,
                    Cell::Search(query) if query.trim().is_empty() => continue,
                    _ => {}
                }
                let is_count = matches!(column.cell, Cell::Count(_));
                let gap = if is_count && was_count {
                    " · "
                } else {
                    "<br>\n"
                };
                was_count = is_count;
                let (header, text) = (column.info.header, self.text(&column.cell));
                let text = text.replace("<br>", " ");
                let _ = write!(
                    html,
                    "{gap}<span style=\"{QUIET_STYLE}\">{header}:</span> {text}"
                );
            }
            html += "</td></tr>\n";
            is_full = is_full || !self.push_if_fits(&html);
            written += u64::from(!is_full);
            Ok(())
        })?;
        self.push("</table>\n");
        self.not_shown(list, written);
        Ok(())
    }

    fn not_shown(&mut self, list: &List<'_>, written: u64) {
        if list.all > written {
            let more = format!("{} {}", list.rest, list.noun);
            self.note(&format!("{} not shown", counted(list.all - written, &more)));
        }
    }

    fn table(
        &mut self,
        list: &List<'_>,
        rows_max: usize,
        shown: impl Fn(&Cell<'_>) -> bool,
    ) -> io::Result<()> {
        self.begin_table();
        let mut head = String::from("<tr>");
        for column in list.for_people(&list.sample) {
            if !column.info.is_wide && shown(&column.cell) {
                let header = column.info.header;
                let attributes = attributes(&column.cell);
                let _ = writeln!(
                    head,
                    "<th{attributes} style=\"{QUIET_STYLE};font-weight:normal\">{header}</th>"
                );
            }
        }
        self.push(&(head + "</tr>\n"));
        let mut written = 0;
        let mut is_full = false;
        let rows_max = rows_max as u64;
        (list.rows)(&mut |row| {
            let mut html = String::from("<tr valign=\"top\">");
            for column in list.for_people(row) {
                if !column.info.is_wide && shown(&column.cell) {
                    self.cell(&column.cell, &mut html);
                }
            }
            html += "</tr>\n";
            is_full = is_full || written == rows_max || !self.push_if_fits(&html);
            written += u64::from(!is_full);
            Ok(())
        })?;
        self.push("</table>\n");
        self.not_shown(list, written);
        Ok(())
    }

    fn begin_table(&mut self) {
        self.push("<table width=\"100%\" border=\"0\" cellspacing=\"0\" cellpadding=\"5\" style=\"overflow-wrap:normal\">\n");
    }

    fn cell(&self, cell: &Cell<'_>, html: &mut String) {
        let (attributes, style) = (attributes(cell), style(cell));
        let _ = writeln!(
            html,
            "<td{attributes} style=\"{CELL_STYLE}{style}\">{}</td>",
            self.text(cell)
        );
    }

    /// Adds the leads with their clicks, for which there is room.
    pub(super) fn leads(&mut self, report: &ByLead) -> io::Result<()> {
        self.begin_table();
        let (mut leads, mut clicks) = (0, 0);
        for lead in report.leads() {
            let shown = rows::of_lead(&lead, LEAD_CLICKS_MAX);
            let mut html = format!(
                "<tr><td colspan=\"3\" style=\"{CELL_STYLE};overflow-wrap:anywhere\"><b>{}</b>\n<span style=\"{QUIET_STYLE}\">{}</span></td></tr>\n",
                Email(lead.email()),
                counted(lead.click_count(), "click")
            );
            (shown.rows)(&mut |row| {
                html += "<tr valign=\"top\">";
                for column in shown.for_people(row) {
                    let (attributes, style) = (attributes(&column.cell), style(&column.cell));
                    let text = self.text(&column.cell);
                    let _ = writeln!(
                        html,
                        "<td{attributes} style=\"{}\">{text}</td>",
                        style.trim_start_matches(';')
                    );
                }
                html += "</tr>\n";
                Ok(())
            })?;
            if shown.all > shown.shown {
                let more = counted(shown.all - shown.shown, "earlier click");
                let _ = writeln!(
                    html,
                    "<tr><td colspan=\"3\" style=\"{QUIET_STYLE}\">{more} not shown</td></tr>"
                );
            }
            if !self.push_if_fits(&html) {
                break;
            }
            leads += 1;
            clicks += lead.click_count();
        }
        self.push("</table>\n");
        let totals = report.totals;
        if totals.leads > leads {
            let more = counted(totals.leads - leads, "more lead");
            let clicks = counted(totals.clicks - clicks, "click");
            self.note(&format!("{more} with {clicks} not shown"));
        }
        Ok(())
    }

    fn text(&self, cell: &Cell<'_>) -> String {
        match *cell {
            Cell::Time(at) => at.local(self.zone).replace(' ', "<br>"),
            Cell::Search(query) | Cell::SearchSubject(query) if !query.trim().is_empty() => {
                match query.char_indices().nth(SEARCH_CHARS_MAX) {
                    Some((end, _)) => format!("{} …", Search(&query[..end])),
                    None => Search(query).to_string(),
                }
            }
            Cell::Bar { value, max, .. } => bar(value, max),
            _ => lists::text(cell, self.zone),
        }
    }
}

/// The attributes of a cell. A long word of a visitor is broken, but no number and no time.
fn attributes(cell: &Cell<'_>) -> &'static str {
    match cell {
        Cell::Count(_) | Cell::Before { .. } | Cell::Share(_) => " nowrap align=\"right\"",
        Cell::Time(_) | Cell::Day(_) | Cell::Gap(_) => " nowrap align=\"left\"",
        Cell::Bar { .. } => " width=\"50%\" valign=\"middle\"",
        _ => " align=\"left\"",
    }
}

fn style(cell: &Cell<'_>) -> &'static str {
    match cell {
        Cell::Email(email) if email.split('@').all(|part| part.len() < WORD_BYTES_MAX) => "",
        Cell::Email(_)
        | Cell::Expert { .. }
        | Cell::Search(_)
        | Cell::SearchSubject(_)
        | Cell::Domain(_) => ";overflow-wrap:anywhere",
        _ => "",
    }
}

/// A bar that needs no style: a table of which one cell has a colour.
fn bar(value: u64, max: u64) -> String {
    let percent = (u128::from(value) * 100).div_ceil(u128::from(max.max(1)));
    if percent == 0 {
        return String::new();
    }
    format!(
        "<table width=\"{percent}%\" border=\"0\" cellspacing=\"0\" cellpadding=\"0\"><tr><td bgcolor=\"{BAR_COLOR}\" height=\"10\"></td></tr></table>"
    )
}

/// Where in a line the text is.
#[derive(Debug, Clone, Copy, Default)]
struct LineBreaks {
    /// The bytes since the line began.
    line: usize,
    is_tag: bool,
    is_reference: bool,
}

impl LineBreaks {
    /// Adds HTML as ASCII, with line breaks that a browser shows as the spaces that they replace, or not at all.
    fn write(&mut self, html: &str, text: &mut String) {
        for character in html.chars() {
            let from = text.len();
            match character {
                '<' => self.is_tag = true,
                '>' => self.is_tag = false,
                '&' => self.is_reference = true,
                ';' => self.is_reference = false,
                _ => {}
            }
            let is_text = !self.is_tag && !self.is_reference && character != '>';
            match character {
                ' ' if is_text && self.line >= LINE_BYTES => text.push('\n'),
                ' '..='~' | '\n' => text.push(character),
                other => {
                    let _ = write!(text, "&#{};", u32::from(other));
                }
            }
            if is_text && self.line >= RUN_BYTES_MAX {
                text.push_str("<wbr\n>");
            }
            match text[from..].rfind('\n') {
                Some(at) => self.line = text.len() - from - at - 1,
                None => self.line += text.len() - from,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(html: &str) -> String {
        let mut text = String::new();
        LineBreaks::default().write(html, &mut text);
        text
    }

    #[test]
    fn a_mail_is_ascii_in_short_lines() {
        assert_eq!(
            wire("<b>Zoë &amp; 🦀</b>"),
            "<b>Zo&#235; &amp; &#129408;</b>"
        );
        for text in [
            "x".repeat(5000),
            "ë".repeat(5000),
            "ab ".repeat(2000),
            "&amp;".repeat(3000),
        ] {
            let wired = wire(&format!("<td>{text}</td>"));
            assert!(wired.is_ascii());
            assert!(wired.lines().all(|line| line.len() < 998));
            let read = wired.replace("<wbr\n>", "").replace('\n', " ");
            assert_eq!(read.replace("&#235;", "ë"), format!("<td>{text}</td>"));
        }
    }
}
