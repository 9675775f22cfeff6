//! `leadclicks backup`

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::DecimalBytes;

use crate::{
    cli::{
        failure::Failure,
        output,
        progress::{COPYING, with_bar},
    },
    render::counted,
    storage::{Db, DbLocation},
    text::visible_path,
};

/// Copy the database to a new file, also while leadclicksd runs
///
/// The copy is a snapshot of one moment, and complete without -wal and -shm files. It gets its name only after it is
/// complete and fsynced. The daemon keeps storing clicks meanwhile. `leadclicks restore` puts it back.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks backup leadclicks-$(date +%F).db
  leadclicks backup /mnt/backups/leadclicks.db")]
pub(super) struct BackupArgs {
    /// The new file, which must not exist yet
    file: PathBuf,
}

pub(super) fn run(db: &DbLocation, args: &BackupArgs) -> Result<(), Failure> {
    if args.file == Path::new("-") {
        return Err(Failure::Usage(
            "a backup cannot go to standard output; give the path of a new file".to_owned(),
        ));
    }
    if let Some(command) = db.dump_command(&args.file) {
        return Err(Failure::Usage(format!(
            "leadclicks copies a database file, not that of a server; run `{command}`"
        )));
    }
    let db = Db::open_for_report(db)?;
    let copied = with_bar(COPYING, |progress| db.backup(&args.file, progress))?;
    output::say_done(&format!(
        "backup written to {}: {}, {}",
        visible_path(&args.file),
        DecimalBytes(copied.bytes),
        counted(copied.clicks, "click")
    ));
    Ok(())
}
