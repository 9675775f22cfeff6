//! `leadclicks experts`

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use jiff::tz::TimeZone;

use super::format::{Format, OutputArgs};
use crate::{
    cli::{failure::Failure, output, print_error},
    import::{Unreadable, experts::parse},
    render::{csv, json, table},
    storage::Db,
};

/// List the experts, or import them
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  leadclicks experts import experts.csv
  leadclicks experts list")]
pub(super) enum ExpertsCommand {
    /// Import experts from the marketplace's CSV export
    ///
    /// Reads the columns Username, First Name and Last Name (or username, first_name and last_name) and ignores
    /// all others. Inserts or updates by username, all or nothing; experts that are not in the file stay.
    #[command(after_help = "\
Examples:
  leadclicks experts import experts.csv
  leadclicks experts import - < experts.csv")]
    Import {
        /// The CSV file, in UTF-8; - for standard input
        file: PathBuf,
    },
    /// List the experts by username
    #[command(after_help = "\
Examples:
  leadclicks experts list
  leadclicks experts list --format csv --output experts.csv")]
    List {
        #[command(flatten)]
        output: OutputArgs<Format>,
    },
}

pub(super) fn run(db: &Path, command: &ExpertsCommand) -> Result<(), Failure> {
    match command {
        ExpertsCommand::Import { file } => import(db, file),
        ExpertsCommand::List { output } => list(db, output),
    }
}

fn import(db: &Path, file: &Path) -> Result<(), Failure> {
    let db = Db::open_for_change(db)?;
    let failed = |error: Unreadable| Failure::Import {
        path: file.to_owned(),
        error,
    };
    let parsed = if file == Path::new("-") {
        parse(io::stdin().lock())
    } else {
        File::open(file).map_err(Unreadable::Io).and_then(parse)
    }
    .map_err(failed)?;
    let imported = db.import_experts(&parsed.experts)?;
    for skipped in &parsed.skipped {
        let line = format!("line {} skipped: {}", skipped.line, skipped.reason);
        print_error("leadclicks", &line);
    }
    output::say_done(&format!(
        "{} new, {} changed, {} unchanged, {} skipped",
        imported.new,
        imported.changed,
        imported.unchanged,
        parsed.skipped.len()
    ));
    Ok(())
}

fn list(db: &Path, output: &OutputArgs<Format>) -> Result<(), Failure> {
    output.check()?;
    let db = &Db::open_for_report(db)?;
    let experts = db.experts()?;
    if experts.is_empty() {
        let sentence = format!(
            "no experts yet in {}; see `leadclicks experts import --help`",
            db.path().display()
        );
        print_error("leadclicks", &sentence);
    }
    output::write(db, output.output.as_deref(), |out| match output.format {
        Format::Table if experts.is_empty() => Ok(()),
        Format::Table => table::experts(out, &experts, &output.screen(&TimeZone::UTC)),
        Format::Csv => csv::experts(out, &experts, output.cells()),
        Format::Json => json::experts(out, &experts),
        Format::Ndjson => json::expert_lines(out, &experts),
    })
}
