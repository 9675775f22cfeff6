//! A self-contained page: one file with its style and its script, which an admin opens or mails. It loads nothing from the
//! network, and its content security policy allows only its own script, even if the text of a visitor contained one.

mod chart;
mod lists;
mod mail;
mod summary;
mod text;

use std::{
    io::{self, Write},
    num::NonZeroU64,
};

use jiff::{civil::Date, tz::TimeZone};

use super::{
    Asked, Format, Report, counted, period, plural,
    rows::Cell,
    table::{self, zone_name},
};
use crate::{
    reports::{ByDay, Day, History, RankBy, Ranking},
    storage::{EmailFilter, Selection, Window},
    timestamp::Timestamp,
};
use lists::{Ids, Links};
use mail::Mail;
use text::{Domain, Email, Expert, Isolated, Number, Text};

pub(crate) use summary::summary;

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");
/// The SHA-256 of [`STYLE`], in the form of a content security policy.
const STYLE_HASH: &str = "sha256-ZHNra4rmMClaBlcT6LvEPq1BA92f6NP0SkaykV3hPTo=";
/// The SHA-256 of [`SCRIPT`].
const SCRIPT_HASH: &str = "sha256-50lixQtqmH8YbTEgRGahfc8I5R8Z4kwDL066a9xHWq4=";

/// The most clicks, or rows of a ranking or of days, that a page lists, whatever the limit: 5 to 8 MB, which can be mailed
/// and opens within two seconds. With a million clicks (285 MB), Chromium showed nothing within 110 seconds. The formats for
/// programs have no such limit.
pub(crate) const ROWS_MAX: NonZeroU64 = NonZeroU64::new(20_000).unwrap();

/// The colour of a bar, where the style does not choose one: in a mail, or in a page whose style a mail program removed.
const BAR_COLOR: &str = "#5b9bf3";

/// The most experts or searches that a mail ranks before the list.
const MAIL_ROWS: usize = 10;

/// If the selected time has more days, the chart begins at the first click, so that empty days don't force a coarser unit.
const CHART_DAYS_MAX: u64 = 120;

/// What a page is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A browser.
    Page,
    /// The body of a mail.
    Mail,
}

/// How a page looks, whatever it shows.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) form: Form,
    /// Instead of the title of the report.
    pub(crate) title: Option<String>,
}

impl Look {
    /// The title as HTML, where that of the report would be `usual`.
    fn title(&self, usual: String) -> String {
        match &self.title {
            Some(title) => Text(title).to_string(),
            None => usual,
        }
    }

    /// The title of the window.
    fn page_title(&self, usual: &str) -> String {
        self.title(format!("{usual} · leadclicks"))
    }
}

/// What is above the lists of a page: all as HTML.
struct Heading {
    title: String,
    /// The title of the window.
    page_title: String,
    /// The filters, and when the page was created.
    facts: Vec<(&'static str, String)>,
    /// Numbers, and what they count.
    totals: Vec<(u64, String)>,
}

impl Heading {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "<header>\n<h1>{}</h1>\n<dl class=\"asked\">",
            self.title
        )?;
        for (term, what) in &self.facts {
            writeln!(out, "<div><dt>{term}</dt><dd>{what}</dd></div>")?;
        }
        out.write_all(b"</dl>\n<ul class=\"totals\">\n")?;
        for (number, what) in &self.totals {
            writeln!(out, "<li><strong>{}</strong> {what}</li>", Number(*number))?;
        }
        out.write_all(b"</ul>\n</header>\n")
    }
}

/// The page format, with what a page shows in addition to the report, for the same clicks.
#[derive(Debug)]
pub(crate) struct Html {
    /// The clicks of the report.
    pub(crate) selection: Selection,
    /// When the page was created.
    pub(crate) made_at: Timestamp,
    /// The reader's time zone.
    pub(crate) zone: TimeZone,
    /// Every day of the selected clicks.
    pub(crate) days: ByDay,
    /// The first experts of the selected clicks.
    pub(crate) experts: Ranking,
    /// The first searches of the selected clicks; only for the clicks on one expert or of one lead.
    pub(crate) queries: Option<Ranking>,
    /// A list of leads ends after so many clicks.
    pub(crate) clicks_max: NonZeroU64,
    pub(crate) look: Look,
}

impl Format for Html {
    /// Writes the page row by row.
    fn write(&self, report: &Report, asked: &Asked, out: &mut impl Write) -> io::Result<()> {
        let heading = self.heading(report, asked);
        if self.look.form == Form::Mail {
            return self.mail(report, &heading, out);
        }
        head(out, &heading)?;
        heading.write(out)?;
        out.write_all(b"<main>\n")?;
        if report.is_empty() {
            out.write_all(b"<p class=\"nothing\">No clicks.</p>\n")?;
        } else {
            let days = self.chart_days();
            if let Some((first, last)) = self.chart_span(days) {
                chart::write(out, days, first, last)?;
            }
            self.lists(report, out)?;
        }
        out.write_all(b"</main>\n")?;
        foot(out)
    }
}

fn foot(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "<script>{SCRIPT}</script>\n</body>\n</html>")?;
    out.flush()
}

/// The policy comes first, because it applies only to what follows.
fn head(out: &mut impl Write, heading: &Heading) -> io::Result<()> {
    let title = &heading.page_title;
    write!(
        out,
        "<!doctype html>
<html lang=\"en\" translate=\"no\">
<head>
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src '{STYLE_HASH}'; script-src '{SCRIPT_HASH}'; base-uri 'none'; form-action 'none'\">
<meta charset=\"utf-8\">
<title>{title}</title>
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

/// The title of the report. `subject` formats the expert, the email or the domain.
fn title(report: &Report, subject: impl Fn(&Cell<'_>) -> String) -> String {
    match (report, report.list().subject.map(|column| column.cell)) {
        (_, Some(cell @ Cell::Email(_))) => format!("Clicks by {}", subject(&cell)),
        (_, Some(cell @ Cell::Domain(_))) => format!("Clicks by leads of {}", subject(&cell)),
        (_, Some(cell)) => format!("Clicks on {}", subject(&cell)),
        (Report::ByDay(_), _) => "Clicks by day".to_owned(),
        (Report::Leads(_), _) => "Leads".to_owned(),
        (Report::Ranking(ranking), _) => format!("{} by clicks", ranking_text(ranking.by).heading),
        _ => "Clicks by lead".to_owned(),
    }
}

/// The texts of a ranking.
struct RankingText {
    heading: &'static str,
    /// The placeholder of the search box.
    search: &'static str,
    /// The flag of the full ranking.
    flag: &'static str,
}

/// The texts of a list, and the ranking next to it.
struct Texts<'a> {
    heading: &'static str,
    /// The placeholder of the search box.
    search: &'static str,
    side: Option<(&'a Ranking, RankingText)>,
}

fn ranking_text(by: RankBy) -> RankingText {
    match by {
        RankBy::Expert => RankingText {
            heading: "Experts",
            search: "Name or username",
            flag: "--by-expert",
        },
        RankBy::Query => RankingText {
            heading: "Searches",
            search: "Text of a search",
            flag: "--by-query",
        },
    }
}

impl Html {
    /// The days that the chart shows: all, without those of the future, of which one alone would make all others a single
    /// column. The list has them.
    fn chart_days(&self) -> &[Day] {
        // Clocks differ.
        let today = self.made_at.date(&self.zone);
        let tomorrow = today.tomorrow().unwrap_or(today);
        let days = &*self.days.days;
        let future = days.iter().take_while(|day| day.date > tomorrow).count();
        match &days[future..] {
            [] => days,
            past => past,
        }
    }

    /// The time that the chart covers: the selected time, up to now, if that is not too long.
    fn chart_span(&self, days: &[Day]) -> Option<(Date, Date)> {
        let Window { since, until } = self.selection.window;
        let mut with_clicks = days.iter().filter(|day| day.clicks > 0);
        let newest = with_clicks.next()?;
        let oldest = with_clicks.next_back().unwrap_or(newest);
        // `until` is exclusive, and may be the beginning of a day.
        let until = until.map(|until| Timestamp::from_micros(until.micros() - 1));
        let end = until.map_or(self.made_at, |until| until.min(self.made_at));
        let last = end.date(&self.zone).max(newest.date);
        let begin = since.map_or(oldest.date, |since| since.date(&self.zone));
        let is_short = u64::from((last - begin).get_days().unsigned_abs()) < CHART_DAYS_MAX;
        let first = if is_short { begin } else { oldest.date };
        Some((first.min(oldest.date), last))
    }

    /// The title, the filters, when the page was created, and the totals.
    fn heading(&self, report: &Report, asked: &Asked) -> Heading {
        let title = title(report, |subject| lists::text(subject, &self.zone));
        let plain = self::title(report, |subject| {
            Text(&match *subject {
                Cell::Expert { username, name } => table::expert(username, name),
                Cell::Email(email) => email.to_owned(),
                Cell::Domain(domain) => table::at_domain(domain),
                _ => String::new(),
            })
            .to_string()
        });
        let mut facts = Vec::new();
        if self.look.title.is_some() {
            facts.push(("Report", title.clone()));
        }
        let conditions = self.conditions(report, asked);
        if !conditions.is_empty() {
            facts.push(("Only clicks", conditions));
        }
        let time = period(asked.window, &self.zone).unwrap_or_else(|| "all".to_owned());
        facts.push(("Time", Text(&time).to_string()));
        if let Some(before) = asked.before(&self.zone) {
            facts.push(("Before", Text(&before).to_string()));
        }
        if let Some(excluded) = asked.excluded() {
            facts.push(("Excluded", Text(&excluded).to_string()));
        }
        let zone = zone_name(&self.zone).unwrap_or("local");
        facts.push(("Time zone", Text(zone).to_string()));
        facts.push(("Created", lists::time(self.made_at, &self.zone)));
        let totals = self.totals(report).into_iter();
        Heading {
            title: self.look.title(title),
            page_title: self.look.page_title(&plain),
            facts,
            totals: totals
                .map(|(number, noun)| (number, plural(number, noun)))
                .collect(),
        }
    }

    /// Writes the report as a mail: what is short first, then the list for which there is room.
    fn mail(&self, report: &Report, heading: &Heading, out: &mut impl Write) -> io::Result<()> {
        let mut mail = Mail::new(heading, &self.zone);
        if report.is_empty() {
            mail.nothing();
            return mail.finish(out);
        }
        let days = self.chart_days();
        match self.chart_span(days) {
            Some((first, last)) if !matches!(report, Report::ByDay(_)) => {
                mail.chart(days, first, last);
            }
            _ => {}
        }
        let Texts { heading, side, .. } = self.texts(report);
        if let Some((ranking, RankingText { heading, .. })) = side {
            mail.heading(&format!("{heading} by clicks"));
            mail.ranking(ranking, MAIL_ROWS)?;
        }
        mail.heading(heading);
        match report {
            Report::ByLead(report) => mail.leads(report)?,
            _ => mail.list(&report.list())?,
        }
        mail.finish(out)
    }

    /// The filters that are not in the title; empty if there are none.
    fn conditions(&self, report: &Report, asked: &Asked) -> String {
        let Selection {
            experts,
            email,
            query,
            ..
        } = &self.selection;
        let expert = |username: &String| {
            let name = self.experts.names.display_name(username);
            Expert { username, name }.to_string()
        };
        let listed =
            |experts: &[String]| experts.iter().map(expert).collect::<Vec<_>>().join(" or ");
        let subject = report.list().subject.map(|subject| subject.cell);
        let mut conditions = Vec::new();
        if !experts.is_empty() && !matches!(subject, Some(Cell::Expert { .. })) {
            conditions.push(format!("on {}", listed(experts)));
        }
        match email {
            Some(_) if matches!(subject, Some(Cell::Email(_) | Cell::Domain(_))) => {}
            Some(EmailFilter::Address(email)) => conditions.push(format!("by {}", Email(email))),
            Some(EmailFilter::Domain(domain)) => {
                conditions.push(format!("by leads of {}", Domain(domain)));
            }
            None => {}
        }
        match asked.segment.history {
            History::Any => {}
            History::New => conditions.push("by new leads".to_owned()),
            History::Returning(pause) => {
                let days = counted(pause.as_secs() / (24 * 60 * 60), "day");
                conditions.push(format!("by leads who came back after a pause of {days}"));
            }
        }
        if !asked.segment.not_experts.is_empty() {
            let others = listed(&asked.segment.not_experts);
            conditions.push(format!("by leads without a click on {others}"));
        }
        if let Some(query) = query {
            conditions.push(format!("after a search with “{}”", Isolated(query)));
        }
        conditions.join(" ")
    }

    /// The totals, without those that are always 1 in this report.
    fn totals(&self, report: &Report) -> Vec<(u64, &'static str)> {
        let clicks = self.days.totals;
        let mut totals = vec![(clicks.clicks, "click")];
        if !matches!(self.selection.email, Some(EmailFilter::Address(_))) {
            totals.push((clicks.leads, "lead"));
        }
        if self.selection.experts.len() != 1 {
            totals.push((self.experts.ranked_in_all, "expert"));
        }
        let queries = match report {
            Report::Ranking(ranking) if ranking.by == RankBy::Query => Some(ranking),
            _ => self.queries.as_ref(),
        };
        if let Some(queries) = queries {
            totals.push((queries.subjects(), "search"));
        }
        totals
    }

    fn texts(&self, report: &Report) -> Texts<'_> {
        let (heading, search, side) = match report {
            Report::ByLead(_) | Report::Leads(_) => {
                ("Leads", "Email, expert or search", Some(&self.experts))
            }
            Report::Ranking(ranking) => {
                let RankingText {
                    heading, search, ..
                } = ranking_text(ranking.by);
                (heading, search, None)
            }
            Report::Timeline(_) => {
                let side = match *self.selection.experts {
                    [_] => self.queries.as_ref(),
                    _ => Some(&self.experts),
                };
                let search = match report.list().subject.map(|subject| subject.cell) {
                    Some(Cell::Email(_)) => "Expert or search",
                    Some(Cell::Domain(_)) => "Lead, expert or search",
                    _ => "Lead or search",
                };
                ("Clicks", search, side)
            }
            _ => ("Days", "2026-11 or Sun", None),
        };
        Texts {
            heading,
            search,
            side: side.map(|ranking| (ranking, ranking_text(ranking.by))),
        }
    }

    /// Writes the list with a search box, and a ranking next to it.
    fn lists(&self, report: &Report, out: &mut impl Write) -> io::Result<()> {
        let list = report.list();
        let Texts {
            heading,
            search,
            side,
        } = self.texts(report);
        let (links, ids) = match (report, &side) {
            (Report::ByLead(report), _) => (Links::of_clicks(report, &self.experts), Ids::None),
            (Report::Leads(report), _) => (Links::of_leads(report, &self.experts), Ids::Leads),
            (Report::Timeline(_), Some((ranking, _))) if ranking.by == RankBy::Expert => {
                (Links::to_experts(ranking), Ids::None)
            }
            _ => (Links::default(), Ids::None),
        };
        let name = heading.to_lowercase();
        // A row for each lead needs the whole width.
        let class = match (report, &side) {
            (Report::Leads(_), _) | (_, None) => "lists one",
            _ => "lists",
        };
        match &side {
            Some((_, RankingText { heading, .. })) => writeln!(
                out,
                "<p class=\"jump\"><a href=\"#{}\">{heading} by clicks</a></p>\n<div class=\"{class}\">",
                heading.to_lowercase()
            )?,
            None => writeln!(out, "<div class=\"{class}\">")?,
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
            Report::ByLead(report) => {
                lists::leads(out, report, self.clicks_max, &links, &self.zone)?;
            }
            _ => lists::list(out, &list, &links, ids, &self.zone)?,
        }
        out.write_all(b"</section>\n")?;
        if let Some((ranking, RankingText { heading, flag, .. })) = side {
            writeln!(
                out,
                "<section id=\"{}\">\n<h2>{heading} by clicks</h2>",
                heading.to_lowercase()
            )?;
            lists::short_ranking(out, ranking, &links, flag)?;
            out.write_all(b"</section>\n")?;
        }
        out.write_all(b"</div>\n")
    }
}
