//! How far long work is, on the terminal of who waits for it.

use std::{
    io::{self, IsTerminal},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::progress::Progress;

/// What takes no longer shows nothing.
const QUIET: Duration = Duration::from_secs(1);

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

/// Does `work`, which can't tell how far it is, and says how long it takes: as [`Bar`], on a terminal, after a second.
pub(super) fn timed<T>(work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    thread::scope(|scope| {
        let (working, done) = mpsc::channel::<()>();
        scope.spawn(move || {
            if done.recv_timeout(QUIET) == Err(RecvTimeoutError::Timeout) {
                let style = ProgressStyle::with_template("reading clicks for {elapsed}");
                let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
                    .with_elapsed(QUIET)
                    .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                line.enable_steady_tick(QUIET);
                // It ends when the other side is dropped.
                let _ = done.recv();
                line.finish_and_clear();
            }
        });
        let result = work();
        drop(working);
        result
    })
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
    }
}
