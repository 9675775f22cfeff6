//! Limits the number of open connections, and evicts some when there is no room for a new one.

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

/// How long to wait before the next try if no connection can be evicted, because all clients wait for an answer.
const ROOM_RETRY: Duration = Duration::from_millis(50);

/// One in this many connections is evicted at a time, so that the search for them is rare.
const EVICTION_DIVISOR: usize = 64;

/// A fixed number of slots for connections.
///
/// When all are in use and another connection arrives, the connections that have been open longest without posting a click
/// are evicted; if all have posted one, those whose latest click is oldest. So idle or slow connections, and those whose
/// requests are refused, cannot lock out real clients: a client that posts at once is served before its turn to be evicted.
pub(super) struct Slots {
    free: Arc<Semaphore>,
    open: Arc<Mutex<Open>>,
    eviction_batch_max: usize,
}

#[derive(Default)]
struct Open {
    connections: HashMap<u64, Connection>,
    next_key: u64,
}

struct Connection {
    phase: Phase,
    /// Dropping this closes the connection.
    _keeps_open: oneshot::Sender<()>,
}

impl Slots {
    pub(super) fn new(connections_max: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(connections_max)),
            open: Arc::default(),
            eviction_batch_max: (connections_max / EVICTION_DIVISOR).max(1),
        }
    }

    /// Waits for a slot for a connection in `phase`. If none is free, evicts others and passes their number to
    /// `on_evicted`.
    pub(super) async fn take(&self, phase: &Phase, on_evicted: impl Fn(usize)) -> Option<Slot> {
        let permit = loop {
            let permit = Arc::clone(&self.free).acquire_owned();
            if self.free.available_permits() == 0 {
                on_evicted(self.open().evict(self.eviction_batch_max));
            }
            match time::timeout(ROOM_RETRY, permit).await {
                Ok(permit) => break permit.ok()?,
                Err(_elapsed) => {}
            }
        };
        let (keeps_open, must_close) = oneshot::channel();
        let mut open = self.open();
        let key = open.next_key;
        open.next_key += 1;
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
    /// Evicts at most `connections_max` of the connections that wait for their client, and returns how many.
    fn evict(&mut self, connections_max: usize) -> usize {
        let mut evictable: Vec<_> = self
            .connections
            .iter()
            .filter_map(|(key, connection)| Some((connection.phase.eviction_rank()?, *key)))
            .collect();
        let evicted = evictable.len().min(connections_max);
        if evicted < evictable.len() {
            evictable.select_nth_unstable(evicted);
        }
        for (_, key) in &evictable[..evicted] {
            self.connections.remove(key);
        }
        evicted
    }
}

/// A connection's slot. Dropping it frees the slot.
pub(super) struct Slot {
    key: u64,
    must_close: oneshot::Receiver<()>,
    open: Arc<Mutex<Open>>,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    /// Completes when the connection is evicted, or all are closed.
    pub(super) async fn must_close(&mut self) {
        // The sender never sends; it is dropped.
        let _ = (&mut self.must_close).await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.connections.remove(&self.key);
    }
}
