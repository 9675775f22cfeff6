//! What every format needs from a report: its rows, and its columns, each with its header, cell and JSON fields in one place.

use std::{io, iter};

use jiff::civil::Date;

use super::table::WIDE_COLUMNS;
use crate::{
    expert::{Expert, ExpertNames},
    reports::{
        ByDay, ByLead, ClickRow, Day, Experts, Lead, LeadOverview, NewLead, RankBy, Ranked,
        Ranking, Subject, Timeline, Totals,
    },
    storage::{Finding, FoundClicks, SpellingRows, State, TableRows},
    timestamp::Timestamp,
};

/// A column of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column<'a> {
    pub(super) info: &'static ColumnInfo,
    pub(super) cell: Cell<'a>,
}

/// The properties of a column that are the same in every row.
#[derive(Debug)]
pub(super) struct ColumnInfo {
    /// The header for people.
    pub(super) header: &'static str,
    /// The position of the column for people. CSV and JSON have the order of the row.
    pub(super) position: u8,
    /// The names of the values in CSV and JSON.
    pub(super) fields: &'static [&'static str],
    /// Whether only wide pages have room for it.
    pub(super) is_wide: bool,
    /// The width of the narrowest screen whose tables have it.
    pub(super) screen_min: u16,
    /// The order in which columns are left out of a table that is too narrow for whole emails and usernames; none for a column
    /// that stays.
    pub(super) dropped: Option<u8>,
}

/// The cell of a column in a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell<'a> {
    /// A word of leadclicks itself, never from a visitor.
    Word(&'static str),
    Text(&'a str),
    Email(&'a str),
    /// The domain of leads' emails, without the `@`.
    Domain(&'a str),
    /// Two values. The name is the username if the expert has none.
    Expert {
        username: &'a str,
        name: &'a str,
    },
    /// A lead's search before a click.
    Search(&'a str),
    /// A search as the subject of a row.
    SearchSubject(&'a str),
    /// Two values: the finding of a check, and the next step.
    Finding {
        found: &'a str,
        next: Option<&'a str>,
    },
    Count(u64),
    /// A count in the period before, which people see with the change since.
    Before {
        now: u64,
        before: u64,
    },
    /// From 0 to 1.
    Share(f64),
    Time(Timestamp),
    Day(Date),
    /// So many days in one row, which only people get.
    Gap(u32),
    /// A bar for people, without a value in CSV and JSON. `columns` is its length for `max`, on a narrow and on a wide screen.
    Bar {
        value: u64,
        max: u64,
        columns: [u16; 2],
    },
}

/// A value in CSV and JSON.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Nothing,
    Text(&'a str),
    Count(u64),
    Share(f64),
    Time(Timestamp),
    Day(Date),
}

impl ColumnInfo {
    const fn new(header: &'static str, position: u8, fields: &'static [&'static str]) -> Self {
        Self {
            header,
            position,
            fields,
            is_wide: false,
            screen_min: 0,
            dropped: None,
        }
    }

    /// For a column that only wide tables and pages have room for.
    const fn wide(self) -> Self {
        Self {
            is_wide: true,
            screen_min: WIDE_COLUMNS,
            ..self
        }
    }

    /// For a column that narrow tables drop in this order.
    const fn dropped(self, order: u8) -> Self {
        Self {
            dropped: Some(order),
            ..self
        }
    }

    /// For a column of tables on screens of at least this width.
    const fn on_screens_from(self, screen_min: u16) -> Self {
        Self { screen_min, ..self }
    }
}

impl<'a> Column<'a> {
    fn new(info: &'static ColumnInfo, cell: Cell<'a>) -> Self {
        Self { info, cell }
    }

    /// The values with their names.
    pub(super) fn values(&self) -> impl Iterator<Item = (&'static str, Value<'a>)> + use<'a> {
        let mut second = Value::Nothing;
        let first = match self.cell {
            Cell::Word(text)
            | Cell::Text(text)
            | Cell::Email(text)
            | Cell::Domain(text)
            | Cell::Search(text)
            | Cell::SearchSubject(text) => Value::Text(text),
            Cell::Expert { username, name } => {
                second = Value::Text(name);
                Value::Text(username)
            }
            Cell::Finding { found, next } => {
                second = next.map_or(Value::Nothing, Value::Text);
                Value::Text(found)
            }
            Cell::Count(count) | Cell::Before { before: count, .. } => Value::Count(count),
            Cell::Share(share) => Value::Share(share),
            Cell::Time(time) => Value::Time(time),
            Cell::Day(date) => Value::Day(date),
            Cell::Gap(_) | Cell::Bar { .. } => Value::Nothing,
        };
        self.info.fields.iter().copied().zip([first, second])
    }
}

pub(super) fn email(email: &str) -> Column<'_> {
    const INFO: ColumnInfo = ColumnInfo::new("Lead", 1, &["email"]);
    Column::new(&INFO, Cell::Email(email))
}

fn domain(domain: &str) -> Column<'_> {
    const INFO: ColumnInfo = ColumnInfo::new("Domain", 1, &["domain"]);
    Column::new(&INFO, Cell::Domain(domain))
}

pub(super) fn expert<'a>(username: &'a str, name: &'a str) -> Column<'a> {
    const INFO: ColumnInfo = ColumnInfo::new("Expert", 1, &["expert_username", "expert_name"]);
    Column::new(&INFO, Cell::Expert { username, name })
}

fn search(query: &str) -> Column<'_> {
    const INFO: ColumnInfo = ColumnInfo::new("Search", 2, &["search_query"]);
    Column::new(&INFO, Cell::Search(query))
}

pub(super) fn clicks<'a>(clicks: u64) -> Column<'a> {
    const INFO: ColumnInfo = ColumnInfo::new("Clicks", 2, &["clicks"]);
    Column::new(&INFO, Cell::Count(clicks))
}

fn lead_count<'a>(leads: u64) -> Column<'a> {
    const INFO: ColumnInfo = ColumnInfo::new("Leads", 4, &["leads"]);
    Column::new(&INFO, Cell::Count(leads))
}

fn bar<'a>(value: u64, max: u64, columns: [u16; 2]) -> Column<'a> {
    const INFO: ColumnInfo = ColumnInfo::new("", u8::MAX, &[]);
    let cell = Cell::Bar {
        value,
        max,
        columns,
    };
    Column::new(&INFO, cell)
}

impl<'a> ClickRow<'a> {
    pub(super) fn columns(&self) -> [Column<'a>; 4] {
        const TIME: ColumnInfo = ColumnInfo::new("Time", 0, &["created_at"]);
        [
            email(self.email),
            expert(self.expert_username, self.expert_name),
            search(self.search_query),
            Column::new(&TIME, Cell::Time(self.created_at)),
        ]
    }
}

impl<'a> LeadOverview<'a> {
    /// The columns. If the report is on one expert, a table has the latest search instead of what is the same in all rows.
    fn columns(&self, experts: Experts) -> [Column<'a>; 7] {
        const EXPERTS: ColumnInfo = ColumnInfo::new("Experts", 3, &["experts"]).dropped(1);
        const FIRST: ColumnInfo = ColumnInfo::new("First click", 4, &["first_click_at"]).wide();
        const LATEST: ColumnInfo =
            ColumnInfo::new("Latest click", 5, &["latest_click_at"]).dropped(3);
        const TOP: ColumnInfo = ColumnInfo::new(
            "Most clicked",
            6,
            &["top_expert_username", "top_expert_name"],
        )
        .dropped(2);
        const SEARCH: ColumnInfo =
            ColumnInfo::new("Latest search", 7, &["latest_search_query"]).wide();
        const NO_EXPERTS: ColumnInfo = EXPERTS.on_screens_from(u16::MAX);
        const NO_TOP: ColumnInfo = TOP.on_screens_from(u16::MAX);
        const ANY_SEARCH: ColumnInfo = SEARCH.on_screens_from(0);
        let (experts, top, search): (_, _, &'static ColumnInfo) = match experts {
            Experts::Any => (&EXPERTS, &TOP, &SEARCH),
            Experts::One => (&NO_EXPERTS, &NO_TOP, &ANY_SEARCH),
        };
        let (username, name) = (self.top_username, self.top_name);
        [
            email(self.email),
            clicks(self.clicks),
            Column::new(experts, Cell::Count(self.experts)),
            Column::new(&FIRST, Cell::Time(self.first_at)),
            Column::new(&LATEST, Cell::Time(self.latest_at)),
            Column::new(top, Cell::Expert { username, name }),
            Column::new(search, Cell::Search(self.latest_search)),
        ]
    }
}

impl Ranking {
    fn columns<'a>(&'a self, row: &'a Ranked) -> [Column<'a>; 6] {
        const SEARCH: ColumnInfo = ColumnInfo::new("Search", 1, &["search_query"]);
        const SHARE: ColumnInfo = ColumnInfo::new("Share", 3, &["share"]);
        const LATEST: ColumnInfo = ColumnInfo::new("Latest click", 5, &["latest_click_at"]);
        const BEFORE: ColumnInfo = ColumnInfo::new("Before", 2, &["clicks_before"]);
        let subject = match self.by {
            RankBy::Expert => expert(&row.subject, self.names.display_name(&row.subject)),
            RankBy::Query => Column::new(&SEARCH, Cell::SearchSubject(&row.subject)),
        };
        [
            subject,
            clicks(row.clicks),
            lead_count(row.leads),
            Column::new(&SHARE, Cell::Share(self.share(row.clicks))),
            Column::new(&LATEST, Cell::Time(row.latest_at)),
            if self.is_compared {
                let (now, before) = (row.clicks, row.clicks_before);
                Column::new(&BEFORE, Cell::Before { now, before })
            } else {
                bar(row.clicks, self.clicks_max(), [5, 10])
            },
        ]
    }
}

impl Day {
    fn columns<'a>(&self, clicks_max: u64) -> [Column<'a>; 4] {
        const DAY: ColumnInfo = ColumnInfo::new("Day", 1, &["day"]);
        [
            Column::new(
                &DAY,
                match self.days {
                    1 => Cell::Day(self.date),
                    days => Cell::Gap(days),
                },
            ),
            clicks(self.clicks),
            lead_count(self.leads),
            bar(self.clicks, clicks_max, [20, 20]),
        ]
    }
}

impl Expert {
    fn columns(&self) -> [Column<'_>; 3] {
        const USERNAME: ColumnInfo = ColumnInfo::new("Username", 1, &["username"]);
        const FIRST_NAME: ColumnInfo = ColumnInfo::new("First name", 2, &["first_name"]);
        const LAST_NAME: ColumnInfo = ColumnInfo::new("Last name", 3, &["last_name"]);
        [
            Column::new(&USERNAME, Cell::Text(&self.username)),
            Column::new(&FIRST_NAME, Cell::Text(&self.first_name)),
            Column::new(&LAST_NAME, Cell::Text(&self.last_name)),
        ]
    }
}

fn state<'a>(state: State) -> Column<'a> {
    const INFO: ColumnInfo = ColumnInfo::new("State", 2, &["state"]);
    Column::new(&INFO, Cell::Word(state.name()))
}

impl Finding {
    fn columns(&self) -> [Column<'_>; 3] {
        const CHECK: ColumnInfo = ColumnInfo::new("Check", 1, &["check"]);
        const FOUND: ColumnInfo = ColumnInfo::new("Found", 3, &["found", "next"]);
        let cell = Cell::Finding {
            found: &self.found,
            next: self.next.as_deref(),
        };
        [
            Column::new(&CHECK, Cell::Word(self.check)),
            state(self.state),
            Column::new(&FOUND, cell),
        ]
    }
}

const TABLE: ColumnInfo = ColumnInfo::new("Table", 1, &["table"]);
const ROWS: ColumnInfo = ColumnInfo::new("Rows", 3, &["rows"]);

impl TableRows {
    fn columns<'a>(&self) -> [Column<'a>; 2] {
        [
            Column::new(&TABLE, Cell::Word(self.table)),
            Column::new(&ROWS, Cell::Count(self.rows)),
        ]
    }
}

impl SpellingRows {
    fn columns(&self) -> [Column<'_>; 3] {
        const SPELLING: ColumnInfo = ColumnInfo::new("Email", 2, &["email"]);
        [
            Column::new(&TABLE, Cell::Word(self.table)),
            Column::new(&SPELLING, Cell::Text(&self.spelling)),
            Column::new(&ROWS, Cell::Count(self.rows)),
        ]
    }
}

impl NewLead {
    fn columns(&self) -> [Column<'_>; 5] {
        const FIRST: ColumnInfo = ColumnInfo::new("First click", 0, &["first_click_at"]);
        [
            email(&self.email),
            Column::new(&FIRST, Cell::Time(self.first_at)),
            expert(&self.expert_username, &self.expert_name),
            search(&self.search_query),
            clicks(self.clicks),
        ]
    }
}

/// A function that is called with the columns of each row.
pub(super) type Visit<'v> = &'v mut dyn FnMut(&[Column<'_>]) -> io::Result<()>;

/// A list of rows with the same columns.
pub(super) struct List<'a> {
    /// The name of the list in JSON.
    pub(super) name: &'static str,
    /// The noun for a row, in the singular.
    pub(super) noun: &'static str,
    /// The word before the noun for rows that are not shown.
    pub(super) rest: &'static str,
    /// The number of rows, shown or not.
    pub(super) all: u64,
    /// The number of rows that are shown.
    pub(super) shown: u64,
    /// What all rows have in common: a column that CSV and NDJSON repeat in each row, and that the other formats have once,
    /// or a domain.
    pub(super) subject: Option<Column<'a>>,
    /// The fields that JSON has before the list, after the subject.
    pub(super) head: Vec<Column<'a>>,
    /// The totals below a table.
    pub(super) totals: Vec<(u64, &'static str)>,
    /// `times` or `days`, if the list has any that depend on the time zone.
    pub(super) dated: Option<&'static str>,
    /// A row for the headers, fields and kinds of the columns; the values of its cells are not used.
    pub(super) sample: Vec<Column<'a>>,
    /// Passes each row that is shown to a visitor.
    pub(super) rows: Box<dyn Fn(Visit<'_>) -> io::Result<()> + 'a>,
}

impl<'a> List<'a> {
    /// A list with only rows, all of which are shown.
    fn new<Row, const COLUMNS: usize>(
        name: &'static str,
        noun: &'static str,
        sample: [Column<'a>; COLUMNS],
        rows: impl ExactSizeIterator<Item = Row> + Clone + 'a,
        columns: impl Fn(Row) -> [Column<'a>; COLUMNS] + 'a,
    ) -> Self {
        let shown = rows.len() as u64;
        Self {
            name,
            noun,
            rest: "more",
            all: shown,
            shown,
            subject: None,
            head: Vec::new(),
            totals: Vec::new(),
            dated: None,
            sample: sample.to_vec(),
            rows: Box::new(move |visit| rows.clone().try_for_each(|row| visit(&columns(row)))),
        }
    }

    /// The columns of a row without the subject.
    pub(super) fn without_subject<'r, 'c>(
        &self,
        row: &'r [Column<'c>],
    ) -> impl Iterator<Item = &'r Column<'c>> + Clone {
        let header = self.subject.map(|subject| subject.info.header);
        row.iter()
            .filter(move |column| Some(column.info.header) != header)
    }

    /// The same columns in the order for people.
    pub(super) fn for_people<'r, 'c>(&self, row: &'r [Column<'c>]) -> Vec<&'r Column<'c>> {
        let mut columns: Vec<_> = self.without_subject(row).collect();
        columns.sort_by_key(|column| column.info.position);
        columns
    }
}

/// All clicks of the leads that are shown.
pub(super) fn by_lead(report: &ByLead) -> List<'_> {
    let Totals { leads, clicks } = report.totals;
    List {
        all: clicks,
        shown: report.shown().clicks,
        totals: vec![(leads, "lead"), (clicks, "click")],
        rows: Box::new(|visit| {
            report
                .leads()
                .flat_map(|lead| lead.clicks())
                .try_for_each(|click| visit(&click.columns()))
        }),
        ..click_list(iter::empty())
    }
}

/// A row for each lead that is shown.
pub(super) fn leads(report: &ByLead) -> List<'_> {
    let Totals { leads, clicks } = report.totals;
    List {
        all: leads,
        shown: report.shown().leads,
        totals: vec![(leads, "lead"), (clicks, "click")],
        dated: Some("times"),
        rows: Box::new(|visit| {
            report
                .leads()
                .try_for_each(|lead| visit(&lead.overview().columns(report.experts)))
        }),
        ..List::new(
            "leads",
            "lead",
            LeadOverview::default().columns(report.experts),
            iter::empty(),
            |lead: LeadOverview<'_>| lead.columns(report.experts),
        )
    }
}

/// The first `clicks_max` clicks of one lead.
pub(super) fn of_lead<'a>(lead: &Lead<'a>, clicks_max: u64) -> List<'a> {
    let lead = *lead;
    let clicks_max = usize::try_from(clicks_max).unwrap_or(usize::MAX);
    List {
        subject: Some(email(lead.email())),
        all: lead.click_count(),
        shown: lead.click_count().min(clicks_max as u64),
        rows: Box::new(move |visit| {
            lead.clicks()
                .take(clicks_max)
                .try_for_each(|click| visit(&click.columns()))
        }),
        ..click_list(iter::empty())
    }
}

pub(super) fn timeline(report: &Timeline) -> List<'_> {
    let totals = report.totals;
    let (leads, experts) = ((totals.leads, "lead"), (totals.experts, "expert"));
    let (subject, others) = match &report.subject {
        Subject::Expert(username) => {
            let name = report.names.display_name(username);
            (expert(username, name), vec![leads])
        }
        Subject::Lead(address) => (email(address), vec![experts]),
        Subject::Domain(name) => (domain(name), vec![leads, experts]),
    };
    List {
        subject: Some(subject),
        all: totals.clicks,
        totals: [others, vec![(totals.clicks, "click")]].concat(),
        ..click_list(report.clicks())
    }
}

fn click_list<'a>(clicks: impl ExactSizeIterator<Item = ClickRow<'a>> + Clone + 'a) -> List<'a> {
    let sample = ClickRow::default().columns();
    List {
        dated: Some("times"),
        ..List::new("clicks", "click", sample, clicks, |click| click.columns())
    }
}

pub(super) fn ranking(report: &Ranking) -> List<'_> {
    static SAMPLE: Ranked = Ranked {
        subject: String::new(),
        clicks: 0,
        leads: 0,
        latest_at: Timestamp::EPOCH,
        clicks_before: 0,
    };
    let (name, noun) = match report.by {
        RankBy::Expert => ("experts", "expert"),
        RankBy::Query => ("queries", "search"),
    };
    List {
        all: report.ranked_in_all,
        head: totals(report.totals).into(),
        totals: counts(report.subjects(), noun, report.totals),
        dated: Some("times"),
        ..List::new(
            name,
            noun,
            report.columns(&SAMPLE),
            report.ranked.iter(),
            |row| report.columns(row),
        )
    }
}

pub(super) fn by_day(report: &ByDay) -> List<'_> {
    List {
        rest: "earlier",
        all: report.rows_in_all,
        head: totals(report.totals).into(),
        totals: counts(report.days_in_all, "day", report.totals),
        dated: Some("days"),
        ..days(&report.days)
    }
}

pub(super) fn days(days: &[Day]) -> List<'_> {
    let clicks_max = days.iter().map(|day| day.clicks).max().unwrap_or_default();
    let sample = Day::without_clicks(Date::MIN).columns(0);
    List::new("days", "day", sample, days.iter(), move |day| {
        day.columns(clicks_max)
    })
}

pub(super) fn totals<'a>(totals: Totals) -> [Column<'a>; 2] {
    [clicks(totals.clicks), lead_count(totals.leads)]
}

fn counts(rows: u64, noun: &'static str, totals: Totals) -> Vec<(u64, &'static str)> {
    vec![
        (rows, noun),
        (totals.leads, "lead"),
        (totals.clicks, "click"),
    ]
}

pub(super) fn leads_of(found: &FoundClicks) -> List<'_> {
    let sample = [email(""), clicks(0)];
    let leads = found.top_leads.iter();
    List {
        all: found.leads,
        ..List::new("leads", "lead", sample, leads, |lead| {
            [email(&lead.name), clicks(lead.clicks)]
        })
    }
}

pub(super) fn experts_of<'a>(found: &'a FoundClicks, names: &'a ExpertNames) -> List<'a> {
    let sample = [expert("", ""), clicks(0)];
    let experts = found.top_experts.iter();
    List {
        all: found.experts,
        ..List::new("experts", "expert", sample, experts, |of| {
            [
                expert(&of.name, names.display_name(&of.name)),
                clicks(of.clicks),
            ]
        })
    }
}

pub(super) fn new_leads(leads: &[NewLead]) -> List<'_> {
    static SAMPLE: NewLead = NewLead {
        email: String::new(),
        first_at: Timestamp::EPOCH,
        expert_username: String::new(),
        expert_name: String::new(),
        search_query: String::new(),
        clicks: 0,
    };
    List::new(
        "newest_leads",
        "lead",
        SAMPLE.columns(),
        leads.iter(),
        NewLead::columns,
    )
}

pub(super) fn experts(experts: &[Expert]) -> List<'_> {
    static SAMPLE: Expert = Expert {
        username: String::new(),
        first_name: String::new(),
        last_name: String::new(),
    };
    List {
        totals: vec![(experts.len() as u64, "expert")],
        ..List::new(
            "experts",
            "expert",
            SAMPLE.columns(),
            experts.iter(),
            Expert::columns,
        )
    }
}

pub(super) fn findings(findings: &[Finding]) -> List<'_> {
    static SAMPLE: Finding = Finding {
        measured: None,
        check: "",
        state: State::Ok,
        found: String::new(),
        next: None,
    };
    List {
        head: vec![state(State::worst(findings))],
        ..List::new(
            "checks",
            "check",
            SAMPLE.columns(),
            findings.iter(),
            Finding::columns,
        )
    }
}

pub(super) fn tables(tables: &[TableRows]) -> List<'_> {
    let sample = TableRows { table: "", rows: 0 }.columns();
    List::new("tables", "table", sample, tables.iter(), TableRows::columns)
}

pub(super) fn spellings(spellings: &[SpellingRows]) -> List<'_> {
    static SAMPLE: SpellingRows = SpellingRows {
        table: "",
        spelling: String::new(),
        rows: 0,
    };
    List::new(
        "spellings",
        "spelling",
        SAMPLE.columns(),
        spellings.iter(),
        SpellingRows::columns,
    )
}
