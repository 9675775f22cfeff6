//! Notifies systemd of the daemon's state, if systemd runs it
//! ([`sd_notify`](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html)).

use std::{
    future,
    sync::atomic::{AtomicBool, Ordering},
};

use sd_notify::NotifyState;
use tokio::time;

/// Clicks can be posted.
pub(super) fn notify_ready() {
    notify(NotifyState::Ready);
}

/// The daemon is shutting down.
pub(super) fn notify_stopping() {
    notify(NotifyState::Stopping);
}

/// Notifies systemd twice in each `WatchdogSec` of the unit that the thread which answers requests is not stuck. This does
/// not cover the writer: it may wait for the disk, and clicks are then answered 503.
pub(super) async fn feed_watchdog() {
    // `WatchdogSec=0` means no watchdog, and `interval` panics on zero.
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else {
        return future::pending().await;
    };
    let mut feeds = time::interval(limit / 2);
    loop {
        feeds.tick().await;
        notify(NotifyState::Watchdog);
    }
}

/// Does nothing if systemd does not run the daemon.
fn notify(state: NotifyState<'_>) {
    static LOGGED: AtomicBool = AtomicBool::new(false);
    let name = state.to_string();
    if let Err(error) = sd_notify::notify(&[state])
        && !LOGGED.swap(true, Ordering::Relaxed)
    {
        tracing::warn!(%error, state = name, "can't notify systemd; repeats are not logged");
    }
}
