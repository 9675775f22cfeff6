//! What forget, purge and reset share: they show what they would delete, ask for a word, and leave no copy.

use std::{
    io::{self, IsTerminal, Write},
    ops::ControlFlow,
    time::Duration,
};

use clap::Args;
use jiff::tz::TimeZone;

use crate::{
    cli::{
        failure::Failure,
        output,
        progress::{Bar, DELETING},
    },
    interrupt,
    progress::Progress,
    render::{counted, table::Table},
    storage::{Checkpoint, Db, DbLocation, Deletion, Error, Leftovers, TableRows, size},
    text::{visible, visible_path},
};

/// How long the daemon lets clicks wait for another program's lock.
const ANSWERED_503_AFTER: Duration = Duration::from_secs(5);

/// The next step if copies of rows are left, and if deleting again deletes nothing else.
pub(super) const RUN_AGAIN: &str = "run this again";

#[derive(Debug, Args)]
pub(super) struct ConfirmArgs {
    /// Do not ask for confirmation; required without a terminal
    #[arg(long)]
    pub(super) yes: bool,
    /// Only show what would be deleted
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// What to do after the rows that would be deleted were shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confirmed {
    Delete,
    DryRun,
}

impl ConfirmArgs {
    /// Opens the database to delete from it. A dry run only opens it to read, so that users without write permission can
    /// use it.
    ///
    /// # Errors
    /// When the database can't be opened for that.
    pub(super) fn open(&self, location: &DbLocation) -> Result<Db, Error> {
        if self.dry_run {
            Db::open_for_report(location)
        } else {
            Db::open_for_change(location)
        }
    }

    /// Shows how much disk space the `deletion` needs, and how long clicks wait for it if that may be long, and asks for `word`,
    /// unless `--yes` or `--dry-run` is given. `shown` is the result of showing what would be deleted.
    ///
    /// # Errors
    /// When `shown` is an error, when there is less disk space, or when the deletion is not confirmed.
    pub(super) fn confirm(
        &self,
        db: &Db,
        deletion: Deletion<'_>,
        shown: io::Result<()>,
        word: &str,
    ) -> Result<Confirmed, Failure> {
        let needed = db.disk_need(deletion)?;
        let (wait, also_skipped) = match deletion {
            Deletion::Steps => (String::new(), ""),
            Deletion::Everything { backup } => (
                db.reset_time(backup)?
                    .map_or(String::new(), |time| format!("\n{}", wait(time))),
                backup.map_or("", |_| ", and no backup written"),
            ),
        };
        let shown = shown.and_then(|()| {
            let Some(needed) = needed else {
                return Ok(());
            };
            let needed = size(needed);
            output::say(&format!("\nneeds about {needed} of free disk space{wait}"))
        });
        if self.dry_run {
            let line = format!("\ndry run: nothing was deleted{also_skipped}");
            output::ignore_closed_pipe(shown.and_then(|()| output::say(&line)))?;
            return Ok(Confirmed::DryRun);
        }
        shown.map_err(Failure::NotShown)?;
        if !self.yes {
            let purpose = format!("delete these rows{}", for_good(db));
            confirm(word, &purpose, "deleted")?;
        }
        Ok(Confirmed::Delete)
    }
}

/// How long clicks wait for a reset, in words.
fn wait(time: Duration) -> String {
    let duration = match time.as_secs() + 1 {
        1 => "a second".to_owned(),
        seconds if seconds < 90 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds.div_ceil(60)),
    };
    if time < ANSWERED_503_AFTER {
        format!("clicks wait for about {duration} meanwhile")
    } else {
        format!("clicks get 503 for about {duration} meanwhile, and pages send them again")
    }
}

/// Prints the path of the database, and the tables with the number of rows that would be deleted.
pub(super) fn show_tables(db: &Db, tables: &[TableRows]) -> io::Result<()> {
    output::say(&format!("{}\n", visible(&db.name())))?;
    let screen = output::screen(TimeZone::UTC);
    Table { screen }.tables(tables, &mut io::stdout().lock())
}

/// Overwrites what SQLite left of the deleted rows of `tables` in indexes, in unused parts of the file, and in the WAL.
/// `again` is the next step if that fails.
///
/// # Errors
/// When copies may be left.
pub(super) fn erase_remains(db: &Db, tables: &[&str], again: &'static str) -> Result<(), Failure> {
    let name = db.name();
    if let Err(error) = db.erase_remains(tables) {
        let error = Box::new(error);
        return Err(Failure::NotCleared { name, again, error });
    }
    match db.empty_wal() {
        Ok(Checkpoint::Finished) => Ok(()),
        Ok(Checkpoint::Busy) => Err(Failure::WalBusy { name, again }),
        Err(error) => {
            let error = Box::new(error);
            Err(Failure::WalNotEmptied { name, again, error })
        }
    }
}

/// Deletes about `total` rows by `delete`, which calls its argument after each transaction with the number of rows deleted so
/// far, until all are deleted or a signal arrives. Prints how many rows, each a `noun`, were deleted and how many are left.
/// Returns how many were deleted, and the error of `delete`, or that copies may be left.
pub(super) fn delete_in_batches(
    db: &Db,
    tables: &[&str],
    total: u64,
    noun: &str,
    delete: impl FnOnce(&mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<(), Error>,
) -> (u64, Result<(), Failure>) {
    let mut bar = Bar::new(DELETING);
    let mut rows = 0;
    let done = delete(&mut |done| {
        rows = done;
        bar.show(Progress { done, total });
        if interrupt::is_ending() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    drop(bar);
    // Also after an error: earlier transactions are committed.
    let erased = if rows > 0 {
        erase_remains(db, tables, RUN_AGAIN)
    } else {
        Ok(())
    };
    if done.is_ok() || rows > 0 {
        let left = match total.saturating_sub(rows) {
            0 => String::new(),
            left if done.is_err() || interrupt::is_ending() => format!(", and {left} were left"),
            left => format!(", and {left} were changed or deleted meanwhile"),
        };
        output::say_done(&(deleted(db, &counted(rows, noun), &erased) + &left));
    }
    (rows, Failure::of_both(done.map_err(Failure::from), erased))
}

/// Names what may still contain deleted clicks, and that no command deletes: on a server, the rows that were `deleted_from`
/// these tables, and files next to a database file.
pub(super) fn print_leftovers(db: &Db, deleted_from: &[&str]) {
    if let Some(rewrite) = db.rewrite_statement(deleted_from) {
        output::say_done(&format!(
            "their bytes remain on the server: in its files until you run {rewrite}, and in its WAL, standbys, archives \
             and backups until those are deleted\n\
             VACUUM FULL locks a table while it rewrites it: clicks wait, and after 5 seconds are answered 503; pages send them again"
        ));
    }
    let Leftovers {
        wal,
        copies,
        replaced,
    } = db.leftovers();
    if let Some(left) = wal {
        output::say_done(&format!(
            "{} may also contain clicks; recover those that you need, then delete it",
            visible_path(&left)
        ));
    }
    for copy in copies {
        output::say_done(&format!(
            "{} is an unfinished file of a program that was killed, and may also contain clicks; delete it",
            visible_path(&copy)
        ));
    }
    for old in replaced {
        output::say_done(&format!(
            "{} was kept by a restore, and may also contain clicks; import those that you need, then delete it",
            visible_path(&old)
        ));
    }
}

/// The line after a deletion: `rows` are deleted, for good if no copies are left.
pub(super) fn deleted(db: &Db, rows: &str, erased: &Result<(), Failure>) -> String {
    let for_good = if erased.is_ok() { for_good(db) } else { "" };
    format!("\ndeleted {rows}{for_good}")
}

fn for_good(db: &Db) -> &'static str {
    if db.deletes_for_good() {
        " for good"
    } else {
        ""
    }
}

/// Asks for `word`, which is also the command's name. `purpose` is what the command does then, and `done` its participle.
///
/// # Errors
/// When there is no terminal, or another answer is given.
pub(super) fn confirm(word: &str, purpose: &str, done: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::NotConfirmed(format!(
            "there is no terminal to ask for confirmation, so nothing was {done}; add --yes to {word} without asking"
        )));
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "\nType {word} to {purpose}: ")?;
    stderr.flush()?;
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    if !answer.ends_with('\n') {
        // Without Enter, the next line would continue the line of the question.
        writeln!(stderr)?;
    }
    if read.is_err() || answer.trim() != word {
        return Err(Failure::NotConfirmed(format!(
            "not confirmed, so nothing was {done}"
        )));
    }
    Ok(())
}
