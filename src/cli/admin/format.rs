//! The output formats, and the flags of the commands that offer several.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::{
    Args, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use jiff::tz::TimeZone;

use crate::{
    cli::{failure::Failure, output},
    render::{
        Asked, ColorMode, Format as _, Report,
        csv::Csv,
        json::Json,
        ndjson::Ndjson,
        table::{Screen, Table},
    },
    text::spreadsheet::Cells,
};

/// All formats. Each command lists those that it offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// For a browser: a page in one file, with a search box and a chart
    Html,
    /// For spreadsheets
    Csv,
    /// For programs
    Json,
    /// One JSON object per line
    Ndjson,
    /// For monitoring: metrics for the textfile collector of Prometheus's node_exporter
    Prometheus,
}

impl Format {
    /// The formats of reports about clicks.
    pub(super) const REPORT: &'static [Self] =
        &[Self::Table, Self::Html, Self::Csv, Self::Json, Self::Ndjson];
    /// The formats of other lists.
    pub(super) const LIST: &'static [Self] = &[Self::Table, Self::Csv, Self::Json, Self::Ndjson];
    /// The formats of what is not a list of rows.
    pub(super) const TABLE_OR_JSON: &'static [Self] = &[Self::Table, Self::Json];

    /// The formats of the health check.
    pub(super) const CHECK: &'static [Self] = &[Self::Table, Self::Json, Self::Prometheus];

    /// Accepts the names of `formats`.
    pub(super) fn parser(formats: &'static [Self]) -> impl TypedValueParser<Value = Self> {
        let names = formats.iter().filter_map(ValueEnum::to_possible_value);
        PossibleValuesParser::new(names).try_map(|name| Self::from_str(&name, false))
    }
}

#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// Write to this file, which appears complete or not at all; - for standard output
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// With --format csv: no leading ' in cells that a spreadsheet would run as formulas
    #[arg(long)]
    raw_csv: bool,
}

impl OutputArgs {
    pub(super) fn check(&self, format: Format) -> Result<(), Failure> {
        if self.raw_csv && format != Format::Csv {
            return Err(Failure::Usage(
                "--raw-csv is only for --format csv".to_owned(),
            ));
        }
        Ok(())
    }

    /// Writes `report`, which was `asked` for, in `format`. Not for [`Format::Html`], which needs more than the report (see
    /// [`crate::render::html::Html`]), nor for [`Format::Prometheus`], which has metrics only.
    ///
    /// # Errors
    /// When `out` can't be written to.
    pub(super) fn write(
        &self,
        format: Format,
        report: &Report,
        asked: &Asked,
        zone: &TimeZone,
        out: &mut impl Write,
    ) -> io::Result<()> {
        match format {
            Format::Table => self.table(zone).write(report, asked, out),
            Format::Html | Format::Prometheus => Err(io::ErrorKind::Unsupported.into()),
            Format::Csv => self.csv().write(report, asked, out),
            Format::Json => Json.write(report, asked, out),
            Format::Ndjson => Ndjson.write(report, asked, out),
        }
    }

    fn csv(&self) -> Csv {
        let cells = if self.raw_csv {
            Cells::Raw
        } else {
            Cells::Guarded
        };
        Csv { cells }
    }

    /// A table in a file has no colours.
    fn table(&self, zone: &TimeZone) -> Table {
        let screen = output::screen(zone.clone());
        let screen = match self.output.as_deref() {
            Some(path) if path != Path::new("-") => Screen {
                colors: ColorMode::Plain,
                ..screen
            },
            _ => screen,
        };
        Table { screen }
    }
}
