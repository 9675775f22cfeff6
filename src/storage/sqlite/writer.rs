//! The one thread that inserts clicks.
//!
//! Group commit: while one batch's fsync runs, the next clicks queue, and all that queued become the next batch.
//! Waiting for more by a timer made it slower (57,000 clicks a second fell to 47,000 with 200 µs, to 26,000 with 1 ms).
//! Waiting while there is other work made it faster: see [`Pace`].

use std::{
    mem,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{
    SqliteDb,
    file_state::{FileState, OpenDatabase},
    insert::{IGNORED, INSERT, is_about_the_row},
    pace::Pace,
};
use crate::{
    storage::{
        Checkpoint, ClickQueue, Error, NotStored,
        error::reason,
        queue::{Answer, Pending, QUEUE_CLICKS_MAX},
    },
    timestamp::Timestamp,
};

/// How many clicks one transaction holds at the most: as many as can wait.
const BATCH_CLICKS_MAX: usize = QUEUE_CLICKS_MAX;

/// How many batches may wait for their answers to be passed on; then the writer waits. It is two so that it need not
/// wait for the one that it has just stored.
const ANSWERED_BATCHES_MAX: usize = 2;

/// How far a click's time may be ahead of the clock before the log tells it: further than a clock that is kept in time
/// by NTP jumps.
const CLOCK_BEHIND_MAX: Duration = Duration::from_secs(1);

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
    /// clock that dates the clicks; where it runs backwards, clicks keep the latest time that was stored.
    ///
    /// # Panics
    /// Outside a Tokio runtime: a task of it passes on the answers.
    ///
    /// # Errors
    /// When the latest stored click can't be read, or the thread can't be started.
    pub(crate) fn start(
        db: SqliteDb,
        pace: Arc<Pace>,
        now: impl Fn() -> Timestamp + Send + 'static,
    ) -> Result<(Self, ClickQueue), Error> {
        let path = db.path().to_owned();
        let (database, latest) = OpenDatabase::new(db)?;
        let mut clock = Clock {
            now,
            latest,
            is_behind: false,
        };
        clock.date();
        let (sender, receiver) = mpsc::channel(QUEUE_CLICKS_MAX);
        let (answers, answered) = mpsc::channel(ANSWERED_BATCHES_MAX);
        tokio::spawn(pass_on(answered));
        let (end, ended) = oneshot::channel();
        let counts = Arc::new(WriterCounts::default());
        let thread = WriterThread {
            path: path.clone(),
            database: Some(database),
            clock,
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
        Ok((Self { counts, ended }, ClickQueue::new(sender, pace)))
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
    database: Option<OpenDatabase>,
    clock: Clock<Now>,
    pace: Arc<Pace>,
    answers: mpsc::Sender<Vec<(oneshot::Sender<Answer>, Answer)>>,
    counts: Arc<WriterCounts>,
    failing: bool,
    /// Why clicks were refused, each reason once: a stranger must not be able to fill the log.
    refusals_told: Vec<String>,
}

/// Dates the clicks, and never back.
struct Clock<Now> {
    now: Now,
    latest: Option<Timestamp>,
    is_behind: bool,
}

impl<Now: Fn() -> Timestamp> Clock<Now> {
    fn date(&mut self) -> Timestamp {
        let now = (self.now)();
        let created_at = self.latest.map_or(now, |latest| latest.max(now));
        self.latest = Some(created_at);
        let was_behind = self.is_behind;
        self.is_behind = created_at.since(now) > CLOCK_BEHIND_MAX;
        match (was_behind, self.is_behind) {
            (false, true) => tracing::warn!(
                "the clock is behind the newest click; new ones get the same time until it is past that"
            ),
            (true, false) => tracing::info!("the clock is past the newest click again"),
            _ => {}
        }
        created_at
    }
}

/// Why a batch is not in the database.
enum Failure {
    /// One click, which is marked now, took the whole transaction with it by a host app's trigger.
    RolledBack,
    /// No click can be stored at the moment.
    OpenDatabase(rusqlite::Error),
    /// What is open is no longer what is at the database's path, so nobody would find the click.
    Moved,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::OpenDatabase(error)
    }
}

impl<Now: Fn() -> Timestamp> WriterThread<Now> {
    fn run(mut self, mut receiver: mpsc::Receiver<Pending>) -> Result<Checkpoint, Error> {
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
        self.database
            .map_or(Ok(Checkpoint::Busy), OpenDatabase::close)
    }

    /// Stores a batch in one transaction and answers each of its clicks. A click that SQLite refuses is left out, and
    /// the others are stored without it.
    fn store(&mut self, mut batch: Vec<Pending>) {
        let mut is_reopened = false;
        let committed = loop {
            match self.commit(&mut batch) {
                Ok(()) => break Ok(()),
                // Each time round leaves one click more out, so this ends.
                Err(Failure::RolledBack) => {}
                Err(Failure::OpenDatabase(error)) => break Err(reason(&error)),
                Err(Failure::Moved) if is_reopened => break Err(MOVED.to_owned()),
                Err(Failure::Moved) => match self.reopen() {
                    Ok(()) => is_reopened = true,
                    Err(reason) => break Err(reason),
                },
            }
        };
        self.tell_change(committed.as_ref().err());
        let answer = committed.map_err(|_| NotStored::Unavailable);
        let answers = batch
            .into_iter()
            .map(|pending| {
                if pending.refused {
                    (pending.answer, Err(NotStored::Refused))
                } else {
                    (pending.answer, answer)
                }
            })
            .collect();
        // The runtime may be gone, and with it everybody who waits for an answer.
        let _ = self.answers.blocking_send(answers);
    }

    /// Opens what is at the database's path now.
    fn reopen(&mut self) -> Result<(), String> {
        // A file that was deleted is not made anew: reports would be empty, and nobody would know why.
        if !self.path.exists() {
            if let Some(database) = &mut self.database {
                database.wait_for_return()?;
            }
            return Err(MOVED.to_owned());
        }
        if let Some(database) = &mut self.database {
            database.leave()?;
        }
        // Closed before the next is opened, which may have the same -wal and -shm.
        self.database = None;
        let (database, latest) = SqliteDb::reopen_for_capture(&self.path)
            .and_then(OpenDatabase::new)
            .map_err(|error| error.to_string())?;
        self.clock.latest = latest;
        self.database = Some(database);
        tracing::warn!("the database's files were replaced, and are opened anew");
        Ok(())
    }

    fn commit(&mut self, batch: &mut [Pending]) -> Result<(), Failure> {
        let Some(database) = &mut self.database else {
            return Err(Failure::Moved);
        };
        let conn = database.db.conn();
        if database.file_state()? != FileState::InPlace {
            return Err(Failure::Moved);
        }
        let done = insert_all(conn, batch, &mut self.clock, &mut self.refusals_told);
        match done {
            Ok(()) => {
                self.counts.commits.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) if !conn.is_autocommit() => {
                // A transaction that can't even be rolled back shows as the next BEGIN's error.
                let _ = conn.execute_batch("ROLLBACK");
            }
            Err(_) => {}
        }
        database.note_change();
        done
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

/// Inserts in one transaction what SQLite has not refused yet, and marks what it refuses now.
fn insert_all(
    conn: &Connection,
    batch: &mut [Pending],
    dates: &mut Clock<impl Fn() -> Timestamp>,
    refusals_told: &mut Vec<String>,
) -> Result<(), Failure> {
    let execute = |sql| conn.prepare_cached(sql)?.execute([]);
    execute("BEGIN IMMEDIATE")?;
    let mut insert = conn.prepare_cached(INSERT)?;
    for pending in batch.iter_mut().filter(|pending| !pending.refused) {
        let created_at = dates.date();
        let click = &pending.click;
        let changes_before = conn.total_changes();
        let inserted = insert.execute((
            click.email(),
            click.expert_username(),
            click.search_query(),
            &*created_at.stored(),
        ));
        match inserted {
            Ok(0) => {
                pending.refused = true;
                tell_refusal(refusals_told, IGNORED);
            }
            Ok(_) => {}
            Err(error) if !is_about_the_row(&error) => return Err(Failure::OpenDatabase(error)),
            Err(error) => {
                pending.refused = true;
                tell_refusal(refusals_told, &reason(&error));
                // RAISE(ROLLBACK) has ended the transaction, and RAISE(FAIL) has kept in it what the click
                // had done by then.
                if conn.is_autocommit() || conn.total_changes() != changes_before {
                    return Err(Failure::RolledBack);
                }
            }
        }
    }
    drop(insert);
    execute("COMMIT")?;
    Ok(())
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
