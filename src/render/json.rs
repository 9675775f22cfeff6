//! JSON in the shapes that frontend programs know, and NDJSON with a flat object a click. Both are exact: no
//! character is changed.

use std::io::{self, Write};

use serde::Serialize;

use super::rounded;
use crate::{
    expert::Expert,
    reports::{ByDay, ByLead, ClickRow, Day, RankBy, Ranking, Subject, Summary, Timeline, Totals},
    storage::{Finding, State},
    timestamp::Timestamp,
};

/// Writes `{"leads":[{"email":…,"clicks":[…]}]}` and a line break.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn by_email(mut out: impl Write, report: &ByLead) -> io::Result<()> {
    let mut leads = List::begin(&mut out, b"{\"leads\":[")?;
    for lead in report.leads() {
        leads.separate()?;
        leads.out.write_all(b"{\"email\":")?;
        value(leads.out, lead.email())?;
        let mut clicks = List::begin(leads.out, b",\"clicks\":[")?;
        for click in lead.clicks() {
            clicks.item(&ClickOfLead::of(&click))?;
        }
        clicks.out.write_all(b"]}")?;
    }
    out.write_all(b"]}\n")?;
    out.flush()
}

/// Writes `{"expert_username":…,"expert_name":…,"clicks":[…]}` or `{"email":…,"clicks":[…]}` and a line break, the
/// clicks as they are read. What all clicks have in common stands before them alone.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn timeline(mut out: impl Write, report: &Timeline) -> io::Result<()> {
    let subject = report.subject().clone();
    match &subject {
        Subject::Expert(username) => {
            out.write_all(b"{\"expert_username\":")?;
            value(&mut out, username)?;
            out.write_all(b",\"expert_name\":")?;
            value(&mut out, report.names().display_name(username))?;
        }
        Subject::Lead(email) => {
            out.write_all(b"{\"email\":")?;
            value(&mut out, email)?;
        }
    }
    let mut clicks = List::begin(&mut out, b",\"clicks\":[")?;
    for click in report.clicks() {
        match &subject {
            Subject::Expert(_) => clicks.item(&ClickOnExpert::of(&click)),
            Subject::Lead(_) => clicks.item(&ClickOfLead::of(&click)),
        }?;
    }
    out.write_all(b"]}\n")?;
    out.flush()
}

/// Writes `{"clicks":…,"leads":…,"experts":[…]}`, or `"queries"`, and a line break. The numbers count every click, so that
/// they are what a share is a share of.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn ranking(mut out: impl Write, report: &Ranking) -> io::Result<()> {
    let ranked: Vec<RankedRow<'_>> = ranked_rows(report).collect();
    let (experts, queries) = match report.by() {
        RankBy::Expert => (Some(ranked), None),
        RankBy::Query => (None, Some(ranked)),
    };
    let Totals { clicks, leads } = report.totals();
    let all = RankingDocument {
        clicks,
        leads,
        experts,
        queries,
    };
    line(&mut out, &all)?;
    out.flush()
}

/// Writes a line an expert or a search.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn ranking_lines(mut out: impl Write, report: &Ranking) -> io::Result<()> {
    for ranked in ranked_rows(report) {
        line(&mut out, &ranked)?;
    }
    out.flush()
}

/// Writes `{"clicks":…,"leads":…,"days":[{"day":…,"clicks":…,"leads":…}]}` and a line break.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn by_day(mut out: impl Write, report: &ByDay) -> io::Result<()> {
    let Totals { clicks, leads } = report.totals();
    let all = DaysDocument {
        clicks,
        leads,
        days: day_rows(report.days()),
    };
    line(&mut out, &all)?;
    out.flush()
}

/// Writes a line a day.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn by_day_lines(mut out: impl Write, report: &ByDay) -> io::Result<()> {
    for day in day_rows(report.days()) {
        line(&mut out, &day)?;
    }
    out.flush()
}

/// Writes an object with everything that the summary's screen has, and a line break.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn summary(mut out: impl Write, summary: &Summary) -> io::Result<()> {
    let newest_leads = summary.newest_leads.iter().map(|lead| NewLeadRow {
        email: &lead.email,
        first_click_at: lead.first_at,
        expert_username: &lead.expert_username,
        expert_name: summary.names.display_name(&lead.expert_username),
        search_query: &lead.search_query,
        clicks: lead.clicks,
    });
    let all = SummaryDocument {
        clicks: summary.totals.clicks,
        leads: summary.totals.leads,
        experts: summary.experts,
        first_click_at: summary.first_at,
        latest_click_at: summary.latest_at,
        this_week: CountRow::of(summary.this_week),
        last_week_by_now: CountRow::of(summary.last_week),
        days: day_rows(&summary.days),
        top_experts: ranked_rows(&summary.top_experts).collect(),
        top_queries: ranked_rows(&summary.top_queries).collect(),
        newest_leads: newest_leads.collect(),
    };
    line(&mut out, &all)?;
    out.flush()
}

/// Writes `{"experts":[{"username":…,"first_name":…,"last_name":…}]}` and a line break.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn experts(mut out: impl Write, experts: &[Expert]) -> io::Result<()> {
    let mut list = List::begin(&mut out, b"{\"experts\":[")?;
    for expert in experts {
        list.item(expert)?;
    }
    out.write_all(b"]}\n")?;
    out.flush()
}

/// Writes `{"state":…,"checks":[{"check":…,"state":…,"found":…,"next":…}]}`, the worst state first, and a line break.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn checks(mut out: impl Write, lines: &[Finding]) -> io::Result<()> {
    out.write_all(b"{\"state\":")?;
    value(&mut out, &State::worst(lines))?;
    let mut list = List::begin(&mut out, b",\"checks\":[")?;
    for line in lines {
        list.item(line)?;
    }
    out.write_all(b"]}\n")?;
    out.flush()
}

/// Writes a line a click, each an object with the same fields as the CSV's columns.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn by_email_lines(mut out: impl Write, report: &ByLead) -> io::Result<()> {
    for lead in report.leads() {
        for click in lead.clicks() {
            line(&mut out, &click)?;
        }
    }
    out.flush()
}

/// Writes a line a click as they are read, as [`by_email_lines`] does.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn timeline_lines(mut out: impl Write, report: &Timeline) -> io::Result<()> {
    for click in report.clicks() {
        line(&mut out, &click)?;
    }
    out.flush()
}

/// Writes a line an expert.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn expert_lines(mut out: impl Write, experts: &[Expert]) -> io::Result<()> {
    for expert in experts {
        line(&mut out, expert)?;
    }
    out.flush()
}

#[derive(Serialize)]
struct ClickOfLead<'a> {
    expert_username: &'a str,
    expert_name: &'a str,
    search_query: &'a str,
    created_at: Timestamp,
}

impl<'a> ClickOfLead<'a> {
    fn of(click: &ClickRow<'a>) -> Self {
        Self {
            expert_username: click.expert_username,
            expert_name: click.expert_name,
            search_query: click.search_query,
            created_at: click.created_at,
        }
    }
}

#[derive(Serialize)]
struct ClickOnExpert<'a> {
    email: &'a str,
    search_query: &'a str,
    created_at: Timestamp,
}

impl<'a> ClickOnExpert<'a> {
    fn of(click: &ClickRow<'a>) -> Self {
        Self {
            email: click.email,
            search_query: click.search_query,
            created_at: click.created_at,
        }
    }
}

#[derive(Serialize)]
struct RankingDocument<'a> {
    clicks: u64,
    leads: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    experts: Option<Vec<RankedRow<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queries: Option<Vec<RankedRow<'a>>>,
}

/// An expert with username and name, or a search.
#[derive(Serialize)]
struct RankedRow<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    expert_username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expert_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    search_query: Option<&'a str>,
    clicks: u64,
    leads: u64,
    share: f64,
    latest_click_at: Timestamp,
}

fn ranked_rows(report: &Ranking) -> impl Iterator<Item = RankedRow<'_>> {
    report.ranked().iter().map(|ranked| {
        let subject = &*ranked.subject;
        let is_expert = report.by() == RankBy::Expert;
        RankedRow {
            expert_username: is_expert.then_some(subject),
            expert_name: is_expert.then(|| report.names().display_name(subject)),
            search_query: (!is_expert).then_some(subject),
            clicks: ranked.clicks,
            leads: ranked.leads,
            share: rounded(report.share(ranked)),
            latest_click_at: ranked.latest_at,
        }
    })
}

#[derive(Serialize)]
struct DaysDocument {
    clicks: u64,
    leads: u64,
    days: Vec<DayRow>,
}

#[derive(Serialize)]
struct DayRow {
    day: String,
    clicks: u64,
    leads: u64,
}

fn day_rows(days: &[Day]) -> Vec<DayRow> {
    days.iter()
        .map(|day| DayRow {
            day: day.date.to_string(),
            clicks: day.clicks,
            leads: day.leads,
        })
        .collect()
}

#[derive(Serialize)]
struct SummaryDocument<'a> {
    clicks: u64,
    leads: u64,
    experts: u64,
    first_click_at: Option<Timestamp>,
    latest_click_at: Option<Timestamp>,
    this_week: CountRow,
    last_week_by_now: CountRow,
    days: Vec<DayRow>,
    top_experts: Vec<RankedRow<'a>>,
    top_queries: Vec<RankedRow<'a>>,
    newest_leads: Vec<NewLeadRow<'a>>,
}

#[derive(Serialize)]
struct CountRow {
    clicks: u64,
    leads: u64,
}

impl CountRow {
    fn of(totals: Totals) -> Self {
        Self {
            clicks: totals.clicks,
            leads: totals.leads,
        }
    }
}

#[derive(Serialize)]
struct NewLeadRow<'a> {
    email: &'a str,
    first_click_at: Timestamp,
    expert_username: &'a str,
    expert_name: &'a str,
    search_query: &'a str,
    clicks: u64,
}

/// A JSON array that is written item by item.
struct List<'a, W> {
    out: &'a mut W,
    is_empty: bool,
}

impl<'a, W: Write> List<'a, W> {
    fn begin(out: &'a mut W, opening: &[u8]) -> io::Result<Self> {
        out.write_all(opening)?;
        Ok(Self {
            out,
            is_empty: true,
        })
    }

    fn separate(&mut self) -> io::Result<()> {
        if !self.is_empty {
            self.out.write_all(b",")?;
        }
        self.is_empty = false;
        Ok(())
    }

    fn item(&mut self, item: &impl Serialize) -> io::Result<()> {
        self.separate()?;
        value(self.out, item)
    }
}

fn value(out: &mut impl Write, value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    Ok(serde_json::to_writer(out, value)?)
}

fn line(out: &mut impl Write, item: &impl Serialize) -> io::Result<()> {
    value(out, item)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        import::clicks::Format,
        render::tests::{assert_imported, clicks, row},
        text::spreadsheet::Cells,
    };
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_imported_as_it_was(clicks in clicks()) {
            let mut file = Vec::new();
            for (click, created_at) in &clicks {
                line(&mut file, &row(click, *created_at)).unwrap();
            }
            assert_imported(&file, Format::Ndjson, Cells::Guarded, &clicks);
        }
    }
}
