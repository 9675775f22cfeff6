//! A page that stands alone: one file with its style and its script, which an admin opens or mails. It asks the network
//! for nothing, and its content security policy runs no script but its own, whatever strangers wrote into it.

mod chart;
mod lists;
mod text;

use std::{
    io::{self, Write},
    num::NonZeroU64,
};

use jiff::{civil::Date, tz::TimeZone};

use super::{
    Format, Report, plural,
    rows::Cell,
    table::{self, zone_name},
};
use crate::{
    reports::{ByDay, RankBy, Ranking},
    storage::{Selection, Window},
    timestamp::Timestamp,
};
use text::{Email, Expert, Isolated, Number, Text};

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");
/// The SHA-256 of [`STYLE`], as a content security policy names it.
const STYLE_HASH: &str = "sha256-QBBRRA08tYjNOPCrn7MbLEzrFp92H+YPggp6As7WDrI=";
/// The SHA-256 of [`SCRIPT`].
const SCRIPT_HASH: &str = "sha256-NQoDxQaHOWy+3ChZ+dUJFAukUFg0ioGK9DM9Q/Y0QR0=";

/// How many clicks, or rows of a ranking or of days, a page lists at the most, whatever it is asked for: 5 to 8 MB,
/// which still can be mailed and open within two seconds. Of a million clicks, which were 285 MB, Chromium showed nothing
/// within 110. The formats for programs have no such bound.
pub(crate) const ROWS_MAX: NonZeroU64 = NonZeroU64::new(20_000).unwrap();

/// A longer time begins at its first click in the chart, so that days do not become weeks for the sake of nothing.
const CHART_DAYS_MAX: u64 = 120;

/// A page about a report, and what it shows besides the report: all of the same clicks.
#[derive(Debug)]
pub(crate) struct Html {
    /// Which clicks it is about.
    pub(crate) selection: Selection,
    /// When it was made.
    pub(crate) made_at: Timestamp,
    /// The reader's time zone.
    pub(crate) zone: TimeZone,
    /// Every day of the selected clicks.
    pub(crate) days: ByDay,
    /// The first experts of the selected clicks.
    pub(crate) experts: Ranking,
    /// The first searches of the selected clicks; only of the clicks on one expert or of one lead.
    pub(crate) queries: Option<Ranking>,
    /// With how many clicks in all a list of leads ends.
    pub(crate) clicks_max: NonZeroU64,
}

impl Format for Html {
    /// Writes the page row by row. It says so if there is no click.
    fn write(&self, report: &Report, out: &mut impl Write) -> io::Result<()> {
        head(report, out)?;
        self.header(report, out)?;
        out.write_all(b"<main>\n")?;
        if report.is_empty() {
            out.write_all(b"<p class=\"nothing\">No clicks.</p>\n")?;
        } else {
            if let Some((first, last)) = self.chart_span() {
                chart::write(out, &self.days.days, first, last)?;
            }
            self.lists(report, out)?;
        }
        out.write_all(b"</main>\n")?;
        writeln!(out, "<script>{SCRIPT}</script>\n</body>\n</html>")?;
        out.flush()
    }
}

/// The policy comes before everything that it is about.
fn head(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let title = title(report, |subject| {
        Text(&match *subject {
            Cell::Expert { username, name } => table::expert(username, name),
            Cell::Email(email) => email.to_owned(),
            _ => String::new(),
        })
        .to_string()
    });
    write!(
        out,
        "<!doctype html>
<html lang=\"en\" translate=\"no\">
<head>
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src '{STYLE_HASH}'; script-src '{SCRIPT_HASH}'; base-uri 'none'; form-action 'none'\">
<meta charset=\"utf-8\">
<title>{title} · leadclicks</title>
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"color-scheme\" content=\"light dark\">
<meta name=\"referrer\" content=\"no-referrer\">
<meta name=\"robots\" content=\"noindex, nofollow\">
<meta name=\"format-detection\" content=\"telephone=no, date=no, address=no, email=no\">
<style>{STYLE}</style>
</head>
<body>
"
    )
}

/// What the report is about in a few words. `subject` writes the expert or the email.
fn title(report: &Report, subject: impl Fn(&Cell<'_>) -> String) -> String {
    match (report, report.list().subject.map(|column| column.cell)) {
        (_, Some(cell @ Cell::Email(_))) => format!("Clicks by {}", subject(&cell)),
        (_, Some(cell)) => format!("Clicks on {}", subject(&cell)),
        (Report::ByDay(_), _) => "Clicks by day".to_owned(),
        (Report::Ranking(ranking), _) => format!("{} by clicks", words(ranking.by).heading),
        _ => "Clicks by lead".to_owned(),
    }
}

/// What a list of a page is called.
struct Words {
    heading: &'static str,
    /// What can be searched for in it.
    search: &'static str,
    /// The flag that lists all.
    flag: &'static str,
}

fn words(by: RankBy) -> Words {
    match by {
        RankBy::Expert => Words {
            heading: "Experts",
            search: "Name or username",
            flag: "--by-expert",
        },
        RankBy::Query => Words {
            heading: "Searches",
            search: "What was searched for",
            flag: "--by-query",
        },
    }
}

impl Html {
    /// The days that the chart covers: the time that was asked for, up to now, if that is not too long.
    fn chart_span(&self) -> Option<(Date, Date)> {
        let Window { since, until } = self.selection.window;
        let (newest, oldest) = (self.days.days.first()?, self.days.days.last()?);
        // The first instant that no longer counts may be a day's first.
        let until = until.map(|until| Timestamp::from_micros(until.micros() - 1));
        let end = until.map_or(self.made_at, |until| until.min(self.made_at));
        let last = end.date(&self.zone).max(newest.date);
        let begin = since.map_or(oldest.date, |since| since.date(&self.zone));
        let is_short = u64::from((last - begin).get_days().unsigned_abs()) < CHART_DAYS_MAX;
        let first = if is_short { begin } else { oldest.date };
        Some((first.min(oldest.date), last))
    }

    /// What is asked, when that was, and how much there is.
    fn header(&self, report: &Report, out: &mut impl Write) -> io::Result<()> {
        let title = title(report, |subject| lists::text(subject, &self.zone));
        writeln!(out, "<header>\n<h1>{title}</h1>\n<dl class=\"asked\">")?;
        let mut said =
            |term: &str, what: &str| writeln!(out, "<div><dt>{term}</dt><dd>{what}</dd></div>");
        let conditions = self.conditions(report);
        if !conditions.is_empty() {
            said("Only clicks", &conditions)?;
        }
        said("Time", &self.window())?;
        let zone = zone_name(&self.zone).unwrap_or("local");
        said("Time zone", &Text(zone).to_string())?;
        said("Made", &lists::time(self.made_at, &self.zone))?;
        out.write_all(b"</dl>\n<ul class=\"totals\">\n")?;
        for (number, noun) in self.totals(report) {
            writeln!(
                out,
                "<li><strong>{}</strong> {}</li>",
                Number(number),
                plural(number, noun)
            )?;
        }
        out.write_all(b"</ul>\n</header>\n")
    }

    /// The conditions that the title does not say; empty if there are none.
    fn conditions(&self, report: &Report) -> String {
        let Selection {
            expert,
            email,
            query,
            ..
        } = &self.selection;
        let subject = report.list().subject.map(|subject| subject.cell);
        let mut conditions = Vec::new();
        if let Some(username) = expert
            && !matches!(subject, Some(Cell::Expert { .. }))
        {
            let name = self.experts.names.display_name(username);
            conditions.push(format!("on {}", Expert { username, name }));
        }
        if let Some(email) = email
            && !matches!(subject, Some(Cell::Email(_)))
        {
            conditions.push(format!("by {}", Email(email)));
        }
        if let Some(query) = query {
            conditions.push(format!("after a search with “{}”", Isolated(query)));
        }
        conditions.join(" ")
    }

    fn window(&self) -> String {
        let local = |at: Timestamp| lists::time(at, &self.zone);
        match (self.selection.window.since, self.selection.window.until) {
            (None, None) => "from the first click on".to_owned(),
            (Some(since), None) => format!("from {} on", local(since)),
            (None, Some(until)) => format!("before {}", local(until)),
            (Some(since), Some(until)) => format!("from {} to {}", local(since), local(until)),
        }
    }

    /// What is counted, and is not one by the report itself.
    fn totals(&self, report: &Report) -> Vec<(u64, &'static str)> {
        let clicks = self.days.totals;
        let mut totals = vec![(clicks.clicks, "click")];
        if self.selection.email.is_none() {
            totals.push((clicks.leads, "lead"));
        }
        if self.selection.expert.is_none() {
            totals.push((self.experts.ranked_in_all, "expert"));
        }
        let queries = match report {
            Report::Ranking(ranking) if ranking.by == RankBy::Query => Some(ranking),
            _ => self.queries.as_ref(),
        };
        if let Some(queries) = queries {
            totals.push((queries.ranked_in_all, "search"));
        }
        totals
    }

    /// The list that answers the question, with a search over it, and a ranking next to it.
    fn lists(&self, report: &Report, out: &mut impl Write) -> io::Result<()> {
        let list = report.list();
        let (heading, search, beside) = match report {
            Report::ByLead(_) => ("Leads", "Email, expert or search", Some(&self.experts)),
            Report::Ranking(ranking) => {
                let Words {
                    heading, search, ..
                } = words(ranking.by);
                (heading, search, None)
            }
            Report::Timeline(_) => {
                let beside = match self.selection.expert {
                    Some(_) => self.queries.as_ref(),
                    None => Some(&self.experts),
                };
                let search = match list.subject.map(|subject| subject.cell) {
                    Some(Cell::Email(_)) => "Expert or search",
                    _ => "Lead or search",
                };
                ("Clicks", search, beside)
            }
            _ => ("Days", "2026-11 or Sun", None),
        };
        let name = heading.to_lowercase();
        let beside = beside.map(|ranking| (ranking, words(ranking.by)));
        match &beside {
            Some((_, Words { heading, .. })) => writeln!(
                out,
                "<p class=\"jump\"><a href=\"#{}\">{heading} by clicks</a></p>\n<div class=\"lists\">",
                heading.to_lowercase()
            )?,
            None => out.write_all(b"<div class=\"lists one\">\n")?,
        }
        write!(
            out,
            "<section id=\"list\" data-listed=\"{name}\">
<h2>{heading}</h2>
<div id=\"tools\" hidden>
<input id=\"search\" type=\"search\" aria-label=\"Search\" aria-keyshortcuts=\"/\" placeholder=\"{search}\" autocomplete=\"off\" autocapitalize=\"off\" spellcheck=\"false\">
"
        )?;
        if let Report::ByLead(_) = report {
            out.write_all(b"<button id=\"unfold\" type=\"button\">Unfold all</button>\n<button id=\"fold\" type=\"button\">Fold all</button>\n")?;
        }
        out.write_all(b"<output id=\"found\" for=\"search\"></output>\n</div>\n")?;
        match report {
            Report::ByLead(report) => lists::leads(out, report, self.clicks_max, &self.zone)?,
            _ => lists::list(out, &list, &self.zone)?,
        }
        out.write_all(b"</section>\n")?;
        if let Some((ranking, Words { heading, flag, .. })) = beside {
            writeln!(
                out,
                "<section id=\"{}\">\n<h2>{heading} by clicks</h2>",
                heading.to_lowercase()
            )?;
            lists::short_ranking(out, ranking, flag)?;
            out.write_all(b"</section>\n")?;
        }
        out.write_all(b"</div>\n")
    }
}
