use std::ops::ControlFlow;

use super::PostgresDb;
use crate::storage::{Error, Remains, SpellingRows};

pub(crate) fn find(_db: &PostgresDb, _email: &str) -> Result<Vec<SpellingRows>, Error> {
    todo!()
}

pub(crate) fn search(
    _db: &PostgresDb,
    _email: &str,
    _left_out: &[SpellingRows],
) -> Result<(Vec<String>, Vec<Remains>), Error> {
    todo!()
}

pub(crate) fn forget(
    _db: &PostgresDb,
    _found: &[SpellingRows],
    _after_batch: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<(), Error> {
    todo!()
}
