//! `leadclicks reset`

use std::path::PathBuf;

use clap::Args;

use super::confirm::{
    ConfirmArgs, Confirmed, deleted, erase_remains, print_leftovers, show_tables,
};
use crate::{
    cli::{
        failure::Failure,
        output,
        progress::{COPYING, with_bar},
    },
    render::counted,
    storage::{DbLocation, Deletion, TABLES},
    text::visible_path,
};

/// The word that confirms a reset.
const WORD: &str = "reset";

/// The next step if copies of rows are left. Another reset would delete the clicks that were captured since.
const AGAIN: &str =
    "run leadclicks purge --older-than 2000-01-01, which clears them and deletes no newer clicks";

/// Delete all leads and clicks
///
/// Deletes all rows of feedback, conversations, email_leads, newsletter_subscribers, user_events and lead_clicks in one
/// transaction. Tables that do not exist are skipped. Experts, settings and all other tables stay. The daemon can keep
/// running.
///
/// Clicks wait until the rows are deleted, and with --backup also while the database is copied; an estimate is shown first. After
/// 5 seconds they are answered 503 until the reset is done, and the pages send them again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks reset --dry-run
  leadclicks reset --backup before-launch.db")]
pub(super) struct ResetArgs {
    #[command(flatten)]
    confirm: ConfirmArgs,
    /// First copy the whole database to this new file; if that fails, nothing is deleted
    #[arg(long, value_name = "FILE")]
    backup: Option<PathBuf>,
}

pub(super) fn run(db: &DbLocation, args: &ResetArgs) -> Result<(), Failure> {
    if let Some(path) = &args.backup
        && let Some(command) = db.dump_command(path)
    {
        return Err(Failure::Usage(format!(
            "--backup copies a database file, not that of a server; run `{command}`, then reset without --backup"
        )));
    }
    let db = args.confirm.open(db)?;
    let found = db.count_rows()?;
    let shown = show_tables(&db, &found);
    let backup = args.backup.as_deref();
    let deletion = Deletion::Everything { backup };
    let confirmed = args.confirm.confirm(&db, deletion, shown, WORD)?;
    if confirmed == Confirmed::DryRun {
        return Ok(());
    }
    let wiped = with_bar(COPYING, |progress| db.reset(backup, progress))?;
    // Before anything is printed, which may block.
    let erased = erase_remains(&db, &TABLES, AGAIN);
    if let Some(backup) = backup {
        output::say_done(&format!("\nbackup written to {}", visible_path(backup)));
    }
    let rows: u64 = wiped.iter().map(|table| table.rows).sum();
    output::say_done(&deleted(&db, &counted(rows, "row"), &erased));
    let deleted_from: Vec<&str> = wiped
        .iter()
        .filter(|table| table.rows > 0)
        .map(|table| table.table)
        .collect();
    print_leftovers(&db, &deleted_from);
    erased
}
