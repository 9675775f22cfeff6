//! A clean end of the program after a signal: temporary files are removed, and critical sections are finished first.
//!
//! Nothing here waits for signals. `leadclicks` does (`cli::signals`) and calls [`end`]; `leadclicksd` has its own shutdown
//! and never calls it.

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
    /// The number of running [`CriticalSection`]s.
    critical_sections: usize,
    /// Ends the program when they are finished; set after a signal.
    end: Option<Box<dyn FnOnce() + Send>>,
}

impl State {
    fn lock() -> MutexGuard<'static, Self> {
        // A panic while the lock is held leaves a valid state.
        STATE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_if_finished(&mut self) {
        if self.critical_sections == 0
            && let Some(end) = self.end.take()
        {
            self.end_now(end);
        }
    }

    /// Removes the temporary files and ends the program. No thread can create one meanwhile, because the lock is held.
    fn end_now(&mut self, end: impl FnOnce()) {
        for file in self.files.drain(..) {
            // It may be gone already, and there is nowhere left to report an error.
            let _ = fs::remove_file(file);
        }
        end();
    }
}

/// Removes all temporary files and ends the program by `end`, as soon as there is no [`CriticalSection`].
pub(crate) fn end(end: impl FnOnce() + Send + 'static) {
    let mut state = State::lock();
    state.end = Some(Box::new(end));
    state.end_if_finished();
}

/// Whether a signal will end the program as soon as there is no [`CriticalSection`]. Long work can then stop early, and
/// report how much is done.
pub(crate) fn is_ending() -> bool {
    State::lock().end.is_some()
}

/// As [`end`], but at once, even in a [`CriticalSection`].
pub(crate) fn end_at_once(end: impl FnOnce()) {
    State::lock().end_now(end);
}

/// While one exists, a signal does not end the program. Keep it short, because people wait.
#[derive(Debug)]
pub(crate) struct CriticalSection(());

impl CriticalSection {
    /// Begins a section that is finished when this is dropped.
    pub(crate) fn begin() -> Self {
        State::lock().critical_sections += 1;
        Self(())
    }

    /// Extends the section to [`finish`], so that the result can be reported.
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

/// Ends all sections, because their results are reported. If a signal has arrived meanwhile, it ends the program now.
pub(crate) fn finish() {
    let mut state = State::lock();
    state.critical_sections = 0;
    state.end_if_finished();
}

/// A file that is removed, also when a signal ends the program, unless it is given a name. So a file with a name is
/// complete.
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
    /// Creates an empty file in `directory`.
    ///
    /// # Errors
    /// When the system can't create it. The error does not contain the temporary path.
    pub(crate) fn new(directory: &Path, mode: u32) -> io::Result<Self> {
        let mut state = State::lock();
        let file = tempfile::Builder::new()
            .prefix(".leadclicks-")
            // tempfile's own way to create the file would put the temporary path into the error.
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
    pub(crate) fn as_file(&self) -> &File {
        self.file.as_file()
    }

    /// The temporary path.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Gives the file the name `path`, in the same directory. An existing file is replaced.
    ///
    /// # Errors
    /// When the system can't rename it; the file is then removed.
    pub(crate) fn persist(self, path: &Path) -> io::Result<()> {
        self.name(|file| file.persist(path))
    }

    /// As [`TemporaryFile::persist`], but an existing file is an error.
    ///
    /// # Errors
    /// When the system can't rename it, or `path` exists; the file is then removed.
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
