//! Where clicks wait for the writer.

use std::{fmt, sync::Arc};

use tokio::sync::{mpsc, oneshot};

use super::Pace;
use crate::{
    click::{Click, ClickId, PostedClick},
    timestamp::Timestamp,
};

/// How many clicks may wait for the writer. At 50,000 a second that is 20 ms of work; at most some 10 MB, since a
/// click is at most about 10 KB, and as much again in the batch that is being stored. Beyond it a click is refused at
/// once, so a stalled disk costs no memory.
pub(super) const QUEUE_CLICKS_MAX: usize = 1024;

/// Why a click was not stored. Nothing of it is in the database then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotStored {
    /// As many clicks are waiting as may.
    QueueFull,
    /// The database refuses this very click, by a constraint of a host app's; sending it again will not help.
    Refused,
    /// The database takes no writes at the moment: the disk is full, or another program holds the lock.
    Unavailable,
}

/// The way to the writer: clone it for every place that has clicks. When the last one is dropped, the writer
/// stores what is queued, empties the WAL and ends.
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
    /// Of the id; none until the writer makes it.
    pub(super) id_hash: Option<u64>,
    pub(super) created_at: Timestamp,
    pub(super) answer: oneshot::Sender<Answer>,
    pub(super) state: PendingState,
}

/// What the writer knows of a click.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PendingState {
    /// It is to be stored.
    New,
    /// One with its id is stored already.
    Stored,
    /// The database refuses it.
    Refused,
    /// It has the id of an earlier one of its batch, whose number this is, and what becomes of that becomes of it.
    Repeat(usize),
}

pub(super) type Answer = Result<(), NotStored>;

impl fmt::Debug for ClickQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClickQueue").finish_non_exhaustive()
    }
}

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

    /// Stores a click that has arrived now, and returns when the transaction that holds it is committed and fsynced. If one
    /// with its id is stored already, it is not stored again. It is dated by its arrival less its age: its time in the queue
    /// does not count.
    ///
    /// A caller that stops waiting does not take its click back.
    ///
    /// # Errors
    /// [`NotStored`] says why nothing of the click is in the database.
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

    /// Completes when the writer is gone, so that no click can be stored any more.
    pub(crate) async fn closed(&self) {
        self.sender.closed().await;
    }
}
