//! The queue in which clicks wait for the writer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time,
};

use super::{Checkpoint, Error, Pace};
use crate::{
    click::{Click, ClickId, PostedClick},
    timestamp::Timestamp,
};

/// How many clicks may wait for the writer. At 50,000 a second that is 20 ms of work. A click has at most about 10 KB, so
/// they take at most some 10 MB, and the batch that is being stored as much again. If the queue is full, a click is
/// rejected at once, so a stalled disk does not fill the memory.
pub(super) const QUEUE_CLICKS_MAX: usize = 1024;

/// How long it counts whether the last click could be stored. After that, a question about it lets the writer try, so it tries
/// at most once in this time, and not at all while clicks come.
const OUTCOME_TIME: Duration = Duration::from_secs(1);

/// How long the answer to that question may take. If the writer waits for a lock or the disk for longer, a click waits too.
const TRIAL_TIME_MAX: Duration = Duration::from_secs(2);

/// How many batches may wait for their answers to be passed on. If there are more, the writer waits. With two it need not
/// wait for the batch that it has just stored.
const ANSWERED_BATCHES_MAX: usize = 2;

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
    sender: mpsc::Sender<Job>,
    outcomes: watch::Receiver<Outcome>,
    trial_is_queued: Arc<AtomicBool>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// None if the writer takes clicks at once. Dropped after the sender, so that the writer then finds the queue closed.
    pace: Option<WakesWriter>,
}

#[derive(Debug, Clone)]
struct WakesWriter(Arc<Pace>);

impl Drop for WakesWriter {
    fn drop(&mut self) {
        self.0.wake_writer();
    }
}

/// What the writer takes from the queue.
#[derive(Debug)]
pub(super) enum Job {
    Click(Pending),
    /// Find out whether a click could be stored.
    Trial(#[expect(dead_code, reason = "dropping it allows the next trial")] Trial),
}

impl Job {
    /// The clicks, and whether there is a trial.
    pub(super) fn split(jobs: Vec<Self>) -> (Vec<Pending>, bool) {
        let count = jobs.len();
        let clicks = |job| match job {
            Self::Click(pending) => Some(pending),
            Self::Trial(_) => None,
        };
        let batch: Vec<Pending> = jobs.into_iter().filter_map(clicks).collect();
        let has_trial = batch.len() < count;
        (batch, has_trial)
    }
}

/// There is at most one in the queue, so that questions take no places from clicks. The next may follow when the writer has
/// taken and dropped it.
#[derive(Debug)]
pub(super) struct Trial(Arc<AtomicBool>);

impl Trial {
    /// None if there is one already.
    fn new(is_queued: &Arc<AtomicBool>) -> Option<Self> {
        let is_first = !is_queued.swap(true, Ordering::SeqCst);
        is_first.then(|| Self(Arc::clone(is_queued)))
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Whether the last attempt to store clicks succeeded. The writer sets it after each attempt.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outcome {
    pub(super) is_failure: bool,
    /// None before the first attempt.
    pub(super) at: Option<Instant>,
}

impl Outcome {
    /// Whether it is from just now.
    pub(super) fn is_new(&self) -> bool {
        self.at.is_some_and(|at| at.elapsed() < OUTCOME_TIME)
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

/// The answers to the clicks of a batch, and where each goes.
type Answered = Vec<(oneshot::Sender<Answer>, Answer)>;

/// Where the writer's thread sends the answers of each batch. If it woke the clicks' tasks itself, each would cost it a system
/// call.
#[derive(Debug)]
pub(super) struct Answers(mpsc::Sender<Answered>);

impl Answers {
    /// Starts the task that passes them on.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub(super) fn start() -> Self {
        let (sender, mut batches) = mpsc::channel::<Answered>(ANSWERED_BATCHES_MAX);
        tokio::spawn(async move {
            while let Some(answers) = batches.recv().await {
                for (sender, answer) in answers {
                    // The client may have disconnected.
                    let _ = sender.send(answer);
                }
            }
        });
        Self(sender)
    }

    /// Sends the answers to the clicks of a batch, in their order.
    ///
    /// # Panics
    /// Inside a Tokio runtime.
    pub(super) fn blocking_send(&self, batch: Vec<Pending>, answers: Vec<Answer>) {
        // The runtime may have ended, and with it all tasks that wait for answers.
        let _ = self.0.blocking_send(with_senders(batch, answers));
    }

    /// The same, for a writer that is a task.
    #[cfg(feature = "postgres")]
    pub(super) async fn send(&self, batch: Vec<Pending>, answers: Vec<Answer>) {
        // The runtime of the clicks' tasks may have ended.
        let _ = self.0.send(with_senders(batch, answers)).await;
    }
}

fn with_senders(batch: Vec<Pending>, answers: Vec<Answer>) -> Answered {
    let senders = batch.into_iter().map(|pending| pending.answer);
    senders.zip(answers).collect()
}

impl ClickQueue {
    pub(super) fn new(
        sender: mpsc::Sender<Job>,
        outcomes: watch::Receiver<Outcome>,
        pace: Option<Arc<Pace>>,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self {
            sender,
            outcomes,
            trial_is_queued: Arc::default(),
            now: Arc::new(now),
            pace: pace.map(WakesWriter),
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
            .try_send(Job::Click(Pending {
                click: posted.click,
                id: posted.id,
                id_hash: None,
                created_at: (self.now)().before(posted.age),
                answer,
                state: PendingState::New,
            }))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => NotStored::QueueFull,
                mpsc::error::TrySendError::Closed(_) => NotStored::Unavailable,
            })?;
        self.note_added();
        answered.await.unwrap_or(Err(NotStored::Unavailable))
    }

    fn note_added(&self) {
        if let Some(WakesWriter(pace)) = &self.pace {
            pace.add_click();
        }
    }

    /// Whether a click could be stored now. If no click was stored or failed in the last second, the writer finds it out.
    pub(crate) async fn can_store(&self) -> bool {
        let mut outcomes = self.outcomes.clone();
        if !outcomes.borrow().is_new()
            && let Some(trial) = Trial::new(&self.trial_is_queued)
        {
            // A full queue has clicks, of which the writer learns as much.
            match self.sender.try_send(Job::Trial(trial)) {
                Ok(()) => self.note_added(),
                Err(mpsc::error::TrySendError::Full(_)) => {}
                Err(mpsc::error::TrySendError::Closed(_)) => return false,
            }
        }
        let outcome = time::timeout(TRIAL_TIME_MAX, outcomes.wait_for(Outcome::is_new)).await;
        matches!(outcome, Ok(Ok(outcome)) if !outcome.is_failure)
    }

    /// Completes when the writer has ended, so that no more clicks can be stored.
    pub(crate) async fn closed(&self) {
        self.sender.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So the writer makes a batch of its jobs without copying the clicks to other memory.
    #[test]
    fn a_job_takes_no_more_memory_than_its_click() {
        assert_eq!(size_of::<Job>(), size_of::<Pending>());
    }
}
