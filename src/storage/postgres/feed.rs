//! New clicks as they arrive, for `leadclicks watch`.
//!
//! A row gets its id before its transaction commits, so a click may become visible after others with larger ids. The ids
//! between those that were read are gaps, in which clicks are looked for again.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tokio::time;
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

use super::{
    PostgresDb, ServerUrl,
    select::{WireTime, read_click, read_without_time, select},
};
use crate::{
    expert::ExpertNames,
    storage::{Cause, Columns, Error, NewClicks, Selection},
    timestamp::Timestamp,
};

/// The most new clicks of one poll, and the most that are found in gaps.
const BATCH_CLICKS_MAX: usize = 1_000;

/// How long a server may take for a poll. Each reads few rows by their ids.
const POLL_MAX: Duration = Duration::from_secs(30);

/// How long the database may be missing or unreadable before that is an error: a failover takes up to a minute.
const MISSING_MAX: Duration = Duration::from_mins(1);

/// Between how many of the newest clicks gaps are looked for at the start. A click that is stored later with an id below
/// those is missed.
const START_CLICKS: u32 = 10_000;

/// The most gaps that are remembered. Looking into so many takes the server a tenth of a second. Beyond that, the oldest are
/// forgotten, first those in which no transaction can store any more.
const GAPS_MAX: usize = 10_000;

/// How long clicks are looked for in a gap at every poll, at least. A transaction takes an id just before it becomes visible as
/// one that writes.
const FRESH: Duration = Duration::from_secs(10);

/// The longest share of the time in which clicks are looked for in gaps: a tenth.
const PAUSE_PER_SEARCH: u32 = 10;

/// How often they are looked for in older gaps: a session may take a whole block of ids from a sequence, and use them later.
const OLD_PAUSE: Duration = Duration::from_secs(5);

/// How long gaps are remembered.
const GAP_AGE_MAX: Duration = Duration::from_hours(25);

/// Reads the clicks of a database as they arrive, each once. Misses clicks that are deleted before they are read, and those
/// whose ids are neither above all others nor in a gap.
#[derive(Debug)]
pub(crate) struct Feed {
    url: ServerUrl,
    /// None while there is no connection.
    db: Option<PostgresDb>,
    /// When `db` became none.
    missing_since: Option<Instant>,
    selection: Selection,
    /// All clicks up to this id were read, except those in gaps.
    last_id: i64,
    gaps: Gaps,
    /// The largest id at the last poll. A smaller one shows that clicks were deleted or that another database has replaced this
    /// one, so that ids may be used again.
    largest_id: i64,
    /// The latest time of all clicks that were read, or that existed at the start.
    newest: Option<Timestamp>,
    /// Clicks up to this id existed at the start. All others have arrived since, however long ago they happened.
    arrivals_after_id: i64,
    names: ExpertNames,
}

impl Feed {
    /// As [`crate::storage::Feed::start`].
    pub(crate) fn start(url: &ServerUrl, selection: Selection) -> Result<Self, Error> {
        let db = PostgresDb::open_for_report(url)?;
        let mut feed = Self {
            url: url.clone(),
            missing_since: None,
            selection,
            last_id: i64::MIN,
            gaps: Gaps::default(),
            largest_id: i64::MIN,
            newest: None,
            arrivals_after_id: i64::MIN,
            names: db.experts()?.into(),
            db: None,
        };
        db.snapshot(|db| db.run(|| feed.begin(db)))?;
        feed.db = Some(db);
        Ok(feed)
    }

    /// The URL without a password.
    pub(crate) fn name(&self) -> String {
        self.url.to_string()
    }

    /// The names of the experts, as of the last batch with clicks.
    pub(crate) fn names(&self) -> &ExpertNames {
        &self.names
    }

    /// The clicks that have arrived since the last batch, or the first of them. No transaction is open on return.
    ///
    /// After a lost connection it connects again, perhaps to another server of the URL. If the database is another one then,
    /// those of its clicks are new that happened after all that were read.
    ///
    /// # Errors
    /// If the time of a click can't be read, or if the database can't be read for [`MISSING_MAX`].
    pub(crate) fn next_batch(&mut self) -> Result<NewClicks, Error> {
        if self.db.is_none() {
            match PostgresDb::open_for_report(&self.url) {
                Ok(db) => {
                    self.db = Some(db);
                    self.largest_id = i64::MAX;
                    self.gaps.reset_snapshots();
                }
                Err(error) => return self.wait(error),
            }
        }
        match self.read_batch() {
            Ok(batch) => {
                self.missing_since = None;
                Ok(batch)
            }
            Err(cause @ Cause::InvalidTime(_)) => Err(Error::named(self.name(), cause)),
            Err(cause) => {
                self.db = None;
                self.wait(Error::named(self.name(), cause))
            }
        }
    }

    fn wait(&mut self, error: Error) -> Result<NewClicks, Error> {
        let since = *self.missing_since.get_or_insert_with(Instant::now);
        if since.elapsed() < MISSING_MAX {
            Ok(NewClicks::default())
        } else {
            Err(error)
        }
    }

    /// Finds out what exists already.
    fn begin(&mut self, db: &PostgresDb) -> Result<(), Cause> {
        let newest_ids = format!(
            "SELECT id::int8 FROM lead_clicks ORDER BY lead_clicks.id DESC LIMIT {START_CLICKS}"
        );
        let mut ids = Vec::new();
        for row in db.query(&newest_ids, &[])? {
            ids.push(row.try_get::<_, i64>(0)?);
        }
        let Some(&largest_id) = ids.first() else {
            return Ok(());
        };
        let existing = db.query_one(
            "SELECT min(id)::int8, max(created_at) FROM lead_clicks",
            &[],
        )?;
        self.newest = read_time(&existing, 1)?;
        self.largest_id = largest_id;
        self.arrivals_after_id = largest_id;
        self.last_id = largest_id;
        if let Some(since) = self.selection.window.since {
            // The sum keeps the server from reading all clicks from the oldest on.
            let first = db.query_one(
                "SELECT min(id::int8 + 0) FROM lead_clicks WHERE created_at >= $1",
                &[(&WireTime::new(since), db.clicks.time.wire_type())],
            )?;
            if let Some(first) = first.try_get::<_, Option<i64>>(0)? {
                self.last_id = first.saturating_sub(1);
            }
        }
        let smallest: i64 = existing.try_get(0)?;
        self.gaps
            .add(i64::MIN, smallest.saturating_sub(1), None, None);
        for ids in ids.windows(2) {
            // Those after the last one that counts as read are found when the clicks are read.
            let high = (ids[0] - 1).min(self.last_id);
            self.gaps.add(ids[1] + 1, high, None, None);
        }
        self.gaps.limit();
        Ok(())
    }

    fn read_batch(&mut self) -> Result<NewClicks, Cause> {
        let Some(db) = &self.db else {
            return Ok(NewClicks::default());
        };
        let begun = Instant::now();
        let gaps = self.gaps.due(begun);
        let rows = poll(db, self.last_id, gaps.as_deref().unwrap_or_default())?;
        if gaps.is_some() {
            self.gaps.next_search = Some(Instant::now() + begun.elapsed() * PAUSE_PER_SEARCH);
        }
        let Some(snapshot) = rows.first().map(Snapshot::read).transpose()? else {
            return Ok(NewClicks::default());
        };
        let matcher = self.selection.matcher();
        let mut batch = NewClicks::default();
        let (read_up_to, newest) = (self.last_id, self.newest);
        let (mut arrived, mut found) = (0, Vec::new());
        for row in &rows {
            let Some(id) = row.try_get::<_, Option<i64>>(ID)? else {
                break;
            };
            let created_at = read_time(row, CREATED_AT)?;
            let is_in_gap = id <= self.last_id;
            let may_be_new = !is_in_gap || self.gaps.may_have(id, created_at);
            if may_be_new && matcher.matches(&read_without_time(row)?) {
                let click = match read_click(row) {
                    // The clicks before it are returned first.
                    Err(_) if !batch.clicks.is_empty() => {
                        batch.has_more = true;
                        break;
                    }
                    click => click?,
                };
                let has_arrived = is_in_gap || id > self.arrivals_after_id;
                if has_arrived || self.selection.window.contains(click.created_at) {
                    batch.clicks.push(click.into_canonical());
                }
            }
            if is_in_gap {
                self.gaps.remove(id);
                found.push(id);
            } else {
                let after = self.last_id.saturating_add(1);
                self.gaps.add(after, id - 1, Some(snapshot.xmax), None);
                self.last_id = id;
                arrived += 1;
            }
            self.newest = self.newest.max(created_at);
        }
        batch.has_more |= arrived == BATCH_CLICKS_MAX || found.len() == BATCH_CLICKS_MAX;
        if !batch.has_more {
            self.arrivals_after_id = i64::MIN;
            if gaps.is_some() {
                self.gaps.grow_old(&snapshot);
            }
        }
        if snapshot.largest_id < self.largest_id {
            self.find_reused_ids(snapshot.largest_id, read_up_to, newest, &found)?;
        }
        self.largest_id = snapshot.largest_id;
        self.gaps.limit();
        if !batch.clicks.is_empty()
            && let Some(db) = &self.db
            // The clicks are more important than the names. If the connection is lost, the next poll reports it.
            && let Ok(experts) = db.experts()
        {
            self.names = experts.into();
        }
        Ok(batch)
    }

    /// Looks for clicks whose ids were used before: the sequence may have been reset, a backup restored, or a standby promoted
    /// that lacked the newest clicks. They happened after `newest`, the latest of those that were read, and have ids up to
    /// `read_up_to`. Those just `found` in gaps are known.
    fn find_reused_ids(
        &mut self,
        largest_id: i64,
        read_up_to: i64,
        newest: Option<Timestamp>,
        found: &[i64],
    ) -> Result<(), Cause> {
        let (Some(db), Some(newest)) = (&self.db, newest) else {
            return Ok(());
        };
        let sql = format!(
            "SELECT id::int8 FROM lead_clicks WHERE created_at > $1 AND id <= $2
             ORDER BY lead_clicks.id DESC LIMIT {GAPS_MAX}"
        );
        let rows = db.query(
            &sql,
            &[
                (&WireTime::new(newest), db.clicks.time.wire_type()),
                (&largest_id.min(read_up_to), Type::INT8),
            ],
        )?;
        for row in rows {
            let id = row.try_get(0)?;
            // They are in the order of their ids.
            if found.binary_search(&id).is_err() {
                self.gaps.add_to_seen(id, id, newest);
            }
        }
        let after = largest_id.saturating_add(1);
        self.gaps.add_to_seen(after, read_up_to, newest);
        Ok(())
    }
}

/// The columns of [`poll`]. The first are those of [`select`].
const ID: usize = 0;
const CREATED_AT: usize = 4;
const XMIN: usize = 6;
const XMAX: usize = 7;
const LARGEST_ID: usize = 8;

/// Reads the first clicks after `last_id` and those in `gaps`, in the order of their ids. Returns one row without a click if
/// there is none.
fn poll(db: &PostgresDb, last_id: i64, gaps: &[(i64, i64)]) -> Result<Vec<Row>, Cause> {
    let clicks = select(Columns::ALL);
    // The limit within the join keeps the server from comparing every click with every gap.
    let sql = format!(
        "SELECT click.*, pg_snapshot_xmin(snapshot)::text, pg_snapshot_xmax(snapshot)::text, largest_id
         FROM (SELECT pg_current_snapshot() AS snapshot,
                      (SELECT max(id)::int8 FROM lead_clicks) AS largest_id) AS now
         LEFT JOIN (
             ({clicks} WHERE id > $1 ORDER BY lead_clicks.id LIMIT {BATCH_CLICKS_MAX})
             UNION ALL
             (SELECT found.* FROM unnest($2::int8[], $3::int8[]) AS gap (low, high)
              CROSS JOIN LATERAL (
                  {clicks} WHERE id BETWEEN gap.low AND gap.high
                  ORDER BY lead_clicks.id LIMIT {BATCH_CLICKS_MAX}
              ) AS found LIMIT {BATCH_CLICKS_MAX})
         ) AS click ON TRUE
         ORDER BY click.id"
    );
    let (lows, highs): (Vec<i64>, Vec<i64>) = gaps.iter().copied().unzip();
    let parameters: [(&(dyn ToSql + Sync), Type); 3] = [
        (&last_id, Type::INT8),
        (&lows, Type::INT8_ARRAY),
        (&highs, Type::INT8_ARRAY),
    ];
    let polled = db.runtime.block_on(async {
        time::timeout(POLL_MAX, db.client.query_typed(&sql, &parameters)).await
    });
    let Ok(rows) = polled else {
        return Err(Cause::not_connected(
            "no answer; check the server and the network",
        ));
    };
    Ok(rows?)
}

/// The time of a row; none if it is NULL or not within the years of a [`Timestamp`].
fn read_time(row: &Row, column: usize) -> Result<Option<Timestamp>, Cause> {
    let time: Option<WireTime> = row.try_get(column)?;
    Ok(time.and_then(WireTime::timestamp))
}

/// Which transactions a poll saw: [PostgreSQL on snapshots](https://www.postgresql.org/docs/current/functions-info.html).
struct Snapshot {
    /// All transactions before this one had ended.
    xmin: u64,
    /// This one and all later ones had not begun.
    xmax: u64,
    largest_id: i64,
}

impl Snapshot {
    fn read(row: &Row) -> Result<Self, Cause> {
        let number = |column| -> Result<u64, Cause> {
            let text: &str = row.try_get(column)?;
            // It is an unsigned number. If it were not, gaps would only be remembered for longer.
            Ok(text.parse().unwrap_or_default())
        };
        let largest_id: Option<i64> = row.try_get(LARGEST_ID)?;
        Ok(Self {
            xmin: number(XMIN)?,
            xmax: number(XMAX)?,
            largest_id: largest_id.unwrap_or(i64::MIN),
        })
    }
}

/// Ranges of ids in which no click was found yet, by their first id. They do not overlap.
#[derive(Debug, Default)]
struct Gaps {
    ranges: BTreeMap<i64, Gap>,
    /// When clicks are looked for in gaps again.
    next_search: Option<Instant>,
    /// When clicks are looked for in old gaps again.
    next_old: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Gap {
    /// The last id.
    high: i64,
    since: Instant,
    /// Transactions from this number on began after the gap was seen, so their ids are larger. None if the next poll sets it.
    xmax: Option<u64>,
    /// All transactions that were running when it was seen have ended.
    is_old: bool,
    /// If the ids were used before: only clicks after this time are new.
    after: Option<Timestamp>,
}

impl Gaps {
    /// Adds the ids from `low` to `high`, if there are any.
    fn add(&mut self, low: i64, high: i64, xmax: Option<u64>, after: Option<Timestamp>) {
        if low <= high {
            let gap = Gap {
                high,
                since: Instant::now(),
                xmax,
                is_old: false,
                after,
            };
            self.ranges.insert(low, gap);
        }
    }

    /// As [`Gaps::add`], for those of the ids that are in no gap, but only for clicks after a time.
    fn add_to_seen(&mut self, low: i64, high: i64, after: Timestamp) {
        let mut next = low;
        if let Some((_, gap)) = self.ranges.range(..low).next_back()
            && gap.high >= low
        {
            next = gap.high.saturating_add(1);
        }
        let within: Vec<(i64, i64)> = self
            .ranges
            .range(low..=high.max(low))
            .map(|(low, gap)| (*low, gap.high))
            .collect();
        for (gap_low, gap_high) in within {
            self.add(next, gap_low.saturating_sub(1), None, Some(after));
            next = gap_high.saturating_add(1);
        }
        self.add(next, high, None, Some(after));
    }

    /// Whether a click with this id and time is in a gap and new.
    fn may_have(&self, id: i64, created_at: Option<Timestamp>) -> bool {
        let gap = self.ranges.range(..=id).next_back();
        gap.is_some_and(|(_, gap)| {
            id <= gap.high && gap.after.is_none_or(|after| created_at > Some(after))
        })
    }

    fn remove(&mut self, id: i64) {
        let Some((&low, &gap)) = self.ranges.range(..=id).next_back() else {
            return;
        };
        if gap.high < id {
            return;
        }
        self.ranges.remove(&low);
        if low < id {
            self.ranges.insert(
                low,
                Gap {
                    high: id - 1,
                    ..gap
                },
            );
        }
        if id < gap.high {
            self.ranges.insert(id + 1, gap);
        }
    }

    /// The first and last ids of the gaps in which clicks are looked for now; none if it is too early for any.
    fn due(&mut self, now: Instant) -> Option<Vec<(i64, i64)>> {
        let is_due = |next: Option<Instant>| next.is_none_or(|next| now >= next);
        if !is_due(self.next_search) {
            return None;
        }
        let are_old_due = is_due(self.next_old);
        if are_old_due {
            self.next_old = Some(now + OLD_PAUSE);
        }
        let gaps = self.ranges.iter();
        let due = gaps.filter(|(_, gap)| are_old_due || !gap.is_old);
        Some(due.map(|(low, gap)| (*low, gap.high)).collect())
    }

    /// Call with the snapshot of a poll that has looked into all gaps that were due.
    fn grow_old(&mut self, snapshot: &Snapshot) {
        self.ranges.retain(|_, gap| {
            let age = gap.since.elapsed();
            match gap.xmax {
                None => gap.xmax = Some(snapshot.xmax),
                Some(xmax) => gap.is_old |= snapshot.xmin >= xmax && age > FRESH,
            }
            age < GAP_AGE_MAX
        });
    }

    /// Another server may count its transactions differently.
    fn reset_snapshots(&mut self) {
        for gap in self.ranges.values_mut() {
            gap.xmax = None;
            gap.is_old = false;
        }
    }

    /// Forgets gaps if there are more than [`GAPS_MAX`].
    fn limit(&mut self) {
        let Some(surplus) = self.ranges.len().checked_sub(GAPS_MAX) else {
            return;
        };
        let mut by_use: Vec<(bool, Instant, i64)> = self
            .ranges
            .iter()
            .map(|(low, gap)| (!gap.is_old, gap.since, *low))
            .collect();
        by_use.sort_unstable();
        for (_, _, low) in by_use.into_iter().take(surplus) {
            self.ranges.remove(&low);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The ids in gaps, each with the time after which a click is new.
    fn ids(gaps: &Gaps) -> Vec<(i64, Option<Timestamp>)> {
        let each = gaps.ranges.iter();
        each.flat_map(|(low, gap)| (*low..=gap.high).map(|id| (id, gap.after)))
            .collect()
    }

    proptest! {
        #[test]
        fn gaps_are_a_set_of_ids(
            begins in prop::collection::vec((0_i64..60, 0_i64..6), 0..8),
            steps in prop::collection::vec((any::<bool>(), 0_i64..60, 0_i64..20), 0..40),
        ) {
            let mut gaps = Gaps::default();
            let mut expected = BTreeMap::new();
            let mut next = 0;
            for (skipped, length) in begins {
                let low = next + skipped;
                gaps.add(low, low + length - 1, None, None);
                expected.extend((low..low + length).map(|id| (id, None)));
                next = low + length;
            }
            for (is_removed, id, length) in steps {
                if is_removed {
                    gaps.remove(id);
                    expected.remove(&id);
                } else {
                    gaps.add_to_seen(id, id + length - 1, Timestamp::EPOCH);
                    for id in id..id + length {
                        expected.entry(id).or_insert(Some(Timestamp::EPOCH));
                    }
                }
                prop_assert_eq!(ids(&gaps), Vec::from_iter(expected.clone()));
            }
            for id in 0..60 {
                prop_assert_eq!(gaps.may_have(id, None), expected.get(&id) == Some(&None));
                let later = Timestamp::EPOCH.next();
                prop_assert_eq!(gaps.may_have(id, later), expected.contains_key(&id));
            }
        }
    }

    #[test]
    fn beyond_the_limit_the_gaps_that_nobody_can_fill_are_forgotten_first() {
        let mut gaps = Gaps::default();
        let most = i64::try_from(GAPS_MAX).unwrap();
        for id in 0..=most {
            gaps.add(2 * id, 2 * id, Some(1), None);
        }
        for gap in gaps.ranges.values_mut().skip(7).take(2) {
            gap.is_old = true;
        }
        gaps.limit();
        assert_eq!(gaps.ranges.len(), GAPS_MAX);
        assert!(!gaps.ranges.contains_key(&14) && gaps.ranges.contains_key(&0));
        gaps.add(-2, -2, Some(1), None);
        gaps.limit();
        assert!(!gaps.ranges.contains_key(&16) && gaps.ranges.contains_key(&0));
    }
}
