//! `leadclicks completions`

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
};

use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::{
    cli::{
        admin::{self, hidden_db},
        daemon, db_path,
        failure::Failure,
        output,
    },
    storage::Db,
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

Create the directory first. bash needs the package bash-completion, and zsh
needs `fpath+=~/.zfunc` and then `autoload -U compinit; compinit` in ~/.zshrc.
Add the last two lines to rc.elv of Elvish and to $PROFILE of PowerShell.
Completions work in new shells."
)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
    /// The program to complete
    #[arg(value_enum, default_value_t = Program::Leadclicks)]
    program: Program,
    /// The command line that is completed, for [`Program::Experts`].
    #[arg(last = true, hide = true)]
    words: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Program {
    Leadclicks,
    Leadclicksd,
    /// Not a program: the usernames for `--expert` and `--not-expert`, which the scripts ask for. Hidden values are not
    /// completed, but hidden commands and flags are.
    #[value(hide = true)]
    Experts,
}

pub(super) fn run(db: &Path, args: &CompletionsArgs) -> Result<(), Failure> {
    let printed = match args.program {
        Program::Leadclicks => with_experts(args.shell, script(args.shell, admin::Cli::command())),
        Program::Leadclicksd => script(args.shell, daemon::Cli::command()),
        Program::Experts => usernames(typed_db(&args.words).unwrap_or(db)),
    };
    let printed = io::stdout().write_all(printed.as_bytes());
    Ok(output::ignore_closed_pipe(printed)?)
}

fn script(shell: Shell, mut command: Command) -> String {
    let name = command.get_name().to_owned();
    // Into memory first: clap_complete panics if it can't write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Makes the script of a shell ask `leadclicks` for the values of `--expert` and `--not-expert`, which clap_complete can't:
/// its `unstable-dynamic` engine would, but its scripts must be generated anew at each start of a shell, and zsh can't load
/// them from `fpath`. The scripts of Elvish and PowerShell have no values of flags at all.
fn with_experts(shell: Shell, script: String) -> String {
    match shell {
        // compgen evaluates the words, so they are only safe characters. COMP_WORDS are the words as typed.
        Shell::Bash => script.replace(
            "-expert)
                    COMPREPLY=($(compgen -f \"${cur}\"))",
            "-expert)
                    COMPREPLY=($(compgen -W \"$(leadclicks completions bash experts -- \"${COMP_WORDS[@]}\" 2>/dev/null)\" -- \"${cur}\"))",
        ),
        Shell::Zsh => script
            .replace(":USERNAME:_default", ":USERNAME:_leadclicks_experts")
            .replacen(
                "\n_leadclicks() {",
                "
_leadclicks_experts() {
    local -a usernames
    usernames=(${(f)\"$(leadclicks completions zsh experts -- \"${(@Q)${(z)BUFFER}}\" 2>/dev/null)\"})
    compadd \"$@\" -a usernames
}

_leadclicks() {",
                1,
            ),
        Shell::Fish => [("report watch", "expert"), ("report", "not-expert")]
            .iter()
            .fold(script, |script, (commands, flag)| {
                format!(
                    "{script}complete -c leadclicks -n \"__fish_leadclicks_using_subcommand {commands}\" -l {flag} -x \
                     -a '(leadclicks completions fish experts -- (commandline -opc) 2>/dev/null)'\n"
                )
            }),
        _ => script,
    }
}

/// The usernames of the list of experts, one a line; none if it can't be read, because the user is about to type. Clicks are not
/// read, because there may be very many.
fn usernames(db: &Path) -> String {
    let experts = db_path::location(db)
        .ok()
        .and_then(|db| Db::open_for_report(&db).and_then(|db| db.experts()).ok());
    experts
        .unwrap_or_default()
        .into_iter()
        .map(|expert| expert.username)
        .filter(|username| is_safe(username))
        .fold(String::new(), |lines, username| lines + &username + "\n")
}

/// Whether a shell takes the username as it is: a visitor may have chosen one that a shell would run.
fn is_safe(username: &str) -> bool {
    !username.starts_with('-')
        && username
            .chars()
            .all(|character| character.is_alphanumeric() || "_-.+@".contains(character))
}

/// The database of a command line that is not yet complete.
fn typed_db(words: &[OsString]) -> Option<&Path> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--db" {
            // bash splits at the equals sign.
            return words.find(|word| *word != "=").map(Path::new);
        }
        if let Some(path) = word.to_str().and_then(|word| word.strip_prefix("--db=")) {
            return Some(Path::new(path));
        }
    }
    None
}
