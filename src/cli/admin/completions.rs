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

/// Generate shell completions
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

Create the directory first. bash needs the package bash-completion, and zsh needs `fpath+=~/.zfunc`
and then `autoload -U compinit; compinit` in ~/.zshrc. Add the last two lines to rc.elv of Elvish
and to $PROFILE of PowerShell. Completions work in new shells."
)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
    /// The program to complete
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
    // Into memory first: clap_complete panics if it can't write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    let printed = io::stdout().write_all(&script);
    Ok(output::ignore_closed_pipe(printed)?)
}
