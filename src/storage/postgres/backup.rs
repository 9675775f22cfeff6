use std::path::Path;

use super::PostgresDb;
use crate::{
    progress::Progress,
    storage::{BackupContent, Error},
};

pub(crate) fn write(
    _db: &PostgresDb,
    _path: &Path,
    _progress: &mut dyn FnMut(Progress),
) -> Result<BackupContent, Error> {
    todo!()
}
