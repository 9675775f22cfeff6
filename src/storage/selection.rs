use crate::{storage::StoredClick, timestamp::Timestamp};

/// Which clicks are read: those that meet all conditions that are set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// When they happened.
    pub(crate) window: Window,
    /// The username of the expert who was clicked, compared exactly.
    pub(crate) expert: Option<String>,
    /// The lead's email address; ASCII letters are compared case-insensitively.
    pub(crate) email: Option<String>,
    /// A case-insensitive substring of the search.
    pub(crate) query: Option<String>,
}

/// When the clicks happened: from `since` on and before `until`. Half-open, so that adjacent windows share no clicks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// The first instant inside; unlimited if not set.
    pub(crate) since: Option<Timestamp>,
    /// The first instant after it; unlimited if not set.
    pub(crate) until: Option<Timestamp>,
}

impl Selection {
    /// Makes a selection of user input: trims `expert` and `email`, and lower-cases the email as stored clicks are.
    pub(crate) fn new(
        window: Window,
        expert: Option<&str>,
        email: Option<&str>,
        query: Option<&str>,
    ) -> Self {
        Self {
            window,
            expert: expert.map(|text| text.trim().to_owned()),
            email: email.map(|text| text.trim().to_ascii_lowercase()),
            query: query.map(str::to_owned),
        }
    }

    /// All clicks of `window`.
    pub(crate) fn of(window: Window) -> Self {
        Self {
            window,
            ..Self::default()
        }
    }

    /// A test for single clicks by all conditions except the window.
    pub(super) fn matcher(&self) -> impl Fn(&StoredClick<'_>) -> bool {
        let Self {
            expert,
            email,
            query,
            window: _,
        } = self.clone();
        let contains_query = contains(query.as_deref());
        move |click| {
            expert
                .as_ref()
                .is_none_or(|expert| *expert == click.expert_username)
                && email
                    .as_ref()
                    .is_none_or(|email| email.eq_ignore_ascii_case(&click.email))
                && contains_query(&click.search_query)
        }
    }
}

impl Window {
    pub(super) fn contains(self, instant: Timestamp) -> bool {
        self.since.is_none_or(|since| instant >= since)
            && self.until.is_none_or(|until| instant < until)
    }
}

/// A test whether texts contain `part`, case-insensitively. Without a part all do.
pub(super) fn contains(part: Option<&str>) -> impl Fn(&str) -> bool + use<> {
    let part = part.map(fold_case);
    move |text| {
        part.as_ref()
            .is_none_or(|part| fold_case(text).contains(&**part))
    }
}

/// Folds upper and lower case: texts that differ only in case become equal, also as parts of longer texts.
pub(crate) fn fold_case(text: &str) -> String {
    text.chars()
        .flat_map(char::to_lowercase)
        // Lower-case sigma has another form at the end of a word.
        .map(|character| if character == 'ς' { 'σ' } else { character })
        .collect()
}
