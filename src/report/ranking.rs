use std::{cmp::Reverse, num::NonZeroU64};

use rusqlite::Row;

use super::{
    Selection, Totals, created_at,
    distinct::LeadsByGroup,
    in_any_case,
    selection::{self, Conditions},
    text,
    texts::Texts,
};
use crate::{
    experts::Names,
    store::{Db, Error, Problem},
    timestamp::Timestamp,
};

/// What was clicked, or searched for before, the most often first; of the same number of clicks the one with the latest.
#[derive(Debug)]
pub struct Ranking {
    by: RankBy,
    ranked: Vec<Ranked>,
    ranked_in_all: u64,
    totals: Totals,
    names: Names,
}

/// What is ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RankBy {
    /// Experts, by their username to the letter.
    Expert,
    /// Searches. Those that differ only in white space and in upper and lower case are one, told as it was typed last.
    Query,
}

/// An expert or a search in a [`Ranking`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranked {
    /// The expert's username, or the search.
    pub subject: String,
    /// How many clicks there were.
    pub clicks: u64,
    /// By how many different leads.
    pub leads: u64,
    /// When the latest was stored.
    pub latest_at: Timestamp,
}

/// Ranks the clicks of `selection`, and keeps the first `ranked_max`. Totals count every click either way.
///
/// Takes memory for each different subject, lead, and lead of a subject: some 100, 20 and 16 bytes, and the texts.
///
/// # Errors
/// When the database can't be read, or holds a click whose time is none.
pub fn ranking(
    db: &Db,
    by: RankBy,
    selection: &Selection,
    ranked_max: Option<NonZeroU64>,
) -> Result<Ranking, Error> {
    let names = Names::load(db)?;
    let tally = db.read(|conn| {
        selection::prepare(conn)?;
        let conditions = selection.conditions();
        let mut tally = Tally::new(by);
        let mut statement = conn.prepare(&select(by, &conditions))?;
        let mut rows = statement.query(conditions.parameters())?;
        while let Some(row) = rows.next()? {
            tally.add(row)?;
        }
        Ok(tally)
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
    pub fn by(&self) -> RankBy {
        self.by
    }

    /// The first places.
    #[must_use]
    pub fn ranked(&self) -> &[Ranked] {
        &self.ranked
    }

    /// How many there are, shown or not.
    #[must_use]
    pub fn ranked_in_all(&self) -> u64 {
        self.ranked_in_all
    }

    /// All selected leads and clicks, shown or not.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The experts' names.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Which part of all selected clicks `ranked` has, from 0 to 1.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of clicks are far below 2^53, and a share is rounded anyway"
    )]
    pub fn share(&self, ranked: &Ranked) -> f64 {
        ranked.clicks as f64 / self.totals.clicks.max(1) as f64
    }
}

fn select(by: RankBy, conditions: &Conditions) -> String {
    let subject = match by {
        RankBy::Expert => "expert_username",
        RankBy::Query => "search_query",
    };
    format!(
        "SELECT id, email, {subject}, created_at FROM lead_clicks WHERE {}",
        conditions.sql()
    )
}

/// The clicks so far, by subject.
struct Tally {
    by: RankBy,
    emails: Texts,
    /// The subjects as they are stored.
    subjects: Texts,
    /// The group of each subject, by the subject's number.
    group_of: Vec<u32>,
    /// What makes the groups different.
    keys: Texts,
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
            emails: Texts::new(),
            subjects: Texts::new(),
            group_of: Vec::new(),
            keys: Texts::new(),
            groups: Vec::new(),
            leads: LeadsByGroup::default(),
        }
    }

    fn add(&mut self, row: &Row<'_>) -> Result<(), Problem> {
        let email = self.emails.number(&text(row.get_ref(1)?));
        let subject_text = text(row.get_ref(2)?);
        let subject = self.subjects.number(&subject_text);
        let created_at = created_at(row.get_ref(3)?, row.get_ref(0)?)?;
        if subject as usize == self.group_of.len() {
            let key = match self.by {
                RankBy::Expert => self.keys.number(&subject_text),
                RankBy::Query => self.keys.number(&query_key(&subject_text)),
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
        Ok(())
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
    in_any_case(&words.join(" "))
}
