use tokio_postgres::types::Type;

use super::{PostgresDb, select::text};
use crate::{
    click::canonical_username,
    expert::Expert,
    storage::{Cause, Error, ImportedExperts},
};

/// The columns that leadclicks reads from any `experts` table. Its own table has no others.
const COLUMNS: [&str; 3] = ["username", "first_name", "last_name"];

impl PostgresDb {
    pub(crate) fn experts(&self) -> Result<Vec<Expert>, Error> {
        self.run(|| {
            let present = self.columns("experts")?;
            if present.is_empty() {
                return Ok(Vec::new());
            }
            for column in COLUMNS {
                if !present.iter().any(|name| name == column) {
                    return Err(Cause::NoColumn {
                        table: "experts",
                        column,
                    });
                }
            }
            let rows = self.query(
                "SELECT username::text, first_name::text, last_name::text FROM experts
                 ORDER BY username::text COLLATE \"C\"",
                &[],
            )?;
            rows.iter()
                .map(|row| {
                    Ok(Expert {
                        username: text(row, 0)?.to_owned(),
                        first_name: text(row, 1)?.to_owned(),
                        last_name: text(row, 2)?.to_owned(),
                    })
                })
                .collect()
        })
    }

    pub(crate) fn import_experts(&self, experts: &[Expert]) -> Result<ImportedExperts, Error> {
        self.write(|db| db.run(|| db.upsert_experts(experts)))
    }

    /// As [`crate::storage::Db::remove_expert`].
    pub(crate) fn remove_expert(&self, username: &str) -> Result<Vec<Expert>, Error> {
        self.write(|db| {
            db.run(|| db.check_own_experts())?;
            let mut removed = db.experts()?;
            removed.retain(|expert| canonical_username(&expert.username) == username);
            db.run(|| {
                for expert in &removed {
                    db.execute(
                        "DELETE FROM experts WHERE username = $1",
                        &[(&expert.username, Type::TEXT)],
                    )?;
                }
                Ok(())
            })?;
            Ok(removed)
        })
    }

    /// Checks that the table of experts is leadclicks' own.
    fn check_own_experts(&self) -> Result<(), Cause> {
        let present = self.columns("experts")?;
        if present.is_empty() {
            return Err(Cause::NoServerTable("experts"));
        }
        let keys = self.query(
            "SELECT attname::text FROM pg_index
             JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
             WHERE indrelid = to_regclass('experts') AND indisprimary",
            &[],
        )?;
        let is_own_key = matches!(&*keys, [key] if text(key, 0)? == "username");
        if present != COLUMNS || !is_own_key {
            return Err(Cause::ForeignExperts);
        }
        Ok(())
    }

    fn upsert_experts(&self, experts: &[Expert]) -> Result<ImportedExperts, Cause> {
        self.check_own_experts()?;
        let mut imported = ImportedExperts::default();
        for expert in experts {
            let names = [&expert.username, &expert.first_name, &expert.last_name];
            let [username, first_name, last_name] = names.map(|name| {
                (
                    name as &(dyn tokio_postgres::types::ToSql + Sync),
                    Type::TEXT,
                )
            });
            let before = self.query(
                "SELECT first_name, last_name FROM experts WHERE username = $1 FOR UPDATE",
                std::slice::from_ref(&username),
            )?;
            match before.first() {
                None => imported.new += 1,
                Some(before)
                    if (text(before, 0)?, text(before, 1)?)
                        == (&*expert.first_name, &*expert.last_name) =>
                {
                    imported.unchanged += 1;
                    continue;
                }
                Some(_) => imported.changed += 1,
            }
            self.execute(
                "INSERT INTO experts (username, first_name, last_name) VALUES ($1, $2, $3)
                 ON CONFLICT (username) DO UPDATE
                 SET first_name = excluded.first_name, last_name = excluded.last_name",
                &[username, first_name, last_name],
            )?;
        }
        Ok(imported)
    }
}
