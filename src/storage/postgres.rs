//! The PostgreSQL engine: a database of a server, whose tables a host app or `leadclicks schema` has made.
//!
//! Statements are never prepared by name and no setting is changed for a session, so that everything works behind a pooler
//! that gives each transaction another connection.

pub(super) mod capture;
mod connect;
pub(super) mod erase;
mod experts;
pub(super) mod feed;
pub(super) mod forget;
pub(super) mod health;
mod insert;
mod password;
pub(super) mod purge;
mod rejection;
pub(super) mod reset;
mod schema;
mod select;
mod tls;

use std::{cell::Cell, future::poll_fn, io, ops::ControlFlow, task::Poll};

use tokio::{
    runtime::{self, Runtime},
    task::yield_now,
};
use tokio_postgres::{
    Client, Row,
    types::{ToSql, Type},
};

use super::{Cause, Error};
use crate::interrupt::CriticalSection;
pub(crate) use connect::ServerUrl;
use connect::Session;
use schema::{ClicksTable, TimeType};

/// How many rows are fetched at a time. At some 100 bytes a row they take little memory, and the time of a round trip is
/// small against that of the rows.
const FETCHED_ROWS: u32 = 4_000;

/// How many are fetched first.
const FIRST_ROWS: u32 = 128;

/// How often a deletion is tried if another program changes the same rows at the same moment.
const DELETE_TRIES: u32 = 5;

/// Parameters of a statement with their types, so that the server need not be asked for them.
type Parameters<'a> = [(&'a (dyn ToSql + Sync), Type)];

/// An open database of a server, whose `lead_clicks` table has every column that leadclicks needs.
#[derive(Debug)]
pub(crate) struct PostgresDb {
    runtime: Runtime,
    client: Client,
    url: ServerUrl,
    clicks: ClicksTable,
    is_in_transaction: Cell<bool>,
    /// The process of the server that holds the lock of an import.
    import_lock: Cell<Option<i32>>,
    /// How many cursors were opened, for their names.
    cursors: Cell<u64>,
}

impl PostgresDb {
    /// Connects to read, also from a standby.
    ///
    /// # Errors
    /// If no server of the URL accepts the connection, or if the `lead_clicks` table lacks a column.
    pub(crate) fn open_for_report(url: &ServerUrl) -> Result<Self, Error> {
        Self::open(url, Session::Any)
    }

    /// Connects to change rows.
    ///
    /// # Errors
    /// As [`PostgresDb::open_for_report`], and if no server of the URL accepts changes.
    pub(crate) fn open_for_change(url: &ServerUrl) -> Result<Self, Error> {
        Self::open(url, Session::ReadWrite)
    }

    /// As [`PostgresDb::open_for_change`], to store clicks.
    ///
    /// # Errors
    /// As [`PostgresDb::open_for_change`], and when the `lead_clicks` table requires a column that a click does not have.
    pub(crate) fn open_for_import(url: &ServerUrl) -> Result<Self, Error> {
        let db = Self::open(url, Session::ReadWrite)?;
        let check = schema::check_takes_clicks(&db.client, db.clicks);
        db.run(|| db.runtime.block_on(check))?;
        Ok(db)
    }

    fn open(url: &ServerUrl, session: Session) -> Result<Self, Error> {
        let open = || {
            let mut db = Self::connect(url, session)?;
            db.clicks = db.runtime.block_on(ClicksTable::read(&db.client))?;
            Ok(db)
        };
        open().map_err(|cause| Error::named(url.to_string(), cause))
    }

    /// Connects without looking at the tables.
    fn connect(url: &ServerUrl, session: Session) -> Result<Self, Cause> {
        let runtime = new_runtime().map_err(Cause::OutOfResources)?;
        let connected = runtime.block_on(url.connect(session, 0))?;
        runtime.spawn(connected.connection);
        Ok(Self {
            runtime,
            client: connected.client,
            url: url.clone(),
            // Until the table is read.
            clicks: ClicksTable {
                time: TimeType::WithZone,
                click_id: None,
            },
            is_in_transaction: Cell::new(false),
            import_lock: Cell::new(None),
            cursors: Cell::new(0),
        })
    }

    /// The URL without a password.
    pub(crate) fn name(&self) -> String {
        self.url.to_string()
    }

    /// Adds the name of the database to the errors of `work`.
    fn run<T>(&self, work: impl FnOnce() -> Result<T, Cause>) -> Result<T, Error> {
        work().map_err(|cause| Error::named(self.name(), cause))
    }

    fn query(&self, sql: &str, parameters: &Parameters<'_>) -> Result<Vec<Row>, Cause> {
        Ok(self
            .runtime
            .block_on(self.client.query_typed(sql, parameters))?)
    }

    /// The only row of the result.
    fn query_one(&self, sql: &str, parameters: &Parameters<'_>) -> Result<Row, Cause> {
        Ok(self
            .runtime
            .block_on(self.client.query_typed_one(sql, parameters))?)
    }

    /// Returns the number of rows that the statement changed.
    fn execute(&self, sql: &str, parameters: &Parameters<'_>) -> Result<u64, Cause> {
        Ok(self
            .runtime
            .block_on(self.client.execute_typed(sql, parameters))?)
    }

    fn batch(&self, sql: &str) -> Result<(), Cause> {
        Ok(self.runtime.block_on(self.client.batch_execute(sql))?)
    }

    /// Runs `work` in a read transaction, so that all it reads is as of the same commit. Inside another transaction it joins
    /// that one.
    ///
    /// # Errors
    /// Those of `work`, and if the server can't be asked.
    pub(crate) fn snapshot<T>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.is_in_transaction.get() {
            return work(self);
        }
        self.transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", work)
    }

    /// Runs `work` in a transaction. An error rolls back.
    ///
    /// # Errors
    /// Those of `work`, and if the server can't be asked or can't commit.
    fn write<T>(&self, work: impl FnOnce(&Self) -> Result<T, Error>) -> Result<T, Error> {
        self.transaction("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", work)
    }

    /// Runs `work`, which deletes, in a transaction that sees one snapshot: rows that others have changed or added since are
    /// neither counted nor deleted, not even by a foreign key that cascades. If such a row is in the way, `work` runs again.
    /// Clicks of pages need not wait. A signal that arrives after the commit ends the program only when the deletion is reported.
    ///
    /// # Errors
    /// Those of `work`, and if the server can't be asked or can't commit.
    fn delete<T>(&self, work: impl Fn(&Self) -> Result<T, Error>) -> Result<T, Error> {
        let once = || {
            self.transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE", |db| {
                db.run(|| db.forbid_row_security())?;
                let done = work(db)?;
                CriticalSection::begin().hold_until_reported();
                Ok(done)
            })
        };
        for _ in 1..DELETE_TRIES {
            match once() {
                Err(error) if error.is_conflict() => {}
                done => return done,
            }
        }
        once()
    }

    /// Makes it an error for the rest of the transaction if a policy of the table hides rows from this user. Otherwise they would
    /// be left, and nothing would say so.
    fn forbid_row_security(&self) -> Result<(), Cause> {
        self.batch("SET LOCAL row_security = off")
    }

    fn transaction<T>(
        &self,
        begin: &str,
        work: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.run(|| self.batch(begin))?;
        self.is_in_transaction.set(true);
        let done = work(self);
        self.is_in_transaction.set(false);
        match done {
            Ok(value) => self.run(|| self.batch("COMMIT")).map(|()| value),
            Err(error) => {
                // The first error is the useful one. Closing the connection rolls back in any case.
                let _ = self.batch("ROLLBACK");
                Err(error)
            }
        }
    }

    /// Calls `row` with each row of a query until it returns `Break`. Rows are fetched in small numbers, so neither side needs
    /// memory for all. Only inside [`PostgresDb::snapshot`] or [`PostgresDb::write`]. `row` can't ask the server itself.
    fn for_each_row(
        &self,
        sql: &str,
        parameters: &Parameters<'_>,
        row: impl FnMut(&Row) -> Result<ControlFlow<()>, Cause>,
    ) -> Result<(), Cause> {
        self.for_each_fetched(FETCHED_ROWS, sql, parameters, row)
    }

    /// As [`PostgresDb::for_each_row`], with so many rows at a time.
    fn for_each_fetched(
        &self,
        fetched_rows: u32,
        sql: &str,
        parameters: &Parameters<'_>,
        mut row: impl FnMut(&Row) -> Result<ControlFlow<()>, Cause>,
    ) -> Result<(), Cause> {
        let cursor = format!("leadclicks_{}", self.cursors.get());
        self.cursors.set(self.cursors.get() + 1);
        self.execute(
            &format!("DECLARE {cursor} NO SCROLL CURSOR FOR {sql}"),
            parameters,
        )?;
        let close = || self.batch(&format!("CLOSE {cursor}"));
        let mut each = |rows: &[Row]| {
            for fetched in rows {
                if row(fetched)?.is_break() {
                    return Ok::<_, Cause>(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        };
        // Who stops early mostly needs no more than these.
        let first_rows = fetched_rows.min(FIRST_ROWS);
        let rows = self.query(&format!("FETCH {first_rows} FROM {cursor}"), &[])?;
        if each(&rows)?.is_break() || rows.len() < first_rows as usize {
            return close();
        }
        let fetch = format!("FETCH {fetched_rows} FROM {cursor}");
        let mut next = self.ask(&fetch);
        loop {
            let rows = self.runtime.block_on(next)?;
            if rows.is_empty() {
                return close();
            }
            // The server works on the next rows while these are processed.
            next = self.ask(&fetch);
            if each(&rows)?.is_break() {
                self.runtime.block_on(next)?;
                return close();
            }
        }
    }

    /// Sends a query. Its rows are read from the connection when the returned future is awaited. Until then, or until it is
    /// dropped, no other query gets an answer.
    fn ask<'a>(
        &'a self,
        sql: &'a str,
    ) -> impl Future<Output = Result<Vec<Row>, tokio_postgres::Error>> {
        let mut rows = Box::pin(self.client.query_typed(sql, &[]));
        let sent = self.runtime.block_on(async {
            let sent = poll_fn(|context| Poll::Ready(rows.as_mut().poll(context))).await;
            // To the task of the connection, which writes.
            yield_now().await;
            sent
        });
        async move {
            match sent {
                Poll::Ready(rows) => rows,
                Poll::Pending => rows.await,
            }
        }
    }
}

/// A runtime for the thread that calls it.
fn new_runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}
