//! The progress of long work, on the terminal.

use std::{
    io::{IsTerminal, stderr},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::progress::Progress;

/// Work that takes no longer shows no progress.
const DELAY: Duration = Duration::from_secs(1);

/// For a copy, in bytes.
pub(super) const COPYING: &str = "copying {wide_bar} {decimal_bytes} of {decimal_total_bytes}";
/// For a file that is read, in bytes.
pub(super) const READING: &str = "reading {wide_bar} {decimal_bytes} of {decimal_total_bytes}";
/// For clicks that are stored.
pub(super) const IMPORTING: &str = "importing {wide_bar} {human_pos} of {human_len} clicks";
/// For clicks that are deleted.
pub(super) const DELETING: &str = "deleting {wide_bar} {human_pos} of {human_len} clicks";
/// For output of unknown length, in bytes.
pub(super) const WRITING: &str = "{decimal_bytes} written";
/// For a health check.
pub(super) const CHECKING: &str = "{spinner} checking for {elapsed}";
/// For clicks that are read.
pub(super) const READING_CLICKS: &str = "{spinner} reading clicks for {elapsed}";

/// How often a [`Spinner`] moves.
const TICK: Duration = Duration::from_millis(100);

/// A line on standard error that shows progress: only if standard error is a terminal, not in the first second, and only
/// until this is dropped.
#[derive(Debug)]
pub(super) struct Bar {
    template: &'static str,
    begin: Instant,
    line: Option<ProgressBar>,
}

impl Bar {
    /// `template` is one of the constants of this module.
    pub(super) fn new(template: &'static str) -> Self {
        Self {
            template,
            begin: Instant::now(),
            line: None,
        }
    }

    /// Shows `progress`; indicatif limits how often it draws.
    pub(super) fn show(&mut self, progress: Progress) {
        if self.line.is_none() && self.begin.elapsed() < DELAY {
            return;
        }
        let Some(line) = &self.line else {
            let target = ProgressDrawTarget::stderr();
            let line = ProgressBar::with_draw_target(Some(progress.total), target)
                .with_position(progress.done);
            // The templates are valid; the fallback is only for the compiler.
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

/// As [`Bar`], for work that does not report its progress: shows the kind of work and the elapsed time.
#[derive(Debug)]
struct Spinner {
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Spinner {
    fn new(template: &'static str) -> Self {
        let (done, is_done) = mpsc::channel();
        let is_running = move |wait| is_done.recv_timeout(wait) == Err(RecvTimeoutError::Timeout);
        let thread = thread::Builder::new().name("progress".to_owned());
        // If the system can't start a thread, nothing is shown.
        let thread = thread.spawn(move || {
            if !is_running(DELAY) {
                return;
            }
            let target = ProgressDrawTarget::stderr();
            // The templates are valid; the fallback is only for the compiler.
            let style = ProgressStyle::with_template(template);
            let line = ProgressBar::with_draw_target(None, target)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
                .with_elapsed(DELAY);
            line.tick();
            while is_running(TICK) {
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

impl Drop for Spinner {
    fn drop(&mut self) {
        drop(self.done.take());
        if let Some(thread) = self.thread.take() {
            // A panic of this thread loses only the line that it shows.
            let _ = thread.join();
        }
    }
}

/// Does `work`, which reports its progress, with a [`Bar`].
pub(super) fn with_bar<T>(
    template: &'static str,
    work: impl FnOnce(&mut dyn FnMut(Progress)) -> T,
) -> T {
    let mut bar = Bar::new(template);
    work(&mut |progress| bar.show(progress))
}

/// Does `work`, which does not report its progress, with a [`Spinner`].
pub(super) fn timed<T>(template: &'static str, work: impl FnOnce() -> T) -> T {
    // Without a terminal there is no thread: under a limit of memory its heap could take what the work needs.
    let _spinner = stderr().is_terminal().then(|| Spinner::new(template));
    work()
}
