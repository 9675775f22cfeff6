//! `leadclicks backup`

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::DecimalBytes;

use crate::{
    cli::{failure::Failure, output, progress::Bar},
    render::counted,
    storage::Db,
    text::visible,
};

/// Copy the database to a new file, also while leadclicksd captures
///
/// The copy is of one moment and whole by itself, and has its name only when it is complete and synced. The daemon goes
/// on storing clicks meanwhile. To restore it, see README, "Who may read".
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks backup leadclicks-$(date +%F).db
  leadclicks backup /mnt/backups/leadclicks.db")]
pub(super) struct BackupArgs {
    /// The copy; no file of that name may be there
    file: PathBuf,
}

pub(super) fn run(db: &Path, args: &BackupArgs) -> Result<(), Failure> {
    if args.file == Path::new("-") {
        return Err(Failure::Usage(
            "a backup goes to a file, not to standard output; give its path".to_owned(),
        ));
    }
    let db = Db::open_for_report(db)?;
    let mut bar = Bar::copying();
    let copied = db.backup(&args.file, &mut |progress| bar.show(progress))?;
    drop(bar);
    output::say_done(&format!(
        "backup written to {}: {}, {}",
        visible(&args.file.display().to_string()),
        DecimalBytes(copied.bytes),
        counted(copied.clicks, "click")
    ));
    Ok(())
}
