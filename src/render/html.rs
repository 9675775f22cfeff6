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
    plural,
    table::{self, zone_name},
};
use crate::{
    reports::{ByDay, ByLead, RankBy, Ranking, Subject, Timeline},
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

/// Everything that a page shows, as of one instant of the database.
#[derive(Debug)]
pub(crate) struct Page {
    /// Which clicks it is about.
    pub(crate) selection: Selection,
    /// When it was asked.
    pub(crate) made_at: Timestamp,
    /// The reader's time zone.
    pub(crate) zone: TimeZone,
    /// Every day of the selected clicks.
    pub(crate) days: ByDay,
    /// The experts of the selected clicks: all those that [`Answer::ByExpert`] lists, or a few.
    pub(crate) experts: Ranking,
    /// What it is about.
    pub(crate) answer: Answer,
}

/// The question of a page, and what answers it.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The leads and their clicks.
    ByEmail {
        /// The leads.
        leads: ByLead,
        /// With how many clicks in all the list of leads ends.
        clicks_max: NonZeroU64,
    },
    /// The experts, which are [`Page::experts`].
    ByExpert,
    /// The searches.
    ByQuery(Ranking),
    /// The days, which are [`Page::days`].
    ByDay {
        /// How many of the newest are listed.
        days_max: NonZeroU64,
    },
    /// The clicks on one expert or of one lead.
    Timeline {
        /// The newest clicks.
        clicks: Timeline,
        /// What was searched for before the selected clicks.
        queries: Ranking,
    },
}

impl Page {
    /// Whether no click was selected.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.days.totals().clicks == 0
    }

    /// The days that the chart covers: the time that was asked for, up to now, if that is not too long.
    fn chart_span(&self) -> Option<(Date, Date)> {
        let Window { since, until } = self.selection.window;
        let (newest, oldest) = (self.days.days().first()?, self.days.days().last()?);
        // The first instant that no longer counts may be a day's first.
        let until = until.map(|until| Timestamp::from_micros(until.micros() - 1));
        let end = until.map_or(self.made_at, |until| until.min(self.made_at));
        let last = end.date(&self.zone).max(newest.date);
        let begin = since.map_or(oldest.date, |since| since.date(&self.zone));
        let is_short = u64::from((last - begin).get_days().unsigned_abs()) < CHART_DAYS_MAX;
        let first = if is_short { begin } else { oldest.date };
        Some((first.min(oldest.date), last))
    }
}

/// Writes the page, lead by lead and row by row.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn page(mut out: impl Write, page: &Page) -> io::Result<()> {
    let out = &mut out;
    head(out, page)?;
    header(out, page)?;
    out.write_all(b"<main>\n")?;
    if page.is_empty() {
        out.write_all(b"<p class=\"nothing\">No clicks.</p>\n")?;
    } else {
        if let Some((first, last)) = page.chart_span() {
            chart::write(out, page.days.days(), first, last)?;
        }
        answer(out, page)?;
    }
    out.write_all(b"</main>\n")?;
    writeln!(out, "<script>{SCRIPT}</script>\n</body>\n</html>")?;
    out.flush()
}

/// The policy stands before everything that it is about.
fn head(out: &mut impl Write, page: &Page) -> io::Result<()> {
    write!(
        out,
        "<!doctype html>
<html lang=\"en\" translate=\"no\">
<head>
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src '{STYLE_HASH}'; script-src '{SCRIPT_HASH}'; base-uri 'none'; form-action 'none'\">
<meta charset=\"utf-8\">
<title>{} · leadclicks</title>
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"color-scheme\" content=\"light dark\">
<meta name=\"referrer\" content=\"no-referrer\">
<meta name=\"robots\" content=\"noindex, nofollow\">
<meta name=\"format-detection\" content=\"telephone=no, date=no, address=no, email=no\">
<style>{STYLE}</style>
</head>
<body>
",
        title(
            page,
            |expert| Text(&table::expert(expert.username, expert.name)).to_string(),
            |email| Text(email).to_string(),
        )
    )
}

/// What is asked in a few words, with an expert and an email as they are fit for where they stand.
fn title(
    page: &Page,
    expert: impl Fn(Expert<'_>) -> String,
    email: impl Fn(&str) -> String,
) -> String {
    match &page.answer {
        Answer::ByEmail { .. } => "Clicks by lead".to_owned(),
        Answer::ByExpert => "Experts by clicks".to_owned(),
        Answer::ByQuery(_) => "Searches by clicks".to_owned(),
        Answer::ByDay { .. } => "Clicks by day".to_owned(),
        Answer::Timeline { clicks, .. } => match clicks.subject() {
            Subject::Expert(username) => {
                let name = page.experts.names().display_name(username);
                format!("Clicks on {}", expert(Expert { username, name }))
            }
            Subject::Lead(address) => format!("Clicks by {}", email(address)),
        },
    }
}

/// What is asked, when that was, and how much there is.
fn header(out: &mut impl Write, page: &Page) -> io::Result<()> {
    let title = title(
        page,
        |expert| expert.to_string(),
        |email| Email(email).to_string(),
    );
    writeln!(out, "<header>\n<h1>{title}</h1>\n<dl class=\"asked\">")?;
    let mut said =
        |term: &str, what: &str| writeln!(out, "<div><dt>{term}</dt><dd>{what}</dd></div>");
    let conditions = conditions(page);
    if !conditions.is_empty() {
        said("Only clicks", &conditions)?;
    }
    said("Time", &window(page))?;
    let zone = zone_name(&page.zone).unwrap_or("local");
    said("Time zone", &Text(zone).to_string())?;
    said("Made", &lists::time(page.made_at, &page.zone))?;
    out.write_all(b"</dl>\n<ul class=\"totals\">\n")?;
    for (number, noun) in totals(page) {
        writeln!(
            out,
            "<li><strong>{}</strong> {}</li>",
            Number(number),
            plural(number, noun)
        )?;
    }
    out.write_all(b"</ul>\n</header>\n")
}

/// The conditions that the title does not say; empty where there is none.
fn conditions(page: &Page) -> String {
    let Selection {
        expert,
        email,
        query,
        ..
    } = &page.selection;
    let subject = match &page.answer {
        Answer::Timeline { clicks, .. } => Some(clicks.subject()),
        _ => None,
    };
    let mut conditions = Vec::new();
    if let Some(username) = expert
        && !matches!(subject, Some(Subject::Expert(_)))
    {
        let name = page.experts.names().display_name(username);
        conditions.push(format!("on {}", Expert { username, name }));
    }
    if let Some(email) = email
        && !matches!(subject, Some(Subject::Lead(_)))
    {
        conditions.push(format!("by {}", Email(email)));
    }
    if let Some(query) = query {
        conditions.push(format!("after a search with “{}”", Isolated(query)));
    }
    conditions.join(" ")
}

fn window(page: &Page) -> String {
    let local = |at: Timestamp| lists::time(at, &page.zone);
    match (page.selection.window.since, page.selection.window.until) {
        (None, None) => "from the first click on".to_owned(),
        (Some(since), None) => format!("from {} on", local(since)),
        (None, Some(until)) => format!("before {}", local(until)),
        (Some(since), Some(until)) => format!("from {} to {}", local(since), local(until)),
    }
}

/// What is counted, and is not one by the question itself.
fn totals(page: &Page) -> Vec<(u64, &'static str)> {
    let clicks = page.days.totals();
    let mut totals = vec![(clicks.clicks, "click")];
    if page.selection.email.is_none() {
        totals.push((clicks.leads, "lead"));
    }
    if page.selection.expert.is_none() {
        totals.push((page.experts.ranked_in_all(), "expert"));
    }
    match &page.answer {
        Answer::ByQuery(queries) | Answer::Timeline { queries, .. } => {
            totals.push((queries.ranked_in_all(), "search"));
        }
        Answer::ByEmail { .. } | Answer::ByExpert | Answer::ByDay { .. } => {}
    }
    totals
}

/// The list that answers the question, with a search over it, and what stands beside it.
fn answer(out: &mut impl Write, page: &Page) -> io::Result<()> {
    let zone = &page.zone;
    match &page.answer {
        Answer::ByEmail { leads, clicks_max } => {
            let beside = Some(&page.experts);
            let list = List::new("Leads", "leads", "Email, expert or search");
            two_lists(out, &list, beside, |out| {
                lists::leads(out, leads, *clicks_max, zone)
            })
        }
        Answer::ByExpert => {
            let list = List::new("Experts", "experts", "Name or username");
            two_lists(out, &list, None, |out| {
                lists::ranking(out, &page.experts, zone)
            })
        }
        Answer::ByQuery(queries) => {
            let list = List::new("Searches", "searches", "What was searched for");
            two_lists(out, &list, None, |out| lists::ranking(out, queries, zone))
        }
        Answer::ByDay { days_max } => {
            let list = List::new("Days", "days", "2026-11 or Sun");
            two_lists(out, &list, None, |out| {
                lists::days(out, &page.days, *days_max)
            })
        }
        Answer::Timeline { clicks, queries } => {
            let what = match clicks.subject() {
                Subject::Expert(_) => "Lead or search",
                Subject::Lead(_) => "Expert or search",
            };
            let beside = match page.selection.expert {
                Some(_) => queries,
                None => &page.experts,
            };
            let list = List::new("Clicks", "clicks", what);
            two_lists(out, &list, Some(beside), |out| {
                lists::clicks(out, clicks, zone)
            })
        }
    }
}

/// A list's heading, what it lists, and what can be searched for in it.
struct List {
    heading: &'static str,
    noun: &'static str,
    what: &'static str,
}

impl List {
    fn new(heading: &'static str, noun: &'static str, what: &'static str) -> Self {
        Self {
            heading,
            noun,
            what,
        }
    }
}

/// Writes `list` by `write`, with the tools that need the script, and beside it a ranking.
fn two_lists<W: Write>(
    out: &mut W,
    list: &List,
    beside: Option<&Ranking>,
    write: impl FnOnce(&mut W) -> io::Result<()>,
) -> io::Result<()> {
    let beside = beside.map(|ranking| match ranking.by() {
        RankBy::Expert => (ranking, "Experts", "experts"),
        RankBy::Query => (ranking, "Searches", "searches"),
    });
    match beside {
        Some((_, heading, id)) => writeln!(
            out,
            "<p class=\"jump\"><a href=\"#{id}\">{heading} by clicks</a></p>\n<div class=\"lists\">"
        )?,
        None => out.write_all(b"<div class=\"lists one\">\n")?,
    }
    let List {
        heading,
        noun,
        what,
    } = list;
    write!(
        out,
        "<section id=\"list\" data-listed=\"{noun}\">
<h2>{heading}</h2>
<div id=\"tools\" hidden>
<input id=\"search\" type=\"search\" aria-label=\"Search\" aria-keyshortcuts=\"/\" placeholder=\"{what}\" autocomplete=\"off\" autocapitalize=\"off\" spellcheck=\"false\">
"
    )?;
    if *noun == "leads" {
        out.write_all(b"<button id=\"unfold\" type=\"button\">Unfold all</button>\n<button id=\"fold\" type=\"button\">Fold all</button>\n")?;
    }
    out.write_all(b"<output id=\"found\" for=\"search\"></output>\n</div>\n")?;
    write(out)?;
    out.write_all(b"</section>\n")?;
    if let Some((ranking, heading, id)) = beside {
        writeln!(out, "<section id=\"{id}\">\n<h2>{heading} by clicks</h2>")?;
        lists::short_ranking(out, ranking)?;
        out.write_all(b"</section>\n")?;
    }
    out.write_all(b"</div>\n")
}
