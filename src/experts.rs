//! Who the experts are, for the reports' names.

use std::collections::HashMap;

use serde::Serialize;

use crate::store::{Db, Error, text_of};

/// The columns that leadclicks reads of any `experts` table, and the only ones of its own.
pub(crate) const COLUMNS: [&str; 3] = ["username", "first_name", "last_name"];

/// An expert, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expert {
    /// What identifies the expert in clicks.
    pub username: String,
    /// May be empty.
    pub first_name: String,
    /// May be empty.
    pub last_name: String,
}

/// The experts' names by username; empty for those without one.
#[derive(Debug, Default)]
pub struct Names(HashMap<String, String>);

impl Names {
    /// Reads them; none where the database has no `experts` table.
    ///
    /// # Errors
    /// When the table lacks a column, or can't be read.
    pub fn load(db: &Db) -> Result<Self, Error> {
        let experts = list(db)?;
        Ok(Self(
            experts
                .into_iter()
                .map(|expert| {
                    let name = [expert.first_name.trim(), expert.last_name.trim()].join(" ");
                    (expert.username, name.trim().to_owned())
                })
                .collect(),
        ))
    }

    /// The expert's name; the username where the expert is unknown or nameless.
    #[must_use]
    pub fn of<'a>(&'a self, username: &'a str) -> &'a str {
        match self.0.get(username) {
            Some(name) if !name.is_empty() => name,
            _ => username,
        }
    }

    /// Whether the expert is known, or nobody is: then nothing can be said of a username.
    #[must_use]
    pub fn know(&self, username: &str) -> bool {
        self.0.is_empty() || self.0.contains_key(username)
    }
}

/// All experts by username; none where the database has no `experts` table.
///
/// # Errors
/// When the table lacks a column, or can't be read.
pub fn list(db: &Db) -> Result<Vec<Expert>, Error> {
    let present = db.columns("experts")?;
    if present.is_empty() {
        return Ok(Vec::new());
    }
    db.check_columns("experts", &present, &COLUMNS)?;
    db.run(|conn| {
        conn.prepare("SELECT username, first_name, last_name FROM experts ORDER BY username")?
            .query_map([], |row| {
                Ok(Expert {
                    username: text_of(row.get_ref(0)?),
                    first_name: text_of(row.get_ref(1)?),
                    last_name: text_of(row.get_ref(2)?),
                })
            })?
            .collect()
    })
}
