//! `leadclicks import`

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};

use crate::{
    cli::{failure::Failure, output, print_error, progress::Bar},
    import::{
        self, ImportedClicks, Unreadable,
        clicks::{self, Clicks},
    },
    storage::Db,
    text::spreadsheet::Cells,
    timestamp::Timestamp,
};

/// Import clicks from a report's CSV or NDJSON
///
/// All are imported or none: a line that is no click is named. Clicks that are there already are not imported again, so
/// a file can be imported twice. The daemon may go on running.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks import --dry-run clicks.csv
  leadclicks report --by-email --format ndjson --db old.db | leadclicks import -")]
pub(super) struct ImportArgs {
    /// The file, in UTF-8; - for standard input
    file: PathBuf,
    /// How the file is written; without it that is ndjson if a { comes first, and csv otherwise
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The CSV was written with --raw-csv, so a leading ' is part of its cell
    #[arg(long)]
    raw_csv: bool,
    /// Only tell what would be imported
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A row a click, below a header
    Csv,
    /// A JSON object a line
    Ndjson,
}

pub(super) fn run(db: &Path, args: &ImportArgs) -> Result<(), Failure> {
    if args.raw_csv && args.format == Some(Format::Ndjson) {
        return Err(Failure::Usage(
            "--raw-csv goes with --format csv".to_owned(),
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
        return Ok(output::unless_reader_left(printed)?);
    }
    let mut bar = Bar::importing();
    let imported = import::import(&db, &clicks, &mut |progress| bar.show(progress))?;
    drop(bar);
    output::say_done(&counts(imported));
    Ok(())
}

fn counts(ImportedClicks { new, duplicates }: ImportedClicks) -> String {
    format!("{new} new, {duplicates} there already")
}

fn read(args: &ImportArgs) -> Result<Clicks, Failure> {
    let input: Result<Box<dyn Read>, io::Error> = if args.file == Path::new("-") {
        Ok(Box::new(io::stdin().lock()))
    } else {
        File::open(&args.file).map(|file| Box::new(file) as Box<dyn Read>)
    };
    let format = args.format.map(|format| match format {
        Format::Csv => clicks::Format::Csv,
        Format::Ndjson => clicks::Format::Ndjson,
    });
    let cells = if args.raw_csv {
        Cells::Raw
    } else {
        Cells::Guarded
    };
    let mut bar = Bar::reading();
    let read = input.map_err(Unreadable::Io).and_then(|input| {
        let now = || Timestamp::new(jiff::Timestamp::now());
        clicks::parse(input, format, cells, now, &mut |progress| {
            bar.show(progress);
        })
    });
    drop(bar);
    read.map_err(|error| {
        if let Unreadable::Lines(bad) = &error {
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
