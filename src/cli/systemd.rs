//! What systemd is told of the daemon's state, where systemd runs it
//! ([`sd_notify`](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html)).

use std::{
    future,
    sync::atomic::{AtomicBool, Ordering},
};

use sd_notify::NotifyState;
use tokio::time;

/// Clicks can be posted.
pub(super) fn tell_ready() {
    tell(NotifyState::Ready);
}

/// The daemon is about to end.
pub(super) fn tell_stopping() {
    tell(NotifyState::Stopping);
}

/// Tells, twice in the time that the unit's `WatchdogSec` gives, that the thread which answers requests is not stuck.
/// The writer is not part of it: it may wait for the disk, and clicks are then answered 503.
pub(super) async fn feed_watchdog() {
    // A unit that says 0 wants none; an interval of nothing would not be one.
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else {
        return future::pending().await;
    };
    let mut feeds = time::interval(limit / 2);
    loop {
        feeds.tick().await;
        tell(NotifyState::Watchdog);
    }
}

/// Does nothing where there is no systemd to tell.
fn tell(state: NotifyState<'_>) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    let name = state.to_string();
    if let Err(error) = sd_notify::notify(&[state])
        && !TOLD.swap(true, Ordering::Relaxed)
    {
        tracing::warn!(%error, state = name, "can't tell systemd; told once");
    }
}
