use std::{fmt, sync::Arc};

use crate::{
    click::{canonical_email, canonical_username, fold, is_email, is_username},
    storage::StoredClick,
    text::groups::TextGroups,
    timestamp::Timestamp,
};

/// Which clicks are read: those that meet all conditions that are set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// When they happened.
    pub(crate) window: Window,
    /// The canonical usernames of the experts, any of whom was clicked; empty for all experts.
    pub(crate) experts: Vec<String>,
    /// The leads.
    pub(crate) email: Option<EmailFilter>,
    /// A substring of the search, compared as [`fold`] does.
    pub(crate) query: Option<String>,
    /// Leads whose clicks are left out.
    pub(crate) excluded: Vec<EmailFilter>,
    /// The leads that a report has chosen by all their clicks.
    pub(crate) leads: Option<LeadSet>,
}

/// Leads that were chosen in this snapshot of the database.
#[derive(Debug, Clone)]
pub(crate) struct LeadSet(Arc<Leads>);

#[derive(Debug)]
struct Leads {
    emails: TextGroups,
    /// By the number of the email.
    are_in: Vec<bool>,
    /// Whether leads without a number are in the set.
    are_others_in: bool,
}

impl LeadSet {
    /// The leads of those `emails` whose number is marked in `are_in`, and either all others or none.
    pub(crate) fn new(emails: TextGroups, are_in: Vec<bool>, are_others_in: bool) -> Self {
        Self(Arc::new(Leads {
            emails,
            are_in,
            are_others_in,
        }))
    }

    /// Whether it has the lead with this email, in any spelling.
    fn contains(&self, stored: &str) -> bool {
        let Leads {
            emails,
            are_in,
            are_others_in,
        } = &*self.0;
        let email = emails
            .find(stored)
            .or_else(|| emails.find(&canonical_email(stored)));
        let is_in = email.and_then(|email| are_in.get(email as usize));
        is_in.copied().unwrap_or(*are_others_in)
    }
}

/// Sets are the same only if they were made together.
impl PartialEq for LeadSet {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for LeadSet {}

/// The emails of the leads, which are compared in their canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EmailFilter {
    /// This address.
    Address(String),
    /// All addresses of exactly this domain, and none of its subdomains.
    Domain(String),
}

impl Selection {
    /// Whether the lead or the domain that was asked for is excluded, so that no click can match.
    pub(crate) fn excludes_email(&self) -> bool {
        let excludes = |email| {
            self.excluded
                .iter()
                .any(|excluded| excluded.contains(email))
        };
        self.email.as_ref().is_some_and(excludes)
    }
}

impl EmailFilter {
    /// An address, or `@example.com` for a domain, in any spelling. A `*` is not a wildcard, so a text with one would match
    /// nobody.
    ///
    /// # Errors
    /// When it is neither.
    pub(crate) fn parse(text: &str) -> Result<Self, ParseEmailFilterError> {
        let canonical = canonical_email(text);
        match canonical.rsplit_once('@') {
            _ if canonical.contains('*') => {}
            None | Some((_, "")) => {}
            Some(("", domain)) => return Ok(Self::Domain(domain.to_owned())),
            Some((local, _)) if local.starts_with('@') => {}
            Some(_) => return Ok(Self::Address(canonical.into_owned())),
        }
        // `*@example.com`, `@*.example.com` and `example.com`.
        let domain = canonical.rsplit('*').next().unwrap_or_default();
        let domain = domain.trim_start_matches(['@', '.']);
        let is_domain = domain.contains('.') && !domain.contains(['@', ' ']);
        Err(ParseEmailFilterError {
            domain: is_domain.then(|| domain.to_owned()),
        })
    }

    /// Whether all leads of `other` are leads of this filter.
    fn contains(&self, other: &Self) -> bool {
        match other {
            Self::Address(email) => self.matches(email),
            Self::Domain(_) => self == other,
        }
    }

    fn matches(&self, stored: &str) -> bool {
        match self {
            Self::Address(email) => is_email(stored, email),
            Self::Domain(domain) => canonical_email(stored)
                .rsplit_once('@')
                .is_some_and(|(_, of_email)| of_email == domain),
        }
    }
}

impl fmt::Display for EmailFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(email) => f.write_str(email),
            Self::Domain(domain) => write!(f, "@{domain}"),
        }
    }
}

/// The text is neither an address nor a domain. The message is the end of a sentence about the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "is neither an email nor a domain; {}",
    match domain {
        Some(domain) => format!("for all leads of the domain, give @{domain}"),
        None => "give a whole email, or a domain such as @example.com".to_owned(),
    }
)]
pub(crate) struct ParseEmailFilterError {
    /// The domain that was meant.
    domain: Option<String>,
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
    /// Makes a selection of user input, which may have any spelling.
    pub(crate) fn new(
        window: Window,
        experts: &[String],
        email: Option<EmailFilter>,
        query: Option<&str>,
    ) -> Self {
        Self {
            window,
            experts: experts
                .iter()
                .map(|text| canonical_username(text).into_owned())
                .collect(),
            email,
            query: query.map(str::to_owned),
            ..Self::default()
        }
    }

    /// All clicks of `window`.
    pub(crate) fn of(window: Window) -> Self {
        Self {
            window,
            ..Self::default()
        }
    }

    /// The option of a text that is empty in its canonical form.
    pub(crate) fn empty_condition(&self) -> Option<&'static str> {
        match self {
            Self { experts, .. } if experts.iter().any(String::is_empty) => Some("--expert"),
            Self {
                query: Some(query), ..
            } if fold(query).is_empty() => Some("--query"),
            _ => None,
        }
    }

    /// Whether some emails are not selected.
    pub(super) fn has_email_condition(&self) -> bool {
        self.email.is_some() || self.leads.is_some() || !self.excluded.is_empty()
    }

    /// A test for single clicks by all conditions except the window.
    pub(super) fn matcher(&self) -> Matcher<'_> {
        Matcher {
            email: self.email.as_ref(),
            excluded: &self.excluded,
            leads: self.leads.as_ref(),
            experts: &self.experts,
            query: self.query.as_deref().map(|query| fold(query).into_owned()),
        }
    }
}

/// The conditions of a [`Selection`] for the texts of a click as they are stored, in any spelling.
pub(super) struct Matcher<'a> {
    email: Option<&'a EmailFilter>,
    excluded: &'a [EmailFilter],
    leads: Option<&'a LeadSet>,
    experts: &'a [String],
    /// Folded.
    query: Option<String>,
}

impl Matcher<'_> {
    pub(super) fn matches(&self, click: &StoredClick<'_>) -> bool {
        self.matches_email(&click.email)
            && self.matches_expert(&click.expert_username)
            && self.matches_query(&click.search_query)
    }

    pub(super) fn matches_email(&self, stored: &str) -> bool {
        self.email.is_none_or(|email| email.matches(stored))
            && self.leads.is_none_or(|leads| leads.contains(stored))
            && !self.excluded.iter().any(|email| email.matches(stored))
    }

    pub(super) fn matches_expert(&self, stored: &str) -> bool {
        let mut experts = self.experts.iter();
        self.experts.is_empty() || experts.any(|expert| is_username(stored, expert))
    }

    pub(super) fn matches_query(&self, stored: &str) -> bool {
        self.query
            .as_deref()
            .is_none_or(|query| fold(stored).contains(query))
    }
}

impl Window {
    pub(crate) fn contains(self, instant: Timestamp) -> bool {
        self.since.is_none_or(|since| instant >= since)
            && self.until.is_none_or(|until| instant < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_filter_is_an_address_or_a_domain() {
        for (text, filter) in [
            (" Jane@Example.com", "jane@example.com"),
            ("@EXAMPLE.com", "@example.com"),
            ("@localhost", "@localhost"),
            ("a@b@example.com", "a@b@example.com"),
        ] {
            let parsed = EmailFilter::parse(text).map(|filter| filter.to_string());
            assert_eq!(parsed, Ok(filter.to_owned()), "{text}");
        }
        for (text, domain) in [
            ("", None),
            ("@", None),
            ("@\u{200b}", None),
            ("lead42", None),
            ("lead42@", None),
            ("*", None),
            ("@a@b", None),
            ("globex.example.com", Some("globex.example.com")),
            ("*@Staff.example.com", Some("staff.example.com")),
            ("jane*@example.com", Some("example.com")),
            ("@*.example.com", Some("example.com")),
            ("*.example.com", Some("example.com")),
        ] {
            let domain = domain.map(str::to_owned);
            let parsed = EmailFilter::parse(text);
            assert_eq!(parsed, Err(ParseEmailFilterError { domain }), "{text}");
        }
    }
}
