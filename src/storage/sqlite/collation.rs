//! What fails because a host app's own collation is missing here. SQLite reports it only when a statement compares with it.

use super::{SqliteDb, insert::INSERT};
use crate::storage::Finding;

/// What leadclicks does with clicks, and a statement that needs the collations that it needs.
const USES: [(&str, &str); 5] = [
    ("storing clicks", INSERT),
    (
        "reports of a period, summary and purge",
        "SELECT 1 FROM lead_clicks WHERE created_at >= ''",
    ),
    (
        "lists of clicks by time",
        "SELECT 1 FROM lead_clicks ORDER BY created_at",
    ),
    (
        "forget",
        "DELETE FROM lead_clicks WHERE email COLLATE BINARY = ''",
    ),
    ("reset", "SELECT count(*) FROM lead_clicks"),
];

/// How SQLite's message about an unknown collation begins.
const NO_COLLATION: &str = "no such collation sequence: ";

/// A problem if `lead_clicks` has a column or an index with a collation that only the host app has.
pub(super) fn missing_collation(check: &'static str, db: &SqliteDb) -> Option<Finding> {
    let mut missing: Option<String> = None;
    let mut failing = Vec::new();
    for (name, sql) in USES {
        // Any other error is that of another check.
        let Err(error) = db.conn().prepare(sql) else {
            continue;
        };
        if let rusqlite::Error::SqliteFailure(_, Some(msg))
        | rusqlite::Error::SqlInputError { msg, .. } = error
            && let Some(collation) = msg.strip_prefix(NO_COLLATION)
        {
            missing = Some(collation.to_owned());
            failing.push(name);
        }
    }
    missing.map(|collation| {
        Finding::problem(
            check,
            format!(
                "a column or an index of lead_clicks has the collation {collation}, which only the program that owns the \
                 database has, so these fail: {}",
                failing.join(", ")
            ),
            "give it the collation BINARY or NOCASE in that program",
        )
    })
}
