//! Deleting clicks: old ones for retention, and those that somebody has made up.
//!
//! A click is the one that was found if it has the same id, and the same transaction has written it: `xmin`, which a change of
//! the row replaces.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::ControlFlow,
};

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
    storage::{
        Cause, Columns, Error, FoundClicks, Order, Query, Selection, StoredClick, Window,
        erase::FoundCount,
    },
    text::memory,
};

/// The only table from which a purge deletes.
const CLICKS: [&str; 1] = ["lead_clicks"];

/// How many clicks are read again and then deleted at a time; they take 16 bytes each. The next time, those that are not to be
/// deleted are read in vain.
const SLICE_CLICKS: usize = 500_000;

/// The most clicks that one transaction deletes.
const BATCH_CLICKS_MAX: usize = 5_000;

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
    loop {
        let clicks = db.snapshot(|db| db.run(|| db.find_slice(found)))?;
        for batch in clicks.chunks(BATCH_CLICKS_MAX) {
            deleted += db.delete(|db| db.run(|| db.delete_clicks(&keys, batch)))?;
            if after_batch(deleted).is_break() {
                return Ok(());
            }
        }
        if clicks.len() < SLICE_CLICKS {
            return Ok(());
        }
    }
}

/// A click, as it was found.
struct FoundClick {
    id: i64,
    /// The lower 32 bits of the number of the transaction that wrote the row.
    version: i64,
}

impl FoundClick {
    fn read(row: &Row) -> Result<Self, Cause> {
        Ok(Self {
            id: read_id(row)?,
            version: row.try_get(Columns::NAMES.len() + 2)?,
        })
    }

    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.id, self.version).hash(&mut hasher);
        hasher.finish()
    }
}

/// The oldest are deleted first.
fn oldest_first(selection: &Selection) -> Query<'_> {
    Query::of(selection, Columns::ALL).in_order(Order::Arrival)
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
        let mut count = FoundCount::new(selection);
        self.read_clicks_with_versions(&oldest_first(selection), |row, click| {
            let found = FoundClick::read(row)?;
            count.add(found.id, found.hash(), &click)?;
            Ok(ControlFlow::Continue(()))
        })?;
        let sql = format!("{} WHERE id = $1::int8", select(Columns::ALL));
        count.finish(|id| {
            let rows = self.query(&sql, &[(&id, Type::INT8)])?;
            let click = rows.first().map(read_without_time).transpose()?;
            Ok(click.map(StoredClick::into_canonical))
        })
    }

    /// The oldest clicks that were found and are left as they were.
    fn find_slice(&self, found: &FoundClicks) -> Result<Vec<FoundClick>, Cause> {
        let mut clicks = Vec::new();
        self.read_clicks_with_versions(&oldest_first(&found.selection), |row, _| {
            let click = FoundClick::read(row)?;
            if found.hashes.binary_search(&click.hash()).is_ok() {
                memory::push(&mut clicks, click)?;
            }
            Ok(if clicks.len() < SLICE_CLICKS {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        Ok(clicks)
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
        let versions: Vec<i64> = clicks.iter().map(|click| click.version).collect();
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
