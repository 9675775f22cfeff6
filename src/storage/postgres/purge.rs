//! Deleting clicks: old ones for retention, and those that somebody has made up.
//!
//! A click is the one that was found if it has the same id, and the same transaction has written it: `xmin`, which a change of
//! the row replaces.

use std::{borrow::Cow, cmp::Reverse, ops::ControlFlow};

use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

use super::{
    PostgresDb,
    erase::{self, DeletedRows, ForeignKey},
    select::{read_id, read_without_time, select, text},
};
use crate::{
    click::{canonical_email, canonical_username},
    storage::{
        Cause, ClicksOf, Columns, Error, FoundClicks, Order, Query, Selection, StoredClick, Window,
        erase::{FoundClick, OnServer},
    },
    text::{
        groups::TextGroups,
        memory::{self, OutOfMemory},
    },
};

/// The only table from which a purge deletes.
const CLICKS: [&str; 1] = ["lead_clicks"];

/// The most clicks that are in memory at a time, 16 bytes each.
const CLICKS_MAX: usize = 1_000_000;

/// The most clicks that one transaction deletes.
const BATCH_CLICKS_MAX: usize = 5_000;

/// The most experts and leads that are named.
const NAMED_MAX: usize = 5;

/// The numbers of transactions, with which the table's rows begin again after so many.
const TRANSACTIONS: u64 = 1 << 32;

/// The clicks of two arrays, of ids and of numbers of transactions.
const FOUND: &str =
    "(it.id::int8, it.xmin::text::int8) IN (SELECT * FROM unnest($1::int8[], $2::int8[]))";

/// As [`crate::storage::Db::find_clicks`].
pub(crate) fn find(db: &PostgresDb, selection: &Selection) -> Result<Option<FoundClicks>, Error> {
    db.snapshot(|db| db.run(|| db.find_clicks(selection)))
}

/// As [`crate::storage::Db::purge`].
pub(crate) fn purge(
    db: &PostgresDb,
    found: &FoundClicks,
    mut after_batch: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<(), Error> {
    let keys = db.run(|| db.foreign_keys(&CLICKS))?;
    let mut deleted = 0;
    let mut next;
    let mut clicks = &found.on_server.clicks;
    let mut is_last = found.count <= CLICKS_MAX as u64;
    loop {
        for batch in clicks.chunks(BATCH_CLICKS_MAX) {
            deleted += db.delete(|db| db.run(|| db.delete_clicks(&keys, batch)))?;
            if after_batch(deleted).is_break() {
                return Ok(());
            }
        }
        if is_last {
            return Ok(());
        }
        next = db.snapshot(|db| db.run(|| db.find_next_clicks(found)))?;
        clicks = &next;
        is_last = clicks.len() < CLICKS_MAX;
    }
}

/// The transactions that a snapshot sees.
#[derive(Clone, Copy)]
struct Seen {
    /// All before this one have ended.
    first: u64,
    /// This and all later ones had not begun.
    end: u64,
}

impl Seen {
    /// The whole number of the transaction that wrote a row, of which the row has the lower 32 bits. Too large for one of more
    /// than [`TRANSACTIONS`] ago, never too small.
    fn whole(self, xmin: u64) -> u64 {
        self.end
            .saturating_sub(self.end.wrapping_sub(xmin) % TRANSACTIONS)
    }
}

impl PostgresDb {
    fn find_clicks(&self, selection: &Selection) -> Result<Option<FoundClicks>, Cause> {
        self.forbid_row_security()?;
        self.check_id_is_unique()?;
        if selection.window != Window::default() {
            // A window would leave them out or not by chance.
            let without_time = self.query(
                "SELECT id::text FROM lead_clicks WHERE created_at IS NULL LIMIT 1",
                &[],
            )?;
            if let Some(row) = without_time.first() {
                return Err(Cause::InvalidTime(text(row, 0)?.to_owned()));
            }
        }
        let seen = self.seen()?;
        let mut found: Option<FoundClicks> = None;
        let mut recent = Vec::new();
        let mut leads = Tally::new(canonical_email);
        let mut experts = Tally::new(canonical_username);
        // The oldest are deleted first.
        let query = Query::of(selection, Columns::ALL).in_order(Order::Arrival);
        self.read_clicks_with_versions(&query, |row, click| {
            let (id, version) = (read_id(row)?, seen.whole(read_version(row)?));
            leads.add(id, &click.email)?;
            experts.add(id, &click.expert_username)?;
            let at = click.created_at;
            let found = found.get_or_insert_with(|| FoundClicks {
                first: at,
                last: at,
                leads: 0,
                top_leads: Vec::new(),
                top_experts: Vec::new(),
                count: 0,
                hashes: Vec::new(),
                selection: selection.clone(),
                on_server: OnServer {
                    clicks: Vec::new(),
                    first_unseen: seen.first,
                },
            });
            found.first = found.first.min(at);
            found.last = found.last.max(at);
            found.count += 1;
            let click = FoundClick { id, version };
            if found.on_server.clicks.len() < CLICKS_MAX {
                memory::push(&mut found.on_server.clicks, click)?;
            } else if version >= seen.first && recent.len() < CLICKS_MAX {
                memory::push(&mut recent, click)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if let Some(found) = &mut found {
            found.on_server.clicks.append(&mut recent);
            found.leads = leads.groups.len();
            found.top_leads =
                leads.top(self, |click| canonical_email(&click.email).into_owned())?;
            found.top_experts = experts.top(self, |click| {
                canonical_username(&click.expert_username).into_owned()
            })?;
        }
        Ok(found)
    }

    /// The next clicks that were found and are left: those whose transaction had ended before. Whoever writes a click later, or
    /// changes one, does that in a later transaction.
    fn find_next_clicks(&self, found: &FoundClicks) -> Result<Vec<FoundClick>, Cause> {
        let seen = self.seen()?;
        let query = Query::of(&found.selection, Columns::ALL).in_order(Order::Arrival);
        let mut clicks = Vec::new();
        self.read_clicks_with_versions(&query, |row, _| {
            let version = seen.whole(read_version(row)?);
            if version < found.on_server.first_unseen {
                let id = read_id(row)?;
                memory::push(&mut clicks, FoundClick { id, version })?;
            }
            Ok(if clicks.len() < CLICKS_MAX {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        Ok(clicks)
    }

    fn seen(&self) -> Result<Seen, Cause> {
        let row = self.query_one(
            "SELECT pg_snapshot_xmin(now)::text::int8, pg_snapshot_xmax(now)::text::int8
             FROM pg_current_snapshot() AS now",
            &[],
        )?;
        Ok(Seen {
            first: erase::count(&row, 0)?,
            end: erase::count(&row, 1)?,
        })
    }

    /// A partitioned table can only have a key of several columns; its ids come from one sequence nevertheless.
    fn check_id_is_unique(&self) -> Result<(), Cause> {
        let is_unique = self.query_one(
            "SELECT EXISTS (
                 SELECT 1 FROM pg_index
                 JOIN pg_class ON pg_class.oid = indrelid
                 JOIN pg_attribute ON attrelid = indrelid AND attname = 'id'
                 WHERE indrelid = to_regclass('lead_clicks') AND indisunique AND indisvalid AND indpred IS NULL
                   AND attnum = ANY(indkey) AND (indnkeyatts = 1 OR relkind = 'p'))",
            &[],
        )?;
        if is_unique.try_get(0)? {
            Ok(())
        } else {
            Err(Cause::IdNotUnique)
        }
    }

    /// Deletes those clicks that are as they were found. Returns their number.
    fn delete_clicks(&self, keys: &[ForeignKey], clicks: &[FoundClick]) -> Result<u64, Cause> {
        let ids: Vec<i64> = clicks.iter().map(|click| click.id).collect();
        let versions: Vec<i64> = clicks
            .iter()
            .map(|click| i64::try_from(click.version % TRANSACTIONS).unwrap_or_default())
            .collect();
        let parameters: [(&(dyn ToSql + Sync), Type); 2] =
            [(&ids, Type::INT8_ARRAY), (&versions, Type::INT8_ARRAY)];
        let deleted = [DeletedRows {
            table: CLICKS[0],
            condition: FOUND.to_owned(),
        }];
        self.check_references(keys, &deleted, &parameters)?;
        // By id first, which has an index.
        let of_found =
            "FROM lead_clicks AS it USING unnest($1::int8[], $2::int8[]) AS found (id, version)
             WHERE it.id = found.id AND it.xmin::text::int8 = found.version";
        let rows = self.execute(&format!("DELETE {of_found}"), &parameters)?;
        if rows < clicks.len() as u64 {
            let of_found = of_found.replace(" USING ", ", ");
            let sql = format!("SELECT count(*) {of_found}");
            let rows = erase::count(&self.query_one(&sql, &parameters)?, 0)?;
            if rows > 0 {
                let table = CLICKS[0];
                return Err(Cause::KeptRows { table, rows });
            }
        }
        Ok(rows)
    }
}

/// The lower 32 bits of the transaction that wrote a row of [`PostgresDb::read_clicks_with_versions`].
fn read_version(row: &Row) -> Result<u64, Cause> {
    erase::count(row, Columns::NAMES.len() + 1)
}

/// Counts clicks by the key of a text.
struct Tally {
    groups: TextGroups,
    /// The number of clicks of each group, and the id of the first.
    counts: Vec<(u64, i64)>,
}

impl Tally {
    fn new(key: fn(&str) -> Cow<'_, str>) -> Self {
        Self {
            groups: TextGroups::new(key),
            counts: Vec::new(),
        }
    }

    fn add(&mut self, id: i64, text: &str) -> Result<(), OutOfMemory> {
        let group = self.groups.group(text)? as usize;
        if group == self.counts.len() {
            memory::push(&mut self.counts, (0, id))?;
        }
        self.counts[group].0 += 1;
        Ok(())
    }

    /// Those with the most clicks, named by `name`.
    fn top(
        self,
        db: &PostgresDb,
        name: impl Fn(StoredClick<'_>) -> String,
    ) -> Result<Vec<ClicksOf>, Cause> {
        let mut counts = self.counts;
        counts.sort_unstable_by_key(|(clicks, id)| (Reverse(*clicks), *id));
        counts.truncate(NAMED_MAX);
        let sql = format!("{} WHERE id = $1::int8", select(Columns::ALL));
        counts
            .into_iter()
            .map(|(clicks, id)| {
                let rows = db.query(&sql, &[(&id, Type::INT8)])?;
                let name = rows.first().map(|row| Ok(name(read_without_time(row)?)));
                let name = name.transpose().map(Option::unwrap_or_default);
                name.map(|name| ClicksOf { name, clicks })
            })
            .collect()
    }
}
