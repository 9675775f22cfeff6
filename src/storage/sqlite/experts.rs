use rusqlite::{Connection, OptionalExtension};

use super::{SqliteDb, text};
use crate::{
    click::canonical_username,
    expert::Expert,
    storage::{Cause, Error, ImportedExperts},
};

/// The columns that leadclicks reads from any `experts` table. Its own table has no others.
const COLUMNS: [&str; 3] = ["username", "first_name", "last_name"];

impl SqliteDb {
    pub(crate) fn experts(&self) -> Result<Vec<Expert>, Error> {
        let present = self.columns("experts")?;
        if present.is_empty() {
            return Ok(Vec::new());
        }
        self.check_columns("experts", &present, &COLUMNS)?;
        self.run(|conn| {
            conn.prepare("SELECT username, first_name, last_name FROM experts ORDER BY username")?
                .query_map([], |row| {
                    Ok(Expert {
                        username: text(row.get_ref(0)?).into_owned(),
                        first_name: text(row.get_ref(1)?).into_owned(),
                        last_name: text(row.get_ref(2)?).into_owned(),
                    })
                })?
                .collect()
        })
    }

    pub(crate) fn import_experts(&self, experts: &[Expert]) -> Result<ImportedExperts, Error> {
        self.check_own_experts()?;
        self.write(|db| {
            db.run(|conn| {
                let mut imported = ImportedExperts::default();
                for expert in experts {
                    import(conn, expert, &mut imported)?;
                }
                Ok(imported)
            })
        })
    }

    /// As [`crate::storage::Db::remove_expert`].
    pub(crate) fn remove_expert(&self, username: &str) -> Result<Vec<Expert>, Error> {
        self.check_own_experts()?;
        self.write(|db| {
            let mut removed = db.experts()?;
            removed.retain(|expert| canonical_username(&expert.username) == username);
            db.run(|conn| {
                let mut delete = conn.prepare("DELETE FROM experts WHERE username = ?1")?;
                for expert in &removed {
                    delete.execute([&expert.username])?;
                }
                Ok(())
            })?;
            Ok(removed)
        })
    }

    /// Checks that the table of experts is leadclicks' own.
    fn check_own_experts(&self) -> Result<(), Error> {
        let present = self.columns("experts")?;
        let key: Option<String> = self.run(|conn| {
            conn.query_row(
                "SELECT group_concat(name) FROM pragma_table_xinfo('experts') WHERE pk > 0",
                [],
                |row| row.get(0),
            )
        })?;
        if present.is_empty() {
            return Err(self.error(Cause::NoTable("experts")));
        }
        if present != COLUMNS || key.as_deref() != Some("username") {
            return Err(self.error(Cause::ForeignExperts));
        }
        Ok(())
    }
}

fn import(
    conn: &Connection,
    expert: &Expert,
    imported: &mut ImportedExperts,
) -> rusqlite::Result<()> {
    let name_before: Option<(String, String)> = conn
        .prepare_cached("SELECT first_name, last_name FROM experts WHERE username = ?1")?
        .query_row([&expert.username], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match name_before {
        None => imported.new += 1,
        Some((first_name, last_name))
            if (&first_name, &last_name) == (&expert.first_name, &expert.last_name) =>
        {
            imported.unchanged += 1;
            return Ok(());
        }
        Some(_) => imported.changed += 1,
    }
    conn.prepare_cached(
        "INSERT INTO experts (username, first_name, last_name) VALUES (?1, ?2, ?3)
         ON CONFLICT (username) DO UPDATE
         SET first_name = excluded.first_name, last_name = excluded.last_name",
    )?
    .execute((&expert.username, &expert.first_name, &expert.last_name))?;
    Ok(())
}
