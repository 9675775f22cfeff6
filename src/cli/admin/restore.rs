//! `leadclicks restore`

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use indicatif::DecimalBytes;
use jiff::Zoned;

use super::confirm::confirm;
use crate::{
    cli::{
        failure::Failure,
        output,
        progress::{CHECKING, COPYING, timed, with_bar},
    },
    render::counted,
    storage::{DatabaseContent, DbLocation, Error, Restore, Restored},
    text::{shell_path, visible_path},
    timestamp::Timestamp,
};

/// The word that confirms it.
const WORD: &str = "restore";

/// Replace the database with a backup
///
/// The backup is checked first. leadclicksd must be stopped. The old database is kept next to the new one, under another name.
/// The new file gets its owner and its mode. If this command is killed, at whatever moment, the old or the new database is
/// there, and it is complete.
///
/// Whoever was erased since the backup was made is back in it: erase them again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks restore leadclicks-2026-11-01.db --dry-run
  leadclicks restore leadclicks-2026-11-01.db")]
pub(super) struct RestoreArgs {
    /// The backup; it stays as it is
    file: PathBuf,
    /// Do not ask for confirmation; required without a terminal
    #[arg(long)]
    yes: bool,
    /// Only check the backup, and show what would be replaced
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(db: &DbLocation, args: &RestoreArgs, now: &Zoned) -> Result<(), Failure> {
    match db {
        DbLocation::File(path) => restore(path, args, now),
        #[cfg(feature = "postgres")]
        DbLocation::Server(url) => Err(Failure::Usage(format!(
            "restore is for SQLite files; restore a dump of pg_dump with `{}`",
            url.restore_command(&args.file)
        ))),
    }
}

fn restore(db: &Path, args: &RestoreArgs, now: &Zoned) -> Result<(), Failure> {
    if args.file == Path::new("-") {
        return Err(Failure::Usage(
            "a backup cannot come from standard input; give the path of its file".to_owned(),
        ));
    }
    let restore = timed(CHECKING, || Restore::prepare(&args.file, db))?;
    let no_daemon = restore.check_no_daemon();
    if !args.dry_run {
        no_daemon?;
        show(&restore, &args.file)?.map_err(Failure::NotAnnounced)?;
        if !args.yes {
            confirm(WORD, "replace the database", "changed")?;
        }
        return replace(restore, &args.file, now);
    }
    let shown = show(&restore, &args.file)?.and_then(|()| {
        if no_daemon.is_err() {
            output::say("\nleadclicksd runs on the database; stop it before you restore")?;
        }
        output::say("\ndry run: nothing was changed")
    });
    Ok(output::ignore_closed_pipe(shown)?)
}

/// Prints the path of the database, and what it and the backup contain.
fn show(restore: &Restore, file: &Path) -> Result<io::Result<()>, Error> {
    let backup = described(restore.backup_content()?);
    let current = match restore.current_content() {
        None => "there is none".to_owned(),
        Some(Ok(content)) => described(content),
        // The path is named already.
        Some(Err(_)) => "cannot be read".to_owned(),
    };
    let written = written(restore);
    let print = || {
        let mut out = io::stdout().lock();
        writeln!(out, "{}\n", visible_path(restore.target()))?;
        writeln!(out, "now: {current}")?;
        writeln!(out, "{}, written {written}: {backup}", visible_path(file))?;
        out.flush()
    };
    Ok(print())
}

fn described(DatabaseContent { clicks, newest }: DatabaseContent) -> String {
    let clicks = counted(clicks, "click");
    match newest {
        Some(newest) => format!("{clicks}, the newest of {}", newest.rfc3339()),
        None => clicks,
    }
}

/// When the backup was written, as far as its file says.
fn written(restore: &Restore) -> String {
    let time = restore
        .backup_time()
        .and_then(|time| jiff::Timestamp::try_from(time).ok());
    match time {
        Some(time) => Timestamp::new(time).rfc3339().to_string(),
        None => "at an unknown time".to_owned(),
    }
}

fn replace(restore: Restore, file: &Path, now: &Zoned) -> Result<(), Failure> {
    let db = shell_path(restore.target());
    let had_clicks = restore
        .current_content()
        .is_some_and(|content| content.is_ok_and(|content| content.clicks > 0));
    let written = written(&restore);
    let newest = restore.backup_content()?.newest;
    let now = Timestamp::new(now.timestamp());
    let Restored { bytes, kept } = with_bar(COPYING, |progress| restore.run(now, progress))?;
    output::say_done(&format!(
        "\nrestored from {}: {}",
        visible_path(file),
        DecimalBytes(bytes)
    ));
    for old in &kept {
        output::say_done(&format!("kept: {}", visible_path(old)));
    }
    output::say_done(
        "\nnext:\n- start leadclicksd, for instance by systemctl start leadclicksd.service",
    );
    if let (Some(old), true) = (kept.first(), had_clicks) {
        let old = shell_path(old);
        output::say_done(&format!(
            "- import the clicks that are not in the backup: leadclicks import {old} --db {db}"
        ));
    }
    let newest = newest.map(|newest| format!("; its newest click is of {}", newest.rfc3339()));
    output::say_done(&format!(
        "- forget everyone again who was forgotten after the backup was made (the file was written {written}{})",
        newest.unwrap_or_default()
    ));
    if !kept.is_empty() {
        output::say_done("- delete what was kept when you no longer need it");
    }
    Ok(())
}
