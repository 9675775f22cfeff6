//! The queue in which clicks wait for the writer.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{mpsc, oneshot};

use super::{Checkpoint, Error, Pace};
use crate::{
    click::{Click, ClickId, PostedClick},
    timestamp::Timestamp,
};

/// How many clicks may wait for the writer. At 50,000 a second that is 20 ms of work. A click has at most about 10 KB, so
/// they take at most some 10 MB, and the batch that is being stored as much again. If the queue is full, a click is
/// rejected at once, so a stalled disk does not fill the memory.
pub(super) const QUEUE_CLICKS_MAX: usize = 1024;

/// Why a click was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotStored {
    /// [`QUEUE_CLICKS_MAX`] clicks are waiting already.
    QueueFull,
    /// A constraint or trigger of a host app rejected this click; sending it again will not help.
    Refused,
    /// The database can't be written to at the moment: the disk is full, or another program holds the lock.
    Unavailable,
}

/// What the writer has done since it started; read while it runs.
#[derive(Debug, Default)]
pub(crate) struct WriterCounts {
    commits: AtomicU64,
}

impl WriterCounts {
    pub(super) fn add_commit(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    /// Transactions committed, each with one fsync.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}

/// The running writer.
#[derive(Debug)]
pub(crate) struct Writer {
    counts: Arc<WriterCounts>,
    ended: oneshot::Receiver<Result<Checkpoint, Error>>,
}

impl Writer {
    /// `ended` gets the result of the last checkpoint when all clicks are stored.
    pub(super) fn new(
        counts: Arc<WriterCounts>,
        ended: oneshot::Receiver<Result<Checkpoint, Error>>,
    ) -> Self {
        Self { counts, ended }
    }

    /// What the writer has done so far.
    pub(crate) fn counts(&self) -> &Arc<WriterCounts> {
        &self.counts
    }

    /// Waits until every [`ClickQueue`] is dropped, the queued clicks are stored, and the WAL is checkpointed. Returns the
    /// result of the checkpoint.
    ///
    /// # Errors
    /// If the checkpoint fails. All acknowledged clicks are in the database or its WAL even then.
    pub(crate) async fn ended(self) -> Result<Checkpoint, Error> {
        self.ended.await.unwrap_or(Ok(Checkpoint::Busy))
    }
}

/// Sends clicks to the writer. When the last clone is dropped, the writer stores what is queued, empties the WAL and
/// ends.
#[derive(Clone)]
pub(crate) struct ClickQueue {
    sender: mpsc::Sender<Pending>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Dropped after the sender, so that the writer then finds the queue closed.
    pace: WakesWriter,
}

#[derive(Debug, Clone)]
struct WakesWriter(Arc<Pace>);

impl Drop for WakesWriter {
    fn drop(&mut self) {
        self.0.wake_writer();
    }
}

#[derive(Debug)]
pub(super) struct Pending {
    pub(super) click: Click,
    pub(super) id: Option<ClickId>,
    /// The hash of the id; none until the writer computes it.
    pub(super) id_hash: Option<u64>,
    pub(super) created_at: Timestamp,
    pub(super) answer: oneshot::Sender<Answer>,
    pub(super) state: PendingState,
}

/// What the writer knows about a click.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PendingState {
    /// It has to be stored.
    New,
    /// A click with its id is stored already.
    Stored,
    /// The database rejected it.
    Rejected,
    /// It has the id of the earlier click with this number in its batch, and gets the same answer.
    Repeat(usize),
}

pub(super) type Answer = Result<(), NotStored>;

impl ClickQueue {
    pub(super) fn new(
        sender: mpsc::Sender<Pending>,
        pace: Arc<Pace>,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self {
            sender,
            now: Arc::new(now),
            pace: WakesWriter(pace),
        }
    }

    /// Stores a click that has just arrived, and returns when its transaction is committed and fsynced. A click whose id is
    /// stored already is not stored again. The click's time is that of its arrival less its age, however long it waits here.
    ///
    /// If the caller drops this future, the click may be stored nevertheless.
    ///
    /// # Errors
    /// [`NotStored`], if the click is not in the database.
    pub(crate) async fn store(&self, posted: PostedClick) -> Result<(), NotStored> {
        let (answer, answered) = oneshot::channel();
        self.sender
            .try_send(Pending {
                click: posted.click,
                id: posted.id,
                id_hash: None,
                created_at: (self.now)().before(posted.age),
                answer,
                state: PendingState::New,
            })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => NotStored::QueueFull,
                mpsc::error::TrySendError::Closed(_) => NotStored::Unavailable,
            })?;
        self.pace.0.add_click();
        answered.await.unwrap_or(Err(NotStored::Unavailable))
    }

    /// Completes when the writer has ended, so that no more clicks can be stored.
    pub(crate) async fn closed(&self) {
        self.sender.closed().await;
    }
}
