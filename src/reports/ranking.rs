use std::{cmp::Reverse, num::NonZeroU64, ops::ControlFlow};

use super::{Totals, leads_by_group::LeadsByGroup};
use crate::{
    expert::ExpertNames,
    storage::{Columns, Db, Error, Query, Selection, StoredClick, fold_case},
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
#[derive(Debug)]
struct Ranked {
    subject: String,
    clicks: u64,
    leads: u64,
    latest_at: Timestamp,
}

/// A row of a [`Ranking`].
#[derive(Debug, Clone)]
pub(crate) struct RankedRow<'a> {
    /// What is ranked.
    pub(crate) by: RankBy,
    /// The expert's username, or the search.
    pub(crate) subject: &'a str,
    /// The expert's name, or the search.
    pub(crate) name: &'a str,
    /// How many clicks there were.
    pub(crate) clicks: u64,
    /// By how many different leads.
    pub(crate) leads: u64,
    /// Which part of all selected clicks these are, from 0 to 1.
    pub(crate) share: f64,
    /// When the latest was stored.
    pub(crate) latest_at: Timestamp,
    /// How many clicks the first row has.
    pub(crate) clicks_max: u64,
}

impl RankedRow<'_> {
    /// A row without meaning.
    pub(crate) fn sample(by: RankBy) -> Self {
        Self {
            by,
            subject: "",
            name: "",
            clicks: 0,
            leads: 0,
            share: 0.0,
            latest_at: Timestamp::EPOCH,
            clicks_max: 0,
        }
    }
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
    let columns = Columns::EMAIL | by.column() | Columns::CREATED_AT;
    let query = Query::of(selection, columns);
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
    pub(crate) fn by(&self) -> RankBy {
        self.by
    }

    /// The first rows.
    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = RankedRow<'_>> + Clone {
        let clicks_max = self.ranked.first().map_or(0, |first| first.clicks);
        self.ranked.iter().map(move |ranked| RankedRow {
            by: self.by,
            subject: &ranked.subject,
            name: self.names.display_name(&ranked.subject),
            clicks: ranked.clicks,
            leads: ranked.leads,
            share: self.share(ranked.clicks),
            latest_at: ranked.latest_at,
            clicks_max,
        })
    }

    /// How many there are, shown or not.
    pub(crate) fn ranked_in_all(&self) -> u64 {
        self.ranked_in_all
    }

    /// All selected leads and clicks, shown or not.
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// The experts' names.
    pub(crate) fn names(&self) -> &ExpertNames {
        &self.names
    }

    /// Which part of all selected clicks these are.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of clicks are far below 2^53, and a share is rounded anyway"
    )]
    fn share(&self, clicks: u64) -> f64 {
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
