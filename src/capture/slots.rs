//! The open connections: how many there may be, and which must go when one more comes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time,
};

use super::connection::Phase;

/// How long to wait before looking again for connections that may be closed, when every one has a click to be answered.
const ROOM_RETRY: Duration = Duration::from_millis(50);

/// When there is no room, this part of all connections is closed at once, so that looking for them is rarely done.
const PART_CLOSED: usize = 64;

/// A number of slots for connections.
///
/// When all are taken and another connection comes, those are closed that have been open for the longest without
/// posting a click; where all have posted one, those whose last is the longest ago. So a stranger who opens thousands
/// and sends nothing, all too slowly or what is refused keeps nobody out: whoever posts at once is served before it is
/// its turn to go.
pub(super) struct Slots {
    free: Arc<Semaphore>,
    open: Arc<Mutex<Open>>,
    part_closed: usize,
}

#[derive(Default)]
struct Open {
    connections: HashMap<u64, Connection>,
    /// The next connection's key.
    next: u64,
}

struct Connection {
    phase: Phase,
    /// Dropped, it closes the connection.
    _keeps_open: oneshot::Sender<()>,
}

impl Slots {
    pub(super) fn new(connections_max: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(connections_max)),
            open: Arc::default(),
            part_closed: (connections_max / PART_CLOSED).max(1),
        }
    }

    /// Waits for a slot for a connection in `phase`, if need be by closing others; `closed` is told how many.
    pub(super) async fn take(&self, phase: &Phase, closed: impl Fn(usize)) -> Option<Slot> {
        let permit = loop {
            let permit = Arc::clone(&self.free).acquire_owned();
            if self.free.available_permits() == 0 {
                closed(self.open().close_least_deserving(self.part_closed));
            }
            match time::timeout(ROOM_RETRY, permit).await {
                Ok(permit) => break permit.ok()?,
                Err(_elapsed) => {}
            }
        };
        let (keeps_open, must_close) = oneshot::channel();
        let mut open = self.open();
        let key = open.next;
        open.next += 1;
        let connection = Connection {
            phase: phase.clone(),
            _keeps_open: keeps_open,
        };
        open.connections.insert(key, connection);
        drop(open);
        Some(Slot {
            key,
            must_close,
            open: Arc::clone(&self.open),
            _permit: permit,
        })
    }

    /// Closes every connection.
    pub(super) fn close_all(&self) {
        self.open().connections.clear();
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn close_least_deserving(&mut self, connections_max: usize) -> usize {
        let mut awaited: Vec<_> = self
            .connections
            .iter()
            .filter_map(|(key, connection)| Some((connection.phase.merit()?, *key)))
            .collect();
        let closed = awaited.len().min(connections_max);
        if closed < awaited.len() {
            awaited.select_nth_unstable(closed);
        }
        for (_, key) in &awaited[..closed] {
            self.connections.remove(key);
        }
        closed
    }
}

/// A connection's slot, free again when this is dropped.
pub(super) struct Slot {
    key: u64,
    must_close: oneshot::Receiver<()>,
    open: Arc<Mutex<Open>>,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    /// Completes when the connection has to make room.
    pub(super) async fn must_close(&mut self) {
        // Nothing is ever sent: the sender is dropped.
        let _ = (&mut self.must_close).await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.connections.remove(&self.key);
    }
}
