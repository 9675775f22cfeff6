use std::path::Path;

use super::PostgresDb;
use crate::{
    progress::Progress,
    storage::{Error, TableRows},
};

pub(crate) fn count(_db: &PostgresDb) -> Result<Vec<TableRows>, Error> {
    todo!()
}

pub(crate) fn reset(
    _db: &PostgresDb,
    _backup: Option<&Path>,
    _progress: &mut dyn FnMut(Progress),
) -> Result<Vec<TableRows>, Error> {
    todo!()
}
