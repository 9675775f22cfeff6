use std::{collections::HashSet, rc::Rc};

use rusqlite::{
    Rows,
    types::{Value, ValueRef},
    vtab::array::Array,
};

use super::SqliteDb;
use crate::{
    storage::{Cause, Error},
    text::memory::{self, OutOfMemory},
};

/// The stored texts of a column that mean the same email or username, each once. SQL compares with them exactly, so that
/// it can use an index of the column.
#[derive(Debug, Default)]
pub(super) struct Spellings(HashSet<String>);

/// How many equal values of an index are read one after the other. After that, searching for the next value is faster.
const EQUAL_MAX: u32 = 16;

impl Spellings {
    /// Reads all values of a column without any write lock, and keeps the texts that `is_wanted`. With an index of the column, it
    /// reads each value a few times at most.
    pub(super) fn find(
        db: &SqliteDb,
        table: &str,
        column: &str,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Self, Error> {
        let mut found = HashSet::new();
        if db.index_on(table, column)?.is_none() {
            db.read(|conn| {
                let mut all = conn.prepare(&format!("SELECT {column} FROM {table}"))?;
                let mut rows = all.query([])?;
                while let Some(row) = rows.next()? {
                    if let Some(text) = utf8(row.get_ref(0)?)
                        && is_wanted(text)
                    {
                        add(&mut found, text)?;
                    }
                }
                Ok(())
            })?;
            return Ok(Self(found));
        }
        db.read(|conn| {
            let mut from = conn.prepare(&format!(
                "SELECT {column} FROM {table} WHERE {column} COLLATE BINARY > ?1 ORDER BY {column} COLLATE BINARY"
            ))?;
            // Sorts before all texts that are not empty.
            let mut last = Value::Text(String::new());
            while let Some(next) = find_until_repeated(from.query([&last])?, &mut found, &is_wanted)? {
                last = next;
            }
            Ok(())
        })?;
        Ok(Self(found))
    }

    /// The spellings as the parameter of `column COLLATE BINARY IN rarray(?)`.
    pub(super) fn values(&self) -> Array {
        array(self.0.iter().map(String::as_str))
    }
}

/// Reads sorted values until one is repeated too often, which is returned, or until the end.
fn find_until_repeated(
    mut rows: Rows<'_>,
    found: &mut HashSet<String>,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Option<Value>, Cause> {
    let mut last = Vec::new();
    let mut equal = 0;
    while let Some(row) = rows.next()? {
        let ValueRef::Text(bytes) = row.get_ref(0)? else {
            // Blobs sort after all texts.
            return Ok(None);
        };
        if equal > 0 && last == bytes {
            equal += 1;
            // A value that is not UTF-8 can't be a parameter.
            if equal > EQUAL_MAX
                && let Some(text) = utf8(ValueRef::Text(bytes))
            {
                return Ok(Some(Value::Text(text.to_owned())));
            }
            continue;
        }
        last.clear();
        last.extend_from_slice(bytes);
        equal = 1;
        if let Some(text) = utf8(ValueRef::Text(bytes))
            && is_wanted(text)
        {
            add(found, text)?;
        }
    }
    Ok(None)
}

fn add(found: &mut HashSet<String>, text: &str) -> Result<(), OutOfMemory> {
    if !found.contains(text) {
        found.try_reserve(1)?;
        found.insert(memory::owned(text)?);
    }
    Ok(())
}

/// A value of another type is not a spelling, and neither is a text that is not UTF-8.
fn utf8(value: ValueRef<'_>) -> Option<&str> {
    match value {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// Texts as the parameter of `column COLLATE BINARY IN rarray(?)`.
pub(super) fn array<'a>(texts: impl Iterator<Item = &'a str>) -> Array {
    Rc::new(texts.map(|text| Value::from(text.to_owned())).collect())
}
