//! The output formats, and the flags of the commands that offer several.

use std::{
    ffi::OsStr,
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
    expert::ExpertNames,
    render::{
        Asked, ColorMode, Format as _, Report,
        csv::{Csv, Reader},
        html::{Form, Look},
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
    /// The formats of the summary.
    pub(super) const SUMMARY: &'static [Self] = &[Self::Table, Self::Html, Self::Json];

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
    /// Write to this file, whose extension is the format
    ///
    /// The file appears complete or not at all. - is standard output.
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// For excel: a CSV that spreadsheets read
    ///
    /// With local times. It begins with a byte order mark, by which they recognise UTF-8. The only program is excel. Excel in
    /// German, and wherever a comma is the decimal sign, also needs --separator ';'.
    #[arg(
        long = "for",
        value_name = "PROGRAM",
        value_enum,
        hide_possible_values = true
    )]
    audience: Option<Audience>,
    /// CSV for programs, without a ' before formulas
    ///
    /// By default, a CSV has a ' before whatever a spreadsheet would run as a formula.
    #[arg(long, hide_short_help = true)]
    raw_csv: bool,
    /// With --format csv: what separates cells: , or ; or tab
    ///
    /// By default a comma. `import` and `experts import` recognise all three.
    #[arg(long, value_name = "SEPARATOR", value_parser = parse_separator)]
    separator: Option<u8>,
}

/// Not possible values of clap, because zsh would run the ; of completions.
fn parse_separator(text: &str) -> Result<u8, &'static str> {
    match text {
        "," => Ok(b','),
        ";" => Ok(b';'),
        "tab" | "\t" => Ok(b'\t'),
        _ => Err("a separator is ',', ';' or tab"),
    }
}

#[derive(Debug, Args)]
pub(super) struct PageArgs {
    /// With --format html: the title, instead of that of the report
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// With --format html: for the body of a mail
    ///
    /// Without script and style sheet, and at most 100 KB.
    #[arg(long)]
    mail: bool,
}

impl PageArgs {
    pub(super) fn look(&self, format: Format) -> Result<Look, Failure> {
        let flag = match self {
            Self { mail: true, .. } => Some("--mail"),
            Self { title: Some(_), .. } => Some("--title"),
            _ => None,
        };
        if let Some(flag) = flag.filter(|_| format != Format::Html) {
            return Err(Failure::Usage(format!("{flag} is only for --format html")));
        }
        Ok(Look {
            form: if self.mail { Form::Mail } else { Form::Page },
            title: self.title.clone(),
        })
    }
}

/// Who a CSV is for, if not programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Audience {
    Excel,
}

impl OutputArgs {
    /// The format: the one that was `given`, or else that of `--for`, or that of the extension of `--output`, or a table.
    ///
    /// # Errors
    /// If an option is for another format, or if the extension names no format of `offered`.
    pub(super) fn format(
        &self,
        given: Option<Format>,
        offered: &[Format],
    ) -> Result<Format, Failure> {
        let by_extension = || self.extension().map(|name| by_extension(name, offered));
        let format = match (given, self.audience) {
            (Some(given), _) => given,
            (None, Some(Audience::Excel)) => by_extension().unwrap_or(Ok(Format::Csv))?,
            (None, None) => by_extension().unwrap_or(Ok(Format::Table))?,
        };
        for (flag, is_given) in [
            ("--raw-csv", self.raw_csv),
            ("--for excel", self.audience.is_some()),
            ("--separator", self.separator.is_some()),
        ] {
            if is_given && format != Format::Csv {
                return Err(Failure::Usage(format!("{flag} is only for --format csv")));
            }
        }
        Ok(format)
    }

    /// The extension of the file; none for standard output.
    fn extension(&self) -> Option<&OsStr> {
        self.output.as_ref()?.extension()
    }

    /// Writes `report`, which was `asked` for, in `format`, for a reader in `zone`; `names` are those of all experts. Not for
    /// [`Format::Html`], which needs more than the report (see [`crate::render::html::Html`]), nor for [`Format::Prometheus`],
    /// which has metrics only.
    ///
    /// # Errors
    /// When `out` can't be written to.
    pub(super) fn write(
        &self,
        format: Format,
        report: &Report,
        asked: &Asked,
        zone: &TimeZone,
        names: &ExpertNames,
        out: &mut impl Write,
    ) -> io::Result<()> {
        match format {
            Format::Table => self.table(zone, names).write(report, asked, out),
            Format::Html | Format::Prometheus => Err(io::ErrorKind::Unsupported.into()),
            Format::Csv => self.csv(zone).write(report, asked, out),
            Format::Json => Json.write(report, asked, out),
            Format::Ndjson => Ndjson.write(report, asked, out),
        }
    }

    fn csv(&self, zone: &TimeZone) -> Csv {
        let cells = if self.raw_csv {
            Cells::Raw
        } else {
            Cells::Guarded
        };
        let reader = match self.audience {
            Some(Audience::Excel) => Reader::Excel(zone.clone()),
            None => Reader::Program,
        };
        Csv {
            cells,
            reader,
            separator: self.separator.unwrap_or(b','),
        }
    }

    /// A table in a file has no colours.
    fn table(&self, zone: &TimeZone, names: &ExpertNames) -> Table {
        let screen = output::screen(zone.clone()).for_experts(names);
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

/// The format of files with an `extension`.
///
/// # Errors
/// If it is none of those that are `offered`.
pub(super) fn by_extension(extension: &OsStr, offered: &[Format]) -> Result<Format, Failure> {
    let name = extension.to_string_lossy().to_lowercase();
    let format = match &*name {
        // The error that the file belongs to the database comes later.
        "txt" | "db" | "db-wal" | "db-shm" => Some(Format::Table),
        "html" | "htm" => Some(Format::Html),
        "csv" => Some(Format::Csv),
        "json" => Some(Format::Json),
        "ndjson" | "jsonl" => Some(Format::Ndjson),
        _ => None,
    };
    if let Some(format) = format.filter(|format| offered.contains(format)) {
        return Ok(format);
    }
    let next = match &*name {
        "xlsx" | "xls" | "ods" if offered.contains(&Format::Csv) => {
            "name it .csv and add --for excel"
        }
        "pdf" => "name it .html and print it from a browser",
        _ if offered.contains(&Format::Csv) => "give --format, or name it .txt, .csv or .json",
        _ => "give --format, or name it .txt, .html or .json",
    };
    Err(Failure::Usage(format!(
        "--output: no format has the extension .{name}; {next}"
    )))
}
