//! The one thread that inserts clicks.
//!
//! Group commit: while the fsync of one batch runs, clicks queue, and together become the next batch. Waiting for more clicks
//! with a timer was slower: 57,000 clicks a second fell to 47,000 with 200 µs, and to 26,000 with 1 ms. Waiting while there is
//! other work was faster: see [`Pace`].

use std::{
    collections::{HashMap, hash_map::Entry},
    fs,
    hash::BuildHasher,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rusqlite::{CachedStatement, Connection};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    SqliteDb,
    file_state::{FileState, TrackedDatabase},
    insert::{IGNORED, INSERT, INSERT_WITH_ID, is_about_the_row, why_not_inserted},
    pace::Pace,
    path_with,
    recent_ids::{IdHasher, RecentIds},
    room::{ClickRoom, batch_growth},
    schema::{IdColumn, schema_version},
};
use crate::{
    click::ClickId,
    storage::{
        Cause, Checkpoint, ClickQueue, DiskReserve, Error, NotStored, Writer, WriterCounts,
        disk::size,
        error::reason,
        queue::{Answer, Answers, Job, Outcome, Pending, PendingState, QUEUE_CLICKS_MAX},
    },
    timestamp::Timestamp,
};

/// The most clicks in one transaction: as many as can wait.
const BATCH_CLICKS_MAX: usize = QUEUE_CLICKS_MAX;

/// How often the schema is read again for one batch. A migration of a host app changes it a few times; clicks are answered
/// 503 if it changes more often than that between two attempts.
const SCHEMA_READS_MAX: u32 = 20;

const MOVED: &str = "the database file was moved or deleted; put it back, or restart leadclicksd to create a new one";

/// Starts the writer thread on `db`, which must have been opened for capture. It stores no clicks while there is less free
/// disk space than `reserve`. No other writer may share `pace`. `now` is the clock by which clicks arrive.
///
/// # Panics
/// Outside a Tokio runtime, because a task passes on the answers.
///
/// # Errors
/// If the newest clicks can't be read, or the thread can't be started.
pub(crate) fn start(
    db: SqliteDb,
    pace: Arc<Pace>,
    reserve: DiskReserve,
    now: impl Fn() -> Timestamp + Clone + Send + Sync + 'static,
) -> Result<(Writer, ClickQueue), Error> {
    let path = db.path().to_owned();
    let id_hasher = IdHasher::default();
    let database = CaptureDatabase::new(db, &id_hasher, now())?;
    let (sender, receiver) = mpsc::channel(QUEUE_CLICKS_MAX);
    let (outcome, outcomes) = watch::channel(Outcome::default());
    let (end, ended) = oneshot::channel();
    let counts = Arc::new(WriterCounts::default());
    let thread = WriterThread {
        path: path.clone(),
        database: Some(database),
        id_hasher,
        room: RoomCheck {
            reserve,
            refused_growth: 0,
        },
        now: now.clone(),
        pace: Arc::clone(&pace),
        answers: Answers::start(),
        counts: Arc::clone(&counts),
        outcome,
        logged_rejections: Vec::new(),
    };
    let thread = thread::Builder::new()
        .name("writer".to_owned())
        .spawn(move || {
            // The receiver may be gone.
            let _ = end.send(thread.run(receiver));
        })
        .map_err(|source| Error::new(&path, Cause::OutOfResources(source)))?;
    pace.set_writer(thread.thread().clone());
    Ok((
        Writer::new(counts, ended),
        ClickQueue::new(sender, outcomes, Some(pace), now),
    ))
}

struct WriterThread<Now> {
    path: PathBuf,
    /// None after the database was replaced by one that can't be used.
    database: Option<CaptureDatabase>,
    id_hasher: IdHasher,
    room: RoomCheck,
    now: Now,
    pace: Arc<Pace>,
    answers: Answers,
    counts: Arc<WriterCounts>,
    /// Whether the last attempt to store clicks succeeded.
    outcome: watch::Sender<Outcome>,
    /// The reasons that were logged for rejected clicks. Each is logged once, so that clients can't fill the log.
    logged_rejections: Vec<String>,
}

/// The open database, and which clicks are in it already.
struct CaptureDatabase {
    tracked: TrackedDatabase,
    /// The ids of clicks that are committed and synced.
    ids: RecentIds,
    id_column: IdColumn,
    /// SQLite's version of the schema in which `id_column` was found; none until then.
    schema_version: Option<i64>,
}

impl CaptureDatabase {
    fn new(db: SqliteDb, hasher: &IdHasher, now: Timestamp) -> Result<Self, Error> {
        let id_column = db.id_column()?;
        let ids = match id_column {
            IdColumn::Missing => RecentIds::new(Instant::now()),
            IdColumn::Plain | IdColumn::Unique => {
                RecentIds::load(&db, hasher, now, Instant::now())?
            }
        };
        Ok(Self {
            tracked: TrackedDatabase::new(db)?,
            ids,
            id_column,
            schema_version: None,
        })
    }

    /// Looks for the column for ids again, and adds it to a table of an earlier version. Without the column, ids are only
    /// remembered in memory.
    fn update_schema(&mut self) -> Result<(), Error> {
        let db = &self.tracked.db;
        if db.has_earlier_clicks_table()? {
            tracing::info!(
                "adding the column click_id to lead_clicks; clicks wait until it is added"
            );
            match db.add_id_column() {
                Ok(()) => tracing::info!("the column click_id is added"),
                Err(error) => tracing::warn!(
                    reason = %error,
                    "the column click_id can't be added, so a click that is sent again after a restart is stored twice; \
                     restart leadclicksd to try again"
                ),
            }
            self.tracked.note_change();
        }
        let db = &self.tracked.db;
        self.schema_version = Some(db.run(schema_version)?);
        self.id_column = db.id_column()?;
        Ok(())
    }

    /// Marks the clicks that are stored already. Returns whether any others are new.
    fn find_stored(&mut self, batch: &mut [Pending]) -> bool {
        self.ids.forget_old(Instant::now());
        let mut has_new = false;
        for pending in batch {
            if pending.state == PendingState::New {
                if pending.id_hash.is_some_and(|id| self.ids.contains(id)) {
                    pending.state = PendingState::Stored;
                } else {
                    has_new = true;
                }
            }
        }
        has_new
    }

    fn remember(&mut self, stored: &[Pending]) {
        let now = Instant::now();
        for pending in stored {
            if pending.state == PendingState::New
                && let Some(id) = pending.id_hash
            {
                self.ids.insert(id, now);
            }
        }
    }
}

/// How a commit succeeded.
#[derive(Debug, PartialEq, Eq)]
enum Commit {
    Done,
    /// The batch had no new clicks.
    NotNeeded,
}

/// Why a batch is not in the database.
enum CommitError {
    /// A host app's trigger rolled back the whole transaction because of one click, which is marked now.
    RolledBack,
    /// No click can be stored at the moment.
    Database(String),
    /// The schema has changed since it was read.
    NewSchema,
    /// Only the reserve of disk space is left.
    NoRoom {
        reason: String,
        /// Whether the database has free pages for the batch, so that cutting the WAL is enough.
        has_free_pages: bool,
    },
    /// The database at the path is no longer the open one, so nobody would find the click.
    Moved,
}

impl From<rusqlite::Error> for CommitError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(reason(&error))
    }
}

impl<Now: Fn() -> Timestamp> WriterThread<Now> {
    fn run(mut self, mut receiver: mpsc::Receiver<Job>) -> Result<Checkpoint, Error> {
        if let Some(database) = &mut self.database {
            // Not before the daemon accepts clicks, because it may take long. An error shows again at the first batch.
            let _ = database.update_schema();
        }
        loop {
            self.pace.wait(|| receiver.is_closed());
            self.pace.begin_batch();
            let mut jobs = Vec::with_capacity(receiver.len());
            let taken = receiver.blocking_recv_many(&mut jobs, BATCH_CLICKS_MAX);
            if taken == 0 {
                break;
            }
            self.pace.remove_clicks(taken);
            let (batch, has_trial) = Job::split(jobs);
            if !batch.is_empty() {
                self.store(batch);
            }
            // Unless the clicks have shown it already.
            if has_trial && !self.outcome.borrow().is_new() {
                self.store(Vec::new());
            }
        }
        // A shutdown does not wait for other programs' reads: clicks are as durable in the WAL.
        self.database
            .map_or(Ok(Checkpoint::Busy), |database| database.tracked.close())
    }

    /// Stores a batch in one transaction and answers each of its clicks. A click that SQLite rejects is left out, and the
    /// others are stored. A batch without clicks finds out whether any could be stored.
    fn store(&mut self, mut batch: Vec<Pending>) {
        mark_repeats(&mut batch, &self.id_hasher);
        let mut is_reopened = false;
        let mut is_cut = false;
        let mut schema_reads = 0;
        let committed = loop {
            match self.commit(&mut batch) {
                Ok(commit) => break Ok(commit),
                // Each attempt leaves out one more click, so this ends.
                Err(CommitError::RolledBack) => {}
                Err(CommitError::NewSchema) if schema_reads == SCHEMA_READS_MAX => {
                    break Err("another program changes the schema again and again".to_owned());
                }
                Err(CommitError::NewSchema) => match self.update_schema() {
                    Ok(()) => schema_reads += 1,
                    Err(reason) => break Err(reason),
                },
                Err(CommitError::NoRoom { has_free_pages, .. })
                    if has_free_pages && !is_cut && self.cut_wal() =>
                {
                    is_cut = true;
                }
                Err(CommitError::Database(reason) | CommitError::NoRoom { reason, .. }) => {
                    break Err(reason);
                }
                Err(CommitError::Moved) if is_reopened => break Err(MOVED.to_owned()),
                Err(CommitError::Moved) => match self.reopen() {
                    Ok(()) => {
                        is_reopened = true;
                        // What the other database stored or rejected does not apply to this one.
                        for pending in &mut batch {
                            if !matches!(pending.state, PendingState::Repeat(_)) {
                                pending.state = PendingState::New;
                            }
                        }
                    }
                    Err(reason) => break Err(reason),
                },
            }
        };
        // Without new clicks it is unknown whether clicks can be stored.
        if committed != Ok(Commit::NotNeeded) {
            self.note_outcome(committed.as_ref().err());
        }
        let committed = committed.map(|_| ()).map_err(|_| NotStored::Unavailable);
        let answers: Vec<Answer> = (0..batch.len())
            .map(|number| answer(&batch, number, committed))
            .collect();
        self.answers.blocking_send(batch, answers);
    }

    /// Opens the database that is at the path now.
    fn reopen(&mut self) -> Result<(), String> {
        // A deleted file is not created again: reports would be empty, and nobody would know why.
        if !self.path.exists() {
            if let Some(database) = &mut self.database {
                database
                    .tracked
                    .save_wal_content(FileState::DatabaseMoved)?;
            }
            return Err(MOVED.to_owned());
        }
        if let Some(database) = &mut self.database {
            database.tracked.release()?;
        }
        // Closed before the next is opened, which may have the same -wal and -shm.
        self.database = None;
        let database = SqliteDb::reopen_for_capture(&self.path)
            .and_then(|db| CaptureDatabase::new(db, &self.id_hasher, (self.now)()))
            .map_err(|error| error.to_string())?;
        self.database = Some(database);
        tracing::warn!("the database's files were replaced; the new ones are open");
        Ok(())
    }

    /// Copies the WAL into the database file and cuts it to nothing, unless it is read. Returns whether that freed anything.
    fn cut_wal(&mut self) -> bool {
        let Some(database) = &mut self.database else {
            return false;
        };
        let db = &database.tracked.db;
        let wal_bytes = fs::metadata(path_with(db.path(), "-wal")).map_or(0, |wal| wal.len());
        if wal_bytes == 0 {
            return false;
        }
        let done = db.checkpoint(Duration::ZERO);
        database.tracked.note_change();
        matches!(done, Ok(Checkpoint::Finished))
    }

    fn update_schema(&mut self) -> Result<(), String> {
        match &mut self.database {
            Some(database) => database.update_schema().map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    fn commit(&mut self, batch: &mut [Pending]) -> Result<Commit, CommitError> {
        let Some(database) = &mut self.database else {
            return Err(CommitError::Moved);
        };
        if database.tracked.file_state()? != FileState::InPlace {
            return Err(CommitError::Moved);
        }
        database
            .tracked
            .check_name()
            .map_err(CommitError::Database)?;
        if !database.find_stored(batch) && !batch.is_empty() {
            return Ok(Commit::NotNeeded);
        }
        let done = if batch.is_empty() {
            try_out(database, &mut self.room, *self.outcome.borrow())
        } else {
            insert_all(database, batch, &mut self.room, &mut self.logged_rejections)
        };
        let conn = database.tracked.db.conn();
        match done {
            Ok(()) if batch.is_empty() => {}
            Ok(()) => {
                self.counts.add_commit();
                database.remember(batch);
            }
            Err(_) if !conn.is_autocommit() => {
                // If the rollback fails, the next BEGIN fails too and reports it.
                let _ = conn.execute_batch("ROLLBACK");
            }
            Err(_) => {}
        }
        database.tracked.note_change();
        done.map(|()| Commit::Done)
    }

    /// Logs one line when storing begins to fail and one when it works again, so that a full disk does not fill the log.
    fn note_outcome(&mut self, reason: Option<&String>) {
        let outcome = Outcome {
            is_failure: reason.is_some(),
            at: Some(Instant::now()),
        };
        let failed_before = self.outcome.borrow().is_failure;
        match reason {
            Some(reason) if !failed_before => tracing::error!(
                reason,
                "clicks can't be stored, answering 503 until they can"
            ),
            None if failed_before => tracing::info!("clicks are stored again"),
            _ => {}
        }
        // Last, so that the log has it when somebody is answered by it.
        self.outcome.send_replace(outcome);
    }
}

/// Marks every click that has the id of an earlier one of the batch.
fn mark_repeats(batch: &mut [Pending], hasher: &IdHasher) {
    let clicks = batch.len();
    let mut first: HashMap<u64, usize> = HashMap::new();
    for (number, pending) in batch.iter_mut().enumerate() {
        let Some(id) = &pending.id else { continue };
        // Growing the map step by step would take longer than everything else here.
        first.reserve(clicks - number);
        let hash = hasher.hash_one(id);
        pending.id_hash = Some(hash);
        match first.entry(hash) {
            Entry::Vacant(entry) => {
                entry.insert(number);
            }
            Entry::Occupied(entry) => pending.state = PendingState::Repeat(*entry.get()),
        }
    }
}

/// The answer to a click of the batch; `committed` is the answer to the new ones.
fn answer(batch: &[Pending], number: usize, committed: Answer) -> Answer {
    match batch[number].state {
        PendingState::New => committed,
        PendingState::Stored => Ok(()),
        PendingState::Rejected => Err(NotStored::Refused),
        // The first click with an id is not a repeat, so this ends.
        PendingState::Repeat(first) => answer(batch, first, committed),
    }
}

/// Inserts the new clicks in one transaction, and marks those that SQLite rejects.
fn insert_all(
    database: &CaptureDatabase,
    batch: &mut [Pending],
    room: &mut RoomCheck,
    logged_rejections: &mut Vec<String>,
) -> Result<(), CommitError> {
    let conn = begin(database, batch, room)?;
    let mut insert = Insert::prepare(conn, database.id_column)?;
    let is_new = |pending: &&mut Pending| pending.state == PendingState::New;
    for pending in batch.iter_mut().filter(is_new) {
        let changes_before = conn.total_changes();
        let (reason, is_tainted) = match insert.execute(pending) {
            Ok(0) => (IGNORED.to_owned(), false),
            Ok(_) => continue,
            Err(error) if !is_about_the_row(&error) => {
                return Err(match why_not_inserted(conn, error) {
                    Cause::Sqlite(error) => error.into(),
                    cause => CommitError::Database(cause.to_string()),
                });
            }
            // RAISE(ROLLBACK) has ended the transaction. RAISE(FAIL) has kept in it what the click had changed before.
            Err(error) => (
                reason(&error),
                conn.is_autocommit() || conn.total_changes() != changes_before,
            ),
        };
        if violates_unique_id(conn, database.id_column, pending.id)? {
            pending.state = PendingState::Stored;
        } else {
            pending.state = PendingState::Rejected;
            log_rejection(logged_rejections, &reason);
        }
        if is_tainted {
            return Err(CommitError::RolledBack);
        }
    }
    drop(insert);
    commit(conn)
}

/// Begins a transaction in which the new clicks of a batch can be stored.
fn begin<'db>(
    database: &'db CaptureDatabase,
    batch: &[Pending],
    room: &mut RoomCheck,
) -> Result<&'db Connection, CommitError> {
    let conn = database.tracked.db.conn();
    conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    if Some(schema_version(conn)?) != database.schema_version {
        return Err(CommitError::NewSchema);
    }
    room.check(&database.tracked.db, batch)?;
    Ok(conn)
}

fn commit(conn: &Connection) -> Result<(), CommitError> {
    conn.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}

/// Finds out whether a click could be stored. After a failure it writes and syncs a page, because a broken disk shows only then:
/// it sets the host app's own number in the header to the value that it has.
fn try_out(
    database: &CaptureDatabase,
    room: &mut RoomCheck,
    last: Outcome,
) -> Result<(), CommitError> {
    const NUMBER: &str = "user_version";
    let conn = begin(database, &[], room)?;
    if last.is_failure {
        let number: i64 = conn.pragma_query_value(None, NUMBER, |row| row.get(0))?;
        conn.pragma_update(None, NUMBER, number)?;
    }
    commit(conn)
}

/// How much more than a batch needs must be free until an outage ends, at most, in bytes: room for some hundred clicks.
const MARGIN_MAX: u64 = 256 * 1024;

/// Keeps the reserve of disk space free.
struct RoomCheck {
    reserve: DiskReserve,
    /// What the batches that were refused since the last that was stored would have needed, at most, in bytes. Smaller ones
    /// are refused too until there is as much, so that clicks of different sizes do not begin and end the outage in turn.
    refused_growth: u64,
}

impl RoomCheck {
    /// Checks whether the new clicks of a batch fit on the disk above the reserve: in the WAL, and then in the database.
    ///
    /// # Errors
    /// If they don't. A host app's indexes and triggers may need more than is counted here; that is counted with the next
    /// batch.
    fn check(&mut self, db: &SqliteDb, batch: &[Pending]) -> Result<(), CommitError> {
        let growth = growth(db, batch)?;
        // A large batch that was refused must not refuse small ones while there is room for many of them.
        let growth = growth.max(self.refused_growth.min(growth + MARGIN_MAX));
        // An error would show again when the clicks are stored.
        let Some(room) = ClickRoom::of(db, self.reserve, growth)? else {
            return Ok(());
        };
        if room.fits(growth) {
            self.refused_growth = 0;
            return Ok(());
        }
        self.refused_growth = growth;
        let reason = format!(
            "only the reserve of {} is left on the disk (--disk-reserve); free disk space, or purge old clicks",
            size(room.space.reserved(self.reserve))
        );
        Err(CommitError::NoRoom {
            reason,
            has_free_pages: room.has_free_pages,
        })
    }
}

/// By how many bytes the database and its WAL grow, at most, when the new clicks of a batch are stored.
fn growth(db: &SqliteDb, batch: &[Pending]) -> rusqlite::Result<u64> {
    let (mut clicks, mut text_bytes) = (0, 0);
    for Pending { click, state, .. } in batch {
        if *state == PendingState::New {
            let texts = [click.email(), click.expert_username(), click.search_query()];
            clicks += 1;
            text_bytes += texts.iter().map(|text| text.len() as u64).sum::<u64>();
        }
    }
    batch_growth(db, clicks, text_bytes)
}

/// The statements that store a click.
struct Insert<'conn> {
    without_id: CachedStatement<'conn>,
    /// None without a column for the id.
    with_id: Option<CachedStatement<'conn>>,
}

impl<'conn> Insert<'conn> {
    fn prepare(conn: &'conn Connection, id_column: IdColumn) -> rusqlite::Result<Self> {
        Ok(Self {
            without_id: conn.prepare_cached(INSERT)?,
            with_id: match id_column {
                IdColumn::Missing => None,
                IdColumn::Plain | IdColumn::Unique => Some(conn.prepare_cached(INSERT_WITH_ID)?),
            },
        })
    }

    fn execute(&mut self, pending: &Pending) -> rusqlite::Result<usize> {
        let (click, created_at) = (&pending.click, pending.created_at.stored());
        let email = click.email();
        let expert_username = click.expert_username();
        let search_query = click.search_query();
        match (&mut self.with_id, &pending.id) {
            (Some(with_id), Some(id)) => with_id.execute((
                email,
                expert_username,
                search_query,
                &*created_at,
                id.as_str(),
            )),
            _ => self
                .without_id
                .execute((email, expert_username, search_query, &*created_at)),
        }
    }
}

/// Whether a click was rejected because a host app's column is unique and has its id already.
fn violates_unique_id(
    conn: &Connection,
    id_column: IdColumn,
    id: Option<ClickId>,
) -> rusqlite::Result<bool> {
    match (id_column, id) {
        (IdColumn::Unique, Some(id)) => conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM lead_clicks WHERE click_id = ?1)")?
            .query_row([id.as_str()], |row| row.get(0)),
        _ => Ok(false),
    }
}

fn log_rejection(logged: &mut Vec<String>, reason: &str) {
    if !logged.iter().any(|known| known == reason) {
        tracing::warn!(
            reason,
            "the database rejected a click (422); repeats are not logged"
        );
        logged.push(reason.to_owned());
    }
}
