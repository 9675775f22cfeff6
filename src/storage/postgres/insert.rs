use super::PostgresDb;
use crate::{click::Click, storage::Error, timestamp::Timestamp};

impl PostgresDb {
    pub(crate) fn lock_imports(&self, _on_wait: impl FnOnce()) -> Result<PostgresDb, Error> {
        todo!()
    }

    pub(crate) fn insert_some(
        &self,
        _clicks: &mut impl Iterator<Item = (Click, Timestamp, usize)>,
        _line: impl Fn(usize) -> u64,
    ) -> Result<u64, Error> {
        todo!()
    }
}
