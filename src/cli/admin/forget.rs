//! `leadclicks forget`

use std::path::Path;

use clap::Args;

use super::confirm::{
    ConfirmArgs, Confirmed, RUN_AGAIN, deleted, erase_remains, print_leftovers, show_tables,
};
use crate::{
    cli::{failure::Failure, output},
    click,
    render::counted,
    storage::{Db, OtherTable, TABLES},
    text::{visible, visible_path},
};

/// The word that confirms the deletion.
const WORD: &str = "forget";

/// Erase one person
///
/// Deletes all rows with this email (case-insensitive) from conversations, email_leads, newsletter_subscribers,
/// user_events, lead_clicks and feedback in one transaction. Tables that do not exist, or that have no column email, are
/// skipped. The daemon can keep running.
///
/// If an answer was lost, a page may send a click again for up to a day. The running daemon then recognizes it and does
/// not store it again; a daemon that was restarted after this command does. To be sure, run this again a day later.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks forget jane@example.com --dry-run
  leadclicks forget jane@example.com")]
pub(super) struct ForgetArgs {
    /// The person's email
    email: String,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

pub(super) fn run(db: &Path, args: &ForgetArgs) -> Result<(), Failure> {
    let email = args.email.trim();
    click::email_rule(email)
        .map_err(|rule| Failure::Usage(format!("'{email}' is not an email: it {rule}")))?;
    let db = args.confirm.open(db)?;
    let found = db.count_rows_of(email)?;
    if found.iter().all(|table| table.rows == 0) {
        let nothing = format!(
            "no rows with the email {} in {}",
            visible(email),
            visible_path(db.path())
        );
        output::ignore_closed_pipe(output::say(&nothing))?;
        // A run that was killed may have deleted the rows, but not their copies.
        let erased = if args.confirm.dry_run {
            Ok(())
        } else {
            erase_remains(&db, &TABLES, RUN_AGAIN)
        };
        return Failure::of_both(erased, print_limits(&db, email));
    }
    let shown = show_tables(&db, &found);
    if args.confirm.confirm(shown, WORD, "")? == Confirmed::DryRun {
        return print_limits(&db, email);
    }
    let forgotten = db.forget(email)?;
    let erased = erase_remains(&db, &TABLES, RUN_AGAIN);
    let rows: u64 = forgotten.iter().map(|table| table.rows).sum();
    output::say_done(&deleted(&counted(rows, "row"), &erased));
    Failure::of_both(erased, print_limits(&db, email))
}

/// Prints what forgetting can't reach.
fn print_limits(db: &Db, email: &str) -> Result<(), Failure> {
    output::say_done(
        "\nnot searched: backups, exported reports, and columns that are not named email",
    );
    for OtherTable { table, rows } in db.find_other_tables(email)? {
        let table = visible(&table);
        output::say_done(&match rows {
            Some(rows) => format!("still in the table {table}: {}", counted(rows, "row")),
            None => format!(
                "not searched: the table {table}, which only the program that owns the database can read"
            ),
        });
    }
    print_leftovers(db);
    Ok(())
}
