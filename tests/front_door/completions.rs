//! `leadclicks completions`: shells read the scripts and complete with them.

use std::{fs, process::Command};

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

/// A directory with the scripts, the default database, and another one.
fn scripts_with_experts() -> Site {
    let site = scripts().with_schema(
        "INSERT INTO experts VALUES ('anna_s', 'Anna', 'Schmidt'), ('bob', 'Bob', 'Doe'), ('zoë', '', ''),
            ('an$(touch ran)', '', ''), ('an`touch ran`', '', ''), ('an; touch ran', '', ''), ('-an', '', '');",
    );
    let other = Site::new().with_schema("INSERT INTO experts VALUES ('andy', '', '');");
    fs::copy(other.db_path(), site.path("other.db")).unwrap();
    site
}

/// Command lines, and all usernames that are offered for `--expert`. The shell runs nothing that a visitor has chosen.
const EXPERTS: [(&str, &[&str]); 7] = [
    ("leadclicks report --expert an", &["anna_s"]),
    ("leadclicks watch --expert zo", &["zoë"]),
    ("leadclicks report --leads --not-expert an", &["anna_s"]),
    ("leadclicks report --by-day --expert x", &[]),
    ("leadclicks --db missing.db report --expert an", &[]),
    ("leadclicks --db other.db report --expert an", &["andy"]),
    ("leadclicks report --db=other.db --expert an", &["andy"]),
];

fn assert_nothing_ran(site: &Site) {
    assert!(!site.path("ran").exists());
}

/// What bash offers for the last word of a command line.
fn offered_by_bash(site: &Site, line: &str) -> Vec<String> {
    let (program, _) = line.split_once(' ').unwrap();
    // As readline does: words are also split at the equals sign, and the function that `complete` has registered gets the
    // program, the word, and the one before.
    let words = line.replace('=', " = ");
    let script = format!(
        "source ./{program}.bash
        [[ $(complete -p {program}) =~ -F\\ ([^ ]+) ]]
        COMP_WORDS=({words}) COMP_LINE='{line}' COMP_POINT={} COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
        \"${{BASH_REMATCH[1]}}\" {program} \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"
        printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        line.len()
    );
    offered(site, "bash", &["--norc", "--noprofile"], &script)
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let site = scripts();
    for (line, completed) in [&LINES[..], &[POSITIONAL]].concat() {
        assert_eq!(offered_by_bash(&site, line), [completed], "{line}");
    }
}

#[test]
fn bash_completes_the_usernames_of_the_list_that_need_no_quotes() {
    let site = scripts_with_experts();
    for (line, usernames) in EXPERTS {
        assert_eq!(offered_by_bash(&site, line), usernames, "{line}");
    }
    assert_nothing_ran(&site);
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
#[ignore = "needs fish; tests/run runs it"]
fn fish_completes_the_usernames_of_the_list_that_need_no_quotes() {
    let site = scripts_with_experts();
    for (line, usernames) in EXPERTS {
        let script = format!("source ./leadclicks.fish; complete --do-complete '{line}'");
        assert_eq!(
            offered(&site, "fish", &["--no-config"], &script),
            usernames,
            "{line}"
        );
    }
    assert_nothing_ran(&site);
}

/// A script that succeeds if zsh completes the last word of a command line to `completed`. zsh completes on a terminal only, so
/// it gets one by zpty, in which a tab is typed at the prompt.
fn typed_in_zsh(line: &str, completed: &str) -> String {
    format!(
        "zmodload zsh/zpty
        zpty it zsh --no-rcs --interactive
        zpty -w it 'fpath=($PWD $fpath); autoload -U compinit; compinit -D -u; PS1=re\\ady'
        zpty -r it seen '*ready*'
        zpty -w -n it $'{line}\\t'
        zpty -r it seen '*{completed}[ =]*'
        zpty -d it
        print -- {completed}"
    )
}

#[test]
#[ignore = "needs zsh; tests/run runs it"]
fn zsh_completes_the_usernames_of_the_list_that_need_no_quotes() {
    let site = scripts_with_experts();
    site.write("_leadclicks", site.read("leadclicks.zsh"));
    for (line, usernames) in EXPERTS {
        // Nothing that is offered can't be waited for.
        let [username] = usernames else { continue };
        let script = typed_in_zsh(line, username);
        assert_eq!(
            offered(&site, "zsh", &["--no-rcs"], &script),
            usernames,
            "{line}"
        );
    }
    assert_nothing_ran(&site);
}

#[test]
#[ignore = "needs zsh; tests/run runs it"]
fn zsh_completes_commands_flags_and_values() {
    let site = scripts();
    for program in PROGRAMS {
        site.write(&format!("_{program}"), site.read(&format!("{program}.zsh")));
    }
    for (line, completed) in [&LINES[..], &[POSITIONAL]].concat() {
        let script = typed_in_zsh(line, completed);
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
