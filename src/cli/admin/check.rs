//! `leadclicks check`

use std::{fs, path::Path};

use clap::Args;
use jiff::{Zoned, tz::TimeZone};

use super::format::TableOrJson;
use crate::{
    cli::{failure::Failure, output, progress::Wait},
    render::{json, table},
    storage::{self, Depth, State},
    timestamp::Timestamp,
};

/// Look whether the database is in order
///
/// For monitoring: looks at the file's integrity, its tables, permissions, WAL and disk, and at what would stop
/// leadclicksd, and tells the next step for what is not in order. Changes nothing in the database; who may run reports may
/// run it, and clicks do not wait for it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks check
  leadclicks check --quick --format json

Exit codes: 0 in order, 1 a problem, 2 wrong usage, 4 only warnings")]
pub(super) struct CheckArgs {
    /// Leave out what reads the whole file: its integrity, foreign keys, the times of all clicks and the number of leads
    #[arg(long)]
    quick: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = TableOrJson::Table)]
    format: TableOrJson,
}

pub(super) fn run(db: &Path, args: &CheckArgs, now: &Zoned) -> Result<(), Failure> {
    let depth = if args.quick {
        Depth::Quick
    } else {
        Depth::Full
    };
    // What a link leads to; where nothing is, the path as it was given.
    let path = fs::canonicalize(db).unwrap_or_else(|_| db.to_owned());
    let wait = Wait::checking();
    let lines = storage::check(db, depth, Timestamp::new(now.timestamp()));
    drop(wait);
    output::print(|out| match args.format {
        TableOrJson::Table => table::checks(out, &path, &lines, &output::screen(TimeZone::UTC)),
        TableOrJson::Json => json::checks(out, &lines),
    })?;
    match State::worst(&lines) {
        State::Ok => Ok(()),
        worst => {
            let such = lines.iter().filter(|line| line.state == worst);
            Err(Failure::NotInOrder(worst, such.count() as u64))
        }
    }
}
