//! Finds the clicks of a file that are stored already, and stores the others.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    ops::ControlFlow,
};

use super::clicks::{CLICKS_A_STEP, ClickPosition, ParsedClicks, Precision, ReadClick, RowReader};
use crate::{
    click::{Click, ClickId},
    progress::Progress,
    storage::{
        Columns, Db, Error, ImportLock, OnInvalidTime, Order, Query, Selection, StoredClick, Window,
    },
    timestamp::Timestamp,
};

/// After skipping so many stored clicks, the index on time is used to find the next. It costs about as much.
const SKIPPED_MAX: u32 = 64;

/// The result of an import, or of a dry run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ImportedClicks {
    /// Clicks that were not stored before.
    pub(crate) new: u64,
    /// Clicks that were stored already.
    pub(crate) duplicates: u64,
}

/// An import that did not get to the end.
#[derive(Debug)]
pub(crate) struct ImportStopped {
    /// The clicks that were stored before. The next import of the file skips them.
    pub(crate) new: u64,
    /// Why it stopped.
    pub(crate) error: Error,
}

/// Stores the clicks that are not stored yet. Clicks with the same id are the same click, and clicks with different ids are not.
/// Others are compared as a multiset: a click of the file is stored if one with the same email, expert, search and time, to the
/// microsecond, is; of several such, as many as are stored. A local time without a fraction is the same as any of that second.
/// Reports progress in clicks.
///
/// Clicks are compared as of one moment, and then stored in many short transactions, between which other programs can write.
/// `lock` keeps other imports from storing the same clicks meanwhile. Nothing else stores them: pages post clicks of now.
///
/// # Errors
/// When the disk has too little space, a constraint of a host app rejects a click, or the database can't be read or written to. The transactions before
/// remain. If the program is killed they do too, and another import of the file continues.
pub(crate) fn import(
    db: &Db,
    _lock: &ImportLock,
    clicks: &ParsedClicks,
    progress: &mut dyn FnMut(Progress),
) -> Result<ImportedClicks, ImportStopped> {
    let nothing = |error| ImportStopped { new: 0, error };
    let is_stored = db
        .snapshot(|db| find_duplicates(db, clicks))
        .map_err(nothing)?;
    let counts = ImportedClicks::of(&is_stored);
    let text_bytes = clicks.bytes() * counts.new / (clicks.len() as u64).max(1);
    db.check_import_room(counts.new, text_bytes)
        .map_err(nothing)?;
    insert(db, clicks, &is_stored, progress)?;
    Ok(counts)
}

/// The result that [`import`] would have. Changes nothing.
///
/// # Errors
/// When the database can't be read.
pub(crate) fn compare(db: &Db, clicks: &ParsedClicks) -> Result<ImportedClicks, Error> {
    db.snapshot(|db| Ok(ImportedClicks::of(&find_duplicates(db, clicks)?)))
}

impl ImportedClicks {
    fn of(is_stored: &[bool]) -> Self {
        let duplicates = is_stored.iter().filter(|is_stored| **is_stored).count() as u64;
        Self {
            new: is_stored.len() as u64 - duplicates,
            duplicates,
        }
    }
}

/// Whether each click is stored. Both sides are read by time, as in a merge join.
fn find_duplicates(db: &Db, clicks: &ParsedClicks) -> Result<Vec<bool>, Error> {
    let mut merge = Merge::new(clicks, db.has_index_on_time()?);
    let mut columns = Columns::ALL;
    if clicks.may_have_ids() {
        merge.find_ids(db)?;
        columns = columns | Columns::CLICK_ID;
    }
    while let Some(first) = clicks.positions().get(merge.next) {
        merge.searched_from = merge.next;
        merge.skipped = 0;
        let selection = Selection::of(Window {
            since: Some(first.created_at),
            until: None,
        });
        let query = Query {
            // A click without a valid time can't be equal to one of the file.
            on_invalid_time: OnInvalidTime::Skip,
            ..Query::of(&selection, columns).in_order(Order::Arrival)
        };
        let mut is_over = true;
        db.read_clicks(&query, |stored| {
            Ok(match merge.compare(&stored) {
                Next::Row => ControlFlow::Continue(()),
                Next::Search => {
                    is_over = false;
                    ControlFlow::Break(())
                }
                Next::End => ControlFlow::Break(()),
            })
        })?;
        if is_over {
            // All stored clicks are earlier than the rest.
            break;
        }
    }
    Ok(merge.is_stored)
}

/// What to do after a stored click was compared.
enum Next {
    /// Compare the next stored click.
    Row,
    /// Skip ahead to the time of the next click of the file.
    Search,
    /// Every click of the file was compared.
    End,
}

struct Merge<'a> {
    clicks: &'a ParsedClicks,
    is_stored: Vec<bool>,
    has_index: bool,
    group: Group<'a>,
    /// The first click of the file that is not from an earlier second than the stored one.
    next: usize,
    searched_from: usize,
    skipped: u32,
    /// The numbers of the clicks of the file that have an id.
    numbers_by_id: HashMap<ClickId, usize>,
}

impl<'a> Merge<'a> {
    fn new(clicks: &'a ParsedClicks, has_index: bool) -> Self {
        Self {
            clicks,
            is_stored: vec![false; clicks.len()],
            has_index,
            group: Group::of(clicks),
            next: 0,
            searched_from: 0,
            skipped: 0,
            numbers_by_id: HashMap::new(),
        }
    }

    /// Finds the clicks of the file whose ids are stored, or occur earlier in the file.
    fn find_ids(&mut self, db: &Db) -> Result<(), Error> {
        let mut file = RowReader::new(self.clicks);
        for (number, position) in self.clicks.positions().iter().enumerate() {
            let Some(ReadClick { id: Some(id), .. }) = file.read(position) else {
                continue;
            };
            match self.numbers_by_id.entry(id) {
                Entry::Occupied(_) => self.is_stored[number] = true,
                Entry::Vacant(entry) => {
                    entry.insert(number);
                }
            }
        }
        let all = Selection::default();
        db.read_clicks(&Query::of(&all, Columns::CLICK_ID), |stored| {
            let id = stored.click_id.as_ref();
            if let Some(number) = id.and_then(|id| self.numbers_by_id.get(id)) {
                self.is_stored[*number] = true;
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    fn compare(&mut self, stored: &StoredClick<'_>) -> Next {
        let at = stored.created_at;
        let rest = &self.clicks.positions()[self.next..];
        let second = at.second();
        let earlier = rest
            .iter()
            .take_while(|click| click.created_at.second() < second);
        self.next += earlier.count();
        match self.clicks.positions().get(self.next) {
            None => Next::End,
            Some(click) if click.created_at.second() == second => {
                self.skipped = 0;
                let positions = &self.clicks.positions()[self.next..];
                self.group.begin(positions, &self.is_stored[self.next..]);
                let id = stored.click_id.as_ref();
                let is_matched = id.is_some_and(|id| self.numbers_by_id.contains_key(id));
                if !is_matched && let Some(number) = self.group.take(stored) {
                    self.is_stored[self.next + number] = true;
                }
                Next::Row
            }
            // Only from a later time on; otherwise the search would start at the same time again.
            Some(_)
                if self.has_index
                    && self.skipped >= SKIPPED_MAX
                    && self.next > self.searched_from =>
            {
                Next::Search
            }
            Some(_) => {
                self.skipped += 1;
                Next::Row
            }
        }
    }
}

/// The clicks of a file that are from the same second, and are not yet matched with a stored click.
struct Group<'a> {
    second: Option<Timestamp>,
    /// Equal clicks, in order.
    equal: HashMap<(Click, Timestamp, Precision), VecDeque<Candidate>>,
    file: RowReader<'a>,
}

/// A click of a file that may be stored.
struct Candidate {
    /// The offset from the first click of the group.
    number: usize,
    has_id: bool,
}

impl<'a> Group<'a> {
    fn of(clicks: &'a ParsedClicks) -> Self {
        Self {
            second: None,
            equal: HashMap::new(),
            file: RowReader::new(clicks),
        }
    }

    /// Begins the group of the first of `positions`, unless it has begun already. Leaves out those whose ids were found.
    fn begin(&mut self, positions: &[ClickPosition], is_stored: &[bool]) {
        let second = positions
            .first()
            .map(|position| position.created_at.second());
        if self.second == second {
            return;
        }
        self.second = second;
        self.equal.clear();
        let same = positions
            .iter()
            .take_while(|position| Some(position.created_at.second()) == second);
        for (number, (position, is_stored)) in same.zip(is_stored).enumerate() {
            if !is_stored && let Some(read) = self.file.read(position) {
                let has_id = read.id.is_some();
                let candidate = Candidate { number, has_id };
                let equal = (read.click, read.created_at, read.precision);
                self.equal.entry(equal).or_default().push_back(candidate);
            }
        }
    }

    /// Removes a click that is equal to `stored`, and returns its offset. It is the first one: an import that was killed stored
    /// that, and the next one keeps the order.
    fn take(&mut self, stored: &StoredClick<'_>) -> Option<usize> {
        // Normalised, because a host app may have stored an email as it was typed.
        let click = Click::new(
            &stored.email,
            &stored.expert_username,
            stored.search_query.to_string(),
        );
        let at = stored.created_at;
        let mut equal = (click.ok()?, at, Precision::Full);
        if self.equal.get(&equal).is_none_or(VecDeque::is_empty) {
            equal = (equal.0, at.second(), Precision::Second);
        }
        let equal = self.equal.get_mut(&equal)?;
        let without_id = equal.iter().position(|candidate| !candidate.has_id);
        // Two different ids are two clicks.
        let found = match stored.click_id {
            Some(_) => without_id?,
            None => without_id.unwrap_or(0),
        };
        Some(equal.remove(found)?.number)
    }
}

fn insert(
    db: &Db,
    clicks: &ParsedClicks,
    is_stored: &[bool],
    progress: &mut dyn FnMut(Progress),
) -> Result<(), ImportStopped> {
    let mut file = RowReader::new(clicks);
    let total = clicks.len() as u64;
    let mut rest = clicks
        .positions()
        .iter()
        .zip(is_stored)
        .enumerate()
        .filter_map(|(number, (position, is_stored))| {
            if number.is_multiple_of(CLICKS_A_STEP) {
                let done = number as u64;
                progress(Progress { done, total });
            }
            if *is_stored {
                return None;
            }
            // There always is a click, because the file in memory has not changed since it was parsed.
            let ReadClick { click, id, .. } = file.read(position)?;
            Some((click, id, position.created_at, number))
        })
        .peekable();
    let mut new = 0;
    while rest.peek().is_some() {
        let line = |number: usize| clicks.line(&clicks.positions()[number]);
        new += db
            .insert_some(&mut rest, line)
            .map_err(|error| ImportStopped { new, error })?;
    }
    Ok(())
}
