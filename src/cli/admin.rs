//! `leadclicks`, the command line of the admin.

mod backup;
mod check;
mod completions;
mod confirm;
mod experts;
mod filter;
mod forget;
mod format;
mod import;
mod man;
mod purge;
mod report;
mod reset;
mod restore;
mod schema;
mod summary;
mod tips;
mod watch;

use std::{env, path::PathBuf, process::ExitCode};

use clap::{
    Arg, Parser, Subcommand, ValueHint,
    builder::{OsStringValueParser, TypedValueParser},
    value_parser,
};
use jiff::Zoned;

use super::{
    DB_DEFAULT, VERSION, db_path, empty_variable, failure::Failure, pager, print_error, signals,
};
use crate::{interrupt, storage::DbLocation};

const DB_VARIABLE: &str = "LEADCLICKS_DB";

/// See which leads clicked which experts
///
/// Reads the database in which leadclicksd stores clicks, also while the daemon runs.
#[derive(Debug, Parser)]
#[command(name = "leadclicks", version = VERSION.as_str(), after_help = AFTER_HELP, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Database file, or postgres://USER@HOST/NAME
    #[arg(
        long,
        global = true,
        value_name = "FILE|URL",
        env = DB_VARIABLE,
        hide_env_values = true,
        value_parser = OsStringValueParser::new().map(PathBuf::from),
        value_hint = ValueHint::FilePath,
        default_value = DB_DEFAULT,
        display_order = 100
    )]
    db: PathBuf,
    /// Print to a terminal without a pager
    #[arg(long, global = true, hide_short_help = true, display_order = 101)]
    no_pager: bool,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  leadclicks summary
  leadclicks report --by-email --since 7d
  leadclicks report --by-expert --db /var/lib/leadclicks/leadclicks.db
  leadclicks report --help

Exit codes:
  0      done
  1      failed, or check found a problem
  2      wrong usage
  3      not confirmed, so nothing was changed
  4      check found warnings only
  128+n  ended by signal n: 130 by Ctrl-C, 143 by SIGTERM";

#[derive(Debug, Subcommand)]
enum Command {
    Report(Box<report::ReportArgs>),
    Summary(summary::SummaryArgs),
    Watch(watch::WatchArgs),
    #[command(subcommand)]
    Experts(experts::ExpertsCommand),
    Check(check::CheckArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Import(import::ImportArgs),
    Forget(forget::ForgetArgs),
    Purge(purge::PurgeArgs),
    Reset(reset::ResetArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    Schema(schema::SchemaArgs),
}

/// Hides the global `--db` in the help of commands that read no database.
fn hidden_db() -> Arg {
    Arg::new("db")
        .long("db")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .hide(true)
}

/// Parses the command line and runs the command. Prints an error to standard error.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::try_parse_from(tips::with_help(env::args_os()))
        .unwrap_or_else(|error| tips::improve(error).exit());
    if cli.no_pager {
        pager::turn_off();
    }
    signals::handle();
    let code = match cli.run(&Zoned::now()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print_error("leadclicks", &failure);
            failure.exit_code()
        }
    };
    interrupt::finish();
    code
}

impl Cli {
    fn run(&self, now: &Zoned) -> Result<(), Failure> {
        let db = || self.location();
        match &self.command {
            Command::Report(args) => report::run(&db()?, args, now),
            Command::Summary(args) => summary::run(&db()?, args, now),
            Command::Watch(args) => watch::run(&db()?, args, now),
            Command::Experts(command) => experts::run(&db()?, command),
            Command::Check(args) => check::run(&db()?, args, now),
            Command::Backup(args) => backup::run(&db()?, args),
            Command::Restore(args) => restore::run(&db()?, args, now),
            Command::Import(args) => import::run(&db()?, args),
            Command::Forget(args) => forget::run(&db()?, args),
            Command::Purge(args) => purge::run(&db()?, args, now),
            Command::Reset(args) => reset::run(&db()?, args),
            Command::Completions(args) => completions::run(&self.db, args),
            Command::Man(args) => man::run(args),
            Command::Schema(args) => schema::run(args),
        }
    }

    /// clap's own check would also reject an empty variable if `--db` is given after the command, or if the command reads
    /// no database.
    fn location(&self) -> Result<DbLocation, Failure> {
        if !self.db.as_os_str().is_empty() {
            return db_path::location(&self.db).map_err(Failure::Usage);
        }
        let is_variable = env::var_os(DB_VARIABLE).is_some_and(|value| value.is_empty());
        Err(Failure::Usage(if is_variable {
            empty_variable(DB_VARIABLE)
        } else {
            "--db is empty; give it the path of a database".to_owned()
        }))
    }
}
