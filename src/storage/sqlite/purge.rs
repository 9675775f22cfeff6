//! Deleting old clicks, for retention.

use std::ops::ControlFlow;

use super::{
    SqliteDb, erase::ForeignKeys, scrub::yielding, select::invalid_time, text as sql_text,
};
use crate::{
    click::canonical_email,
    storage::{Cause, Error, OldClicks},
    text::groups::TextGroups,
    timestamp::Timestamp,
};

/// The most clicks that one transaction deletes. That takes some 30 ms, for which the daemon's clicks wait, and longer with
/// a host app's indexes and triggers.
pub(crate) const BATCH_CLICKS_MAX: u64 = 5_000;

/// The old clicks: those whose text sorts before a bound's. [`count`] rejects other types.
const OLD: &str = "typeof(created_at) = 'text' AND created_at < ?1";

/// The old clicks and those that may be old: numbers sort before all texts, and blobs after them, whatever they mean. Each of
/// the three parts uses the index on time.
const MAYBE_OLD: &str = "
    SELECT created_at, email, id FROM lead_clicks WHERE created_at < ?1
    UNION ALL SELECT created_at, email, id FROM lead_clicks WHERE created_at >= x''
    UNION ALL SELECT created_at, email, id FROM lead_clicks WHERE created_at IS NULL";

/// The only table from which a purge deletes.
const CLICKS: [&str; 1] = ["lead_clicks"];

/// As [`crate::storage::Db::count_old`].
pub(crate) fn count(db: &SqliteDb, before: Timestamp) -> Result<Option<OldClicks>, Error> {
    db.check_ids()?;
    db.read(|conn| {
        let mut clicks = conn.prepare(MAYBE_OLD)?;
        let mut rows = clicks.query([&*before.stored_bound()])?;
        let mut leads = TextGroups::new(canonical_email);
        let mut old: Option<OldClicks> = None;
        while let Some(row) = rows.next()? {
            let text = row.get_ref(0)?.as_str().ok();
            let Some(at) = text.and_then(Timestamp::parse_stored) else {
                return Err(invalid_time(row.get_ref(2)?));
            };
            leads.group(&sql_text(row.get_ref(1)?))?;
            let so_far = old.unwrap_or(OldClicks {
                clicks: 0,
                leads: 0,
                first: at,
                last: at,
            });
            old = Some(OldClicks {
                clicks: so_far.clicks + 1,
                leads: leads.len(),
                first: so_far.first.min(at),
                last: so_far.last.max(at),
            });
        }
        Ok(old)
    })
}

/// As [`crate::storage::Db::purge`], in transactions of at most [`BATCH_CLICKS_MAX`]. Pauses after each, so that the daemon
/// can store its clicks.
pub(crate) fn purge(
    db: &SqliteDb,
    before: Timestamp,
    mut after_batch: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<(), Error> {
    let bound = before.stored_bound();
    let mut deleted = 0;
    loop {
        let batch = yielding(|| db.delete(|db| delete_oldest(db, &bound)))?;
        deleted += batch;
        let goes_on = after_batch(deleted);
        if batch < BATCH_CLICKS_MAX || goes_on.is_break() {
            return Ok(());
        }
    }
}

fn delete_oldest(db: &SqliteDb, bound: &str) -> Result<u64, Error> {
    let foreign_keys = ForeignKeys::of(db, &CLICKS, &[])?;
    let oldest = format!(
        "SELECT id FROM lead_clicks WHERE {OLD} ORDER BY created_at, id LIMIT {BATCH_CLICKS_MAX}"
    );
    let (found, deleted): (u64, u64) = db.run(|conn| {
        let count = format!("SELECT count(*) FROM ({oldest})");
        let found = conn.query_row(&count, [bound], |row| row.get(0))?;
        let delete = format!("DELETE FROM lead_clicks WHERE {OLD} AND id IN ({oldest})");
        Ok((found, conn.execute(&delete, [bound])? as u64))
    })?;
    if deleted < found {
        let rows = found - deleted;
        return Err(db.error(Cause::KeptRows {
            table: CLICKS[0],
            rows,
        }));
    }
    if deleted > 0 {
        foreign_keys.check(db)?;
    }
    Ok(deleted)
}
