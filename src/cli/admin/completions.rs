//! `leadclicks completions`

use std::io::{self, Write};

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::cli::{
    admin::{self, hidden_db},
    daemon,
    failure::Failure,
    output,
};

/// Print a script by which a shell completes commands, flags and their values
#[derive(Debug, Args)]
#[command(
    arg = hidden_db(),
    after_help = "\
Examples:
  leadclicks completions bash > ~/.local/share/bash-completion/completions/leadclicks
  leadclicks completions bash leadclicksd > ~/.local/share/bash-completion/completions/leadclicksd
  leadclicks completions zsh > ~/.zfunc/_leadclicks
  leadclicks completions fish > ~/.config/fish/completions/leadclicks.fish
  eval (leadclicks completions elvish | slurp)
  leadclicks completions powershell | Out-String | Invoke-Expression

A file's directory must be there. bash reads such files where the package bash-completion is
installed, and zsh where ~/.zshrc says `fpath+=~/.zfunc` and then `autoload -U compinit; compinit`.
The last two lines belong into Elvish's rc.elv and PowerShell's $PROFILE. A new shell completes."
)]
pub(super) struct CompletionsArgs {
    /// The shell that reads the script
    #[arg(value_enum)]
    shell: Shell,
    /// The program whose command line is completed
    #[arg(value_enum, default_value_t = Program::Leadclicks)]
    program: Program,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Program {
    Leadclicks,
    Leadclicksd,
}

pub(super) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut command = match args.program {
        Program::Leadclicks => admin::Cli::command(),
        Program::Leadclicksd => daemon::Cli::command(),
    };
    let name = command.get_name().to_owned();
    // Into memory first: clap_complete panics where it can't write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    let printed = io::stdout().write_all(&script);
    Ok(output::unless_reader_left(printed)?)
}
