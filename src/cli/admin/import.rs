//! `leadclicks import`

use std::path::PathBuf;

use clap::Args;
use jiff::tz::TimeZone;

use crate::{
    cli::{
        failure::Failure,
        output, print_error,
        progress::{IMPORTING, READING, READING_CLICKS, timed, with_bar},
        zone::parse_time_zone,
    },
    import::{
        self, BadLines, ImportError, ImportStopped, ImportedClicks,
        clicks::{self, Format, OnBadLine, Options, ParsedClicks},
    },
    render::counted,
    storage::{Db, DbLocation},
    text::spreadsheet::Cells,
    timestamp::Timestamp,
};

/// Import clicks from a report's CSV or NDJSON, or from another database
///
/// Imports nothing if a line is invalid; invalid lines are listed. The import is idempotent: clicks with the same id, and
/// duplicates of clicks without one (compared as a multiset), are skipped. It stores the clicks in many short transactions, so
/// that the daemon can keep storing clicks. If it is interrupted, run it again: it continues.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks import --dry-run clicks.csv
  leadclicks import --skip-bad --tz Europe/Berlin clicks.csv
  leadclicks import other.db
  leadclicks report --by-email --format ndjson --db old.db | leadclicks import -")]
pub(super) struct ImportArgs {
    /// The file, in UTF-8 or UTF-16, or the database; - for standard input
    file: PathBuf,
    /// The format of the file; by default ndjson if it begins with {, and csv otherwise
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The CSV was written with --raw-csv: a ' before a formula is part of the cell
    #[arg(long)]
    raw_csv: bool,
    /// The time zone of times without an offset, for example Europe/Berlin or UTC
    #[arg(long, value_name = "ZONE", value_parser = parse_time_zone)]
    tz: Option<TimeZone>,
    /// Skip invalid lines, and import the others
    #[arg(long)]
    skip_bad: bool,
    /// Only show what would be imported
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(db: &DbLocation, args: &ImportArgs) -> Result<(), Failure> {
    if args.raw_csv && args.format == Some(Format::Ndjson) {
        return Err(Failure::Usage(
            "--raw-csv is only for --format csv".to_owned(),
        ));
    }
    let db = if args.dry_run {
        Db::open_for_report(db)?
    } else {
        Db::open_for_import(db)?
    };
    let clicks = args.read(&db)?;
    print_skipped(&clicks.skipped);
    if args.dry_run {
        let counts = counts(import::compare(&db, &clicks)?, &clicks);
        let printed = output::say(&format!("{counts}\n\ndry run: nothing was imported"));
        return Ok(output::ignore_closed_pipe(printed)?);
    }
    let lock = db.lock_imports(|| {
        print_error(
            "leadclicks",
            &"another import is running; waiting until it has finished",
        );
    })?;
    let imported = with_bar(IMPORTING, |progress| {
        import::import(&db, &lock, &clicks, progress)
    })
    .map_err(|ImportStopped { new, error }| Failure::ImportStopped { new, error })?;
    output::say_done(&counts(imported, &clicks));
    if imported.new == 0 {
        return Ok(());
    }
    print_unknown_experts(&db)
}

fn counts(ImportedClicks { new, duplicates }: ImportedClicks, clicks: &ParsedClicks) -> String {
    let skipped = match clicks.skipped.count {
        0 => String::new(),
        count => format!(", {count} skipped"),
    };
    format!("{new} new, {duplicates} already stored{skipped}")
}

impl ImportArgs {
    fn read(&self, db: &Db) -> Result<ParsedClicks, Failure> {
        let failed = |error| {
            if let ImportError::Lines(bad) | ImportError::NoneValid(bad) = &error {
                for bad in &bad.named {
                    print_error("leadclicks", &format!("line {}: {}", bad.line, bad.reason));
                }
            }
            Failure::Import {
                path: self.file.clone(),
                error,
            }
        };
        let on_bad_line = if self.skip_bad {
            OnBadLine::Skip
        } else {
            OnBadLine::Fail
        };
        let now = || Timestamp::new(jiff::Timestamp::now());
        if import::is_database(&self.file) {
            let other = self.open_other(db)?;
            let read = with_bar(READING, |progress| {
                clicks::read_database(&other, on_bad_line, now, progress)
            })?;
            return read.map_err(failed);
        }
        let options = Options {
            format: self.format,
            cells: if self.raw_csv {
                Cells::Raw
            } else {
                Cells::Guarded
            },
            zone: self.tz.clone(),
            on_bad_line,
        };
        with_bar(READING, |progress| {
            let input = import::open(&self.file)?;
            clicks::parse(input, &options, now, progress)
        })
        .map_err(failed)
    }

    /// Opens the database from which clicks are imported.
    fn open_other(&self, db: &Db) -> Result<Db, Failure> {
        let name = self.file.display();
        for (flag, is_given) in [
            ("--format", self.format.is_some()),
            ("--raw-csv", self.raw_csv),
            ("--tz", self.tz.is_some()),
        ] {
            if is_given {
                let error = format!("{flag} is for files of text, and {name} is a database");
                return Err(Failure::Usage(error));
            }
        }
        if db.owns(&self.file) {
            let error = format!("{name} is the database of --db itself; give another one");
            return Err(Failure::Usage(error));
        }
        Ok(Db::open_for_report(&DbLocation::file(&self.file))?)
    }
}

/// Prints the first of the lines that were skipped, and how many more there are.
pub(super) fn print_skipped(skipped: &BadLines) {
    for bad in &skipped.named {
        let line = format!("line {} skipped: {}", bad.line, bad.reason);
        print_error("leadclicks", &line);
    }
    if skipped.not_named() > 0 {
        let more = counted(skipped.not_named(), "more line");
        print_error("leadclicks", &format!("{more} skipped"));
    }
}

/// Names clicked usernames that are not among the experts.
pub(super) fn print_unknown_experts(db: &Db) -> Result<(), Failure> {
    let unknown = timed(READING_CLICKS, || import::unknown_experts(db))?;
    if unknown.count == 0 {
        return Ok(());
    }
    let more = match unknown.count - unknown.named.len() as u64 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = unknown.named.join(", ");
    let (usernames, are) = match unknown.count {
        1 => ("username", "is"),
        _ => ("usernames", "are"),
    };
    let sentence = format!(
        "{} clicked {usernames} {are} not among the experts: {named}{more}",
        unknown.count
    );
    print_error("leadclicks", &sentence);
    Ok(())
}
