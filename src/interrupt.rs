//! A clean end of the program after a signal: temporary files are removed, and critical sections are finished first.
//!
//! Nothing here waits for signals. `leadclicks` does (`cli::signals`) and calls [`end`]; `leadclicksd` has its own shutdown
//! and never calls it.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    mem,
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    process,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::{
    fs::{
        AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags, flock, linkat, openat,
        renameat_with,
    },
    io::Errno,
};

/// The beginning of the names of temporary files. If the file system can't have files without a name, a program that is
/// killed leaves such a file.
pub(crate) const TEMPORARY_PREFIX: &str = ".leadclicks-";

/// How many temporary names are tried. Each exists only if a killed program with the same process id left it.
const NAMES_MAX: u32 = 1000;

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

/// A file that exists only until this is dropped, however the program ends, unless it is given a name. So a file with a name
/// is complete.
///
/// It has no name at all until then (`O_TMPFILE`), if the file system can do that. Otherwise it has a temporary one that
/// begins with [`TEMPORARY_PREFIX`], and SIGKILL or a power cut leaves it; [`is_left_over`] recognizes it.
#[derive(Debug)]
pub(crate) struct TemporaryFile {
    file: File,
    directory: PathBuf,
    name: Option<TemporaryName>,
}

/// A temporary name of a file, which is removed when this is dropped or a signal ends the program.
#[derive(Debug)]
struct TemporaryName(PathBuf);

impl Drop for TemporaryName {
    fn drop(&mut self) {
        let mut state = State::lock();
        state.files.retain(|file| *file != self.0);
        // It is gone if the file was renamed.
        let _ = fs::remove_file(&self.0);
    }
}

impl TemporaryName {
    /// Calls `create` with new names in `directory` until one does not exist yet.
    fn create<T>(
        directory: &Path,
        create: impl Fn(&Path) -> io::Result<T>,
    ) -> io::Result<(Self, T)> {
        let mut state = State::lock();
        for number in 0..NAMES_MAX {
            let path = directory.join(format!("{TEMPORARY_PREFIX}{}-{number}", process::id()));
            match create(&path) {
                Ok(created) => {
                    state.files.push(path.clone());
                    return Ok((Self(path), created));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }
}

impl TemporaryFile {
    /// Creates an empty file in `directory`.
    ///
    /// # Errors
    /// When the system can't create it. The error does not contain the temporary path.
    pub(crate) fn new(directory: &Path, mode: u32) -> io::Result<Self> {
        let (file, name) = if let Ok(file) = open_without_name(directory, mode) {
            (file, None)
        } else {
            // The file system or the kernel can't do it. This returns any other error too.
            let (name, file) = TemporaryName::create(directory, |path| {
                fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(mode)
                    .open(path)
            })?;
            (file, Some(name))
        };
        // Without the lock it only looks left over while it is written.
        let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        Ok(Self {
            file,
            directory: directory.to_owned(),
            name,
        })
    }

    /// The open file.
    pub(crate) fn as_file(&self) -> &File {
        &self.file
    }

    /// Gives the file the name `path`, in the same directory. An existing file is replaced.
    ///
    /// # Errors
    /// When the system can't rename it; the file is then removed.
    pub(crate) fn persist(self, path: &Path) -> io::Result<()> {
        let _critical = CriticalSection::begin();
        let name = match self.name {
            Some(name) => name,
            // A link can't replace a file.
            None => TemporaryName::create(&self.directory, |path| link(&self.file, path))?.0,
        };
        fs::rename(&name.0, path)
    }

    /// As [`TemporaryFile::persist`], but an existing file is an error.
    ///
    /// # Errors
    /// When the system can't rename it, or `path` exists; the file is then removed.
    pub(crate) fn persist_noclobber(self, path: &Path) -> io::Result<()> {
        let _critical = CriticalSection::begin();
        let Some(name) = &self.name else {
            return link(&self.file, path);
        };
        match renameat_with(CWD, &name.0, CWD, path, RenameFlags::NOREPLACE) {
            // Not every file system can do both.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => fs::hard_link(&name.0, path),
            renamed => Ok(renamed?),
        }
    }
}

/// Creates a file that has no name and is gone when it is closed, unless [`link`] gives it one.
fn open_without_name(directory: &Path, mode: u32) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = File::from(openat(CWD, directory, flags, Mode::from_raw_mode(mode))?);
    // Without /proc it could not be named.
    let found = fs::metadata(descriptor_path(&file))?;
    if found.ino() == file.metadata()?.ino() {
        Ok(file)
    } else {
        Err(ErrorKind::Unsupported.into())
    }
}

/// Gives a file without a name the name `path`, if that does not exist yet.
fn link(file: &File, path: &Path) -> io::Result<()> {
    let from = descriptor_path(file);
    Ok(linkat(CWD, from, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

fn descriptor_path(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Whether the file at `path`, whose name begins with [`TEMPORARY_PREFIX`], is not in use by a running program.
pub(crate) fn is_left_over(path: &Path) -> bool {
    match File::open(path) {
        Ok(file) => {
            flock(&file, FlockOperation::NonBlockingLockShared).err() != Some(Errno::WOULDBLOCK)
        }
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}
