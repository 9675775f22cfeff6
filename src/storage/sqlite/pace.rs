//! When the writer commits its next batch.
//!
//! Without this the writer would commit the queued clicks as soon as the last fsync is done. That is best while the disk is
//! the bottleneck. Above some 128 connections the processor is, and each commit takes processor time that the next clicks
//! need. Waiting for enough clicks lets the daemon take a quarter more of them from 256 connections.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicIsize, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

/// How many clicks are enough to commit while the thread that adds them is busy; see [`Pace`]. Half and twice this number
/// were not faster.
const BUSY_CLICKS_ENOUGH: isize = 128;

/// How long clicks wait for others while the thread that adds them is busy. If 128 clicks take longer than this, that
/// thread is busy with something other than clicks.
const BUSY_WAIT_MAX: Duration = Duration::from_millis(3);

/// Tells the writer when to commit the queued clicks.
///
/// If the thread that adds clicks is idle between two commits, the disk is the bottleneck: then the writer commits at once.
/// Otherwise the processor is, and clicks are collected until there are enough or that thread is idle. (Redis likewise
/// writes its append-only file when its event loop is about to sleep, in
/// [`beforeSleep`](https://github.com/redis/redis/blob/unstable/src/server.c).)
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The number of queued clicks. It is negative for a moment if a click is removed before it is counted.
    queued: AtomicIsize,
    /// Whether the thread that adds clicks was idle since the last batch began.
    was_idle: AtomicBool,
    writer: OnceLock<Thread>,
}

impl Pace {
    /// Must be called whenever the thread that adds clicks becomes idle. Otherwise each batch waits for 3 ms or 128 clicks.
    pub(crate) fn idle(&self) {
        self.was_idle.store(true, Ordering::SeqCst);
        self.wake_writer_if_enough();
    }

    /// Sets the thread that runs [`Pace::wait`].
    pub(super) fn set_writer(&self, writer: Thread) {
        // A pace has one writer.
        let _ = self.writer.set(writer);
    }

    pub(crate) fn add_click(&self) {
        self.queued.fetch_add(1, Ordering::SeqCst);
        self.wake_writer_if_enough();
    }

    fn wake_writer_if_enough(&self) {
        if self.is_enough() {
            self.wake_writer();
        }
    }

    fn is_enough(&self) -> bool {
        let enough = if self.was_idle.load(Ordering::SeqCst) {
            1
        } else {
            BUSY_CLICKS_ENOUGH
        };
        self.queued.load(Ordering::SeqCst) >= enough
    }

    /// Wakes the writer to check whether it has work. It checks by itself after each batch.
    pub(crate) fn wake_writer(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// Blocks the writer's thread until there is a batch to take, or `is_closed`.
    pub(super) fn wait(&self, is_closed: impl Fn() -> bool) {
        let begin = Instant::now();
        while !self.is_enough() && !is_closed() {
            if self.was_idle.load(Ordering::SeqCst) {
                thread::park();
            } else if begin.elapsed() < BUSY_WAIT_MAX {
                thread::park_timeout(BUSY_WAIT_MAX.saturating_sub(begin.elapsed()));
            } else {
                self.was_idle.store(true, Ordering::SeqCst);
            }
        }
    }

    /// Marks the end of a batch: later clicks belong to the next one.
    pub(super) fn begin_batch(&self) {
        // A swap, unlike a store, guarantees that clicks queued before the thread became idle are visible here.
        self.was_idle.swap(false, Ordering::SeqCst);
    }

    pub(super) fn remove_clicks(&self, clicks: usize) {
        self.queued
            .fetch_sub(clicks.cast_signed(), Ordering::SeqCst);
    }
}
