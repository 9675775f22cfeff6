//! The one thread that inserts clicks.
//!
//! Group commit: while one batch's fsync runs, the next clicks queue, and all that queued become the next batch.
//! Waiting for more by a timer made it slower (57,000 clicks a second fell to 47,000 with 200 µs, to 26,000 with 1 ms).
//! Waiting while there is other work made it faster: see [`Pace`].

use std::{
    collections::{HashMap, hash_map::Entry},
    mem,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use rusqlite::{CachedStatement, Connection};
use tokio::sync::{mpsc, oneshot};

use super::{
    SqliteDb,
    file_state::{FileState, OpenDatabase},
    insert::{IGNORED, INSERT, INSERT_WITH_ID, is_about_the_row},
    pace::Pace,
    recent_ids::{IdHasher, RecentIds},
    schema::{IdColumn, schema_version},
};
use crate::{
    click::ClickId,
    storage::{
        Checkpoint, ClickQueue, Error, NotStored,
        error::reason,
        queue::{Answer, Pending, PendingState, QUEUE_CLICKS_MAX},
    },
    timestamp::Timestamp,
};

/// How many clicks one transaction holds at the most: as many as can wait.
const BATCH_CLICKS_MAX: usize = QUEUE_CLICKS_MAX;

/// How many batches may wait for their answers to be passed on; then the writer waits. It is two so that it need not
/// wait for the one that it has just stored.
const ANSWERED_BATCHES_MAX: usize = 2;

const MOVED: &str =
    "the database file was moved or deleted; put it back, or restart leadclicksd for a new one";

/// What the writer has done since it started; read while it runs.
#[derive(Debug, Default)]
pub(crate) struct WriterCounts {
    commits: AtomicU64,
}

impl WriterCounts {
    /// Transactions committed, each with one fsync.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}

/// The running writer thread.
#[derive(Debug)]
pub(crate) struct Writer {
    counts: Arc<WriterCounts>,
    ended: oneshot::Receiver<Result<Checkpoint, Error>>,
}

impl Writer {
    /// Starts the writer thread on `db`, which must have been opened for capture, at a `pace` of its own. `now` is the
    /// clock by which clicks arrive.
    ///
    /// # Panics
    /// Outside a Tokio runtime: a task of it passes on the answers.
    ///
    /// # Errors
    /// When the newest clicks can't be read, or the thread can't be started.
    pub(crate) fn start(
        db: SqliteDb,
        pace: Arc<Pace>,
        now: impl Fn() -> Timestamp + Clone + Send + Sync + 'static,
    ) -> Result<(Self, ClickQueue), Error> {
        let path = db.path().to_owned();
        let id_hasher = IdHasher::default();
        let opened = Opened::new(db, &id_hasher, now())?;
        let (sender, receiver) = mpsc::channel(QUEUE_CLICKS_MAX);
        let (answers, answered) = mpsc::channel(ANSWERED_BATCHES_MAX);
        tokio::spawn(pass_on(answered));
        let (end, ended) = oneshot::channel();
        let counts = Arc::new(WriterCounts::default());
        let thread = WriterThread {
            path: path.clone(),
            opened: Some(opened),
            id_hasher,
            now: now.clone(),
            pace: Arc::clone(&pace),
            answers,
            counts: Arc::clone(&counts),
            failing: false,
            refusals_told: Vec::new(),
        };
        let thread = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                // Nobody may be left to hear how it ended.
                let _ = end.send(thread.run(receiver));
            })
            .map_err(|source| Error::unusable(&path, source))?;
        pace.set_writer(thread.thread().clone());
        Ok((Self { counts, ended }, ClickQueue::new(sender, pace, now)))
    }

    /// What the writer has done so far.
    pub(crate) fn counts(&self) -> &Arc<WriterCounts> {
        &self.counts
    }

    /// Waits until every [`ClickQueue`] is dropped, what was queued is stored, and the WAL is checkpointed; says
    /// how the checkpoint went.
    ///
    /// # Errors
    /// When the checkpoint fails. Every click that was acknowledged is in the database or its WAL all the same.
    pub(crate) async fn ended(self) -> Result<Checkpoint, Error> {
        self.ended.await.unwrap_or(Ok(Checkpoint::Busy))
    }
}

/// Passes on the answers of each batch, all from one task: waking the clicks' own tasks from the writer's thread would
/// take it a system call each.
async fn pass_on(mut batches: mpsc::Receiver<Vec<(oneshot::Sender<Answer>, Answer)>>) {
    while let Some(answers) = batches.recv().await {
        for (sender, answer) in answers {
            // A client that went away does not wait for its answer.
            let _ = sender.send(answer);
        }
    }
}

struct WriterThread<Now> {
    path: PathBuf,
    /// None after the file at the path was replaced by one that can't be used.
    opened: Option<Opened>,
    id_hasher: IdHasher,
    now: Now,
    pace: Arc<Pace>,
    answers: mpsc::Sender<Vec<(oneshot::Sender<Answer>, Answer)>>,
    counts: Arc<WriterCounts>,
    failing: bool,
    /// Why clicks were refused, each reason once: a stranger must not be able to fill the log.
    refusals_told: Vec<String>,
}

/// The open database, and which clicks are in it already.
struct Opened {
    database: OpenDatabase,
    /// Of clicks that are committed and synced.
    ids: RecentIds,
    id_column: IdColumn,
    /// SQLite's number for the schema that has this column; none before it was looked at.
    schema_version: Option<i64>,
}

impl Opened {
    fn new(db: SqliteDb, hasher: &IdHasher, now: Timestamp) -> Result<Self, Error> {
        let id_column = db.id_column()?;
        let ids = match id_column {
            IdColumn::Missing => RecentIds::new(Instant::now()),
            IdColumn::Plain | IdColumn::Unique => {
                RecentIds::load(&db, hasher, now, Instant::now())?
            }
        };
        Ok(Self {
            database: OpenDatabase::new(db)?,
            ids,
            id_column,
            schema_version: None,
        })
    }

    /// Finds the column for ids again. A table that an earlier version made gets it; without it ids are remembered in memory
    /// alone.
    fn update_schema(&mut self) -> Result<(), Error> {
        let db = &self.database.db;
        if db.has_earlier_clicks_table()? {
            tracing::info!("adding the column click_id to lead_clicks, for which clicks wait");
            match db.add_id_column() {
                Ok(()) => tracing::info!("the column click_id is added"),
                Err(error) => tracing::warn!(
                    reason = %error,
                    "the column click_id can't be added, so a click that is sent again after a restart is stored twice; \
                     restart leadclicksd to try again"
                ),
            }
            self.database.note_change();
        }
        let db = &self.database.db;
        self.schema_version = Some(db.run(schema_version)?);
        self.id_column = db.id_column()?;
        Ok(())
    }

    /// Marks what is stored already. Returns whether anything is left to store.
    fn find_stored(&mut self, batch: &mut [Pending]) -> bool {
        self.ids.forget_old(Instant::now());
        let mut is_anything_new = false;
        for pending in batch {
            if pending.state == PendingState::New {
                if pending.id_hash.is_some_and(|id| self.ids.contains(id)) {
                    pending.state = PendingState::Stored;
                } else {
                    is_anything_new = true;
                }
            }
        }
        is_anything_new
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

/// How all new clicks of a batch came into the database.
#[derive(Debug, PartialEq, Eq)]
enum Commit {
    Done,
    /// There was none.
    NotNeeded,
}

/// Why a batch is not in the database.
enum Failure {
    /// One click, which is marked now, took the whole transaction with it by a host app's trigger.
    RolledBack,
    /// No click can be stored at the moment.
    Database(String),
    /// The schema is not the one that was looked at.
    NewSchema,
    /// What is open is no longer what is at the database's path, so nobody would find the click.
    Moved,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(reason(&error))
    }
}

impl<Now: Fn() -> Timestamp> WriterThread<Now> {
    fn run(mut self, mut receiver: mpsc::Receiver<Pending>) -> Result<Checkpoint, Error> {
        if let Some(opened) = &mut self.opened {
            // Here and not before clicks are taken: it may take long. An error shows at the first batch again.
            let _ = opened.update_schema();
        }
        loop {
            self.pace.wait(|| receiver.is_closed());
            self.pace.begin_batch();
            let mut batch = Vec::with_capacity(receiver.len());
            if receiver.blocking_recv_many(&mut batch, BATCH_CLICKS_MAX) == 0 {
                break;
            }
            self.pace.remove_clicks(batch.len());
            self.store(batch);
        }
        // A shutdown does not wait for somebody's long report: what stays in the WAL is as durable there.
        self.opened
            .map_or(Ok(Checkpoint::Busy), |opened| opened.database.close())
    }

    /// Stores a batch in one transaction and answers each of its clicks. A click that SQLite refuses is left out, and
    /// the others are stored without it.
    fn store(&mut self, mut batch: Vec<Pending>) {
        mark_repeats(&mut batch, &self.id_hasher);
        let mut is_reopened = false;
        let committed = loop {
            match self.commit(&mut batch) {
                Ok(commit) => break Ok(commit),
                // Each time round leaves one click more out, so this ends.
                Err(Failure::RolledBack) => {}
                // Whoever changes the schema does not do it for ever.
                Err(Failure::NewSchema) => match self.update_schema() {
                    Ok(()) => {}
                    Err(reason) => break Err(reason),
                },
                Err(Failure::Database(reason)) => break Err(reason),
                Err(Failure::Moved) if is_reopened => break Err(MOVED.to_owned()),
                Err(Failure::Moved) => match self.reopen() {
                    Ok(()) => {
                        is_reopened = true;
                        // What the other database had or refused says nothing of this one.
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
        // Where nothing was new nothing shows whether clicks can be stored.
        if committed != Ok(Commit::NotNeeded) {
            self.tell_change(committed.as_ref().err());
        }
        let committed = committed.map(|_| ()).map_err(|_| NotStored::Unavailable);
        let answers: Vec<Answer> = (0..batch.len())
            .map(|number| answer(&batch, number, committed))
            .collect();
        let senders = batch.into_iter().map(|pending| pending.answer);
        // The runtime may be gone, and with it everybody who waits for an answer.
        let _ = self.answers.blocking_send(senders.zip(answers).collect());
    }

    /// Opens what is at the database's path now.
    fn reopen(&mut self) -> Result<(), String> {
        // A file that was deleted is not made anew: reports would be empty, and nobody would know why.
        if !self.path.exists() {
            if let Some(opened) = &mut self.opened {
                opened.database.wait_for_return()?;
            }
            return Err(MOVED.to_owned());
        }
        if let Some(opened) = &mut self.opened {
            opened.database.leave()?;
        }
        // Closed before the next is opened, which may have the same -wal and -shm.
        self.opened = None;
        let opened = SqliteDb::reopen_for_capture(&self.path)
            .and_then(|db| Opened::new(db, &self.id_hasher, (self.now)()))
            .map_err(|error| error.to_string())?;
        self.opened = Some(opened);
        tracing::warn!("the database's files were replaced, and are opened anew");
        Ok(())
    }

    fn update_schema(&mut self) -> Result<(), String> {
        match &mut self.opened {
            Some(opened) => opened.update_schema().map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    fn commit(&mut self, batch: &mut [Pending]) -> Result<Commit, Failure> {
        let Some(opened) = &mut self.opened else {
            return Err(Failure::Moved);
        };
        if opened.database.file_state()? != FileState::InPlace {
            return Err(Failure::Moved);
        }
        if !opened.find_stored(batch) {
            return Ok(Commit::NotNeeded);
        }
        let done = insert_all(opened, batch, &mut self.refusals_told);
        let conn = opened.database.db.conn();
        match done {
            Ok(()) => {
                self.counts.commits.fetch_add(1, Ordering::Relaxed);
                opened.remember(batch);
            }
            Err(_) if !conn.is_autocommit() => {
                // A transaction that can't even be rolled back shows as the next BEGIN's error.
                let _ = conn.execute_batch("ROLLBACK");
            }
            Err(_) => {}
        }
        opened.database.note_change();
        done.map(|()| Commit::Done)
    }

    /// One line when storing begins to fail and one when it works again: a full disk must not fill a log too.
    fn tell_change(&mut self, reason: Option<&String>) {
        let failed_before = mem::replace(&mut self.failing, reason.is_some());
        match reason {
            Some(reason) if !failed_before => tracing::error!(
                reason,
                "clicks can't be stored, answering 503 until they can"
            ),
            None if failed_before => tracing::info!("clicks are stored again"),
            _ => {}
        }
    }
}

/// Marks every click that has the id of an earlier one of the batch.
fn mark_repeats(batch: &mut [Pending], hasher: &IdHasher) {
    let clicks = batch.len();
    let mut first: HashMap<u64, usize> = HashMap::new();
    for (number, pending) in batch.iter_mut().enumerate() {
        let Some(id) = &pending.id else { continue };
        // Growing step by step would take longer than all else here.
        first.reserve(clicks - number);
        let hash = hasher.hash(id);
        pending.id_hash = Some(hash);
        match first.entry(hash) {
            Entry::Vacant(entry) => {
                entry.insert(number);
            }
            Entry::Occupied(entry) => pending.state = PendingState::Repeat(*entry.get()),
        }
    }
}

/// What a click of the batch is answered, after what was new is `committed` or not.
fn answer(batch: &[Pending], number: usize, committed: Answer) -> Answer {
    match batch[number].state {
        PendingState::New => committed,
        PendingState::Stored => Ok(()),
        PendingState::Refused => Err(NotStored::Refused),
        // The first with its id, which repeats no other.
        PendingState::Repeat(first) => answer(batch, first, committed),
    }
}

/// Inserts in one transaction what is new, and marks what SQLite refuses.
fn insert_all(
    opened: &Opened,
    batch: &mut [Pending],
    refusals_told: &mut Vec<String>,
) -> Result<(), Failure> {
    let conn = opened.database.db.conn();
    let execute = |sql| conn.prepare_cached(sql)?.execute([]);
    execute("BEGIN IMMEDIATE")?;
    if Some(schema_version(conn)?) != opened.schema_version {
        return Err(Failure::NewSchema);
    }
    let mut insert = Insert::prepare(conn, opened.id_column)?;
    let is_new = |pending: &&mut Pending| pending.state == PendingState::New;
    for pending in batch.iter_mut().filter(is_new) {
        let changes_before = conn.total_changes();
        let (reason, is_spoilt) = match insert.execute(pending) {
            Ok(0) => (IGNORED.to_owned(), false),
            Ok(_) => continue,
            Err(error) if !is_about_the_row(&error) => return Err(error.into()),
            // RAISE(ROLLBACK) has ended the transaction, and RAISE(FAIL) has kept in it what the click had done by then.
            Err(error) => (
                reason(&error),
                conn.is_autocommit() || conn.total_changes() != changes_before,
            ),
        };
        if is_unique_elsewhere(conn, opened.id_column, pending.id)? {
            pending.state = PendingState::Stored;
        } else {
            pending.state = PendingState::Refused;
            tell_refusal(refusals_told, &reason);
        }
        if is_spoilt {
            return Err(Failure::RolledBack);
        }
    }
    drop(insert);
    execute("COMMIT")?;
    Ok(())
}

/// The statements that store a click.
struct Insert<'conn> {
    without_id: CachedStatement<'conn>,
    /// None without a column for it.
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

/// Whether a click was rejected because a host app's column lets each id be there once, and its id is there.
fn is_unique_elsewhere(
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

fn tell_refusal(told: &mut Vec<String>, reason: &str) {
    if !told.iter().any(|known| known == reason) {
        tracing::warn!(
            reason,
            "the database refuses a click, answering 422; told once"
        );
        told.push(reason.to_owned());
    }
}
