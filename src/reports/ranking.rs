use std::{borrow::Cow, cmp::Reverse, num::NonZeroU64};

use super::{Totals, for_each_click, leads_by_group::LeadsByGroup};
use crate::{
    click::{canonical_email, canonical_username, fold},
    expert::ExpertNames,
    storage::{Columns, Db, Error, Query, Selection, StoredClick},
    text::interner::GroupedInterner,
    timestamp::Timestamp,
};

/// Experts or searches, ordered by their number of clicks, and then by their latest click.
#[derive(Debug)]
pub(crate) struct Ranking {
    pub(crate) by: RankBy,
    /// The rows that are shown.
    pub(crate) ranked: Vec<Ranked>,
    /// The number of experts or searches, shown or not.
    pub(crate) ranked_in_all: u64,
    /// All selected leads and clicks, shown or not.
    pub(crate) totals: Totals,
    /// The experts' names.
    pub(crate) names: ExpertNames,
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
}

/// Ranks the clicks of `selection`, and keeps the first `ranked_max` rows. The totals always count all clicks.
///
/// Needs about 100 bytes of memory for each different subject, 30 for each lead, and 16 for each pair of both, plus the
/// texts.
///
/// # Errors
/// When the database can't be read, or holds a click whose time can't be read.
pub(crate) fn ranking(
    db: &Db,
    by: RankBy,
    selection: &Selection,
    ranked_max: Option<NonZeroU64>,
) -> Result<Ranking, Error> {
    let names = db.expert_names()?;
    let columns = Columns::EMAIL | by.column() | Columns::CREATED_AT;
    let mut tally = Tally::new(by);
    for_each_click(db, &Query::of(selection, columns), |click| {
        tally.add(&click);
    })?;
    let totals = Totals {
        leads: tally.emails.len() as u64,
        clicks: tally.groups.iter().map(|group| group.clicks).sum(),
    };
    let mut ranked = tally.into_ranked();
    let ranked_in_all = ranked.len() as u64;
    ranked.sort_by(|a, b| order(a).cmp(&order(b)));
    if let Some(ranked_max) = ranked_max {
        ranked.truncate(usize::try_from(ranked_max.get()).unwrap_or(usize::MAX));
    }
    Ok(Ranking {
        by,
        ranked,
        ranked_in_all,
        totals,
        names,
    })
}

fn order(ranked: &Ranked) -> (Reverse<u64>, Reverse<Timestamp>, &str) {
    (
        Reverse(ranked.clicks),
        Reverse(ranked.latest_at),
        &ranked.subject,
    )
}

impl Ranking {
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
    emails: GroupedInterner,
    subjects: GroupedInterner,
    groups: Vec<Group>,
    leads: LeadsByGroup,
}

struct Group {
    clicks: u64,
    latest_at: Timestamp,
    /// The number of the subject in the latest click.
    latest: u32,
}

impl Tally {
    fn new(by: RankBy) -> Self {
        Self {
            by,
            emails: GroupedInterner::new(canonical_email),
            subjects: GroupedInterner::new(match by {
                RankBy::Expert => canonical_username,
                RankBy::Query => query_key,
            }),
            groups: Vec::new(),
            leads: LeadsByGroup::default(),
        }
    }

    fn add(&mut self, click: &StoredClick<'_>) {
        let created_at = click.created_at;
        let email = self.emails.group(&click.email);
        let subject = self.subjects.intern(self.by.subject_of(click));
        if subject.group as usize == self.groups.len() {
            self.groups.push(Group {
                clicks: 0,
                latest_at: created_at,
                latest: subject.text,
            });
        }
        let group = &mut self.groups[subject.group as usize];
        group.clicks += 1;
        self.leads.add(subject.group, email);
        if created_at >= group.latest_at {
            group.latest_at = created_at;
            group.latest = subject.text;
        }
    }

    fn into_ranked(self) -> Vec<Ranked> {
        let leads = self.leads.count(self.groups.len());
        self.groups
            .iter()
            .zip(0..)
            .zip(leads)
            .map(|((group, number), leads)| Ranked {
                subject: match (self.by, self.subjects.key(number)) {
                    // White space and invisible characters alone count as no search.
                    (RankBy::Expert, key) | (RankBy::Query, key @ "") => key.to_owned(),
                    (RankBy::Query, _) => self.subjects.text(group.latest).to_owned(),
                },
                clicks: group.clicks,
                leads,
                latest_at: group.latest_at,
            })
            .collect()
    }
}

/// Searches with the same key count as one.
fn query_key(query: &str) -> Cow<'_, str> {
    let folded = fold(query);
    let words: Vec<&str> = folded.split_whitespace().collect();
    Cow::Owned(words.join(" "))
}
