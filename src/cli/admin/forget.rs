//! `leadclicks forget`

use std::{io, path::Path};

use clap::Args;
use jiff::tz::TimeZone;

use super::confirm::{ConfirmArgs, Confirmed, RUN_AGAIN, deleted, erase_remains};
use crate::{
    cli::{failure::Failure, output},
    click,
    render::{counted, table},
    storage::{Db, Elsewhere, TABLES},
    text::visible,
};

/// The word that confirms it.
const WORD: &str = "forget";

/// Erase one person
///
/// Deletes the rows with this email from conversations, email_leads, newsletter_subscribers, user_events, lead_clicks
/// and feedback, those of them that the database has and that have a column email, in one transaction. Whether the
/// email is stored in capitals or in small letters makes no difference. The daemon may go on running. A page may send a
/// click again for up to a day, if its answer was lost: a running daemon knows it by then and does not store it again, and
/// one that was restarted after this does.
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
        .map_err(|rule| Failure::Usage(format!("'{email}' is no email: it {rule}")))?;
    let db = args.confirm.open(db)?;
    let found = db.count_rows_of(email)?;
    let path = db.path().display().to_string();
    let (shown_email, shown_path) = (visible(email), visible(&path));
    if found.iter().all(|table| table.rows == 0) {
        let nobody = format!("nobody with the email {shown_email} in {shown_path}");
        output::unless_reader_left(output::say(&nobody))?;
        // A run that was killed may have deleted the rows, and not yet cleared their copies.
        let erased = if args.confirm.dry_run {
            Ok(())
        } else {
            erase_remains(&db, &TABLES, RUN_AGAIN)
        };
        return Failure::of_both(erased, tell_what_is_left(&db, email));
    }
    let shown = output::say(&format!("{shown_path}\n")).and_then(|()| {
        table::table_rows(io::stdout().lock(), &found, &output::screen(TimeZone::UTC))
    });
    if args.confirm.confirm(shown, WORD, "")? == Confirmed::DryRun {
        return tell_what_is_left(&db, email);
    }
    let forgotten = db.forget(email)?;
    let erased = erase_remains(&db, &TABLES, RUN_AGAIN);
    let rows: u64 = forgotten.iter().map(|table| table.rows).sum();
    output::say_done(&deleted(&counted(rows, "row"), &erased));
    Failure::of_both(erased, tell_what_is_left(&db, email))
}

/// What forgetting can't reach.
fn tell_what_is_left(db: &Db, email: &str) -> Result<(), Failure> {
    output::say_done(
        "\nnot looked for in backups, in reports that were written to files, and in\n\
         columns of another name than email",
    );
    for Elsewhere { table, rows } in db.find_elsewhere(email)? {
        let table = visible(&table);
        output::say_done(&match rows {
            Some(rows) => format!("still in the table {table}: {}", counted(rows, "row")),
            None => format!(
                "not looked for in the table {table}, which only the program that owns the database can read"
            ),
        });
    }
    if let Some(left) = db.left_wal() {
        let left = left.display().to_string();
        output::say_done(&format!(
            "{} may hold clicks, too: delete it when you have seen to them",
            visible(&left)
        ));
    }
    Ok(())
}
