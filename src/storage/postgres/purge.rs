use std::ops::ControlFlow;

use super::PostgresDb;
use crate::storage::{Error, FoundClicks, Selection};

pub(crate) fn find(_db: &PostgresDb, _selection: &Selection) -> Result<Option<FoundClicks>, Error> {
    todo!()
}

pub(crate) fn purge(
    _db: &PostgresDb,
    _found: &FoundClicks,
    _after_batch: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<(), Error> {
    todo!()
}
