//! What an error of the server means for the clicks of a statement.

use tokio_postgres::error::{DbError, SqlState};

/// Why a click was not stored although the server reported success.
pub(super) const IGNORED: &str = "ignored by a trigger or rule";

/// The next step if the table has the next id of its sequence already.
pub(super) const SEQUENCE_BEHIND: &str = "the sequence of lead_clicks.id is behind its rows; run SELECT \
    setval(pg_get_serial_sequence('lead_clicks', 'id'), max(id)) FROM lead_clicks";

/// The names of the constraints and indexes that keep `id` unique, also those of partitions.
pub(super) const ID_CONSTRAINTS: &str = "SELECT index.relname::text
    FROM (SELECT to_regclass('lead_clicks')::oid AS id
          UNION SELECT relid FROM pg_partition_tree(to_regclass('lead_clicks'))) AS it
    JOIN pg_index ON indrelid = it.id
    JOIN pg_class AS index ON index.oid = indexrelid
    JOIN pg_attribute ON attrelid = indrelid AND attname = 'id'
    WHERE indisunique AND indnkeyatts = 1 AND indkey[0] = attnum";

/// Whom an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// One of the rows: a value, a constraint, or what a trigger says of it.
    Row,
    /// The moment: nothing was stored, and trying again helps.
    Moment,
    /// The connection or the server's role: they are of no more use, and it is unknown whether anything was stored.
    Connection,
    /// The database as a whole, until somebody changes it.
    Database,
}

impl Scope {
    /// By the class of the error:
    /// [PostgreSQL's error codes](https://www.postgresql.org/docs/current/errcodes-appendix.html). A trigger may invent others.
    pub(super) fn of(code: &SqlState) -> Self {
        match code.code().get(..2) {
            _ if *code == SqlState::READ_ONLY_SQL_TRANSACTION
                || *code == SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN =>
            {
                Self::Connection
            }
            _ if *code == SqlState::QUERY_CANCELED => Self::Moment,
            Some("08" | "57") => Self::Connection,
            Some("40" | "55") => Self::Moment,
            Some("25" | "28" | "3D" | "3F" | "42" | "53" | "58" | "F0" | "XX") => Self::Database,
            _ => Self::Row,
        }
    }
}

/// The error for the log: neither the message nor the detail, which contain data of the row.
pub(super) fn reason(error: &DbError) -> String {
    let code = error.code().code();
    match error.constraint() {
        Some(name) => format!("SQLSTATE {code}, constraint {name}"),
        None => format!("SQLSTATE {code}"),
    }
}
