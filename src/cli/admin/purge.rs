//! `leadclicks purge`

use std::{ops::ControlFlow, path::Path};

use clap::Args;
use jiff::Zoned;

use super::confirm::{ConfirmArgs, Confirmed, RUN_AGAIN, deleted, erase_remains};
use crate::{
    cli::{
        failure::Failure,
        instant::{Instant, NotAnInstant},
        output,
        progress::Bar,
    },
    interrupt,
    progress::Progress,
    render::counted,
    storage::{Db, OldClicks},
    text::visible,
    timestamp::Timestamp,
};

/// The word that confirms it.
const WORD: &str = "purge";

/// The table that a purge deletes from.
const TABLES: [&str; 1] = ["lead_clicks"];

/// Delete old clicks for good
///
/// Deletes the rows of lead_clicks from before a time, the oldest first, in many short transactions: the daemon goes on
/// capturing. Ctrl-C ends it between two of these and tells how many clicks are left; run again, it goes on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks purge --older-than 365d --dry-run
  leadclicks purge --older-than 365d --yes
  leadclicks purge --older-than 2026-01-01")]
pub(super) struct PurgeArgs {
    /// Delete the clicks from before this time: 365d, 52w (ago), 2026-11-01, '2026-11-01 09:30' (local time) or
    /// 2026-11-01T09:30:00Z
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    older_than: Instant,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

pub(super) fn run(db: &Path, args: &PurgeArgs, now: &Zoned) -> Result<(), Failure> {
    let before = before(args.older_than, now)?;
    let db = args.confirm.open(db)?;
    let path = db.path().display().to_string();
    let Some(old) = db.count_old(before)? else {
        let nothing = format!(
            "no clicks from before {} in {}",
            before.rfc3339(),
            visible(&path)
        );
        output::unless_reader_left(output::say(&nothing))?;
        if args.confirm.dry_run {
            return Ok(());
        }
        // Without asking: a run that was killed may have deleted the clicks, and not yet cleared their copies.
        return erase_remains(&db, &TABLES, RUN_AGAIN);
    };
    let shown = output::say(&format!("{}\n\n{}", visible(&path), described(&old)));
    if args.confirm.confirm(shown, WORD, "")? == Confirmed::DryRun {
        return Ok(());
    }
    delete(&db, before, old.clicks)
}

/// Deletes the clicks, `total` as far as known, until that is done or a signal has come, and tells how many.
fn delete(db: &Db, before: Timestamp, total: u64) -> Result<(), Failure> {
    let mut bar = Bar::deleting();
    let mut clicks = 0;
    let purged = db.purge(before, |done| {
        clicks = done;
        bar.show(Progress { done, total });
        if interrupt::is_ending() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    drop(bar);
    // Also after an error: what is deleted is deleted.
    let erased = if clicks > 0 {
        erase_remains(db, &TABLES, RUN_AGAIN)
    } else {
        Ok(())
    };
    if purged.is_ok() || clicks > 0 {
        let left = if clicks < total {
            format!(", and {} were left", total - clicks)
        } else {
            String::new()
        };
        output::say_done(&(deleted(&counted(clicks, "click"), &erased) + &left));
    }
    Failure::of_both(purged.map_err(Failure::from), erased)
}

fn before(older_than: Instant, now: &Zoned) -> Result<Timestamp, Failure> {
    let before = older_than
        .resolve(now)
        .map_err(|error: NotAnInstant| Failure::Usage(format!("--older-than: {error}")))?;
    if before > Timestamp::new(now.timestamp()) {
        return Err(Failure::Usage(
            "--older-than is in the future, so it would delete clicks while they come in"
                .to_owned(),
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
