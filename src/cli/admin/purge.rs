//! `leadclicks purge`

use std::path::Path;

use clap::Args;
use jiff::Zoned;

use super::{
    confirm::{
        ConfirmArgs, Confirmed, RUN_AGAIN, delete_in_batches, erase_remains, print_leftovers,
    },
    filter::ZoneArgs,
};
use crate::{
    cli::{failure::Failure, instant::Instant, output},
    render::counted,
    storage::OldClicks,
    text::visible_path,
    timestamp::Timestamp,
};

/// The word that confirms the deletion.
const WORD: &str = "purge";

/// The table that a purge deletes from.
const TABLES: [&str; 1] = ["lead_clicks"];

/// Delete old clicks for good
///
/// Deletes clicks from before a time, the oldest first, in many short transactions, so that the daemon can keep storing
/// clicks. Ctrl-C stops it between two transactions and shows how many clicks are left. Run it again to continue.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks purge --older-than 365d --dry-run
  leadclicks purge --older-than 365d --yes
  leadclicks purge --older-than 2026-01-01 --tz Europe/Berlin")]
pub(super) struct PurgeArgs {
    /// Delete clicks from before this time: 365d, 52w (ago), 2026-11-01, '2026-11-01 09:30' (local time) or
    /// 2026-11-01T09:30:00Z
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    older_than: Instant,
    #[command(flatten)]
    zone: ZoneArgs,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

pub(super) fn run(db: &Path, args: &PurgeArgs, now: &Zoned) -> Result<(), Failure> {
    let now = args
        .zone
        .apply_strictly("--older-than", args.older_than, now)?;
    let before = before(args.older_than, &now)?;
    let db = args.confirm.open(db)?;
    let path = visible_path(db.path());
    let Some(old) = db.count_old(before)? else {
        let nothing = format!("no clicks from before {} in {path}", before.rfc3339());
        output::ignore_closed_pipe(output::say(&nothing))?;
        if args.confirm.dry_run {
            return Ok(());
        }
        print_leftovers(&db);
        // Without asking: a run that was killed may have deleted the clicks, but not their copies.
        return erase_remains(&db, &TABLES, RUN_AGAIN);
    };
    let shown = output::say(&format!("{path}\n\n{}", described(&old)));
    if args.confirm.confirm(shown, WORD, "")? == Confirmed::DryRun {
        return Ok(());
    }
    let deleted = delete_in_batches(&db, &TABLES, old.clicks, "click", |after_batch| {
        db.purge(before, after_batch)
    });
    print_leftovers(&db);
    deleted
}

fn before(older_than: Instant, now: &Zoned) -> Result<Timestamp, Failure> {
    let before = older_than
        .resolve(now)
        .map_err(|error| Failure::Usage(format!("--older-than: {error}")))?;
    if before > Timestamp::new(now.timestamp()) {
        return Err(Failure::Usage(
            "--older-than is in the future; give a time in the past".to_owned(),
        ));
    }
    Ok(before)
}

fn described(old: &OldClicks) -> String {
    let clicks = counted(old.clicks, "click");
    let leads = counted(old.leads, "lead");
    format!(
        "{clicks} of {leads},\nfrom {} to {}",
        old.first.rfc3339(),
        old.last.rfc3339()
    )
}
