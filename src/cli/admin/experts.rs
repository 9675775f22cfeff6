//! `leadclicks experts`

use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::tz::TimeZone;

use super::{
    filter::similar_experts,
    format::{Format, OutputArgs},
    import::{print_skipped, print_unknown_experts},
};
use crate::{
    cli::{failure::Failure, output, print_error},
    click::canonical_username,
    expert::ExpertNames,
    import::{self, ImportError, experts::parse},
    render::{Asked, Report},
    storage::{Db, DbLocation},
    text::visible,
};

/// List, import or remove the experts
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  leadclicks experts import experts.csv
  leadclicks experts list
  leadclicks experts remove jdoe")]
pub(super) enum ExpertsCommand {
    /// Import experts from the marketplace's CSV export
    ///
    /// Reads the columns Username, First Name and Last Name (or username, first_name and last_name) and ignores all others.
    /// Inserts or updates experts by username. Invalid lines are skipped. Experts that are not in the file stay.
    #[command(after_help = "\
Examples:
  leadclicks experts import experts.csv
  leadclicks experts import - < experts.csv")]
    Import {
        /// The CSV file, in UTF-8 or UTF-16; - for standard input
        file: PathBuf,
    },
    /// List the experts by username
    #[command(after_help = "\
Examples:
  leadclicks experts list
  leadclicks experts list --format csv --output experts.csv")]
    List {
        /// table, csv, json or ndjson
        ///
        /// By default that of the extension of --output, or table.
        #[arg(long, value_parser = Format::parser(Format::LIST), hide_possible_values = true)]
        format: Option<Format>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Remove an expert from the list; clicks on this expert stay
    #[command(after_help = "\
Examples:
  leadclicks experts remove jdoe")]
    Remove {
        /// The username, in any spelling
        username: String,
    },
}

pub(super) fn run(db: &DbLocation, command: &ExpertsCommand) -> Result<(), Failure> {
    match command {
        ExpertsCommand::Import { file } => import(db, file),
        ExpertsCommand::List { format, output } => list(db, *format, output),
        ExpertsCommand::Remove { username } => remove(db, username),
    }
}

fn import(db: &DbLocation, file: &Path) -> Result<(), Failure> {
    let db = Db::open_for_change(db)?;
    let parsed = import::open(file).and_then(parse).map_err(|error| {
        if let ImportError::NoneValid(skipped) = &error {
            print_skipped(skipped);
        }
        Failure::Import {
            path: file.to_owned(),
            error,
        }
    })?;
    let imported = db.import_experts(&parsed.experts)?;
    print_skipped(&parsed.skipped);
    output::say_done(&format!(
        "{} new, {} changed, {} unchanged, {} skipped",
        imported.new, imported.changed, imported.unchanged, parsed.skipped.count
    ));
    print_unknown_experts(&db)
}

fn remove(db: &DbLocation, username: &str) -> Result<(), Failure> {
    let db = Db::open_for_change(db)?;
    let removed = db.remove_expert(&canonical_username(username))?;
    if removed.is_empty() {
        let similar = similar_experts(&db, &[username.to_owned()])?;
        return Err(Failure::NoExpert {
            username: username.to_owned(),
            db: db.name(),
            hint: match similar {
                Some(similar) => format!("; similar: {similar}; give the whole username"),
                None => "; `leadclicks experts list` lists them".to_owned(),
            },
        });
    }
    for expert in removed {
        let name = [expert.first_name.trim(), expert.last_name.trim()].join(" ");
        let name = match name.trim() {
            "" => String::new(),
            name => format!(" ({name})"),
        };
        let done = format!(
            "removed {}{name}; clicks on this expert stay",
            expert.username
        );
        output::say_done(&visible(&done));
    }
    Ok(())
}

fn list(db: &DbLocation, format: Option<Format>, output: &OutputArgs) -> Result<(), Failure> {
    let format = output.format(format, Format::LIST)?;
    let db = &Db::open_for_report(db)?;
    let experts = db.experts()?;
    if experts.is_empty() {
        let sentence = format!(
            "no experts yet in {}; see `leadclicks experts import --help`",
            db.name()
        );
        print_error("leadclicks", &sentence);
    }
    let report = Report::Experts(experts);
    output::write(db, output.output.as_deref(), |out| {
        output.write(
            format,
            &report,
            &Asked::default(),
            &TimeZone::UTC,
            &ExpertNames::default(),
            out,
        )
    })
}
