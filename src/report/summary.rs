use std::{cmp::Reverse, num::NonZeroU64};

use jiff::{ToSpan, Zoned, civil::Date};
use rusqlite::{Connection, Row};

use super::{
    Day, RankBy, Ranking, Selection, Totals, Window, by_day, created_at, ranking, text,
    texts::Texts,
};
use crate::{
    experts::Names,
    store::{Db, Error, Problem, text_of},
    timestamp::Timestamp,
};

/// How many days the chart and the rankings of a summary cover, today among them.
pub const SUMMARY_DAYS: usize = 30;
/// How many experts, searches and leads a summary names: what one screen holds.
pub const SUMMARY_ROWS: NonZeroU64 = NonZeroU64::new(5).unwrap();

/// What there is to know at a glance.
#[derive(Debug)]
pub struct Summary {
    /// All leads and clicks.
    pub totals: Totals,
    /// How many different experts were ever clicked.
    pub experts: u64,
    /// When the first click was stored; none where there is no click.
    pub first_at: Option<Timestamp>,
    /// When the latest was.
    pub latest_at: Option<Timestamp>,
    /// From Monday's beginning on.
    pub this_week: Totals,
    /// The week before, up to the same day and time.
    pub last_week: Totals,
    /// The last [`SUMMARY_DAYS`] days, today the last.
    pub days: Vec<Day>,
    /// The experts that were clicked most in those days.
    pub top_experts: Ranking,
    /// What was searched for most before the clicks of those days.
    pub top_queries: Ranking,
    /// The leads whose first click is the newest.
    pub newest_leads: Vec<NewLead>,
    /// The experts' names.
    pub names: Names,
}

/// A lead and the first click.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLead {
    /// The lead's email address.
    pub email: String,
    /// When the lead clicked first.
    pub first_at: Timestamp,
    /// Whom the lead clicked first.
    pub expert_username: String,
    /// After which search; may be empty.
    pub search_query: String,
    /// How many clicks the lead has by now.
    pub clicks: u64,
}

/// Sums up all clicks, as of one instant of the database. Weeks and days are those of `now`'s time zone.
///
/// Reads all clicks once, and those of the last 30 days three times more.
///
/// # Errors
/// As [`by_day`].
pub fn summary(db: &Db, now: &Zoned) -> Result<Summary, Error> {
    db.snapshot(|db| {
        let today = now.date();
        // Clicks that are dated in the future are of no week and no day.
        let tomorrow = begin_of(today, 1, now);
        let month = Selection {
            window: Window {
                since: begin_of(today, 1 - days(SUMMARY_DAYS), now),
                until: tomorrow,
            },
            ..Selection::default()
        };
        let monday = 0 - i32::from(today.weekday().to_monday_zero_offset());
        let this_week = Window {
            since: begin_of(today, monday, now),
            until: tomorrow,
        };
        let last_week = Window {
            since: begin_of(today, monday - 7, now),
            until: now
                .checked_sub(7.days())
                .ok()
                .map(|then| Timestamp::new(then.timestamp())),
        };
        let overall = db.read(read_all)?;
        Ok(Summary {
            totals: overall.totals,
            experts: overall.experts,
            first_at: overall.first_at,
            latest_at: overall.latest_at,
            this_week: totals(db, this_week)?,
            last_week: totals(db, last_week)?,
            days: last_days(db, &month, now)?,
            top_experts: ranking(db, RankBy::Expert, &month, Some(SUMMARY_ROWS))?,
            top_queries: ranking(db, RankBy::Query, &month, Some(SUMMARY_ROWS))?,
            newest_leads: overall.newest_leads,
            names: Names::load(db)?,
        })
    })
}

fn days(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The beginning of the day that is so many days after `date`; none before the calendar's first.
fn begin_of(date: Date, days_later: i32, now: &Zoned) -> Option<Timestamp> {
    let begin = date
        .checked_add(days_later.days())
        .and_then(|date| date.to_zoned(now.time_zone().clone()));
    Some(Timestamp::new(begin.ok()?.timestamp()))
}

fn totals(db: &Db, window: Window) -> Result<Totals, Error> {
    let conditions = window.conditions();
    let sql = format!(
        "SELECT count(DISTINCT email), count(*) FROM lead_clicks WHERE {}",
        conditions.sql()
    );
    db.run(|conn| {
        conn.query_row(&sql, conditions.parameters(), |row| {
            Ok(Totals {
                leads: row.get(0)?,
                clicks: row.get(1)?,
            })
        })
    })
}

fn last_days(db: &Db, month: &Selection, now: &Zoned) -> Result<Vec<Day>, Error> {
    let counted = by_day(db, month, now.time_zone(), None)?;
    let today = now.date();
    let mut days: Vec<Day> = std::iter::successors(Some(today), |date| date.yesterday().ok())
        .take(SUMMARY_DAYS)
        .map(|date| {
            let counted = counted.days().iter().find(|day| day.date == date);
            counted.copied().unwrap_or(Day::without_clicks(date))
        })
        .collect();
    days.reverse();
    Ok(days)
}

/// What needs all clicks.
struct Overall {
    totals: Totals,
    experts: u64,
    first_at: Option<Timestamp>,
    latest_at: Option<Timestamp>,
    newest_leads: Vec<NewLead>,
}

/// A lead while the clicks are read.
struct Lead {
    /// The number of the email.
    email: u32,
    first_at: Timestamp,
    /// None where a host app's ids are no numbers.
    first_id: Option<i64>,
    clicks: u64,
}

fn read_all(conn: &Connection) -> Result<Overall, Problem> {
    let mut emails = Texts::new();
    let mut experts = Texts::new();
    let mut leads: Vec<Lead> = Vec::new();
    let mut latest_at: Option<Timestamp> = None;
    let mut statement =
        conn.prepare("SELECT id, email, expert_username, created_at FROM lead_clicks ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id = row.get_ref(0)?;
        let email = emails.number(&text(row.get_ref(1)?));
        experts.number(&text(row.get_ref(2)?));
        let created_at = created_at(row.get_ref(3)?, id)?;
        latest_at = latest_at.max(Some(created_at));
        let first_id = id.as_i64().ok();
        match leads.get_mut(email as usize) {
            None => leads.push(Lead {
                email,
                first_at: created_at,
                first_id,
                clicks: 1,
            }),
            Some(lead) => {
                lead.clicks += 1;
                if created_at < lead.first_at {
                    (lead.first_at, lead.first_id) = (created_at, first_id);
                }
            }
        }
    }
    let totals = Totals {
        leads: leads.len() as u64,
        clicks: leads.iter().map(|lead| lead.clicks).sum(),
    };
    let first_at = leads.iter().map(|lead| lead.first_at).min();
    leads.sort_unstable_by_key(|lead| Reverse((lead.first_at, lead.first_id)));
    leads.truncate(usize::try_from(SUMMARY_ROWS.get()).unwrap_or(usize::MAX));
    let newest_leads = leads
        .iter()
        .map(|lead| new_lead(conn, lead, emails.get(lead.email)))
        .collect::<Result<_, _>>()?;
    Ok(Overall {
        totals,
        experts: experts.len() as u64,
        first_at,
        latest_at,
        newest_leads,
    })
}

fn new_lead(conn: &Connection, lead: &Lead, email: &str) -> Result<NewLead, Problem> {
    let read = |row: &Row<'_>| Ok((text_of(row.get_ref(0)?), text_of(row.get_ref(1)?)));
    let (expert_username, search_query) = match lead.first_id {
        Some(id) => conn.query_row(
            "SELECT expert_username, search_query FROM lead_clicks WHERE id = ?",
            [id],
            read,
        ),
        None => conn.query_row(
            "SELECT expert_username, search_query FROM lead_clicks WHERE email = ? ORDER BY created_at, id LIMIT 1",
            [email],
            read,
        ),
    }?;
    Ok(NewLead {
        email: email.to_owned(),
        first_at: lead.first_at,
        expert_username,
        search_query,
        clicks: lead.clicks,
    })
}
