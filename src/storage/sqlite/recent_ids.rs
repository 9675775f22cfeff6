//! The ids of recently stored clicks, which make capture idempotent.
//!
//! An index on the ids in the database would cost a third of the writer's rate. A set in memory costs next to nothing.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use super::{SqliteDb, text};
use crate::{click::ClickId, storage::Error, timestamp::Timestamp};

/// The most ids that are remembered: those of 5 clicks a second for a whole day. They take 14 to 18 MB, and 23 MB for the
/// moment in which the set's table grows for the last time. It need not grow again, because this is less than 7/16 of a power
/// of two: [hashbrown](https://github.com/rust-lang/hashbrown) rehashes a table in place that is at most half full. Beyond
/// this bound the oldest id is forgotten, and a retry of its click is stored as a second click.
pub(super) const IDS_MAX: usize = 450_000;

/// How long an id is remembered. A page retries a click for a day after it happened, and its last request takes a while.
pub(super) const REMEMBERED: Duration = Duration::from_hours(25);

/// Hashes ids with a random key, so that nobody can search for ids with the same hash. The chance that one of a million new
/// clicks has the hash of another click is 1 in 40 million.
pub(super) type IdHasher = RandomState;

/// The ids of recently stored clicks, as hashes by one [`IdHasher`].
#[derive(Debug)]
pub(super) struct RecentIds {
    hashes: HashSet<u64>,
    /// The same hashes in the order of their insertion, with its time.
    oldest_first: VecDeque<(u64, Seconds)>,
    since: Instant,
}

/// Seconds after [`RecentIds::since`].
type Seconds = u32;

impl RecentIds {
    /// Loads the ids of the database's clicks of the last 25 hours. `at` and `now` are the current time. Reads at most the
    /// [`IDS_MAX`] newest clicks, whether they have ids or not.
    ///
    /// # Errors
    /// If the database can't be read.
    pub(super) fn load(
        db: &SqliteDb,
        hasher: &IdHasher,
        at: Timestamp,
        now: Instant,
    ) -> Result<Self, Error> {
        let sql = if db.index_on_time()?.is_some() {
            format!(
                "SELECT click_id FROM lead_clicks WHERE created_at >= ?1
                 ORDER BY created_at DESC LIMIT {IDS_MAX}"
            )
        } else {
            format!(
                "SELECT click_id
                 FROM (SELECT click_id, created_at FROM lead_clicks ORDER BY id DESC LIMIT {IDS_MAX})
                 WHERE created_at >= ?1"
            )
        };
        let since = at.before(REMEMBERED).stored_bound();
        let mut ids = Self::new(now);
        db.run(|conn| {
            let mut statement = conn.prepare(&sql)?;
            let mut rows = statement.query([&*since])?;
            while let Some(row) = rows.next()? {
                // A host app may store something else there.
                if let Ok(id) = ClickId::parse(&text(row.get_ref(0)?)) {
                    ids.insert_oldest(hasher.hash_one(id));
                }
            }
            Ok(())
        })?;
        Ok(ids)
    }

    /// Creates an empty set; `now` is the earliest time that will be passed to it.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            hashes: HashSet::new(),
            oldest_first: VecDeque::new(),
            since: now,
        }
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.hashes.contains(&id)
    }

    /// Adds the id of a click that was stored `now`.
    pub(super) fn insert(&mut self, id: u64, now: Instant) {
        if self.hashes.insert(id) {
            self.oldest_first.push_back((id, self.seconds(now)));
        }
        if self.oldest_first.len() > IDS_MAX {
            self.forget_oldest();
        }
    }

    /// Adds the id of a click that was stored before all others, unless there are [`IDS_MAX`] already.
    pub(super) fn insert_oldest(&mut self, id: u64) {
        if self.oldest_first.len() < IDS_MAX && self.hashes.insert(id) {
            self.oldest_first.push_front((id, 0));
        }
    }

    /// Forgets the ids that were stored more than [`REMEMBERED`] ago.
    pub(super) fn forget_old(&mut self, now: Instant) {
        let now = u64::from(self.seconds(now));
        while let Some((_, at)) = self.oldest_first.front()
            && now.saturating_sub(u64::from(*at)) > REMEMBERED.as_secs()
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((hash, _)) = self.oldest_first.pop_front() {
            self.hashes.remove(&hash);
        }
    }

    /// Fits for 136 years.
    fn seconds(&self, now: Instant) -> Seconds {
        let seconds = now.saturating_duration_since(self.since).as_secs();
        Seconds::try_from(seconds).unwrap_or(Seconds::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(number: usize) -> u64 {
        number as u64
    }

    fn at(begin: Instant, secs: u64) -> Instant {
        begin + Duration::from_secs(secs)
    }

    #[test]
    fn beyond_the_bound_the_oldest_is_forgotten_first() {
        let begin = Instant::now();
        let mut ids = RecentIds::new(begin);
        for number in 0..IDS_MAX {
            ids.insert(id(number), begin);
            // A repeated id counts once.
            ids.insert(id(number), begin);
        }
        assert!(ids.contains(id(0)) && ids.contains(id(IDS_MAX - 1)));
        ids.insert(id(IDS_MAX), begin);
        assert!(!ids.contains(id(0)) && ids.contains(id(1)));
        ids.insert_oldest(id(0));
        assert!(!ids.contains(id(0)), "there is no room for older ones");
        let capacity = ids.hashes.capacity();
        for number in IDS_MAX + 1..4 * IDS_MAX {
            ids.insert(id(number), begin);
        }
        assert!(!ids.contains(id(3 * IDS_MAX - 1)) && ids.contains(id(3 * IDS_MAX)));
        assert_eq!(ids.oldest_first.len(), IDS_MAX);
        assert_eq!(ids.hashes.len(), IDS_MAX);
        assert!(ids.hashes.capacity() <= 2 * capacity.max(IDS_MAX));
    }

    proptest! {
        #[test]
        fn an_id_is_remembered_for_25_hours_and_no_longer(
            pauses_secs in prop::collection::vec(0_u64..40_000, 1..20),
        ) {
            let begin = Instant::now();
            let mut ids = RecentIds::new(begin);
            let mut stored = Vec::new();
            let mut secs = 0;
            for (number, pause_secs) in pauses_secs.into_iter().enumerate() {
                secs += pause_secs;
                ids.forget_old(at(begin, secs));
                for (number, stored_at) in &stored {
                    let is_recent = secs - stored_at <= REMEMBERED.as_secs();
                    prop_assert_eq!(ids.contains(id(*number)), is_recent);
                }
                ids.insert(id(number), at(begin, secs));
                stored.push((number, secs));
            }
        }
    }
}
