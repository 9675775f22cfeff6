use std::{cmp::Reverse, num::NonZeroU64, ops::ControlFlow};

use super::{Totals, leads_by_group::LeadsByGroup};
use crate::{
    expert::ExpertNames,
    storage::{BadTime, Column, Db, Error, Order, Query, Selection, StoredClick, fold_case},
    text::interner::StringInterner,
    timestamp::Timestamp,
};

/// What was clicked, or searched for before, the most often first; of the same number of clicks the one with the latest.
#[derive(Debug)]
pub(crate) struct Ranking {
    by: RankBy,
    ranked: Vec<Ranked>,
    ranked_in_all: u64,
    totals: Totals,
    names: ExpertNames,
}

/// What is ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RankBy {
    /// Experts, by their username to the letter.
    Expert,
    /// Searches. Those that differ only in white space and in upper and lower case are one, told as it was typed last.
    Query,
}

/// An expert or a search in a [`Ranking`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ranked {
    /// The expert's username, or the search.
    pub(crate) subject: String,
    /// How many clicks there were.
    pub(crate) clicks: u64,
    /// By how many different leads.
    pub(crate) leads: u64,
    /// When the latest was stored.
    pub(crate) latest_at: Timestamp,
}

/// Ranks the clicks of `selection`, and keeps the first `ranked_max`. Totals count every click either way.
///
/// Takes memory for each different subject, lead, and lead of a subject: some 100, 20 and 16 bytes, and the texts.
///
/// # Errors
/// When the database can't be read, or holds a click whose time is none.
pub(crate) fn ranking(
    db: &Db,
    by: RankBy,
    selection: &Selection,
    ranked_max: Option<NonZeroU64>,
) -> Result<Ranking, Error> {
    let names = db.expert_names()?;
    let query = Query {
        selection,
        columns: &[Column::Email, by.column(), Column::CreatedAt],
        order: Order::Any,
        bad_time: BadTime::Fail,
    };
    let mut tally = Tally::new(by);
    db.read_clicks(&query, |click| {
        tally.add(&click);
        ControlFlow::Continue(())
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
    /// What is ranked.
    #[must_use]
    pub(crate) fn by(&self) -> RankBy {
        self.by
    }

    /// The first places.
    #[must_use]
    pub(crate) fn ranked(&self) -> &[Ranked] {
        &self.ranked
    }

    /// How many there are, shown or not.
    #[must_use]
    pub(crate) fn ranked_in_all(&self) -> u64 {
        self.ranked_in_all
    }

    /// All selected leads and clicks, shown or not.
    #[must_use]
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// The experts' names.
    #[must_use]
    pub(crate) fn names(&self) -> &ExpertNames {
        &self.names
    }

    /// Which part of all selected clicks `ranked` has, from 0 to 1.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of clicks are far below 2^53, and a share is rounded anyway"
    )]
    pub(crate) fn share(&self, ranked: &Ranked) -> f64 {
        ranked.clicks as f64 / self.totals.clicks.max(1) as f64
    }
}

impl RankBy {
    fn column(self) -> Column {
        match self {
            Self::Expert => Column::ExpertUsername,
            Self::Query => Column::SearchQuery,
        }
    }

    fn subject_of<'a>(self, click: &'a StoredClick<'_>) -> &'a str {
        match self {
            Self::Expert => &click.expert_username,
            Self::Query => &click.search_query,
        }
    }
}

/// The clicks so far, by subject.
struct Tally {
    by: RankBy,
    emails: StringInterner,
    /// The subjects as they are stored.
    subjects: StringInterner,
    /// The group of each subject, by the subject's number.
    group_of: Vec<u32>,
    /// What makes the groups different.
    keys: StringInterner,
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
            emails: StringInterner::new(),
            subjects: StringInterner::new(),
            group_of: Vec::new(),
            keys: StringInterner::new(),
            groups: Vec::new(),
            leads: LeadsByGroup::default(),
        }
    }

    fn add(&mut self, click: &StoredClick<'_>) {
        let created_at = click.created_at;
        let email = self.emails.number(&click.email);
        let subject_text = self.by.subject_of(click);
        let subject = self.subjects.number(subject_text);
        if subject as usize == self.group_of.len() {
            let key = match self.by {
                RankBy::Expert => self.keys.number(subject_text),
                RankBy::Query => self.keys.number(&query_key(subject_text)),
            };
            self.group_of.push(key);
        }
        let number = self.group_of[subject as usize];
        if number as usize == self.groups.len() {
            self.groups.push(Group {
                clicks: 0,
                latest_at: created_at,
                latest: subject,
            });
        }
        let group = &mut self.groups[number as usize];
        group.clicks += 1;
        self.leads.add(number, email);
        if created_at >= group.latest_at {
            group.latest_at = created_at;
            group.latest = subject;
        }
    }

    fn into_ranked(self) -> Vec<Ranked> {
        let leads = self.leads.count(self.groups.len());
        self.groups
            .iter()
            .zip(leads)
            .map(|(group, leads)| Ranked {
                // White space alone is no search.
                subject: match self.subjects.get(group.latest) {
                    blank if blank.trim().is_empty() => String::new(),
                    subject => subject.to_owned(),
                },
                clicks: group.clicks,
                leads,
                latest_at: group.latest_at,
            })
            .collect()
    }
}

/// What searches have in common that count as one.
fn query_key(query: &str) -> String {
    let words: Vec<&str> = query.split_whitespace().collect();
    fold_case(&words.join(" "))
}
