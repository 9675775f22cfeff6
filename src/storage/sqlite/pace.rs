//! When the writer takes its next batch.
//!
//! Without it the writer would commit whatever is queued as soon as the last fsync is done. That is best while the disk is the
//! limit. Above some 128 connections the processor is, and each commit takes from it what the next clicks need: waiting
//! until there are enough clicks let the daemon take a quarter more of them from 256 connections.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicIsize, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

/// How many clicks are enough to commit while the thread that hands them in has more to do; see [`Pace`]. From 256
/// connections the daemon then took a quarter more clicks a second. Half and twice this number gained no more.
const BUSY_CLICKS_ENOUGH: isize = 128;

/// How long clicks wait for others while the thread that hands them in has more to do. Where 128 take longer than this,
/// that thread is busy with something else than clicks.
const BUSY_WAIT_MAX: Duration = Duration::from_millis(3);

/// When the writer commits what is queued.
///
/// At once, as long as the thread that hands in the clicks runs out of work between two commits: then the disk is the
/// limit. Where that thread does not, the processor is, and each commit takes from it what the next clicks need; then
/// clicks are collected until they are enough, or that thread has nothing else to do. (Redis likewise writes its
/// append-only file when its event loop is about to sleep, in
/// [`beforeSleep`](https://github.com/redis/redis/blob/unstable/src/server.c).)
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// How many clicks are queued; below zero for the moment in which a click is taken before it is counted.
    queued: AtomicIsize,
    /// The thread that hands in clicks has emptied its queue of work since the last batch was taken.
    was_idle: AtomicBool,
    writer: OnceLock<Thread>,
}

impl Pace {
    /// To be called whenever the thread that hands in clicks has run out of work. Without it each batch waits for 3 ms
    /// or 128 clicks.
    pub(crate) fn idle(&self) {
        self.was_idle.store(true, Ordering::SeqCst);
        self.wake_writer_if_enough();
    }

    /// The thread that [`Pace::wait`] runs on.
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

    /// Makes the writer look whether it has something to do. It does so by itself after each batch.
    pub(crate) fn wake_writer(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// Waits on the writer's thread until there is a batch to take, or `is_closed`.
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

    /// The next clicks belong to the next batch.
    pub(super) fn begin_batch(&self) {
        // A swap sees what was queued before the thread was idle; a mere store need not.
        self.was_idle.swap(false, Ordering::SeqCst);
    }

    pub(super) fn remove_clicks(&self, clicks: usize) {
        self.queued
            .fetch_sub(clicks.cast_signed(), Ordering::SeqCst);
    }
}
