use std::{borrow::Cow, cmp::Reverse, path::Path};

use super::{Selection, StoredClick};
use crate::{
    click::{canonical_email, canonical_username},
    text::{
        groups::TextGroups,
        memory::{self, OutOfMemory},
    },
    timestamp::Timestamp,
};

/// The tables of leads and clicks, those that refer to others first. Rows are only erased from those of them that the
/// database has, never from `experts`, `admin_users`, `settings` or any other table.
pub(crate) const TABLES: [&str; 6] = [
    "feedback",
    "conversations",
    "email_leads",
    "newsletter_subscribers",
    "user_events",
    "lead_clicks",
];

/// A table and its number of rows, before or after a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableRows {
    /// The table's name.
    pub(crate) table: &'static str,
    /// The number of rows.
    pub(crate) rows: u64,
}

/// The rows of one of [`TABLES`] whose column `email` has one spelling of a person's email.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpellingRows {
    /// The table's name.
    pub(crate) table: &'static str,
    /// The email as it is stored.
    pub(crate) spelling: String,
    /// The number of rows; at least one.
    pub(crate) rows: u64,
}

/// Where a search for an email in all tables found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remains {
    /// This column contains it, by itself or within a longer text.
    Column {
        table: String,
        column: String,
        /// The number of rows; at least one.
        rows: u64,
    },
    /// Only the host app can read this table.
    Unreadable { table: String },
    /// This table can't be read because the file is damaged.
    Damaged { table: String },
}

/// The clicks that a purge would delete; at least one.
#[derive(Debug)]
pub(crate) struct FoundClicks {
    /// When the oldest happened.
    pub(crate) first: Timestamp,
    /// When the newest of them happened.
    pub(crate) last: Timestamp,
    /// The number of leads.
    pub(crate) leads: u64,
    /// The number of experts.
    pub(crate) experts: u64,
    /// The leads with the most of these clicks, by canonical email.
    pub(crate) top_leads: Vec<ClicksOf>,
    /// The experts with the most of these clicks, by canonical username.
    pub(crate) top_experts: Vec<ClicksOf>,
    /// The number of clicks.
    pub(crate) count: u64,
    /// The hash of the id and of all columns of each click, in ascending order. By these they are recognized when they are read
    /// again by the selection.
    pub(super) hashes: Vec<u64>,
    pub(super) selection: Selection,
}

/// The most experts and leads that are named.
const NAMED_MAX: usize = 5;

/// Counts the clicks that a purge would delete.
pub(super) struct FoundCount<'a> {
    selection: &'a Selection,
    found: Option<FoundClicks>,
    leads: Tally,
    experts: Tally,
}

impl<'a> FoundCount<'a> {
    pub(super) fn new(selection: &'a Selection) -> Self {
        Self {
            selection,
            found: None,
            leads: Tally::new(canonical_email),
            experts: Tally::new(canonical_username),
        }
    }

    /// Adds a click. By the `hash` it is recognized later.
    pub(super) fn add(
        &mut self,
        id: i64,
        hash: u64,
        click: &StoredClick<'_>,
    ) -> Result<(), OutOfMemory> {
        self.leads.add(id, &click.email)?;
        self.experts.add(id, &click.expert_username)?;
        let at = click.created_at;
        let found = self.found.get_or_insert_with(|| FoundClicks {
            first: at,
            last: at,
            leads: 0,
            experts: 0,
            top_leads: Vec::new(),
            top_experts: Vec::new(),
            count: 0,
            hashes: Vec::new(),
            selection: self.selection.clone(),
        });
        found.first = found.first.min(at);
        found.last = found.last.max(at);
        found.count += 1;
        memory::push(&mut found.hashes, hash)
    }

    /// What was found; none if there are no such clicks. `read` returns the canonical click with an id.
    pub(super) fn finish<E>(
        self,
        mut read: impl FnMut(i64) -> Result<Option<StoredClick<'static>>, E>,
    ) -> Result<Option<FoundClicks>, E> {
        let Some(mut found) = self.found else {
            return Ok(None);
        };
        found.hashes.sort_unstable();
        found.leads = self.leads.groups.len();
        found.experts = self.experts.groups.len();
        found.top_leads = self
            .leads
            .top(|id| Ok(read(id)?.map(|click| click.email)))?;
        found.top_experts = self
            .experts
            .top(|id| Ok(read(id)?.map(|click| click.expert_username)))?;
        Ok(Some(found))
    }
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

    /// Those with the most clicks, named by the text of a click with an id.
    fn top<E>(
        self,
        mut name: impl FnMut(i64) -> Result<Option<Cow<'static, str>>, E>,
    ) -> Result<Vec<ClicksOf>, E> {
        let mut counts = self.counts;
        counts.sort_unstable_by_key(|(clicks, id)| (Reverse(*clicks), *id));
        counts.truncate(NAMED_MAX);
        counts
            .into_iter()
            .map(|(clicks, id)| {
                let name = name(id)?.unwrap_or_default().into_owned();
                Ok(ClicksOf { name, clicks })
            })
            .collect()
    }
}

/// How many clicks an expert or a lead has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClicksOf {
    pub(crate) name: String,
    pub(crate) clicks: u64,
}

/// What a command deletes, by which the disk space that it needs is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deletion<'a> {
    /// Rows, in many transactions.
    Steps,
    /// All rows of [`TABLES`], in one transaction, after a copy to `backup`.
    Everything { backup: Option<&'a Path> },
}
