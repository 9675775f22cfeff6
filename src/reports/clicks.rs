use crate::{
    click::{canonical_email, canonical_username},
    expert::ExpertNames,
    reports::ClickRow,
    storage::StoredClick,
    text::{
        interner::{GroupedInterner, StringInterner},
        memory::{self, OutOfMemory},
    },
    timestamp::Timestamp,
};

/// Clicks in memory: 24 bytes each, plus each different email, username and search once. Emails and usernames are numbered
/// by their canonical form.
#[derive(Debug)]
pub(super) struct ClickStore {
    pub(super) emails: GroupedInterner,
    pub(super) experts: GroupedInterner,
    /// By the expert's number; none if the expert is unknown or has no name.
    expert_names: Vec<Option<String>>,
    queries: StringInterner,
    /// In the order in which they were added.
    pub(super) clicks: Vec<CompactClick>,
}

/// A click, with numbers instead of texts.
#[derive(Debug, Clone, Copy)]
pub(super) struct CompactClick {
    pub(super) created_at: Timestamp,
    email: u32,
    expert: u32,
    query: u32,
    /// The next older click of the same lead, or [`NO_CLICK`].
    pub(super) older: u32,
}

/// No click has this number: memory does not suffice for 4 billion clicks.
pub(super) const NO_CLICK: u32 = u32::MAX;

impl Default for ClickStore {
    fn default() -> Self {
        Self {
            emails: GroupedInterner::new(canonical_email),
            experts: GroupedInterner::new(canonical_username),
            expert_names: Vec::new(),
            queries: StringInterner::default(),
            clicks: Vec::new(),
        }
    }
}

impl ClickStore {
    /// Adds a click of the lead whose email has the number `email`, and returns the click's number.
    pub(super) fn push(
        &mut self,
        click: &StoredClick<'_>,
        email: u32,
        older: u32,
        names: &ExpertNames,
    ) -> Result<u32, OutOfMemory> {
        let expert = self.experts.group(&click.expert_username)?;
        if expert as usize == self.expert_names.len() {
            let username = self.experts.key(expert);
            let name = names.display_name(username);
            let is_named = name != username;
            let name = is_named.then(|| name.to_owned());
            memory::push(&mut self.expert_names, name)?;
        }
        let number = u32::try_from(self.clicks.len()).unwrap_or(NO_CLICK);
        let click = CompactClick {
            created_at: click.created_at,
            email,
            expert,
            query: self.queries.number(&click.search_query)?,
            older,
        };
        memory::push(&mut self.clicks, click)?;
        Ok(number)
    }

    /// A click by its number; none for [`NO_CLICK`].
    pub(super) fn get(&self, number: u32) -> Option<&CompactClick> {
        self.clicks.get(number as usize)
    }

    pub(super) fn row(&self, click: &CompactClick) -> ClickRow<'_> {
        let expert_username = self.experts.key(click.expert);
        let expert_name = self.expert_names[click.expert as usize].as_deref();
        ClickRow {
            email: self.emails.key(click.email),
            expert_username,
            expert_name: expert_name.unwrap_or(expert_username),
            search_query: self.queries.get(click.query),
            created_at: click.created_at,
        }
    }
}
