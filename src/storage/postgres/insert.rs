use super::PostgresDb;
use crate::storage::{Error, NumberedClick};

impl PostgresDb {
    pub(crate) fn lock_imports(&self, _on_wait: impl FnOnce()) -> Result<PostgresDb, Error> {
        todo!()
    }

    pub(crate) fn insert_some(
        &self,
        _clicks: &mut impl Iterator<Item = NumberedClick>,
        _line: impl Fn(usize) -> u64,
    ) -> Result<u64, Error> {
        todo!()
    }
}
