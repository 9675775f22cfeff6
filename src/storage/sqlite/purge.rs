//! Deleting clicks: old ones for retention, and those that somebody has made up.

use std::{
    borrow::Cow,
    cmp::Reverse,
    hash::{DefaultHasher, Hash, Hasher},
    ops::ControlFlow,
};

use rusqlite::OptionalExtension;

use super::{
    SqliteDb,
    batch::{Split, delete_rows},
    select::{invalid_time, read_click, select},
};
use crate::{
    click::{canonical_email, canonical_username},
    storage::{
        Cause, ClicksOf, Columns, Error, FoundClick, FoundClicks, Order, Query, Selection,
        StoredClick, Window,
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

/// The most experts and leads that are named.
const NAMED_MAX: usize = 5;

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
        let mut found: Option<FoundClicks> = None;
        let mut leads = Tally::new(canonical_email);
        let mut experts = Tally::new(canonical_username);
        // The oldest are deleted first.
        let query = Query::of(selection, Columns::ALL).in_order(Order::Arrival);
        db.read_clicks_with_ids(&query, |id, click| {
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
                clicks: Vec::new(),
                selection: selection.clone(),
                last_id: id,
                #[cfg(feature = "postgres")]
                first_unseen: 0,
            });
            found.first = found.first.min(at);
            found.last = found.last.max(at);
            found.last_id = found.last_id.max(id);
            found.count += 1;
            if found.clicks.len() < CLICKS_MAX {
                let hash = hash(&click);
                memory::push(&mut found.clicks, FoundClick { id, hash })?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if let Some(found) = &mut found {
            found.leads = leads.groups.len();
            found.top_leads = leads.top(db, |click| canonical_email(&click.email).into_owned())?;
            found.top_experts = experts.top(db, |click| {
                canonical_username(&click.expert_username).into_owned()
            })?;
        }
        Ok(found)
    })
}

/// As [`crate::storage::Db::purge`].
pub(crate) fn purge(
    db: &SqliteDb,
    found: &FoundClicks,
    mut after_batch: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<(), Error> {
    let mut deleted = 0;
    let mut next;
    let mut clicks = &found.clicks;
    loop {
        let delete = |click: &FoundClick| delete(db, click);
        let ended = delete_rows(
            db,
            &CLICKS,
            Split::Always,
            clicks,
            delete,
            &mut deleted,
            &mut after_batch,
        )?;
        if ended.is_break() || clicks.len() < CLICKS_MAX {
            return Ok(());
        }
        next = find_next(db, found)?;
        clicks = &next;
    }
}

/// The next clicks that were found and are left. One that arrived meanwhile has a larger id, or if the last ones were deleted
/// a later time.
fn find_next(db: &SqliteDb, found: &FoundClicks) -> Result<Vec<FoundClick>, Error> {
    let query = Query::of(&found.selection, Columns::ALL).in_order(Order::Arrival);
    let mut clicks = Vec::new();
    db.read_clicks_with_ids(&query, |id, click| {
        if id <= found.last_id && click.created_at <= found.last {
            let hash = hash(&click);
            memory::push(&mut clicks, FoundClick { id, hash })?;
        }
        Ok(if clicks.len() < CLICKS_MAX {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    Ok(clicks)
}

/// Deletes a click if it is the one that was found: another may have got its id since.
fn delete(db: &SqliteDb, click: &FoundClick) -> Result<u64, Error> {
    if !is_there(db, click)? {
        return Ok(0);
    }
    let deleted = db.run(|conn| {
        conn.prepare_cached("DELETE FROM lead_clicks WHERE id = ?1")?
            .execute([click.id])
    })?;
    if deleted == 0 && is_there(db, click)? {
        let (table, rows) = (CLICKS[0], 1);
        return Err(db.error(Cause::KeptRows { table, rows }));
    }
    Ok(deleted as u64)
}

fn is_there(db: &SqliteDb, click: &FoundClick) -> Result<bool, Error> {
    let stored = read(db, click.id, |stored| hash(&stored))?;
    Ok(stored == Some(click.hash))
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

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
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
        db: &SqliteDb,
        name: impl Fn(StoredClick<'_>) -> String,
    ) -> Result<Vec<ClicksOf>, Error> {
        let mut counts = self.counts;
        counts.sort_unstable_by_key(|(clicks, id)| (Reverse(*clicks), *id));
        counts.truncate(NAMED_MAX);
        counts
            .into_iter()
            .map(|(clicks, id)| {
                let name = read(db, id, &name)?.unwrap_or_default();
                Ok(ClicksOf { name, clicks })
            })
            .collect()
    }
}
