//! Whether this process may use the files of a database, and if not, whose they are and whose they must be.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, access},
    io::Errno,
    process::geteuid,
};

use super::{has_wal_files, path_with};
use crate::{
    storage::{Cause, Error},
    text::shell_path,
};

/// Checks that this process may create, read and write the database at `path` and the files next to it. A read-only file
/// system is reported elsewhere.
///
/// # Errors
/// If the directory does not exist, or a file or a directory belongs to a user without whom nothing can be stored.
pub(super) fn check_owner(path: &Path) -> Result<(), Error> {
    // A link leads to the file; if that does not exist yet, its directory does.
    let resolved = fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    let fault = resolved.ok().and_then(|path| find_fault(&path));
    fault.map_or(Ok(()), |fault| {
        Err(Error::new(path, Cause::NotOwned(fault)))
    })
}

fn find_fault(path: &Path) -> Option<String> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut ancestors: Vec<&Path> = directory.ancestors().collect();
    ancestors.reverse();
    for ancestor in ancestors {
        if is_denied(ancestor, Access::EXEC_OK) {
            return Some(refused("enter", "the directory", ancestor, "u+x"));
        }
    }
    if fs::metadata(directory).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Some(format!(
            "its directory does not exist; create it, owned by {}, the user of leadclicksd, or check --db",
            user(geteuid().as_raw())
        ));
    }
    let files: [PathBuf; 3] = ["", "-wal", "-shm"].map(|suffix| path_with(path, suffix));
    for file in &files {
        if is_denied(file, Access::READ_OK | Access::WRITE_OK) {
            return Some(refused("read and write", "the file", file, "u+rw"));
        }
    }
    // Files that exist already can be used.
    if !(path.exists() && has_wal_files(path))
        && is_denied(directory, Access::WRITE_OK | Access::EXEC_OK)
    {
        return Some(refused(
            "create files in",
            "the directory",
            directory,
            "u+wx",
        ));
    }
    None
}

fn is_denied(path: &Path, wanted: Access) -> bool {
    access(path, wanted) == Err(Errno::ACCESS)
}

/// `mode` is what its owner lacks, as chmod takes it.
fn refused(verb: &str, kind: &str, path: &Path, mode: &str) -> String {
    let me = geteuid().as_raw();
    let named = path.display();
    let Ok(found) = fs::metadata(path) else {
        return format!(
            "leadclicksd runs as {} and may not {verb} {kind} {named}; grant it with chown or chmod",
            user(me)
        );
    };
    let command = if found.uid() == me {
        format!("chmod {mode}")
    } else {
        format!("chown {me}")
    };
    format!(
        "leadclicksd runs as {} and may not {verb} {kind} {named}, which belongs to {} and has mode {:04o}; run \
         `{command} {}` as root, or start leadclicksd as its owner",
        user(me),
        user(found.uid()),
        found.mode() & 0o7777,
        shell_path(path)
    )
}

/// The name and the number of a user, as far as the system's own file of users has it.
fn user(uid: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    });
    match name {
        Some(name) => format!("{name} (uid {uid})"),
        None => format!("uid {uid}"),
    }
}
