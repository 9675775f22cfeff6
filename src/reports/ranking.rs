use std::{borrow::Cow, cmp::Reverse, num::NonZeroU64, ops::ControlFlow};

use super::{Totals, for_each_click, leads_by_group::LeadsByGroup};
use crate::{
    click::{canonical_email, canonical_username, fold},
    expert::ExpertNames,
    storage::{Columns, Db, Error, Query, Selection, StoredClick},
    text::{
        groups::TextGroups,
        memory::{self, OutOfMemory},
    },
    timestamp::Timestamp,
};

/// Experts or searches, ordered by their number of clicks, and then by their latest click. Of two clicks in the same microsecond,
/// the one that was read later is later.
#[derive(Debug)]
pub(crate) struct Ranking {
    pub(crate) by: RankBy,
    /// The rows that are shown.
    pub(crate) ranked: Vec<Ranked>,
    /// The number of rows, shown or not.
    pub(crate) ranked_in_all: u64,
    /// Whether one of them is not a search, but the clicks without one.
    pub(crate) has_no_search: bool,
    /// All selected leads and clicks, shown or not.
    pub(crate) totals: Totals,
    /// The experts' names.
    pub(crate) names: ExpertNames,
    /// Whether the rows have their clicks in the period before.
    pub(crate) is_compared: bool,
}

/// The kind of ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RankBy {
    /// Experts, by their canonical username.
    Expert,
    /// Searches. Those that differ only in white space and case count as one, which is shown as it was last typed.
    Query,
}

/// An expert or a search in a [`Ranking`].
#[derive(Debug)]
pub(crate) struct Ranked {
    /// The expert's username, or the search.
    pub(crate) subject: String,
    /// The number of clicks.
    pub(crate) clicks: u64,
    /// The number of different leads who clicked.
    pub(crate) leads: u64,
    /// When the latest click happened.
    pub(crate) latest_at: Timestamp,
    /// The number of clicks in the period before, if the ranking [is compared](Ranking::is_compared).
    pub(crate) clicks_before: u64,
}

/// Ranks the clicks of `selection`, and keeps the first `ranked_max` rows. The totals always count all clicks.
///
/// Needs 20 to 39 bytes of memory for each different spelling of an email, an expert or a search, 36 more for each expert or
/// search, and up to 6 for each pair of one and a lead; and the texts of the rows that it returns, with 70 bytes each.
///
/// # Errors
/// When the database can't be read, or holds a click whose time can't be read, and when memory is refused.
pub(crate) fn ranking(
    db: &Db,
    by: RankBy,
    selection: &Selection,
    ranked_max: Option<NonZeroU64>,
) -> Result<Ranking, Error> {
    let refused = |refused| db.error(refused);
    let names = db.expert_names()?;
    // Both scans see the same clicks.
    db.snapshot(|db| {
        let mut tally = Tally::new(by);
        let columns = Columns::EMAIL | by.column() | Columns::CREATED_AT;
        for_each_click(db, &Query::of(selection, columns), |click| {
            tally.add(&click)
        })?;
        let totals = Totals {
            leads: tally.emails.len(),
            clicks: tally.groups.iter().map(|group| group.clicks).sum(),
        };
        let shown = tally.order(ranked_max).map_err(refused)?;
        let leads = tally.leads.count(tally.groups.len()).map_err(refused)?;
        let mut ranked = Vec::new();
        memory::reserve(&mut ranked, shown.len()).map_err(refused)?;
        ranked.extend(shown.iter().map(|&number| {
            let group = &tally.groups[number as usize];
            Ranked {
                subject: String::new(),
                clicks: group.clicks,
                leads: leads[number as usize],
                latest_at: group.latest_at,
                clicks_before: 0,
            }
        }));
        drop(leads);
        read_subjects(db, by, selection, &tally.subjects, &shown, &mut ranked)?;
        Ok(Ranking {
            by,
            ranked,
            ranked_in_all: tally.groups.len() as u64,
            has_no_search: by == RankBy::Query && tally.subjects.find("").is_some(),
            totals,
            names,
            is_compared: false,
        })
    })
}

/// Reads the subjects of `ranked`, whose groups have the numbers `shown`, from their latest clicks. So the first scan does not keep
/// all subjects in memory, of which there may be millions.
fn read_subjects(
    db: &Db,
    by: RankBy,
    selection: &Selection,
    subjects: &TextGroups,
    shown: &[u32],
    ranked: &mut [Ranked],
) -> Result<(), Error> {
    let refused = |refused| db.error(refused);
    let (mut rows, mut instants) = (Vec::new(), Vec::new());
    memory::reserve(&mut rows, shown.len()).map_err(refused)?;
    memory::reserve(&mut instants, shown.len()).map_err(refused)?;
    rows.extend(shown.iter().copied().zip(0_usize..));
    rows.sort_unstable();
    instants.extend(ranked.iter().map(|row| row.latest_at));
    instants.sort_unstable();
    instants.dedup();
    // White space and invisible characters alone count as no search.
    let no_search = subjects.find("");
    let query = Query::of(selection, by.column());
    db.read_clicks_at(&query, &instants, |click| {
        let subject = by.subject_of(&click);
        let group = subjects.find(subject);
        let found = group
            .and_then(|group| rows.binary_search_by_key(&group, |row| row.0).ok())
            .map(|index| &mut ranked[rows[index].1])
            .filter(|row| row.latest_at == click.created_at);
        if let Some(row) = found {
            let shown = match by {
                RankBy::Expert => canonical_username(subject),
                RankBy::Query if group == no_search => Cow::Borrowed(""),
                RankBy::Query => Cow::Borrowed(subject),
            };
            row.subject = memory::owned(&shown)?;
        }
        Ok(ControlFlow::Continue(()))
    })
}

impl Ranking {
    /// Counts the clicks of the period `before` for the same rows. Needs 20 to 39 bytes of memory for each different spelling of an
    /// expert or a search.
    ///
    /// # Errors
    /// When the database can't be read, and when memory is refused.
    pub(crate) fn compare(&mut self, db: &Db, before: &Selection) -> Result<(), Error> {
        let mut subjects = TextGroups::new(self.by.key());
        // All are different, so a subject has the number of its row, and all others have later numbers.
        for row in &self.ranked {
            subjects
                .group(&row.subject)
                .map_err(|refused| db.error(refused))?;
        }
        let by = self.by;
        for_each_click(db, &Query::of(before, by.column()), |click| {
            let subject = subjects.group(by.subject_of(&click))?;
            if let Some(row) = self.ranked.get_mut(subject as usize) {
                row.clicks_before += 1;
            }
            Ok(())
        })?;
        self.is_compared = true;
        Ok(())
    }

    /// The number of experts or searches, shown or not.
    pub(crate) fn subjects(&self) -> u64 {
        self.ranked_in_all - u64::from(self.has_no_search)
    }

    /// The number of clicks of the first row.
    pub(crate) fn clicks_max(&self) -> u64 {
        self.ranked.first().map_or(0, |first| first.clicks)
    }

    /// The share of these clicks in all selected clicks, from 0 to 1.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of clicks are far below 2^53, and a share is rounded anyway"
    )]
    pub(crate) fn share(&self, clicks: u64) -> f64 {
        clicks as f64 / self.totals.clicks.max(1) as f64
    }
}

impl RankBy {
    fn column(self) -> Columns {
        match self {
            Self::Expert => Columns::EXPERT_USERNAME,
            Self::Query => Columns::SEARCH_QUERY,
        }
    }

    fn key(self) -> fn(&str) -> Cow<'_, str> {
        match self {
            Self::Expert => canonical_username,
            Self::Query => query_key,
        }
    }

    fn subject_of<'a>(self, click: &'a StoredClick<'_>) -> &'a str {
        match self {
            Self::Expert => &click.expert_username,
            Self::Query => &click.search_query,
        }
    }
}

/// Counts clicks by subject.
struct Tally {
    by: RankBy,
    emails: TextGroups,
    subjects: TextGroups,
    groups: Vec<Group>,
    leads: LeadsByGroup,
    clicks: u64,
}

struct Group {
    clicks: u64,
    latest_at: Timestamp,
    /// The number of the latest click, in the order in which clicks are read.
    latest: u64,
}

impl Tally {
    fn new(by: RankBy) -> Self {
        Self {
            by,
            emails: TextGroups::new(canonical_email),
            subjects: TextGroups::new(by.key()),
            groups: Vec::new(),
            leads: LeadsByGroup::default(),
            clicks: 0,
        }
    }

    fn add(&mut self, click: &StoredClick<'_>) -> Result<(), OutOfMemory> {
        let created_at = click.created_at;
        let email = self.emails.group(&click.email)?;
        let subject = self.subjects.group(self.by.subject_of(click))?;
        if subject as usize == self.groups.len() {
            let group = Group {
                clicks: 0,
                latest_at: created_at,
                latest: self.clicks,
            };
            memory::push(&mut self.groups, group)?;
        }
        let group = &mut self.groups[subject as usize];
        group.clicks += 1;
        if created_at >= group.latest_at {
            group.latest_at = created_at;
            group.latest = self.clicks;
        }
        self.clicks += 1;
        self.leads.add(subject, email)
    }

    /// The numbers of the first `ranked_max` groups of the ranking, in its order.
    fn order(&self, ranked_max: Option<NonZeroU64>) -> Result<Vec<u32>, OutOfMemory> {
        let mut numbers = Vec::new();
        memory::reserve(&mut numbers, self.groups.len())?;
        numbers.extend((0..).take(self.groups.len()));
        numbers.sort_unstable_by_key(|&number: &u32| {
            let group = &self.groups[number as usize];
            Reverse((group.clicks, group.latest_at, group.latest))
        });
        if let Some(ranked_max) = ranked_max {
            numbers.truncate(usize::try_from(ranked_max.get()).unwrap_or(usize::MAX));
        }
        Ok(numbers)
    }
}

/// Searches with the same key count as one.
fn query_key(query: &str) -> Cow<'_, str> {
    let folded = fold(query);
    let words: Vec<&str> = folded.split_whitespace().collect();
    Cow::Owned(words.join(" "))
}
