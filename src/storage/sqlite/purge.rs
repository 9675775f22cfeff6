//! Deleting clicks: old ones for retention, and those that somebody has made up.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::ControlFlow,
};

use rusqlite::OptionalExtension;

use super::{
    SqliteDb,
    batch::{FoundRow, Split, delete_rows},
    select::{invalid_time, read_click, select},
};
use crate::{
    storage::{
        Columns, Error, FoundClicks, Order, Query, Selection, StoredClick, Window,
        erase::FoundCount,
    },
    text::memory,
};

/// The only table from which a purge deletes.
const CLICKS: [&str; 1] = ["lead_clicks"];

/// How many clicks are read again and then deleted at a time; they take 16 bytes each. The next time, those that are not to be
/// deleted are read in vain.
const SLICE_CLICKS: usize = 500_000;

/// A click whose time is not text: numbers sort before all texts, and blobs after them, whatever they mean. Each part uses the
/// index on time.
const WITHOUT_TIME: &str = "
    SELECT id FROM lead_clicks WHERE created_at < ''
    UNION ALL SELECT id FROM lead_clicks WHERE created_at >= x''
    UNION ALL SELECT id FROM lead_clicks WHERE created_at IS NULL
    LIMIT 1";

/// As [`crate::storage::Db::find_clicks`].
pub(crate) fn find(db: &SqliteDb, selection: &Selection) -> Result<Option<FoundClicks>, Error> {
    db.check_ids()?;
    db.snapshot(|db| {
        if selection.window != Window::default() {
            // A window would leave them out or not by chance.
            db.read(|conn| {
                let mut without_time = conn.prepare(WITHOUT_TIME)?;
                match without_time.query([])?.next()? {
                    Some(row) => Err(invalid_time(row.get_ref(0)?)),
                    None => Ok(()),
                }
            })?;
        }
        let mut count = FoundCount::new(selection);
        db.read_clicks_with_ids(&oldest_first(selection), |id, click| {
            count.add(id, hash(id, &click), &click)?;
            Ok(ControlFlow::Continue(()))
        })?;
        #[expect(
            clippy::redundant_closure_for_method_calls,
            reason = "the method itself is not general enough over lifetimes"
        )]
        let read = |id| read(db, id, |click| click.into_canonical());
        count.finish(read)
    })
}

/// As [`crate::storage::Db::purge`].
pub(crate) fn purge(
    db: &SqliteDb,
    found: &FoundClicks,
    after_batch: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<(), Error> {
    purge_in_slices(db, found, SLICE_CLICKS, after_batch)
}

fn purge_in_slices(
    db: &SqliteDb,
    found: &FoundClicks,
    slice_clicks: usize,
    mut after_batch: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<(), Error> {
    let mut deleted = 0;
    loop {
        let clicks = find_slice(db, found, slice_clicks)?;
        let ended = delete_rows(
            db,
            &CLICKS,
            Split::Always,
            &clicks,
            &mut deleted,
            &mut after_batch,
        )?;
        if ended.is_break() || clicks.len() < slice_clicks {
            return Ok(());
        }
    }
}

/// The oldest clicks that were found and are left as they were.
fn find_slice(
    db: &SqliteDb,
    found: &FoundClicks,
    slice_clicks: usize,
) -> Result<Vec<FoundClick>, Error> {
    let mut clicks = Vec::new();
    db.read_clicks_with_ids(&oldest_first(&found.selection), |id, click| {
        let hash = hash(id, &click);
        if found.hashes.binary_search(&hash).is_ok() {
            memory::push(&mut clicks, FoundClick { id, hash })?;
        }
        Ok(if clicks.len() < slice_clicks {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    Ok(clicks)
}

/// The oldest are deleted first.
fn oldest_first(selection: &Selection) -> Query<'_> {
    Query::of(selection, Columns::ALL).in_order(Order::Arrival)
}

/// A click, as it was found.
struct FoundClick {
    id: i64,
    /// As in [`FoundClicks`].
    hash: u64,
}

impl FoundRow for FoundClick {
    fn table(&self) -> &'static str {
        CLICKS[0]
    }

    /// Another click may have got its id.
    fn delete(&self, db: &SqliteDb) -> Result<u64, Error> {
        if !self.exists(db)? {
            return Ok(0);
        }
        let deleted = db.run(|conn| {
            conn.prepare_cached("DELETE FROM lead_clicks WHERE id = ?1")?
                .execute([self.id])
        })?;
        Ok(deleted as u64)
    }

    fn exists(&self, db: &SqliteDb) -> Result<bool, Error> {
        let stored = read(db, self.id, |click| hash(self.id, &click))?;
        Ok(stored == Some(self.hash))
    }
}

/// Reads the click with this id; none if there is none, or if its time can't be read.
fn read<T>(
    db: &SqliteDb,
    id: i64,
    work: impl FnOnce(StoredClick<'_>) -> T,
) -> Result<Option<T>, Error> {
    let sql = format!("{} WHERE id = ?1", select(Columns::ALL));
    let read = db.run(|conn| {
        conn.prepare_cached(&sql)?
            .query_row([id], |row| Ok(read_click(row).ok().map(work)))
            .optional()
    })?;
    Ok(read.flatten())
}

fn hash(id: i64, click: &StoredClick<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (id, click).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::storage::EmailFilter;

    fn ids(db: &SqliteDb) -> String {
        let ids = "SELECT coalesce(group_concat(id, ' '), '') FROM lead_clicks";
        db.run(|conn| conn.query_row(ids, [], |row| row.get(0)))
            .unwrap()
    }

    fn execute(db: &SqliteDb, sql: &str) {
        db.run(|conn| conn.execute_batch(sql)).unwrap();
    }

    fn store(db: &SqliteDb, id: i64, email: &str) {
        execute(
            db,
            &format!(
                "INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at)
                 VALUES ({id}, '{email}', 'jdoe', '', '2026-11-01 09:00:00.000000')"
            ),
        );
    }

    /// More than the first ones, which are in memory when the deletion begins.
    #[test]
    fn a_click_that_was_not_counted_is_not_deleted_whatever_its_id_and_time() {
        let directory = tempfile::tempdir().unwrap();
        let path: &Path = &directory.path().join("leadclicks.db");
        let db = SqliteDb::open_for_capture(path).unwrap();
        for id in [1, 3, 5, 7, 9, 11, 13, 15] {
            store(&db, id, "bot@spam.example");
        }
        let selection = Selection {
            email: EmailFilter::parse("@spam.example").ok(),
            ..Selection::default()
        };
        let found = find(&db, &selection).unwrap().unwrap();
        assert_eq!(found.count, 8);
        let mut is_first = true;
        purge_in_slices(&db, &found, 2, |_| {
            if is_first {
                // Ids within those of the found clicks: of deleted ones, between them, and of changed ones.
                execute(&db, "DELETE FROM lead_clicks WHERE id = 11");
                for id in [1, 8, 11] {
                    store(&db, id, "late@spam.example");
                }
                execute(
                    &db,
                    "UPDATE lead_clicks SET search_query = 'x' WHERE id = 13",
                );
                is_first = false;
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(ids(&db), "1 8 11 13");
    }
}
