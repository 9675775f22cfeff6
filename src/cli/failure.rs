use std::{
    fmt, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    import::Unreadable,
    render,
    storage::{Error as StoreError, State},
};

/// What `leadclicks` ends with, and when.
pub(super) const EXIT_STATUSES: [(&str, &str); 6] = [
    ("0", "done"),
    ("1", "failed"),
    ("2", "wrong usage"),
    ("3", "not confirmed, so nothing was deleted"),
    ("4", "warnings of a check, and no problem"),
    (
        "128+n",
        "ended by signal n, as a shell tells it: 130 by Ctrl-C, 143 by SIGTERM",
    ),
];

/// A program's exit statuses for `--help`.
pub(super) fn exit_codes(statuses: &[(&str, &str)]) -> String {
    let lines = statuses
        .iter()
        .map(|(status, when)| format!("\n  {status:<6} {when}"));
    format!("Exit codes:{}", lines.collect::<String>())
}

/// Why a command was not carried out.
#[derive(Debug)]
pub(super) enum Failure {
    Usage(String),
    NotConfirmed(String),
    Store(StoreError),
    Output(io::Error),
    /// What a reset would delete can't be shown.
    NotShown(io::Error),
    Write {
        path: PathBuf,
        error: io::Error,
    },
    OverDatabase {
        path: PathBuf,
    },
    Import {
        path: PathBuf,
        error: Unreadable,
    },
    /// A check has told what.
    NotInOrder(State, u64),
    /// Copies of deleted rows may be in the database; `again` is what to do, as in the next two.
    NotCleared {
        path: PathBuf,
        again: &'static str,
        error: Box<StoreError>,
    },
    /// Manual pages.
    Pages {
        path: PathBuf,
        error: io::Error,
    },
    WalBusy {
        path: PathBuf,
        again: &'static str,
    },
    WalNotEmptied {
        path: PathBuf,
        again: &'static str,
        error: Box<StoreError>,
    },
    Both(Box<Self>, Box<Self>),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::NotConfirmed(text) => f.write_str(text),
            Self::Store(error) => error.fmt(f),
            Self::Output(error) => write!(f, "cannot write the output: {error}"),
            Self::NotShown(error) => {
                write!(f, "cannot write the output: {error}; nothing was deleted")
            }
            Self::Write { path, error } if error.kind() == io::ErrorKind::NotFound => write!(
                f,
                "cannot write {}: its directory does not exist; make it first, or choose another --output",
                path.display()
            ),
            Self::Write { path, error } => write!(
                f,
                "cannot write {}: {error}; choose another --output",
                path.display()
            ),
            Self::OverDatabase { path } => write!(
                f,
                "{} belongs to the database; choose another --output",
                path.display()
            ),
            Self::Import { path, error } if path == Path::new("-") => {
                write!(f, "cannot import from standard input: {error}")
            }
            Self::Import { path, error } => {
                write!(f, "cannot import {}: {error}", path.display())
            }
            Self::NotInOrder(state, lines) => {
                write!(f, "{}", render::counted(*lines, state.name()))
            }
            Self::NotCleared { path, again, error } => write!(
                f,
                "copies of deleted rows may still be in {}; {again}; {error}",
                path.display()
            ),
            Self::Pages { path, error } => write!(
                f,
                "cannot write {}: {error}; choose another directory",
                path.display()
            ),
            Self::WalBusy { path, again } => write!(
                f,
                "bytes of deleted rows may still be in {}-wal because another program is reading; when it is done, {again}",
                path.display()
            ),
            Self::WalNotEmptied { path, again, error } => write!(
                f,
                "bytes of deleted rows may still be in {}-wal; {again}; {error}",
                path.display()
            ),
            Self::Both(first, second) => write!(f, "{first}; and {second}"),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
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
