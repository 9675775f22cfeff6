use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    import::ImportError,
    render::counted,
    storage::{Error as StorageError, State},
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    NotConfirmed(String),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// The rows that would be deleted can't be shown.
    #[error("cannot write the output: {0}; nothing was deleted")]
    NotShown(io::Error),
    #[error("cannot write {}: {} choose another --output", .path.display(), match .error.kind() {
        io::ErrorKind::NotFound => "its directory does not exist; create it first, or".to_owned(),
        _ => format!("{error};"),
    })]
    Write { path: PathBuf, error: io::Error },
    /// What would be replaced can't be shown.
    #[error("cannot write the output: {0}; nothing was changed")]
    NotAnnounced(io::Error),
    #[error("{} belongs to the database; choose another --output", .0.display())]
    OverDatabase(PathBuf),
    #[error("cannot import {}: {error}", match path {
        path if path == Path::new("-") => "from standard input".to_owned(),
        path => path.display().to_string(),
    })]
    Import { path: PathBuf, error: ImportError },
    /// An import ended after so many new clicks.
    #[error("{error}; {}", match .new {
        0 => "nothing was imported".to_owned(),
        new => format!("{} imported; import the file again to continue, which skips them", counted(*new, "click")),
    })]
    ImportStopped { new: u64, error: StorageError },
    #[error("no expert '{username}' in {db}{hint}")]
    NoExpert {
        username: String,
        db: String,
        /// How to go on.
        hint: String,
    },
    /// A health check found so many problems, or warnings, and printed them.
    #[error("{}", counted(*.1, .0.name()))]
    Unhealthy(State, u64),
    /// Copies of deleted rows may be in the database. `again` is the next step, as in the following two.
    #[error("copies of deleted rows may still be in {name}; {again}; {error}")]
    NotCleared {
        name: String,
        again: &'static str,
        error: Box<StorageError>,
    },
    #[error(
        "bytes of deleted rows may still be in {name}-wal because another program is reading; when it is done, {again}"
    )]
    WalBusy { name: String, again: &'static str },
    #[error("bytes of deleted rows may still be in {name}-wal; {again}; {error}")]
    WalNotEmptied {
        name: String,
        again: &'static str,
        error: Box<StorageError>,
    },
    /// A table could not be searched.
    #[error(
        "{0}: the file is damaged, so not all of it was searched; restore a backup, then run this again"
    )]
    Damaged(String),
    /// Manual pages.
    #[error("cannot write {}: {error}; choose another directory", .path.display())]
    Pages { path: PathBuf, error: io::Error },
    #[error("{0}; and {1}")]
    Both(Box<Self>, Box<Self>),
}

impl Failure {
    /// Joins the results of two steps of which each is done even if the other fails.
    ///
    /// # Errors
    /// The error of either, or both errors.
    pub(super) fn of_both(first: Result<(), Self>, second: Result<(), Self>) -> Result<(), Self> {
        match (first, second) {
            (Err(first), Err(second)) => Err(Self::Both(Box::new(first), Box::new(second))),
            (first, second) => first.and(second),
        }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::NotConfirmed(_) => 3,
            Self::Unhealthy(State::Warning, _) => 4,
            _ => 1,
        })
    }
}
