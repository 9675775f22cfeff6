//! Clicked usernames without an expert: after an import, they are a sign of a file that is missing or of a typing error.

use std::ops::ControlFlow;

use crate::{
    click::canonical_username,
    storage::{Columns, Db, Error, Query, Selection},
    text::groups::TextGroups,
};

/// The number of usernames that are named.
const NAMED_MAX: usize = 5;

/// Usernames of clicks that are not among the experts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct UnknownExperts {
    /// The number of different usernames.
    pub(crate) count: u64,
    /// The first ones, at most [`NAMED_MAX`], in the canonical form.
    pub(crate) named: Vec<String>,
}

/// The clicked usernames that are not among the experts; none if there are no experts at all, as nobody then expects names. Reads
/// all clicks, and needs 20 to 39 bytes of memory for each different username.
///
/// # Errors
/// When the database can't be read, and when memory is refused.
pub(crate) fn unknown_experts(db: &Db) -> Result<UnknownExperts, Error> {
    let names = db.expert_names()?;
    let mut unknown = UnknownExperts::default();
    if names.is_empty() {
        return Ok(unknown);
    }
    let mut seen = TextGroups::new(canonical_username);
    let all = Selection::default();
    db.read_clicks(&Query::of(&all, Columns::EXPERT_USERNAME), |click| {
        let before = seen.len();
        seen.group(&click.expert_username)?;
        if seen.len() > before {
            let username = canonical_username(&click.expert_username);
            if !names.contains(&username) {
                unknown.count += 1;
                if unknown.named.len() < NAMED_MAX {
                    unknown.named.push(username.into_owned());
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(unknown)
}
