//! `leadclicks report --format html`

use std::num::NonZeroU64;

use jiff::Zoned;

use super::{Question, ReportArgs, tell_empty, unknown_expert_hint};
use crate::{
    cli::{failure::Failure, output, progress::timed},
    render::html::{self, Answer, Page, ROWS_MAX},
    reports::{self, RankBy, Subject},
    storage::{Db, Error, Selection},
    timestamp::Timestamp,
};

/// How many leads, experts, searches or days a page lists without `--limit`: a phone still scrolls and searches them
/// with ease.
const PAGE_ROWS: NonZeroU64 = NonZeroU64::new(1000).unwrap();
/// How many clicks a page lists without `--limit`, also those of leads.
const PAGE_CLICKS: NonZeroU64 = NonZeroU64::new(5000).unwrap();
/// How many experts or searches are ranked beside a list.
const BESIDE_ROWS: NonZeroU64 = NonZeroU64::new(20).unwrap();

/// Writes the page of any question, also where there is no click.
pub(super) fn write(
    db: &Db,
    question: Question,
    selection: Selection,
    args: &ReportArgs,
    now: &Zoned,
) -> Result<(), Failure> {
    let page = timed(|| db.snapshot(|db| read(db, question, selection, args.limit, now)))?;
    if page.is_empty() {
        let hint = match &page.answer {
            Answer::Timeline { .. } => unknown_expert_hint(&page.selection, page.experts.names()),
            _ => "",
        };
        tell_empty(db, &page.selection, hint);
    }
    output::write(db, args.output.output.as_deref(), |out| {
        html::page(out, &page)
    })
}

/// Reads everything that the page shows. Its parts tell of the same clicks when `db` is a snapshot; they are all in memory
/// then, so that none is read while the page is printed: at most [`ROWS_MAX`] rows, but for leads all of their clicks, and
/// what [`reports::by_day`] and [`reports::ranking`] count in.
fn read(
    db: &Db,
    question: Question,
    selection: Selection,
    limit: Option<NonZeroU64>,
    now: &Zoned,
) -> Result<Page, Error> {
    let rows_max = limit.map_or(PAGE_ROWS, |limit| limit.min(ROWS_MAX));
    let clicks_max = limit.map_or(PAGE_CLICKS, |limit| limit.min(ROWS_MAX));
    let experts_max = match question {
        Question::Ranking(RankBy::Expert) => rows_max,
        _ => BESIDE_ROWS,
    };
    let answer = match question {
        Question::ByEmail => Answer::ByEmail {
            leads: reports::by_lead(db, &selection, Some(rows_max))?,
            // A limit counts leads here.
            clicks_max: limit.map_or(PAGE_CLICKS, |_| ROWS_MAX),
        },
        Question::Ranking(RankBy::Expert) => Answer::ByExpert,
        Question::Ranking(RankBy::Query) => Answer::ByQuery(reports::ranking(
            db,
            RankBy::Query,
            &selection,
            Some(rows_max),
        )?),
        Question::ByDay => Answer::ByDay { days_max: rows_max },
        Question::Timeline(subject) => timeline(db, subject, &selection, clicks_max)?,
    };
    Ok(Page {
        made_at: Timestamp::new(now.timestamp()),
        zone: now.time_zone().clone(),
        days: reports::by_day(db, &selection, now.time_zone(), None)?,
        experts: reports::ranking(db, RankBy::Expert, &selection, Some(experts_max))?,
        answer,
        selection,
    })
}

fn timeline(
    db: &Db,
    subject: Subject,
    selection: &Selection,
    clicks_max: NonZeroU64,
) -> Result<Answer, Error> {
    Ok(Answer::Timeline {
        clicks: reports::timeline(db, subject, selection, Some(clicks_max))?,
        queries: reports::ranking(db, RankBy::Query, selection, Some(BESIDE_ROWS))?,
    })
}
