//! Flags that commands with a table, CSV or JSON share.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;

use crate::{
    cli::{failure::Failure, output},
    render::{Ink, csv::Guard, table::Screen},
};

#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(super) format: Format,
    /// Write to this file, which is there whole or not at all; - for standard output
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// With --format csv: leave cells that a spreadsheet would run as formulas as they are; without it they get
    /// a leading '
    #[arg(long)]
    pub(super) raw_csv: bool,
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

impl OutputArgs {
    pub(super) fn guard(&self) -> Guard {
        if self.raw_csv {
            Guard::Off
        } else {
            Guard::Quote
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
        if self.raw_csv && self.format != Format::Csv {
            return Err(Failure::Usage(
                "--raw-csv goes with --format csv".to_owned(),
            ));
        }
        Ok(())
    }
}
