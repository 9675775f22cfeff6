//! The experts and their names.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::click::{canonical_username, fold};

/// An expert, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expert {
    /// The username, which identifies the expert in clicks.
    pub username: String,
    /// May be empty.
    pub first_name: String,
    /// May be empty.
    pub last_name: String,
}

/// The experts' names by canonical username; empty for an expert without a name.
#[derive(Debug, Default)]
pub(crate) struct ExpertNames(HashMap<String, String>);

impl From<Vec<Expert>> for ExpertNames {
    fn from(mut experts: Vec<Expert>) -> Self {
        // The last wins: a username in its canonical form, and not another spelling of it.
        experts.sort_by_key(|expert| canonical_username(&expert.username) == expert.username);
        let names = experts.into_iter().map(|expert| {
            let name = [expert.first_name.trim(), expert.last_name.trim()].join(" ");
            let username = canonical_username(&expert.username).into_owned();
            (username, name.trim().to_owned())
        });
        Self(names.collect())
    }
}

impl ExpertNames {
    /// The expert's name; the canonical `username` itself if the expert is unknown or has no name.
    pub(crate) fn display_name<'a>(&'a self, username: &'a str) -> &'a str {
        self.0
            .get(username)
            .filter(|name| !name.is_empty())
            .map_or(username, |name| name)
    }

    /// The names that several experts have, folded.
    pub(crate) fn shared(&self) -> HashSet<String> {
        let mut seen = HashSet::new();
        let names = self.0.values().filter(|name| !name.is_empty());
        names
            .map(|name| fold(name).into_owned())
            .filter(|name| !seen.insert(name.clone()))
            .collect()
    }

    /// Whether the expert with this canonical username is known.
    pub(crate) fn contains(&self, username: &str) -> bool {
        self.0.contains_key(username)
    }

    /// Each expert's canonical username and name, which may be empty.
    pub(crate) fn into_pairs(self) -> impl Iterator<Item = (String, String)> {
        self.0.into_iter()
    }

    /// Whether no expert is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
