//! `leadclicks man`

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Command, CommandFactory};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use crate::{
    cli::{
        admin::{self, hidden_db},
        daemon,
        failure::{self, Failure},
        output,
    },
    interrupt::TemporaryFile,
    text::visible,
};

/// Everybody may read a manual.
const PAGE_MODE: u32 = 0o666;

/// What stands in front of examples in `--help`.
const EXAMPLES: &str = "Examples:";

/// Write the manual pages of both programs
///
/// A page for each command, leadclicks.1 and leadclicksd.8, from what --help says.
#[derive(Debug, Args)]
#[command(
    arg = hidden_db(),
    after_help = "\
Examples:
  leadclicks man pages && man -l pages/leadclicks-report.1
  leadclicks man pages && install -D -m 644 -t ~/.local/share/man/man1 pages/*.1"
)]
pub(super) struct ManArgs {
    /// The directory; made where there is none, and pages that are there are replaced
    directory: PathBuf,
}

pub(super) fn run(args: &ManArgs) -> Result<(), Failure> {
    let failed = |path: &Path, error: io::Error| Failure::Pages {
        path: path.to_owned(),
        error,
    };
    let directory = &args.directory;
    fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    let pages = pages();
    for page in &pages {
        let path = directory.join(&page.file);
        write(directory, &path, &page.roff).map_err(|error| failed(&path, error))?;
    }
    output::say_done(&format!(
        "{} pages written to {}",
        pages.len(),
        visible(&directory.display().to_string())
    ));
    Ok(())
}

fn write(directory: &Path, path: &Path, roff: &[u8]) -> io::Result<()> {
    let file = TemporaryFile::new(directory, PAGE_MODE)?;
    file.as_file().write_all(roff)?;
    file.persist(path)
}

/// A manual page.
struct Page {
    /// Its name, such as `leadclicks-report.1`.
    file: String,
    roff: Vec<u8>,
}

/// What the pages of a program say besides what clap knows of it.
struct Manual {
    section: &'static str,
    title: &'static str,
    exit_statuses: &'static [(&'static str, &'static str)],
    /// Variables that are no flag's.
    variables: &'static [(&'static str, &'static str)],
    files: &'static [(&'static str, &'static str)],
    see_also: &'static [&'static str],
}

const ADMIN: Manual = Manual {
    section: "1",
    title: "User Commands",
    exit_statuses: &failure::EXIT_STATUSES,
    variables: &[
        (
            "TZ",
            "The time zone of local times and days, unless --tz is given; the system's without it.",
        ),
        (
            "COLUMNS",
            "The width of a table that goes to no terminal; 80 without it.",
        ),
        (
            "NO_COLOR, CLICOLOR, CLICOLOR_FORCE",
            "Tables have colours on a terminal unless NO_COLOR is set or CLICOLOR is 0, and anywhere if CLICOLOR_FORCE is \
             set and not 0.",
        ),
    ],
    files: &[
        (
            "leadclicks.db",
            "The database, in the working directory, unless --db or LEADCLICKS_DB names another.",
        ),
        (
            "leadclicks.db-wal, leadclicks.db-shm",
            "What belongs to the database and stands beside it. Deleting them loses clicks.",
        ),
        (
            "/var/lib/leadclicks/leadclicks.db",
            "The database where the daemon runs under systemd. Members of the group leadclicks may read it.",
        ),
    ],
    see_also: &["leadclicksd(8)", "sqlite3(1)"],
};

const DAEMON: Manual = Manual {
    section: "8",
    title: "System Administration",
    exit_statuses: &daemon::EXIT_STATUSES,
    variables: &[(
        "NOTIFY_SOCKET, WATCHDOG_USEC, LISTEN_FDS, LISTEN_PID",
        "Set by systemd: whom to tell of readiness and of life, and the socket that is served instead of --listen.",
    )],
    files: &[
        (
            "leadclicks.db",
            "The database, in the working directory, unless --db or LEADCLICKS_DB names another. Made where there is \
             none, with mode 0640.",
        ),
        (
            "leadclicks.db-wal, leadclicks.db-shm",
            "What belongs to the database and stands beside it, also while the daemon does not run. Deleting them loses \
             clicks.",
        ),
        (
            "leadclicks.db-wal.left",
            "Kept where another program wrote without the -wal file: clicks that only it has.",
        ),
        (
            "/var/lib/leadclicks/leadclicks.db",
            "The database where the daemon runs under systemd, by leadclicksd.service.",
        ),
        (
            "/etc/default/leadclicksd",
            "The variables above for leadclicksd.service, each in a line as in LEADCLICKS_TRUSTED_PROXY=127.0.0.1.",
        ),
    ],
    see_also: &["leadclicks(1)", "systemd.socket(5)"],
};

/// All pages of both programs.
fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    for (mut command, manual) in [
        (admin::Cli::command(), ADMIN),
        (daemon::Cli::command(), DAEMON),
    ] {
        command.build();
        add_pages(&mut pages, &command, None, &manual);
    }
    pages
}

/// Adds the page of `command`, which is one of `group`'s, and those of its own commands.
fn add_pages(pages: &mut Vec<Page>, command: &Command, group: Option<&Command>, manual: &Manual) {
    pages.push(page(command, group, manual));
    for subcommand in command.get_subcommands() {
        add_pages(pages, subcommand, Some(command), manual);
    }
}

/// A command's name as its page has it, such as `leadclicks-experts-list`.
fn name(command: &Command) -> &str {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
}

fn page(command: &Command, group: Option<&Command>, manual: &Manual) -> Page {
    let name = name(command).to_owned();
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .section(manual.section)
        // None, so that the same program always writes the same pages; left out, the next argument would be it.
        .date("\"\"")
        .source(concat!("leadclicks ", env!("CARGO_PKG_VERSION")))
        .manual(manual.title);
    let mut roff = Vec::new();
    // A Vec takes all that is written.
    let _ = rendered(&man, command, &mut roff);
    let mut own = Roff::new();
    add_notes(&mut own, command, manual);
    add_list(
        &mut own,
        "EXIT STATUS",
        manual.exit_statuses.iter().copied(),
    );
    add_variables(&mut own, command, group, manual);
    if group.is_none() {
        add_list(&mut own, "FILES", manual.files.iter().copied());
    }
    add_see_also(&mut own, command, group, manual);
    roff.extend(own.render().into_bytes());
    Page {
        file: format!("{name}.{}", manual.section),
        roff,
    }
}

/// What clap knows, but for what stands below its help: that has sections of its own.
fn rendered(man: &Man, command: &Command, out: &mut Vec<u8>) -> io::Result<()> {
    man.render_title(out)?;
    man.render_name_section(out)?;
    // As --help has it: clap_mangen's names each flag.
    let usage = command.clone().render_usage().to_string();
    let mut synopsis = Roff::new();
    synopsis.control("SH", ["SYNOPSIS"]);
    synopsis.text([roman(usage.trim_start_matches("Usage: "))]);
    synopsis.to_writer(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    if command.has_subcommands() {
        man.render_subcommands_section(out)?;
    }
    Ok(())
}

/// The paragraphs below the help: examples line by line, and notes.
fn add_notes(roff: &mut Roff, command: &Command, manual: &Manual) {
    let below = command.get_after_help().map(ToString::to_string);
    let below = below.unwrap_or_default();
    let (examples, notes): (Vec<&str>, Vec<&str>) = below
        .split("\n\n")
        // The exit codes, which have a section in every page.
        .filter(|paragraph| *paragraph != failure::exit_codes(manual.exit_statuses))
        .partition(|paragraph| paragraph.starts_with(EXAMPLES));
    for paragraph in examples {
        roff.control("SH", ["EXAMPLES"]);
        roff.control("nf", []);
        for line in paragraph.lines().skip(1) {
            roff.text([roman(line.trim_start())]);
        }
        roff.control("fi", []);
    }
    let notes: Vec<&str> = notes.into_iter().filter(|note| !note.is_empty()).collect();
    if !notes.is_empty() {
        roff.control("SH", ["NOTES"]);
    }
    for note in notes {
        roff.control("PP", []);
        roff.text([roman(note)]);
    }
}

/// The variables of the command's flags, and on a program's page all others.
fn add_variables(roff: &mut Roff, command: &Command, group: Option<&Command>, manual: &Manual) {
    let mut variables: Vec<(String, String)> = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set())
        .filter_map(|arg| {
            let variable = arg.get_env()?.to_string_lossy().into_owned();
            Some((
                variable,
                format!("As --{}; empty it is an error.", arg.get_long()?),
            ))
        })
        .collect();
    if group.is_none() {
        let others = manual.variables.iter();
        variables.extend(others.map(|(name, text)| ((*name).to_owned(), (*text).to_owned())));
    }
    if !variables.is_empty() {
        let variables = variables.iter().map(|(name, text)| (&**name, &**text));
        add_list(roff, "ENVIRONMENT", variables);
    }
}

fn add_list<'a>(roff: &mut Roff, title: &str, items: impl Iterator<Item = (&'a str, &'a str)>) {
    roff.control("SH", [title]);
    for (name, text) in items {
        roff.control("TP", []);
        roff.text([bold(name)]);
        roff.text([roman(text)]);
    }
}

/// The group, what is in it, and what the program's page names.
fn add_see_also(roff: &mut Roff, command: &Command, group: Option<&Command>, manual: &Manual) {
    let page = |command: &Command| format!("{}({})", name(command), manual.section);
    let mut pages: Vec<String> = group.map(page).into_iter().collect();
    pages.extend(command.get_subcommands().map(page));
    pages.extend(manual.see_also.iter().map(|&page| page.to_owned()));
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(pages.join(", "))]);
}
