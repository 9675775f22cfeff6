//! What commands that delete for good share: they show what they would delete, ask for a word, and leave no copy.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

use clap::Args;

use crate::{
    cli::{failure::Failure, output},
    store::{Checkpoint, Db},
};

#[derive(Debug, Args)]
pub(super) struct ConfirmArgs {
    /// Do not ask; needed where there is no terminal
    #[arg(long)]
    pub(super) yes: bool,
    /// Only show what would be deleted
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// Whether to go on after what would be deleted was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confirmed {
    Delete,
    DryRun,
}

impl ConfirmArgs {
    /// Opens the database to change it, or for a dry run to read it.
    ///
    /// # Errors
    /// As [`Db::open_for_change`].
    pub(super) fn open(&self, path: &Path) -> Result<Db, Failure> {
        Ok(if self.dry_run {
            Db::open_for_report(path)?
        } else {
            Db::open_for_change(path)?
        })
    }

    /// Takes how showing ended, and asks for `word` unless the flags say otherwise. `besides` is what else a dry run
    /// did not do.
    ///
    /// # Errors
    /// When what would be deleted could not be shown, or it is not confirmed.
    pub(super) fn confirm(
        &self,
        shown: io::Result<()>,
        word: &str,
        besides: &str,
    ) -> Result<Confirmed, Failure> {
        if self.dry_run {
            let line = format!("\ndry run: nothing was deleted{besides}");
            output::unless_reader_left(shown.and_then(|()| output::say(&line)))?;
            return Ok(Confirmed::DryRun);
        }
        shown.map_err(Failure::NotShown)?;
        if !self.yes {
            confirm(word)?;
        }
        Ok(Confirmed::Delete)
    }
}

/// Overwrites what SQLite left of deleted rows in unused parts of the file, and in the WAL.
///
/// # Errors
/// When copies are still there.
pub(super) fn clear_remains(db: &Db) -> Result<(), Failure> {
    db.clear_unused().map_err(|error| Failure::NotCleared {
        path: db.path().to_owned(),
        error,
    })?;
    empty_wal(db)
}

/// Empties the WAL, so that the bytes of deleted rows are gone from there too.
///
/// # Errors
/// When they are still there.
fn empty_wal(db: &Db) -> Result<(), Failure> {
    let path = db.path().to_owned();
    match db.empty_wal() {
        Ok(Checkpoint::Finished) => Ok(()),
        Ok(Checkpoint::Busy) => Err(Failure::WalBusy { path }),
        Err(error) => Err(Failure::WalNotEmptied { path, error }),
    }
}

/// Asks for `word`, which is also the command's name.
///
/// # Errors
/// When there is no terminal to ask on, or another answer is given.
fn confirm(word: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::NotConfirmed(format!(
            "there is no terminal to ask on, so nothing was deleted; add --yes to {word} without asking"
        )));
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "\nType {word} to delete these rows for good: ")?;
    stderr.flush()?;
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    if !answer.ends_with('\n') {
        // Nobody pressed Enter, so what comes next would stand behind the question.
        writeln!(stderr)?;
    }
    if read.is_err() || answer.trim() != word {
        return Err(Failure::NotConfirmed(
            "not confirmed, so nothing was deleted".to_owned(),
        ));
    }
    Ok(())
}
