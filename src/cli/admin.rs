//! `leadclicks`, the admin's tool.

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    num::NonZeroU64,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use jiff::Zoned;

use super::{
    DB_DEFAULT,
    failure::Failure,
    instant::{Instant, NotAnInstant},
    output, print_error,
};
use crate::{
    experts,
    import::{self, Unreadable},
    render::{counted, csv, csv::Guard, json, table},
    report::{self, ByExpert, Window},
    reset,
    store::{Checkpoint, Db},
    visible::visible,
};

/// How many leads a by-email table shows without `--limit`.
const TABLE_LEADS: NonZeroU64 = NonZeroU64::new(50).unwrap();
/// How many clicks a one-expert table shows without `--limit`.
const TABLE_CLICKS: NonZeroU64 = NonZeroU64::new(200).unwrap();
/// The word that confirms a reset.
const RESET_WORD: &str = "reset";

/// See which leads clicked which experts
///
/// Reads the database that leadclicksd stores clicks in, also while it runs.
#[derive(Debug, Parser)]
#[command(name = "leadclicks", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    /// The database file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "LEADCLICKS_DB",
        hide_env_values = true,
        default_value = DB_DEFAULT,
        display_order = 100
    )]
    db: PathBuf,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not confirmed";

#[derive(Debug, Subcommand)]
enum Command {
    /// Show who clicked whom
    Report(ReportArgs),
    /// List the experts, or import them
    #[command(subcommand)]
    Experts(ExpertsCommand),
    /// Delete all leads and clicks for good, to start afresh
    ///
    /// Deletes the rows of feedback, conversations, email_leads, newsletter_subscribers, user_events and
    /// lead_clicks, those of them that the database has, in one transaction. Experts, settings and all other
    /// tables stay. The daemon may go on running.
    Reset(ResetArgs),
}

#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("question").required(true).args(["by_email", "expert"])),
    after_help = "\
Examples:
  leadclicks report --by-email
  leadclicks report --by-email --since 7d --format csv --output week.csv
  leadclicks report --expert jdoe --limit 20

Times are local in a table, and in UTC in the other formats."
)]
struct ReportArgs {
    /// All clicks grouped by lead, the lead with the latest click first
    #[arg(long)]
    by_email: bool,
    /// The clicks on one expert, newest first
    #[arg(long, value_name = "USERNAME")]
    expert: Option<String>,
    /// Only clicks from this time on: 90m, 24h, 7d, 2w (ago), 2026-11-01, '2026-11-01 09:30' (local time) or
    /// 2026-11-01T09:30:00Z
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<Instant>,
    /// Only clicks before this time, given like --since
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<Instant>,
    /// At most this many leads, or clicks of one expert; a table stops at 50 leads or 200 clicks without it
    #[arg(long, value_name = "NUMBER", value_parser = parse_limit)]
    limit: Option<NonZeroU64>,
    #[command(flatten)]
    output: OutputArgs,
}

fn parse_limit(text: &str) -> Result<NonZeroU64, &'static str> {
    text.parse()
        .map_err(|_| "a limit is a whole number, at least 1")
}

#[derive(Debug, Args)]
struct OutputArgs {
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write to this file, which is there whole or not at all; - for standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// With --format csv: leave cells that a spreadsheet would run as formulas as they are; without it they get
    /// a leading '
    #[arg(long)]
    raw_csv: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
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
    fn guard(&self) -> Guard {
        if self.raw_csv {
            Guard::Off
        } else {
            Guard::Quote
        }
    }

    fn check(&self) -> Result<(), Failure> {
        if self.raw_csv && self.format != Format::Csv {
            return Err(Failure::Usage(
                "--raw-csv goes with --format csv".to_owned(),
            ));
        }
        Ok(())
    }
}

#[derive(Debug, Subcommand)]
enum ExpertsCommand {
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
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks reset --dry-run
  leadclicks reset --backup before-launch.db")]
struct ResetArgs {
    /// Do not ask; needed where there is no terminal
    #[arg(long)]
    yes: bool,
    /// Only show what would be deleted
    #[arg(long)]
    dry_run: bool,
    /// Copy the whole database to this new file first; nothing is deleted if that fails
    #[arg(long, value_name = "FILE")]
    backup: Option<PathBuf>,
}

/// Parses the command line and carries it out. Prints an error to standard error.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Report(args) => report(&cli.db, args, &Zoned::now()),
        Command::Experts(ExpertsCommand::Import { file }) => import_experts(&cli.db, file),
        Command::Experts(ExpertsCommand::List { output }) => list_experts(&cli.db, output),
        Command::Reset(args) => reset(&cli.db, args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print_error("leadclicks", &failure);
            failure.exit_code()
        }
    }
}

fn report(db: &Path, args: &ReportArgs, now: &Zoned) -> Result<(), Failure> {
    args.output.check()?;
    let window = window(args, now)?;
    let db = Db::open_for_report(db)?;
    match &args.expert {
        // Stored usernames are trimmed.
        Some(username) => report_by_expert(&db, username.trim(), window, args),
        None => report_by_email(&db, window, args),
    }
}

fn window(args: &ReportArgs, now: &Zoned) -> Result<Window, Failure> {
    let resolve = |flag: &str, instant: Option<Instant>| {
        instant
            .map(|instant| instant.resolve(now))
            .transpose()
            .map_err(|error: NotAnInstant| Failure::Usage(format!("{flag}: {error}")))
    };
    let window = Window {
        since: resolve("--since", args.since)?,
        until: resolve("--until", args.until)?,
    };
    match (window.since, window.until) {
        (Some(since), Some(until)) if since >= until => Err(Failure::Usage(
            "--since is not before --until, so no click can lie between them".to_owned(),
        )),
        _ => Ok(window),
    }
}

fn report_by_email(db: &Db, window: Window, args: &ReportArgs) -> Result<(), Failure> {
    let output = &args.output;
    let limit = limit(args, TABLE_LEADS);
    let grouped = report::by_email(db, window, limit)?;
    let is_empty = grouped.totals().clicks == 0;
    if is_empty {
        tell_empty(db, "no clicks", window, "");
    }
    output::write(db, output.output.as_deref(), |out| match output.format {
        Format::Table if is_empty => Ok(()),
        Format::Table => table::by_email(out, &grouped, &output::screen()),
        Format::Csv => csv::by_email(out, &grouped, output.guard()),
        Format::Json => json::by_email(out, &grouped),
        Format::Ndjson => json::by_email_lines(out, &grouped),
    })
}

fn report_by_expert(
    db: &Db,
    username: &str,
    window: Window,
    args: &ReportArgs,
) -> Result<(), Failure> {
    let output = &args.output;
    let mut clicks: ByExpert<'_> =
        report::by_expert(db, username, window, limit(args, TABLE_CLICKS))?;
    let is_empty = clicks.is_empty()?;
    if is_empty {
        let hint = if clicks.is_known() {
            ""
        } else {
            "; see `leadclicks experts list` for the experts that are known"
        };
        tell_empty(db, &format!("no clicks on '{username}'"), window, hint);
    }
    output::write(db, output.output.as_deref(), |out| match output.format {
        Format::Table if is_empty => Ok(()),
        Format::Table => table::by_expert(out, clicks, &output::screen()),
        Format::Csv => csv::by_expert(out, clicks, output.guard()),
        Format::Json => json::by_expert(out, clicks),
        Format::Ndjson => json::by_expert_lines(out, clicks),
    })
}

/// A table is read by a person, who should not have to stop it; programs get everything.
fn limit(args: &ReportArgs, table_default: NonZeroU64) -> Option<NonZeroU64> {
    match args.output.format {
        Format::Table => args.limit.or(Some(table_default)),
        _ => args.limit,
    }
}

fn tell_empty(db: &Db, nothing: &str, window: Window, hint: &str) {
    let when = if window == Window::default() {
        "yet"
    } else {
        "in that time"
    };
    let sentence = format!("{nothing} {when} in {}{hint}", db.path().display());
    print_error("leadclicks", &sentence);
}

fn import_experts(db: &Path, file: &Path) -> Result<(), Failure> {
    let db = Db::open_for_change(db)?;
    let failed = |error: Unreadable| Failure::Import {
        path: file.to_owned(),
        error,
    };
    let parsed = if file == Path::new("-") {
        import::parse(io::stdin().lock())
    } else {
        File::open(file)
            .map_err(Unreadable::Io)
            .and_then(import::parse)
    }
    .map_err(failed)?;
    let imported = import::import(&db, &parsed.experts)?;
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

fn list_experts(db: &Path, output: &OutputArgs) -> Result<(), Failure> {
    output.check()?;
    let db = &Db::open_for_report(db)?;
    let experts = experts::list(db)?;
    if experts.is_empty() {
        let sentence = format!(
            "no experts yet in {}; see `leadclicks experts import --help`",
            db.path().display()
        );
        print_error("leadclicks", &sentence);
    }
    output::write(db, output.output.as_deref(), |out| match output.format {
        Format::Table if experts.is_empty() => Ok(()),
        Format::Table => table::experts(out, &experts, &output::screen()),
        Format::Csv => csv::experts(out, &experts, output.guard()),
        Format::Json => json::experts(out, &experts),
        Format::Ndjson => json::expert_lines(out, &experts),
    })
}

fn reset(db: &Path, args: &ResetArgs) -> Result<(), Failure> {
    let db = Db::open_for_change(db)?;
    let found = reset::count(&db)?;
    let path = db.path().display().to_string();
    let shown = output::say(&format!("{}\n", visible(&path)))
        .and_then(|()| table::table_rows(io::stdout().lock(), &found, output::screen().width));
    if args.dry_run {
        let no_backup = if args.backup.is_some() {
            ", and no backup written"
        } else {
            ""
        };
        let printed =
            shown.and_then(|()| output::say(&format!("\ndry run: nothing was deleted{no_backup}")));
        return Ok(output::unless_reader_left(printed)?);
    }
    shown.map_err(Failure::NotShown)?;
    if !args.yes {
        confirm()?;
    }
    let wiped = reset::wipe(&db, args.backup.as_deref())?;
    if let Some(backup) = &args.backup {
        let backup = backup.display().to_string();
        output::say_done(&format!("\nbackup written to {}", visible(&backup)));
    }
    let path = db.path().to_owned();
    match db.empty_wal() {
        Ok(Checkpoint::Finished) => {}
        Ok(Checkpoint::Busy) => return Err(Failure::WalBusy { path }),
        Err(error) => return Err(Failure::WalNotEmptied { path, error }),
    }
    let rows: u64 = wiped.iter().map(|table| table.rows).sum();
    output::say_done(&format!("\ndeleted {} for good", counted(rows, "row")));
    Ok(())
}

fn confirm() -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::NotConfirmed(
            "there is no terminal to ask on, so nothing was deleted; add --yes to reset without asking"
                .to_owned(),
        ));
    }
    let mut stderr = io::stderr().lock();
    write!(
        stderr,
        "\nType {RESET_WORD} to delete these rows for good: "
    )?;
    stderr.flush()?;
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    if !answer.ends_with('\n') {
        // Nobody pressed Enter, so what comes next would stand behind the question.
        writeln!(stderr)?;
    }
    if read.is_err() || answer.trim() != RESET_WORD {
        return Err(Failure::NotConfirmed(
            "not confirmed, so nothing was deleted".to_owned(),
        ));
    }
    Ok(())
}
