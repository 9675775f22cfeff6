//! Storing the clicks of a file.

use std::{thread, time::Duration};

use tokio_postgres::{
    error::SqlState,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{
    PostgresDb,
    rejection::{ID_CONSTRAINTS, IGNORED, SEQUENCE_BEHIND, Scope, reason},
    schema::IdType,
    select::WireTime,
};
use crate::{
    click::Click,
    storage::{Cause, Error, NumberedClick},
};

/// The most clicks in one transaction. Clicks that pages post need not wait for it; it is short so that an import that is
/// stopped has little to do again.
const BATCH_CLICKS_MAX: usize = 4_000;

/// The same in bytes of their texts, which are in memory several times.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The number of the lock by which imports wait for each other: `leadclck` in ASCII, in two halves.
const LOCK: (u32, u32) = (0x6c65_6164, 0x636c_636b);

/// How often an import that waits tries to get the lock. In between it has no transaction, and so none of a pooler's
/// connections, which the other import may need.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// The first click that the table rejects: its index, and why.
type Rejected = (usize, String);

impl PostgresDb {
    /// As [`crate::storage::Db::lock_imports`]. The lock is that of an open transaction on a connection of its own, because
    /// behind a pooler a session's lock would belong to any client.
    ///
    /// # Errors
    /// If no server accepts a second connection.
    pub(crate) fn lock_imports(&self, on_wait: impl FnOnce()) -> Result<PostgresDb, Error> {
        let lock = Self::open_for_change(&self.url)?;
        let mut on_wait = Some(on_wait);
        let process = lock.run(|| {
            let (high, low) = LOCK;
            let key = u64::from(high) << 32 | u64::from(low);
            let sql = format!("SELECT pg_try_advisory_xact_lock({key}), pg_backend_pid()");
            loop {
                lock.batch("BEGIN")?;
                let row = lock.query_one(&sql, &[])?;
                if row.try_get(0)? {
                    return Ok(row.try_get(1)?);
                }
                lock.batch("ROLLBACK")?;
                if let Some(on_wait) = on_wait.take() {
                    on_wait();
                }
                thread::sleep(LOCK_PAUSE);
            }
        })?;
        // The server would end a transaction that idles for longer. Not every version has both settings.
        lock.run(|| {
            lock.query(
                "SELECT set_config(name, '0', true) FROM pg_settings
                 WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')",
                &[],
            )
        })?;
        self.import_lock.set(Some(process));
        Ok(lock)
    }

    /// As [`crate::storage::Db::insert_some`]. A click without an id gets one, as from the daemon.
    pub(crate) fn insert_some(
        &self,
        clicks: &mut impl Iterator<Item = NumberedClick>,
        line: impl Fn(usize) -> u64,
    ) -> Result<u64, Error> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        for click in clicks {
            bytes += click.0.email().len()
                + click.0.expert_username().len()
                + click.0.search_query().len();
            batch.push(click);
            if batch.len() == BATCH_CLICKS_MAX || bytes >= BATCH_BYTES_MAX {
                break;
            }
        }
        self.write(|db| {
            db.run(|| {
                db.check_import_lock()?;
                match db.insert_or_find_rejected(&batch)? {
                    None => Ok(batch.len() as u64),
                    Some((index, reason)) => {
                        let line = line(batch[index].3);
                        Err(Cause::ClickRejected { line, reason })
                    }
                }
            })
        })
    }

    /// Checks that other imports still wait: a pooler or an administrator may have closed the connection.
    fn check_import_lock(&self) -> Result<(), Cause> {
        let (high, low) = LOCK;
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = $1 AND granted
                            AND classid::int8 = {high} AND objid::int8 = {low})"
        );
        let process = self.import_lock.get();
        if self
            .query_one(&sql, &[(&process, Type::INT4)])?
            .try_get(0)?
        {
            Ok(())
        } else {
            Err(Cause::ImportUnlocked)
        }
    }

    /// Inserts all clicks, or finds the first one that the table rejects. Then the transaction has to be rolled back.
    fn insert_or_find_rejected(&self, clicks: &[NumberedClick]) -> Result<Option<Rejected>, Cause> {
        let Some(mut reason) = self.insert_or_why_rejected(clicks)? else {
            return Ok(None);
        };
        // Those before `start` are inserted, because a later one may depend on them.
        let (mut start, mut end) = (0, clicks.len());
        while end - start > 1 {
            let middle = start + (end - start) / 2;
            match self.insert_or_why_rejected(&clicks[start..middle])? {
                None => start = middle,
                Some(why) => {
                    end = middle;
                    reason = why;
                }
            }
        }
        Ok(Some((start, reason)))
    }

    /// Inserts all clicks, or none; then it returns why the table rejects one of them.
    fn insert_or_why_rejected(&self, clicks: &[NumberedClick]) -> Result<Option<String>, Cause> {
        self.batch("SAVEPOINT clicks")?;
        let rejected = match self.insert(clicks) {
            Ok(inserted) if inserted == clicks.len() as u64 => {
                self.batch("RELEASE SAVEPOINT clicks")?;
                return Ok(None);
            }
            Ok(_) => IGNORED.to_owned(),
            Err(Cause::Postgres(error)) => match error.as_db_error() {
                Some(rejected) if Scope::of(rejected.code()) == Scope::Row => {
                    if *rejected.code() == SqlState::UNIQUE_VIOLATION
                        && self.is_of_id(rejected.constraint())?
                    {
                        return Err(Cause::SequenceBehind(SEQUENCE_BEHIND));
                    }
                    reason(rejected)
                }
                _ => return Err(Cause::Postgres(error)),
            },
            Err(cause) => return Err(cause),
        };
        self.batch("ROLLBACK TO SAVEPOINT clicks")?;
        self.batch("RELEASE SAVEPOINT clicks")?;
        Ok(Some(rejected))
    }

    /// Returns the number of inserted clicks.
    fn insert(&self, clicks: &[NumberedClick]) -> Result<u64, Cause> {
        let texts = |text: fn(&Click) -> &str| -> Vec<&str> {
            clicks.iter().map(|(click, ..)| text(click)).collect()
        };
        let emails = texts(Click::email);
        let experts = texts(Click::expert_username);
        let searches = texts(Click::search_query);
        let times: Vec<WireTime> = clicks
            .iter()
            .map(|(_, _, at, _)| WireTime::new(*at))
            .collect();
        let time_type = match self.clicks.time.wire_type() {
            Type::TIMESTAMP => Type::TIMESTAMP_ARRAY,
            _ => Type::TIMESTAMPTZ_ARRAY,
        };
        let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> = vec![
            (&emails, Type::TEXT_ARRAY),
            (&experts, Type::TEXT_ARRAY),
            (&searches, Type::TEXT_ARRAY),
            (&times, time_type),
        ];
        let ids: Vec<String>;
        let sql = match self.clicks.click_id {
            Some(id_type) => {
                ids = clicks
                    .iter()
                    .map(|(_, id, ..)| {
                        id.as_ref()
                            .map_or_else(|| Uuid::now_v7().to_string(), |id| id.as_str().to_owned())
                    })
                    .collect();
                parameters.push((&ids, Type::TEXT_ARRAY));
                let cast = match id_type {
                    IdType::Uuid => "uuid",
                    IdType::Text => "text",
                };
                format!(
                    "INSERT INTO lead_clicks (email, expert_username, search_query, created_at, click_id)
                     SELECT email, expert_username, search_query, created_at, click_id::{cast}
                     FROM unnest($1, $2, $3, $4, $5)
                         AS clicks (email, expert_username, search_query, created_at, click_id)"
                )
            }
            None => "INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
                     SELECT * FROM unnest($1, $2, $3, $4)"
                .to_owned(),
        };
        let inserted = self.execute(&sql, &parameters)?;
        // Otherwise the commit would fail, and nothing would name the click.
        self.batch("SET CONSTRAINTS ALL IMMEDIATE")?;
        Ok(inserted)
    }

    /// Whether a unique constraint or index is that of `lead_clicks.id`. The statement that violated it has failed.
    fn is_of_id(&self, constraint: Option<&str>) -> Result<bool, Cause> {
        self.batch("ROLLBACK TO SAVEPOINT clicks")?;
        let of_id = self.query_one(
            &format!("SELECT $1 IN ({ID_CONSTRAINTS})"),
            &[(&constraint, Type::TEXT)],
        )?;
        Ok(of_id.try_get::<_, Option<bool>>(0)?.unwrap_or(false))
    }
}
