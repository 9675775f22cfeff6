//! Limits the number of open connections, and evicts some when there is no room for a new one.

use std::{
    collections::BTreeMap,
    ops::RangeBounds,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::AbortHandle,
    time::{self, Instant},
};

use super::{
    clients::Client,
    connection::{Phase, Stage},
    counts::Counts,
};

/// How many connections one client may have; beyond it, its own are evicted. Far more than an office or a mobile
/// network behind one address needs at a time.
const CLIENT_CONNECTIONS_MAX: usize = 256;

/// How long after its latest click a connection has priority: longer than the time between a visitor's clicks on several
/// experts.
const PRIORITY: Duration = Duration::from_secs(10);

/// How long to wait before the next try if no connection can be evicted, because all clients wait for an answer.
const ROOM_RETRY: Duration = Duration::from_millis(50);

/// One in this many connections is evicted at a time, so that the search for them is rare.
const EVICTION_DIVISOR: usize = 32;

/// A fixed number of slots for connections.
///
/// When all are in use and another connection arrives, or one client has too many, those that opened or posted a click
/// longest ago are evicted. Connections that have posted one lately have priority, but only half of all may have it: the
/// other half is for new ones. So neither idle or slow connections, nor those whose requests are refused, nor those that
/// post a click to stay open can lock out real clients: 480 new ones a second leave a client 4 seconds to post.
pub(super) struct Slots {
    free: Arc<Semaphore>,
    open: Arc<Mutex<Open>>,
    eviction_batch_max: usize,
}

/// The client of a connection, if it is known, and the connection's number.
type Key = (Option<Client>, u64);

#[derive(Default)]
struct Open {
    connections: BTreeMap<Key, Connection>,
    next_number: u64,
}

struct Connection {
    phase: Phase,
    task: AbortHandle,
}

impl Slots {
    pub(super) fn new(connections_max: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(connections_max)),
            open: Arc::default(),
            eviction_batch_max: (connections_max / EVICTION_DIVISOR).max(1),
        }
    }

    /// Waits for a slot, and serves a connection in it: spawns `serving`, whose progress is in `phase`. Evicts connections
    /// that are in its way.
    pub(super) async fn serve(
        &self,
        client: Option<Client>,
        phase: Phase,
        counts: &Counts,
        serving: impl Future<Output: Send> + Send + 'static,
    ) {
        let own = (client, 0)..=(client, u64::MAX);
        if client.is_some()
            && self.open().connections.range(own.clone()).count() >= CLIENT_CONNECTIONS_MAX
        {
            let evicted = self
                .open()
                .evict(own, CLIENT_CONNECTIONS_MAX / EVICTION_DIVISOR);
            let reason =
                "a client has too many connections (if it is a proxy, pass --trusted-proxy)";
            counts.count_evicted(evicted, reason);
        }
        let permit = loop {
            if self.free.available_permits() == 0 {
                let evicted = self.open().evict(.., self.eviction_batch_max);
                counts.count_evicted(evicted, "all connections are in use");
            }
            let permit = Arc::clone(&self.free).acquire_owned();
            if let Ok(Ok(permit)) = time::timeout(ROOM_RETRY, permit).await {
                break permit;
            }
        };
        // The lock is held until the connection is in the map, so it cannot be removed before.
        let mut open = self.open();
        let key = (client, open.next_number);
        open.next_number += 1;
        let slot = Slot {
            key,
            open: Arc::clone(&self.open),
            _permit: permit,
        };
        let task = tokio::spawn(async move {
            let _slot = slot;
            // An error (a reset, a time limit, a malformed head) concerns this client only.
            let _ = serving.await;
        });
        let task = task.abort_handle();
        open.connections.insert(key, Connection { phase, task });
    }

    /// Closes every connection.
    pub(super) fn close_all(&self) {
        for connection in self.open().connections.values() {
            connection.task.abort();
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Evicts at most `connections_max` of the connections in `range` that wait for their client, and returns how many.
    fn evict(&mut self, range: impl RangeBounds<Key>, connections_max: usize) -> usize {
        let (now, mut open, mut with_priority) = (Instant::now(), 0, 0);
        let mut evictable = Vec::new();
        for (key, connection) in self.connections.range(range) {
            let state = *connection.phase.state();
            let has_priority = state.has_posted_click && now - state.active_at < PRIORITY;
            open += 1;
            with_priority += usize::from(has_priority);
            if state.stage != Stage::Answer {
                evictable.push((has_priority, state.active_at, *key));
            }
        }
        if with_priority > open / 2 {
            // Those without it are then evicted last.
            for (has_priority, ..) in &mut evictable {
                *has_priority = !*has_priority;
            }
        }
        if connections_max < evictable.len() {
            evictable.select_nth_unstable(connections_max);
            evictable.truncate(connections_max);
        }
        for (.., key) in &evictable {
            if let Some(connection) = self.connections.remove(key) {
                connection.task.abort();
            }
        }
        evictable.len()
    }
}

/// A connection's slot. Dropping it frees the slot.
struct Slot {
    key: Key,
    open: Arc<Mutex<Open>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.connections.remove(&self.key);
    }
}
