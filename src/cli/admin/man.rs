//! `leadclicks man`

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, Command, CommandFactory};
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};

use crate::{
    cli::{
        admin::{self, hidden_db},
        daemon,
        failure::Failure,
        output,
    },
    text::visible_path,
};

/// Write the manual pages of both programs
///
/// Writes leadclicks.1, a page for each command, and leadclicksd.8, with the text of --help.
#[derive(Debug, Args)]
#[command(
    arg = hidden_db(),
    after_help = "\
Examples:
  leadclicks man pages && man -l pages/leadclicks-report.1
  leadclicks man pages && install -D -m 644 -t ~/.local/share/man/man1 pages/*.1"
)]
pub(super) struct ManArgs {
    /// The directory, which is created if it does not exist; existing pages are replaced
    directory: PathBuf,
}

pub(super) fn run(args: &ManArgs) -> Result<(), Failure> {
    let directory = &args.directory;
    fs::create_dir_all(directory).map_err(|error| Failure::Pages {
        path: directory.clone(),
        error,
    })?;
    let mut count = 0;
    for (mut command, section) in [(admin::Cli::command(), "1"), (daemon::Cli::command(), "8")] {
        command.build();
        count += write_pages(directory, &command, section)?;
    }
    output::say_done(&format!(
        "{count} pages written to {}",
        visible_path(directory)
    ));
    Ok(())
}

/// Writes the page of `command` and those of its subcommands, and returns their number.
fn write_pages(directory: &Path, command: &Command, section: &str) -> Result<u32, Failure> {
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name());
    let path = directory.join(format!("{name}.{section}"));
    page(command, name, section)
        .and_then(|page| fs::write(&path, page))
        .map_err(|error| Failure::Pages { path, error })?;
    let mut count = 1;
    for subcommand in command.get_subcommands() {
        count += write_pages(directory, subcommand, section)?;
    }
    Ok(count)
}

fn page(command: &Command, name: &str, section: &str) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .section(section)
        // An empty date, so that the same program always writes the same pages. Without it, roff would take the next
        // argument as the date.
        .date("\"\"")
        .source(concat!("leadclicks ", env!("CARGO_PKG_VERSION")))
        .manual("leadclicks");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    // The end of --help, line by line: clap_mangen's own section would join the examples into one paragraph.
    if let Some(notes) = command
        .get_after_long_help()
        .or_else(|| command.get_after_help())
    {
        let mut roff = Roff::new();
        roff.control("SH", ["NOTES"]);
        roff.control("nf", []);
        for line in notes.to_string().lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
        roff.to_writer(&mut page)?;
    }
    Ok(page)
}
