//! `leadclicks reset`

use std::{
    io,
    path::{Path, PathBuf},
};

use clap::Args;
use jiff::tz::TimeZone;

use super::confirm::confirm;
use crate::{
    cli::{failure::Failure, output},
    render::{counted, table},
    reset,
    store::{Checkpoint, Db},
    visible::visible,
};

/// The word that confirms a reset.
const WORD: &str = "reset";

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
    /// Do not ask; needed where there is no terminal
    #[arg(long)]
    yes: bool,
    /// Only show what would be deleted
    #[arg(long)]
    dry_run: bool,
    /// Copy the whole database to this new file first; nothing is deleted if that fails
    #[arg(long, value_name = "FILE")]
    backup: Option<PathBuf>,
}

pub(super) fn run(db: &Path, args: &ResetArgs) -> Result<(), Failure> {
    let db = Db::open_for_change(db)?;
    let found = reset::count(&db)?;
    let path = db.path().display().to_string();
    let shown = output::say(&format!("{}\n", visible(&path))).and_then(|()| {
        table::table_rows(io::stdout().lock(), &found, &output::screen(TimeZone::UTC))
    });
    if args.dry_run {
        let no_backup = if args.backup.is_some() {
            ", and no backup written"
        } else {
            ""
        };
        let printed =
            shown.and_then(|()| output::say(&format!("\ndry run: nothing was deleted{no_backup}")));
        return Ok(output::unless_reader_left(printed)?);
    }
    shown.map_err(Failure::NotShown)?;
    if !args.yes {
        confirm(WORD)?;
    }
    let wiped = reset::wipe(&db, args.backup.as_deref())?;
    // Before anything is told, for which somebody may have to wait.
    let emptied = db.empty_wal();
    if let Some(backup) = &args.backup {
        let backup = backup.display().to_string();
        output::say_done(&format!("\nbackup written to {}", visible(&backup)));
    }
    let path = db.path().to_owned();
    match emptied {
        Ok(Checkpoint::Finished) => {}
        Ok(Checkpoint::Busy) => return Err(Failure::WalBusy { path }),
        Err(error) => return Err(Failure::WalNotEmptied { path, error }),
    }
    let rows: u64 = wiped.iter().map(|table| table.rows).sum();
    output::say_done(&format!("\ndeleted {} for good", counted(rows, "row")));
    Ok(())
}
