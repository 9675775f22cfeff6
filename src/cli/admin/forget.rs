//! `leadclicks forget`

use std::{
    borrow::Cow,
    io::{self, BufRead, IsTerminal, Read, Write},
};

use clap::Args;
use jiff::tz::TimeZone;

use super::confirm::{
    ConfirmArgs, Confirmed, RUN_AGAIN, delete_in_batches, erase_remains, print_leftovers,
};
use crate::{
    cli::{failure::Failure, output},
    click::{self, canonical_email},
    interrupt,
    render::{counted, table::Table},
    storage::{Db, DbLocation, Deletion, Remains, SpellingRows, TABLES},
    text::visible,
};

/// The word that confirms the deletion.
const WORD: &str = "forget";

/// The longest line that is read as an email: more than any spelling of one, so that an endless input is refused.
const LINE_BYTES_MAX: u64 = 16 * 1024;

/// Erase one person
///
/// Deletes all rows with this email, in every spelling, from conversations, email_leads, newsletter_subscribers, user_events,
/// lead_clicks and feedback. Tables that do not exist, or that have no column email, are skipped. The daemon can keep
/// running: the rows are deleted in short transactions. Ctrl-C stops between two of them; run it again to continue. Then
/// all columns of all tables are searched for the email, and what still has it is named.
///
/// If an answer was lost, a page may send a click again for up to a day. The running daemon then recognizes it and does
/// not store it again; a daemon that was restarted after this command does. To be sure, run this again a day later.
///
/// If the person asks first what is stored: report --email EMAIL --format json has the clicks, and --dry-run of this command names
/// the tables.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks forget jane@example.com --dry-run
  leadclicks forget jane@example.com
  sudo -u leadclicks leadclicks forget -")]
pub(super) struct ForgetArgs {
    /// The person's email; - reads it from standard input, so that it is not in the shell's history or in sudo's log
    email: String,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

pub(super) fn run(db: &DbLocation, args: &ForgetArgs) -> Result<(), Failure> {
    let given = match &*args.email {
        "-" => Cow::Owned(read_email()?),
        email => Cow::Borrowed(email),
    };
    let email = &*canonical_email(&given);
    click::email_rule(email).map_err(|rule| {
        let given = visible(given.trim());
        Failure::Usage(format!("'{given}' is not an email: it {rule}"))
    })?;
    let db = args.confirm.open(db)?;
    let found = db.find_rows_of(email)?;
    let rows: u64 = found.iter().map(|found| found.rows).sum();
    if rows == 0 {
        let nothing = format!(
            "no rows with the email {} in {}",
            visible(email),
            visible(&db.name())
        );
        output::ignore_closed_pipe(output::say(&nothing))?;
        // A run that was killed may have deleted the rows, but not their copies.
        let erased = if args.confirm.dry_run {
            Ok(())
        } else {
            erase_remains(&db, &TABLES, RUN_AGAIN)
        };
        return Failure::of_both(erased, search(&db, email, &[], &[]));
    }
    let shown = show(&db, &found);
    if args.confirm.confirm(&db, Deletion::Steps, shown, WORD)? == Confirmed::DryRun {
        return search(&db, email, &found, &[]);
    }
    let (rows, deleted) = delete_in_batches(&db, &TABLES, rows, "row", |after_batch| {
        db.forget(&found, after_batch)
    });
    if interrupt::is_ending() {
        return deleted;
    }
    let mut deleted_from: Vec<&str> = Vec::new();
    if rows > 0 {
        deleted_from.extend(found.iter().map(|rows| rows.table));
        deleted_from.dedup();
    }
    Failure::of_both(deleted, search(&db, email, &[], &deleted_from))
}

/// Reads the email from the first line of standard input, and asks for it on a terminal.
fn read_email() -> Result<String, Failure> {
    let mut stdin = io::stdin().lock();
    if stdin.is_terminal() {
        let mut stderr = io::stderr().lock();
        write!(stderr, "Email of the person to forget: ")?;
        stderr.flush()?;
    }
    let mut line = String::new();
    let read = stdin.by_ref().take(LINE_BYTES_MAX).read_line(&mut line);
    read.map_err(|error| {
        Failure::Usage(format!(
            "cannot read the email from standard input: {error}"
        ))
    })?;
    Ok(line)
}

/// Prints the path of the database, and the rows that would be deleted.
fn show(db: &Db, found: &[SpellingRows]) -> io::Result<()> {
    output::say(&format!("{}\n", visible(&db.name())))?;
    let screen = output::screen(TimeZone::UTC);
    Table { screen }.spellings(found, &mut io::stdout().lock())
}

/// Searches for the email wherever this command can look, apart from the rows `left_out`, and prints what it found, where
/// it looked, and where it can't look.
fn search(
    db: &Db,
    email: &str,
    left_out: &[SpellingRows],
    deleted_from: &[&str],
) -> Result<(), Failure> {
    let (searched, remains) = db.search(email, left_out)?;
    let mut damaged = Ok(());
    output::say_done(&format!(
        "\nsearched in every spelling: all columns of {} ({})",
        counted(searched.len() as u64, "table"),
        visible(&searched.join(", "))
    ));
    for remains in remains {
        output::say_done(&match remains {
            Remains::Column {
                table,
                column,
                rows,
            } => format!(
                "still in the table {}, column {}: {}",
                visible(&table),
                visible(&column),
                counted(rows, "row")
            ),
            Remains::Unreadable { table } => format!(
                "not searched: the table {}, which only the program that owns the database can read",
                visible(&table)
            ),
            Remains::Damaged { table } => {
                damaged = Err(Failure::Damaged(db.name()));
                format!(
                    "not searched: the table {}, which is damaged",
                    visible(&table)
                )
            }
        });
    }
    print_leftovers(db, deleted_from);
    let schemas = db.unsearched_schemas()?;
    if !schemas.is_empty() {
        output::say_done(&format!(
            "not searched: {} outside the search_path ({})",
            counted(schemas.len() as u64, "schema"),
            visible(&schemas.join(", "))
        ));
    }
    output::say_done(
        "not searched: backups, exported reports, logs (sudo's has command lines) and other files",
    );
    damaged
}
