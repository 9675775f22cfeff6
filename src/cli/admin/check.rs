//! `leadclicks check`

use std::{fs, path::Path};

use clap::Args;
use jiff::{Zoned, tz::TimeZone};

use super::format::Format;
use crate::{
    cli::{
        failure::Failure,
        output,
        progress::{CHECKING, timed},
    },
    render::{Format as _, Report, json::Json, table::Table},
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
    #[arg(long, value_parser = Format::parser(Format::TABLE_OR_JSON), default_value = "table")]
    format: Format,
}

pub(super) fn run(db: &Path, args: &CheckArgs, now: &Zoned) -> Result<(), Failure> {
    let depth = if args.quick {
        Depth::Quick
    } else {
        Depth::Full
    };
    // What a link leads to; where nothing is, the path as it was given.
    let path = fs::canonicalize(db).unwrap_or_else(|_| db.to_owned());
    let now = Timestamp::new(now.timestamp());
    let findings = timed(CHECKING, || storage::check(db, depth, now));
    let worst = State::worst(&findings);
    let such = findings.iter().filter(|finding| finding.state == worst);
    let such = such.count() as u64;
    let report = Report::Check { path, findings };
    output::print(|out| {
        if args.format == Format::Json {
            Json.write(&report, out)
        } else {
            let screen = output::screen(TimeZone::UTC);
            Table { screen }.write(&report, out)
        }
    })?;
    match worst {
        State::Ok => Ok(()),
        worst => Err(Failure::NotInOrder(worst, such)),
    }
}
