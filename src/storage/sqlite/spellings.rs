use std::{collections::HashMap, rc::Rc};

use rusqlite::{
    types::{Value, ValueRef},
    vtab::array::Array,
};

use super::SqliteDb;
use crate::{
    storage::Error,
    text::memory::{self, OutOfMemory},
};

/// The stored texts of a column that mean the same email or username. SQL compares with them exactly, so that it can use
/// any index of the column.
#[derive(Debug, Default)]
pub(super) struct Spellings(HashMap<String, u64>);

impl Spellings {
    /// Reads all values of a column, outside of any write lock, and keeps the texts that `is_wanted`. Uses an index of
    /// the column if there is one.
    pub(super) fn find(
        db: &SqliteDb,
        table: &str,
        column: &str,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Self, Error> {
        let mut found = HashMap::new();
        db.read(|conn| {
            let mut all = conn.prepare(&format!("SELECT {column} FROM {table}"))?;
            let mut rows = all.query([])?;
            while let Some(row) = rows.next()? {
                // Another type is not a spelling, and neither is what is not UTF-8.
                let ValueRef::Text(_) = row.get_ref(0)? else {
                    continue;
                };
                if let Ok(text) = row.get_ref(0)?.as_str()
                    && is_wanted(text)
                {
                    if let Some(rows) = found.get_mut(text) {
                        *rows += 1;
                    } else {
                        found.try_reserve(1).map_err(OutOfMemory::from)?;
                        found.insert(memory::owned(text)?, 1);
                    }
                }
            }
            Ok(())
        })?;
        Ok(Self(found))
    }

    /// The spellings in order, each with its number of rows.
    pub(super) fn into_sorted(self) -> Vec<(String, u64)> {
        let mut sorted: Vec<_> = self.0.into_iter().collect();
        sorted.sort();
        sorted
    }

    /// The spellings as the parameter of `column IN rarray(?)`.
    pub(super) fn values(&self) -> Array {
        array(self.0.keys().map(String::as_str))
    }
}

/// Texts as the parameter of `column IN rarray(?)`.
pub(super) fn array<'a>(texts: impl Iterator<Item = &'a str>) -> Array {
    Rc::new(texts.map(|text| Value::from(text.to_owned())).collect())
}
