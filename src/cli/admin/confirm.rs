//! What commands that delete for good share: they show what they would delete, ask for a word, and leave no copy.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

use clap::Args;

use crate::{
    cli::{failure::Failure, output},
    storage::{Checkpoint, Db, Error},
};

/// What to do where copies of rows are left, and deleting once more deletes nothing else.
pub(super) const RUN_AGAIN: &str = "run this again";

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
    /// Opens the database to delete from it; for a dry run to read it, so that who may only read may run one.
    ///
    /// # Errors
    /// When it can't be opened for that.
    pub(super) fn open(&self, path: &Path) -> Result<Db, Error> {
        if self.dry_run {
            Db::open_for_report(path)
        } else {
            Db::open_for_change(path)
        }
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

/// Overwrites what SQLite left of the deleted rows of `tables` in indexes, in unused parts of the file, and in the WAL.
/// `again` is the next step where that fails.
///
/// # Errors
/// When copies may still be there.
pub(super) fn erase_remains(db: &Db, tables: &[&str], again: &'static str) -> Result<(), Failure> {
    let path = db.path().to_owned();
    if let Err(error) = db.erase_remains(tables) {
        let error = Box::new(error);
        return Err(Failure::NotCleared { path, again, error });
    }
    match db.empty_wal() {
        Ok(Checkpoint::Finished) => Ok(()),
        Ok(Checkpoint::Busy) => Err(Failure::WalBusy { path, again }),
        Err(error) => {
            let error = Box::new(error);
            Err(Failure::WalNotEmptied { path, again, error })
        }
    }
}

/// What is deleted, for good if no copies are left.
pub(super) fn deleted(rows: &str, erased: &Result<(), Failure>) -> String {
    let for_good = if erased.is_ok() { " for good" } else { "" };
    format!("\ndeleted {rows}{for_good}")
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
