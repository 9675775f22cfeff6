//! Flags that commands with a table, CSV or JSON share.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, builder::PossibleValue};
use jiff::tz::TimeZone;

use crate::{
    cli::{failure::Failure, output},
    render::{Ink, table::Screen},
    text::spreadsheet::Cells,
};

#[derive(Debug, Args)]
pub(super) struct OutputArgs<F: Formats> {
    /// How to print
    #[arg(long, value_enum, default_value_t = F::TABLE)]
    pub(super) format: F,
    /// Write to this file, which is there whole or not at all; - for standard output
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// With --format csv: leave cells that a spreadsheet would run as formulas as they are; without it they get
    /// a leading '
    #[arg(long)]
    pub(super) raw_csv: bool,
}

/// The formats that a command offers.
pub(super) trait Formats: ValueEnum + Copy + Eq + Send + Sync + 'static {
    /// The default.
    const TABLE: Self;
    /// The only one that has spreadsheets to guard against.
    const CSV: Self;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// For spreadsheets
    Csv,
    /// For programs
    Json,
    /// A JSON object a line
    Ndjson,
}

/// The formats of what is no list of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TableOrJson {
    /// For people
    Table,
    /// For programs
    Json,
}

impl Formats for Format {
    const TABLE: Self = Self::Table;
    const CSV: Self = Self::Csv;
}

/// What a report is printed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReportFormat {
    Html,
    Other(Format),
}

impl Formats for ReportFormat {
    const TABLE: Self = Self::Other(Format::Table);
    const CSV: Self = Self::Other(Format::Csv);
}

impl ValueEnum for ReportFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Other(Format::Table),
            Self::Html,
            Self::Other(Format::Csv),
            Self::Other(Format::Json),
            Self::Other(Format::Ndjson),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Html => Some(
                PossibleValue::new("html")
                    .help("For a browser: a page in one file, with a search and charts"),
            ),
            Self::Other(format) => format.to_possible_value(),
        }
    }
}

impl<F: Formats> OutputArgs<F> {
    pub(super) fn cells(&self) -> Cells {
        if self.raw_csv {
            Cells::Raw
        } else {
            Cells::Guarded
        }
    }

    /// For whom a table is made. One that goes to a file has no colours.
    pub(super) fn screen(&self, zone: &TimeZone) -> Screen {
        let screen = output::screen(zone.clone());
        match self.output.as_deref() {
            Some(path) if path != Path::new("-") => Screen {
                ink: Ink::Plain,
                ..screen
            },
            _ => screen,
        }
    }

    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.raw_csv && self.format != F::CSV {
            return Err(Failure::Usage(
                "--raw-csv goes with --format csv".to_owned(),
            ));
        }
        Ok(())
    }
}
