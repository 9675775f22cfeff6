//! Whether a daemon runs on a database: it holds a shared advisory lock (`flock`) on the `-wal` file while it has it open.
//!
//! That file is there whenever a daemon runs, and nothing has to be created or deleted for the lock; a backup has none, and
//! another program that is the last to close the database deletes it. SQLite takes no lock of its own on it (it opens it with `UNIXFILE_NOLOCK`), so closing a descriptor of it releases none.
//! Closing one of the database or of the `-shm` file would release SQLite's locks. The system releases the lock when the daemon
//! ends, however it ends, and every process that can open the file sees it, in whatever container it runs.

use std::{
    fs::{self, File},
    io,
    path::Path,
    thread,
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::{Errno, retry_on_intr},
};

use super::path_with;
use crate::storage::{Cause, Error};

/// How often [`hold`] and [`hold_alone`] try: a check has the lock for a moment.
const HOLD_TRIES: u32 = 200;

/// How often [`is_held`] tries: another check may have the lock at this moment.
const CHECK_TRIES: u32 = 3;

/// How long both wait between two tries.
const PAUSE: Duration = Duration::from_millis(5);

/// Checks that no other program has the lock for itself, before the database at `db` is opened.
///
/// # Errors
/// If one has.
pub(super) fn check_free(db: &Path) -> Result<(), Error> {
    let wal = path_with(db, "-wal");
    // A missing one is created later, and opening a pipe would wait.
    if !fs::metadata(&wal).is_ok_and(|wal| wal.is_file()) {
        return Ok(());
    }
    match File::open(&wal) {
        Ok(wal) if !hold(&wal) => Err(Error::new(db, Cause::HeldAlone)),
        // Opening the database returns the reason.
        _ => Ok(()),
    }
}

/// Holds the lock until `wal` is closed. Returns false if another program has it for itself; true also if the file system has
/// no such locks.
pub(super) fn hold(wal: &File) -> bool {
    hold_by(wal, FlockOperation::NonBlockingLockShared)
}

/// Keeps daemons away until `wal` is closed. Returns false if one runs; true also if the file system has no such locks.
pub(super) fn hold_alone(wal: &File) -> bool {
    hold_by(wal, FlockOperation::NonBlockingLockExclusive)
}

fn hold_by(wal: &File, operation: FlockOperation) -> bool {
    (0..HOLD_TRIES).any(|_| {
        let is_held = !matches!(flock_now(wal, operation), Err(Errno::WOULDBLOCK));
        if !is_held {
            thread::sleep(PAUSE);
        }
        is_held
    })
}

/// Whether a daemon holds the lock on the file at `wal`.
///
/// # Errors
/// If the file can't be opened, or the file system has no such locks.
pub(super) fn is_held(wal: &Path) -> io::Result<bool> {
    let wal = File::open(wal)?;
    for number in 0..CHECK_TRIES {
        match flock_now(&wal, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(false),
            Err(Errno::WOULDBLOCK) if number + 1 < CHECK_TRIES => thread::sleep(PAUSE),
            Err(Errno::WOULDBLOCK) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

fn flock_now(file: &File, operation: FlockOperation) -> rustix::io::Result<()> {
    retry_on_intr(|| flock(file, operation))
}
