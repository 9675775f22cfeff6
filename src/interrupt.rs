//! What a signal that ends the program must not leave half-done: temporary files, which it removes, and what must be
//! finished first.
//!
//! Nothing here waits for a signal by itself. `leadclicks` does (`cli::signals`) and calls [`end`]; `leadclicksd` ends
//! by its own rules and never calls it.

use std::{
    fs::{self, File},
    io, mem,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tempfile::NamedTempFile;

static STATE: Mutex<State> = Mutex::new(State {
    files: Vec::new(),
    critical_sections: 0,
    end: None,
});

struct State {
    /// The temporary files that exist.
    files: Vec<PathBuf>,
    /// How many [`CriticalSection`] there are.
    critical_sections: usize,
    /// How the program ends when they are finished.
    end: Option<Box<dyn FnOnce() + Send>>,
}

impl State {
    fn lock() -> MutexGuard<'static, Self> {
        // What panicked while it held the lock left nothing in it half-done.
        STATE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_if_finished(&mut self) {
        if self.critical_sections == 0
            && let Some(end) = self.end.take()
        {
            self.end_now(end);
        }
    }

    /// Removes the temporary files and ends the program. Nobody can make one meanwhile, because the lock is held.
    fn end_now(&mut self, end: impl FnOnce()) {
        for file in self.files.drain(..) {
            // It may be gone already, and nobody is left to tell if it can't be removed.
            let _ = fs::remove_file(file);
        }
        end();
    }
}

/// Removes all temporary files and ends the program by `end`: now, or as soon as nothing is [`CriticalSection`].
pub(crate) fn end(end: impl FnOnce() + Send + 'static) {
    let mut state = State::lock();
    state.end = Some(Box::new(end));
    state.end_if_finished();
}

/// Whether a signal has come that ends the program as soon as nothing is [`CriticalSection`]. Long work may stop where it can
/// be told how far it is.
#[must_use]
pub(crate) fn is_ending() -> bool {
    State::lock().end.is_some()
}

/// As [`end`], but now, whatever is [`CriticalSection`].
pub(crate) fn end_at_once(end: impl FnOnce()) {
    State::lock().end_now(end);
}

/// As long as there is one, a signal does not end the program. To be had for short: people wait.
#[derive(Debug)]
pub(crate) struct CriticalSection(());

impl CriticalSection {
    /// What follows must be finished, until this is dropped.
    #[must_use]
    pub(crate) fn begin() -> Self {
        State::lock().critical_sections += 1;
        Self(())
    }

    /// What follows must be finished and told, until [`finish`].
    pub(crate) fn hold_until_reported(self) {
        mem::forget(self);
    }
}

impl Drop for CriticalSection {
    fn drop(&mut self) {
        let mut state = State::lock();
        state.critical_sections -= 1;
        state.end_if_finished();
    }
}

/// Everything is finished and told: if a signal has come meanwhile, it ends the program now.
pub(crate) fn finish() {
    let mut state = State::lock();
    state.critical_sections = 0;
    state.end_if_finished();
}

/// A file that is removed unless it is given a name, also when a signal ends the program: what is written there is
/// whole when it gets one.
#[derive(Debug)]
pub(crate) struct TemporaryFile {
    file: NamedTempFile,
    _listed: Listed,
}

/// A path in the list of temporary files.
#[derive(Debug)]
struct Listed(PathBuf);

impl Drop for Listed {
    fn drop(&mut self) {
        State::lock().files.retain(|file| *file != self.0);
    }
}

impl TemporaryFile {
    /// Makes an empty one in `directory`.
    ///
    /// # Errors
    /// When the system refuses. The error does not name the temporary path.
    pub(crate) fn new(directory: &Path, mode: u32) -> io::Result<Self> {
        let mut state = State::lock();
        let file = tempfile::Builder::new()
            .prefix(".leadclicks-")
            // Its own way to make the file would put the temporary name into the error.
            .make_in(directory, |path| {
                fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(mode)
                    .open(path)
            })?;
        let path = file.path().to_owned();
        state.files.push(path.clone());
        Ok(Self {
            file,
            _listed: Listed(path),
        })
    }

    /// The open file.
    #[must_use]
    pub(crate) fn as_file(&self) -> &File {
        self.file.as_file()
    }

    /// Where it is until it is given a name.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Gives it the name `path`, in the same directory; a file of that name is replaced.
    ///
    /// # Errors
    /// When the system refuses; it is removed then.
    pub(crate) fn persist(self, path: &Path) -> io::Result<()> {
        self.name(|file| file.persist(path))
    }

    /// As [`TemporaryFile::persist`], but no file is replaced.
    ///
    /// # Errors
    /// When the system refuses, or there is a file of that name; it is removed then.
    pub(crate) fn persist_noclobber(self, path: &Path) -> io::Result<()> {
        self.name(|file| file.persist_noclobber(path))
    }

    fn name(
        self,
        persist: impl FnOnce(NamedTempFile) -> Result<File, tempfile::PersistError>,
    ) -> io::Result<()> {
        let _critical = CriticalSection::begin();
        persist(self.file).map(drop).map_err(|error| error.error)
    }
}
