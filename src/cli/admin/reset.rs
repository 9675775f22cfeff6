//! `leadclicks reset`

use std::{
    io,
    path::{Path, PathBuf},
};

use clap::Args;
use jiff::tz::TimeZone;

use super::confirm::{ConfirmArgs, Confirmed, deleted, erase_remains};
use crate::{
    cli::{failure::Failure, output, progress::Bar},
    render::{counted, table},
    storage::TABLES,
    text::visible,
};

/// The word that confirms a reset.
const WORD: &str = "reset";

/// What to do where copies of rows are left. Another reset would delete what was captured since.
const AGAIN: &str =
    "run leadclicks purge --older-than 2000-01-01, which clears them and deletes no newer clicks";

/// Delete all leads and clicks for good, to start afresh
///
/// Deletes the rows of feedback, conversations, email_leads, newsletter_subscribers, user_events and
/// lead_clicks, those of them that the database has, in one transaction. Experts, settings and all other
/// tables stay. The daemon may go on running.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks reset --dry-run
  leadclicks reset --backup before-launch.db")]
pub(super) struct ResetArgs {
    #[command(flatten)]
    confirm: ConfirmArgs,
    /// Copy the whole database to this new file first; nothing is deleted if that fails
    #[arg(long, value_name = "FILE")]
    backup: Option<PathBuf>,
}

pub(super) fn run(db: &Path, args: &ResetArgs) -> Result<(), Failure> {
    let db = args.confirm.open(db)?;
    let found = db.count_rows()?;
    let path = db.path().display().to_string();
    let shown = output::say(&format!("{}\n", visible(&path))).and_then(|()| {
        table::table_rows(io::stdout().lock(), &found, &output::screen(TimeZone::UTC))
    });
    let besides = if args.backup.is_some() {
        ", and no backup written"
    } else {
        ""
    };
    if args.confirm.confirm(shown, WORD, besides)? == Confirmed::DryRun {
        return Ok(());
    }
    let mut bar = Bar::copying();
    let wiped = db.reset(args.backup.as_deref(), &mut |progress| {
        bar.show(progress);
    });
    drop(bar);
    let wiped = wiped?;
    // Before anything is told, for which somebody may have to wait.
    let erased = erase_remains(&db, &TABLES, AGAIN);
    if let Some(backup) = &args.backup {
        let backup = backup.display().to_string();
        output::say_done(&format!("\nbackup written to {}", visible(&backup)));
    }
    let rows: u64 = wiped.iter().map(|table| table.rows).sum();
    output::say_done(&deleted(&counted(rows, "row"), &erased));
    erased
}
