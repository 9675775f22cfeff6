//! `leadclicks completions`: shells read the scripts and complete with them.

use std::process::Command;

use crate::support::{Ran, Site, commands};

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];
const PROGRAMS: [&str; 2] = ["leadclicks", "leadclicksd"];

/// A directory with the scripts, such as `leadclicksd.fish`.
fn scripts() -> Site {
    let site = Site::new();
    for shell in SHELLS {
        for program in PROGRAMS {
            let script = site.stdout_of(&["completions", shell, program]);
            site.write(&format!("{program}.{shell}"), script);
        }
    }
    site
}

/// The output of a shell of `site` for `script`, sorted and without descriptions.
fn offered(site: &Site, shell: &str, args: &[&str], script: &str) -> Vec<String> {
    let mut command = site.shell("exec \"$0\" \"$@\"");
    // The user's configuration must not affect the test.
    command
        .env("HOME", site.path(""))
        .env("TERM", "dumb")
        .arg(shell)
        .args(args)
        .args(["-c", script]);
    let ran = Ran::finish(command, b"");
    assert!(ran.status.success() && ran.stderr.is_empty(), "{ran}");
    let mut words: Vec<String> = ran
        .stdout
        .lines()
        .map(|line| line.split('\t').next().unwrap().trim().to_owned())
        .filter(|word| !word.is_empty())
        .collect();
    words.sort();
    words
}

/// Command lines, and the only word that is offered for their last one.
const LINES: [(&str, &str); 6] = [
    ("leadclicks rep", "report"),
    ("leadclicks experts im", "import"),
    ("leadclicks report --by-em", "--by-email"),
    ("leadclicks report --by-email --format nd", "ndjson"),
    ("leadclicksd --allow", "--allow-origin"),
    ("leadclicksd --log-format js", "json"),
];
/// The same for a value without a flag, which the fish script does not support.
const POSITIONAL: (&str, &str) = ("leadclicks completions ba", "bash");

#[test]
fn bash_completes_commands_flags_and_values() {
    let site = scripts();
    for (line, completed) in [&LINES[..], &[POSITIONAL]].concat() {
        let (program, _) = line.split_once(' ').unwrap();
        // As readline does: the function that `complete` has registered gets the program, the word, and the one before.
        let script = format!(
            "source ./{program}.bash
            [[ $(complete -p {program}) =~ -F\\ ([^ ]+) ]]
            COMP_WORDS=({line}) COMP_LINE='{line}' COMP_POINT={} COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
            \"${{BASH_REMATCH[1]}}\" {program} \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"
            printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            line.len()
        );
        let offered = offered(&site, "bash", &["--norc", "--noprofile"], &script);
        assert_eq!(offered, [completed], "{line}");
    }
}

#[test]
#[ignore = "needs fish; tests/run runs it"]
fn fish_completes_commands_flags_and_values() {
    let site = scripts();
    for (line, completed) in LINES {
        let (program, _) = line.split_once(' ').unwrap();
        let script = format!("source ./{program}.fish; complete --do-complete '{line}'");
        assert_eq!(
            offered(&site, "fish", &["--no-config"], &script),
            [completed],
            "{line}"
        );
    }
}

#[test]
#[ignore = "needs zsh; tests/run runs it"]
fn zsh_completes_commands_flags_and_values() {
    let site = scripts();
    for program in PROGRAMS {
        site.write(&format!("_{program}"), site.read(&format!("{program}.zsh")));
    }
    for (line, completed) in [&LINES[..], &[POSITIONAL]].concat() {
        // zsh completes on a terminal only, so it gets one by zpty, in which a tab is typed at the prompt.
        let script = format!(
            "zmodload zsh/zpty
            zpty it zsh --no-rcs --interactive
            zpty -w it 'fpath=($PWD $fpath); autoload -U compinit; compinit -D -u; PS1=re\\ady'
            zpty -r it seen '*ready*'
            zpty -w -n it $'{line}\\t'
            zpty -r it seen '*{completed}[ =]*'
            zpty -d it
            print -- {completed}"
        );
        assert_eq!(
            offered(&site, "zsh", &["--no-rcs"], &script),
            [completed],
            "{line}"
        );
    }
}

#[test]
#[ignore = "needs fish and zsh; tests/run runs it"]
fn every_script_names_every_command_and_is_valid_for_its_shell() {
    let site = scripts();
    for shell in SHELLS {
        let script = String::from_utf8(site.read(&format!("leadclicks.{shell}"))).unwrap();
        for command in commands().iter().flatten() {
            assert!(script.contains(command.as_str()), "{shell} {command}");
        }
        let script = String::from_utf8(site.read(&format!("leadclicksd.{shell}"))).unwrap();
        for flag in ["listen", "allow-origin", "trusted-proxy", "log-format"] {
            assert!(script.contains(flag), "{shell} {flag}");
        }
    }
    for (shell, flag) in [("bash", "-n"), ("fish", "--no-execute"), ("zsh", "-n")] {
        for program in PROGRAMS {
            let mut command = Command::new(shell);
            command
                .arg(flag)
                .arg(site.path(&format!("{program}.{shell}")));
            Ran::of(command).assert(0, "", "");
        }
    }
}

#[test]
fn a_reader_of_a_script_that_ends_early_is_not_an_error() {
    let site = Site::new();
    let shell = site.shell("{ leadclicks completions zsh; echo $? >&2; } | true");
    Ran::finish(shell, b"").assert(0, "", "0\n");
}

#[test]
fn an_unknown_shell_is_an_error_that_lists_the_known_ones() {
    Site::new().run(&["completions", "bsh"]).assert(
        2,
        "",
        "error: invalid value 'bsh' for '<SHELL>'\n  [possible values: bash, elvish, fish, powershell, zsh]\n\n  \
         tip: a similar value exists: 'bash'\n\nFor more information, try '--help'.\n",
    );
}
