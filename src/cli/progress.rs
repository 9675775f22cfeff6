//! How far long work is, on the terminal of who waits for it.

use std::{
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::progress::Progress;

/// What takes no longer shows nothing.
const QUIET: Duration = Duration::from_secs(1);

/// How often a [`Wait`] moves.
const TICK: Duration = Duration::from_millis(100);

/// A line on standard error that says how far something is: only where that is a terminal, not in the first second, and
/// gone when this is dropped.
#[derive(Debug)]
pub(super) struct Bar {
    template: &'static str,
    begin: Instant,
    line: Option<ProgressBar>,
}

impl Bar {
    /// For a copy, in bytes.
    pub(super) fn copying() -> Self {
        Self::new("copying {wide_bar} {decimal_bytes} of {decimal_total_bytes}")
    }

    /// For a file that is read, in bytes.
    pub(super) fn reading() -> Self {
        Self::new("reading {wide_bar} {decimal_bytes} of {decimal_total_bytes}")
    }

    /// For clicks that are stored.
    pub(super) fn importing() -> Self {
        Self::new("importing {wide_bar} {human_pos} of {human_len} clicks")
    }

    /// For clicks that are deleted.
    pub(super) fn deleting() -> Self {
        Self::new("deleting {wide_bar} {human_pos} of {human_len} clicks")
    }

    /// For what is written without knowing how much it will be, in bytes.
    pub(super) fn writing() -> Self {
        Self::new("{decimal_bytes} written")
    }

    fn new(template: &'static str) -> Self {
        Self {
            template,
            begin: Instant::now(),
            line: None,
        }
    }

    /// Shows `progress`, not more often than people can read.
    pub(super) fn show(&mut self, progress: Progress) {
        if self.line.is_none() && self.begin.elapsed() < QUIET {
            return;
        }
        let Some(line) = &self.line else {
            let target = ProgressDrawTarget::stderr();
            let line = ProgressBar::with_draw_target(Some(progress.total), target)
                .with_position(progress.done);
            // The templates are right, or else a line without words is shown.
            let style = ProgressStyle::with_template(self.template);
            self.line =
                Some(line.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())));
            return;
        };
        line.set_position(progress.done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
    }
}

/// As [`Bar`], for work that does not tell how far it is: says what is done and how long it has taken.
#[derive(Debug)]
pub(super) struct Wait {
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Wait {
    /// For a database that is looked at.
    pub(super) fn checking() -> Self {
        Self::new("{spinner} checking for {elapsed}")
    }

    /// For clicks that are read.
    pub(super) fn reading() -> Self {
        Self::new("{spinner} reading clicks for {elapsed}")
    }

    fn new(template: &'static str) -> Self {
        let (done, is_done) = mpsc::channel();
        let goes_on = move |wait| is_done.recv_timeout(wait) == Err(RecvTimeoutError::Timeout);
        let thread = thread::Builder::new().name("progress".to_owned());
        // Where the system refuses a thread, nothing is shown.
        let thread = thread.spawn(move || {
            if !goes_on(QUIET) {
                return;
            }
            let target = ProgressDrawTarget::stderr();
            // The templates are right, or else a line without words is shown.
            let style = ProgressStyle::with_template(template);
            let line = ProgressBar::with_draw_target(None, target)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
                .with_elapsed(QUIET);
            line.tick();
            while goes_on(TICK) {
                line.tick();
            }
            line.finish_and_clear();
        });
        Self {
            done: Some(done),
            thread: thread.ok(),
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        drop(self.done.take());
        if let Some(thread) = self.thread.take() {
            // Nothing is lost with the line that it shows.
            let _ = thread.join();
        }
    }
}

/// Does `work`, which reads clicks, with a [`Wait`].
pub(super) fn timed<T>(work: impl FnOnce() -> T) -> T {
    let _wait = Wait::reading();
    work()
}
