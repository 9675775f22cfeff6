//! README is true: its examples are run, and its flags and commands are those of `--help`.

use std::collections::BTreeSet;

use crate::support::{Daemon, Ran, Site, commands, help, subcommands};

const README: &str = include_str!("../../README.md");
/// Where README says the daemon listens and the database is.
const README_ADDRESS: &str = "127.0.0.1:8787";
const README_DB: &str = "/var/lib/leadclicks/leadclicks.db";

/// A command of a `console` block and what README says that it prints.
struct Example {
    command: String,
    printed: String,
}

fn examples() -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for block in README.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let mut lines = block.lines().peekable();
        while let Some(line) = lines.next() {
            let Some(command) = line.strip_prefix("$ ") else {
                let example = examples.last_mut().expect("a command first");
                example.printed += line;
                example.printed.push('\n');
                continue;
            };
            let mut command = command.to_owned();
            let mut end = None;
            if let Some((_, word)) = command.split_once("<<'") {
                end = word.split_once('\'').map(|(word, _)| word.to_owned());
            }
            while command.ends_with('\\') || end.is_some() {
                let next = lines.next().expect("the command's next line");
                command = format!("{command}\n{next}");
                if end.as_deref() == Some(next) {
                    break;
                }
            }
            examples.push(Example {
                command,
                printed: String::new(),
            });
        }
    }
    examples
}

/// Replaces every `YYYY-MM-DD`, a weekday before it, and what of a time follows it, by one word.
fn without_times(text: &str) -> String {
    const SHAPE: &str = "dddd-dd-dd";
    const WEEKDAYS: [&str; 7] = ["Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat ", "Sun "];
    let mut rest = text;
    let mut out = String::new();
    while let Some(first) = rest.chars().next() {
        let is_date = rest.len() >= SHAPE.len()
            && rest
                .bytes()
                .zip(SHAPE.bytes())
                .all(|(byte, shape)| match shape {
                    b'd' => byte.is_ascii_digit(),
                    other => byte == other,
                });
        if is_date {
            let before = out.len().saturating_sub(4);
            if WEEKDAYS.iter().any(|day| out.ends_with(day)) {
                out.truncate(before);
            }
            out += "TIME";
            rest = &rest[SHAPE.len()..];
            let time = rest.strip_prefix([' ', 'T']).unwrap_or_default();
            if time.starts_with(|c: char| c.is_ascii_digit()) {
                rest = time.trim_start_matches(|c: char| c.is_ascii_digit() || ":.Z".contains(c));
            }
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// Replaces the free disk space in a line about it.
fn without_space(text: &str) -> String {
    text.lines()
        .map(|line| match line.strip_suffix(" MiB free") {
            Some(space) => {
                space
                    .trim_end_matches(|c: char| c.is_ascii_digit())
                    .to_owned()
                    + "SPACE\n"
            }
            None => format!("{line}\n"),
        })
        .collect()
}

#[test]
fn the_examples_print_what_readme_says() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let examples = examples();
    assert!(examples.len() > 10, "only {} examples", examples.len());
    for Example { command, printed } in examples {
        let script = command.replace(README_ADDRESS, daemon.address());
        let mut shell = site.shell(&format!("exec 2>&1\n{script}"));
        shell.env("TZ", "Etc/UTC");
        let ran = Ran::finish(shell, b"");
        let expected = printed.replace(README_DB, site.db_path().to_str().unwrap());
        // curl prints no line break after an answer.
        let ends = |text: &str| without_space(&without_times(text.trim_end_matches('\n')));
        assert_eq!(ends(&ran.stdout), ends(&expected), "{ran}");
    }
}

/// The words that begin with `--` in a text, but for those of other programs.
fn flags(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .filter(|word| word.starts_with("--") && !word.ends_with('-'))
        .collect()
}

#[test]
fn readme_names_every_command_and_flag_and_no_others() {
    let mut helps = vec![help(env!("CARGO_BIN_EXE_leadclicksd"), &[])];
    let mut leaves = BTreeSet::from(["leadclicksd".to_owned()]);
    for command in commands() {
        helps.push(help(env!("CARGO_BIN_EXE_leadclicks"), &command));
        if subcommands(&command).is_empty() {
            leaves.insert(format!("leadclicks {}", command.join(" ")));
        }
    }

    let commands_section = README
        .split("\n## ")
        .find(|section| section.starts_with("The commands\n"))
        .unwrap();
    let headings: BTreeSet<String> = commands_section
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .flat_map(|heading| heading.split(", "))
        .map(|command| command.split(" --").next().unwrap().to_owned())
        .collect();
    assert_eq!(headings, leaves);

    let told: BTreeSet<&str> = helps.iter().flat_map(|help| flags(help)).collect();
    let usual = BTreeSet::from(["--help", "--version"]);
    // What README names of the flags of other programs, and of a style sheet's variables.
    let foreign = BTreeSet::from([
        "--append",
        "--bin",
        "--expert-card-accent",
        "--groups",
        "--home-dir",
        "--locked",
        "--long",
        "--now",
        "--release",
        "--system",
    ]);
    assert_eq!(&(&flags(README) - &foreign) - &usual, &told - &usual);
}
