use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    import::Unreadable,
    render::counted,
    storage::{Error as StorageError, State},
};

/// Why a command was not carried out.
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
    /// What would be deleted can't be shown.
    #[error("cannot write the output: {0}; nothing was deleted")]
    NotShown(io::Error),
    #[error("cannot write {}: {} choose another --output", .path.display(), match .error.kind() {
        io::ErrorKind::NotFound => "its directory does not exist; make it first, or".to_owned(),
        _ => format!("{error};"),
    })]
    Write { path: PathBuf, error: io::Error },
    #[error("{} belongs to the database; choose another --output", .0.display())]
    OverDatabase(PathBuf),
    #[error("cannot import {}: {error}", match path {
        path if path == Path::new("-") => "from standard input".to_owned(),
        path => path.display().to_string(),
    })]
    Import { path: PathBuf, error: Unreadable },
    /// The findings of a check were printed.
    #[error("{}", counted(*.1, .0.name()))]
    NotInOrder(State, u64),
    /// Copies of deleted rows may be in the database; `again` is what to do, as in the next two.
    #[error("copies of deleted rows may still be in {}; {again}; {error}", .path.display())]
    NotCleared {
        path: PathBuf,
        again: &'static str,
        error: Box<StorageError>,
    },
    #[error("bytes of deleted rows may still be in {}-wal because another program is reading; when it is done, {again}", .path.display())]
    WalBusy { path: PathBuf, again: &'static str },
    #[error("bytes of deleted rows may still be in {}-wal; {again}; {error}", .path.display())]
    WalNotEmptied {
        path: PathBuf,
        again: &'static str,
        error: Box<StorageError>,
    },
    /// Manual pages.
    #[error("cannot write {}: {error}; choose another directory", .path.display())]
    Pages { path: PathBuf, error: io::Error },
    #[error("{0}; and {1}")]
    Both(Box<Self>, Box<Self>),
}

impl Failure {
    /// What failed of two things that are done whatever becomes of the other.
    ///
    /// # Errors
    /// Those of both.
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
            Self::NotInOrder(State::Warning, _) => 4,
            _ => 1,
        })
    }
}
