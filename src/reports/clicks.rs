use crate::{
    expert::ExpertNames, reports::ClickRow, storage::StoredClick, text::interner::StringInterner,
    timestamp::Timestamp,
};

/// Clicks in memory: 24 bytes each, and every different email, username and search once.
#[derive(Debug)]
pub(super) struct ClickStore {
    emails: StringInterner,
    experts: StringInterner,
    /// By the expert's number; none for one who is unknown or has no name.
    expert_names: Vec<Option<String>>,
    queries: StringInterner,
    clicks: Vec<CompactClick>,
}

/// A click, by the numbers of its texts.
#[derive(Debug, Clone, Copy)]
pub(super) struct CompactClick {
    pub(super) created_at: Timestamp,
    email: u32,
    expert: u32,
    query: u32,
    /// The next older click of the same lead, or [`NO_CLICK`].
    pub(super) older: u32,
}

/// No click has this number. There is memory for fewer than 4 billion.
pub(super) const NO_CLICK: u32 = u32::MAX;

impl ClickStore {
    pub(super) fn new() -> Self {
        Self {
            emails: StringInterner::new(),
            experts: StringInterner::new(),
            expert_names: Vec::new(),
            queries: StringInterner::new(),
            clicks: Vec::new(),
        }
    }

    /// The number of an email: those of different emails count up from zero.
    pub(super) fn email_number(&mut self, email: &str) -> u32 {
        self.emails.number(email)
    }

    pub(super) fn email(&self, number: u32) -> &str {
        self.emails.get(number)
    }

    /// Adds a click by the lead whose email has the number `email`, and returns its number.
    pub(super) fn push(
        &mut self,
        click: &StoredClick<'_>,
        email: u32,
        older: u32,
        names: &ExpertNames,
    ) -> u32 {
        let expert = self.experts.number(&click.expert_username);
        if expert as usize == self.expert_names.len() {
            let name = names.display_name(&click.expert_username);
            let is_named = name != click.expert_username;
            self.expert_names.push(is_named.then(|| name.to_owned()));
        }
        let number = u32::try_from(self.clicks.len()).unwrap_or(NO_CLICK);
        self.clicks.push(CompactClick {
            created_at: click.created_at,
            email,
            expert,
            query: self.queries.number(&click.search_query),
            older,
        });
        number
    }

    pub(super) fn len(&self) -> usize {
        self.clicks.len()
    }

    pub(super) fn emails_len(&self) -> usize {
        self.emails.len()
    }

    pub(super) fn experts_len(&self) -> usize {
        self.experts.len()
    }

    /// The clicks in the order in which they were added.
    pub(super) fn as_mut_slice(&mut self) -> &mut [CompactClick] {
        &mut self.clicks
    }

    /// A click by its number; none for [`NO_CLICK`].
    pub(super) fn get(&self, number: u32) -> Option<&CompactClick> {
        self.clicks.get(number as usize)
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, CompactClick> {
        self.clicks.iter()
    }

    pub(super) fn row(&self, click: &CompactClick) -> ClickRow<'_> {
        let expert_username = self.experts.get(click.expert);
        let expert_name = self.expert_names[click.expert as usize].as_deref();
        ClickRow {
            email: self.emails.get(click.email),
            expert_username,
            expert_name: expert_name.unwrap_or(expert_username),
            search_query: self.queries.get(click.query),
            created_at: click.created_at,
        }
    }
}
