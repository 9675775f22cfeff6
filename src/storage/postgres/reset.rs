//! Deleting the data of a trial before the launch.

use std::path::Path;

use super::{
    PostgresDb,
    erase::{self, DeletedRows},
};
use crate::storage::{Cause, Error, TableRows};

/// As [`crate::storage::Db::count_rows`].
pub(crate) fn count(db: &PostgresDb) -> Result<Vec<TableRows>, Error> {
    db.snapshot(|db| {
        db.run(|| {
            db.forbid_row_security()?;
            let with_rows = |table| {
                let sql = format!("SELECT count(*) FROM {table}");
                let rows = erase::count(&db.query_one(&sql, &[])?, 0)?;
                Ok(TableRows { table, rows })
            };
            db.existing_tables()?.into_iter().map(with_rows).collect()
        })
    })
}

/// As [`crate::storage::Db::reset`]. Clicks that arrive meanwhile stay.
pub(crate) fn reset(db: &PostgresDb, backup: Option<&Path>) -> Result<Vec<TableRows>, Error> {
    if let Some(path) = backup {
        return Err(db.error_of_backup(path).nothing_deleted());
    }
    db.delete(|db| {
        db.run(|| {
            let all = |table| DeletedRows {
                table,
                condition: "TRUE".to_owned(),
            };
            let deleted: Vec<DeletedRows> = db.existing_tables()?.into_iter().map(all).collect();
            db.delete_rows(&deleted, &[])
        })
    })
}

impl PostgresDb {
    /// Why there is no copy at `path`: only the server's own program copies its database.
    pub(crate) fn error_of_backup(&self, path: &Path) -> Error {
        let cause = Cause::Backup {
            reason: format!(
                "a server's database is copied by `{}`",
                self.url.dump_command(path)
            ),
            consequence: "",
        };
        Error::named(self.name(), cause)
    }
}
