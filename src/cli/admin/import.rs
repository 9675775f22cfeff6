//! `leadclicks import`

use std::path::PathBuf;

use clap::Args;

use crate::{
    cli::{
        failure::Failure,
        output, print_error,
        progress::{IMPORTING, READING, with_bar},
    },
    import::{
        self, ImportError, ImportStopped, ImportedClicks,
        clicks::{self, Format, ParsedClicks},
    },
    storage::{Db, DbLocation},
    text::spreadsheet::Cells,
    timestamp::Timestamp,
};

/// Import clicks from a report's CSV or NDJSON
///
/// Imports nothing if a line is invalid; invalid lines are listed. The import is idempotent: duplicates (compared as a
/// multiset) are skipped. It stores the clicks in many short transactions, so that the daemon can keep storing clicks. If it
/// is interrupted, run it again: it continues.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks import --dry-run clicks.csv
  leadclicks report --by-email --format ndjson --db old.db | leadclicks import -")]
pub(super) struct ImportArgs {
    /// The file, in UTF-8; - for standard input
    file: PathBuf,
    /// The format of the file; by default ndjson if it begins with {, and csv otherwise
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The CSV was written with --raw-csv: a leading ' is part of the cell
    #[arg(long)]
    raw_csv: bool,
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
    let clicks = read(args)?;
    if args.dry_run {
        let counts = counts(import::compare(&db, &clicks)?);
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
    output::say_done(&counts(imported));
    Ok(())
}

fn counts(ImportedClicks { new, duplicates }: ImportedClicks) -> String {
    format!("{new} new, {duplicates} already stored")
}

fn read(args: &ImportArgs) -> Result<ParsedClicks, Failure> {
    let cells = if args.raw_csv {
        Cells::Raw
    } else {
        Cells::Guarded
    };
    let now = || Timestamp::new(jiff::Timestamp::now());
    with_bar(READING, |progress| {
        let input = import::open(&args.file)?;
        clicks::parse(input, args.format, cells, now, progress)
    })
    .map_err(|error| {
        if let ImportError::Lines(bad) = &error {
            for bad in &bad.named {
                print_error("leadclicks", &format!("line {}: {}", bad.line, bad.reason));
            }
        }
        Failure::Import {
            path: args.file.clone(),
            error,
        }
    })
}
