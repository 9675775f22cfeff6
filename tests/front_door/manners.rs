//! Usability of both programs: examples in every `--help`, a suggestion for every slip, documented exit codes.

use std::process::Command;

use crate::support::{Ran, Site, commands, help, subcommands};

const DAEMON: &str = env!("CARGO_BIN_EXE_leadclicksd");

#[test]
fn every_help_has_examples_of_its_command() {
    let admin = env!("CARGO_BIN_EXE_leadclicks");
    let helps = commands().into_iter().map(|command| {
        let name = [&["leadclicks".to_owned()], &command[..]]
            .concat()
            .join(" ");
        (name, help(admin, &command))
    });
    for (name, help) in helps.chain([("leadclicksd".to_owned(), help(DAEMON, &[]))]) {
        let examples = help.split("\nExamples:\n").nth(1).expect(&help);
        let examples: Vec<&str> = examples.split("\n\n").next().unwrap().lines().collect();
        assert!(
            examples.iter().all(|example| example.starts_with("  ")),
            "{help}"
        );
        assert!(
            examples.iter().any(|example| example.contains(&name)),
            "{help}"
        );
        assert!(help.contains("\nUsage: "), "{help}");
    }
}

#[test]
fn every_example_is_a_valid_command_line() {
    let site = Site::new();
    for command in commands() {
        let help = help(env!("CARGO_BIN_EXE_leadclicks"), &command);
        let examples = help.split("\nExamples:\n").nth(1).expect(&help);
        let examples = examples.split("\n\n").next().unwrap();
        // A line may be several commands, and some of other programs.
        for part in examples.split(['\n', ';', '|', '&', '<', '>']) {
            let Some((_, line)) = part.rsplit_once("leadclicks ") else {
                continue;
            };
            // clap reports an invalid command line before it prints --help.
            let ran = Ran::finish(site.shell(&format!("leadclicks {line} --help")), b"");
            assert_eq!(ran.status.code(), Some(0), "{ran}");
            assert!(ran.stdout.contains("\nUsage: leadclicks"), "{ran}");
        }
    }
    assert_eq!(site.files(), [""; 0]);
}

#[test]
fn a_typing_error_gets_a_suggestion() {
    let site = Site::new();
    let more = "\n\nFor more information, try '--help'.\n";
    let report = "report <--by-email|--leads|--by-expert|--by-query|--by-day|--expert <USERNAME>|--email <EMAIL>>";
    for (args, message) in [
        (
            &["experts", "lst"][..],
            "error: unrecognized subcommand 'lst'\n\n  tip: a similar subcommand exists: 'list'\n\n\
             Usage: leadclicks experts [OPTIONS] <COMMAND>"
                .to_owned(),
        ),
        (
            &["report", "--by-emial"],
            format!(
                "error: unexpected argument '--by-emial' found\n\n  tip: a similar argument exists: '--by-email'\n\n\
                 Usage: leadclicks {report}"
            ),
        ),
    ] {
        site.run(args).assert(2, "", &format!("{message}{more}"));
    }
    // The likeliest of several is last; these examples do not check the others.
    for (args, meant) in [
        (&["reprot", "--by-email"][..], "'report'"),
        (&["report", "--by-email", "--format", "jsno"], "'json'"),
    ] {
        let ran = site.run(args);
        assert_eq!(ran.status.code(), Some(2), "{ran}");
        let tip = ran.stderr.lines().find(|line| line.starts_with("  tip: "));
        assert!(tip.is_some_and(|tip| tip.ends_with(meant)), "{ran}");
    }
    let mut daemon = Command::new(DAEMON);
    daemon.arg("--lisen").arg("127.0.0.1:0");
    let message = "error: unexpected argument '--lisen' found\n\n  tip: a similar argument exists: '--listen'\n\n\
                Usage: leadclicksd --listen <ADDR>";
    Ran::of(daemon).assert(2, "", &format!("{message}{more}"));
    assert_eq!(site.files(), [""; 0]);
}

/// The variables that a `--help` names.
fn variables(help: &str) -> Vec<String> {
    help.split("[env: ")
        .skip(1)
        .map(|rest| rest.split([']', '=']).next().unwrap().to_owned())
        .collect()
}

#[test]
fn an_empty_variable_is_an_error_that_names_it() {
    let site = Site::new().with_schema("");
    let message = |program: &str, variable: &str| {
        format!("{program}: the variable {variable} is empty; give it a value, or unset it\n")
    };
    for args in [
        &["reset", "--yes"][..],
        &["report", "--by-email"],
        &["experts", "list"],
    ] {
        let mut command = site.command(args);
        command.env("LEADCLICKS_DB", "");
        Ran::finish(command, b"").assert(2, "", &message("leadclicks", "LEADCLICKS_DB"));
    }
    site.run(&["reset", "--yes", "--db", ""]).assert(
        2,
        "",
        "leadclicks: --db is empty; give it the path of a database\n",
    );
    // An empty variable that is not read is ignored.
    let list = ["experts", "list", "--format", "json"];
    let db = ["--db", "leadclicks.db"];
    for args in [
        ["--help"].to_vec(),
        [&list[..], &db].concat(),
        [&db[..], &list].concat(),
        ["completions", "bash"].to_vec(),
    ] {
        let mut command = site.command(&args);
        command.env("LEADCLICKS_DB", "");
        assert_eq!(Ran::finish(command, b"").status.code(), Some(0), "{args:?}");
    }
    let empty = Site::new();
    let mut variables = variables(&help(DAEMON, &[]));
    assert_eq!(variables.len(), 11, "{variables:?}");
    variables.push("PORT".to_owned());
    for variable in variables {
        let mut daemon = Command::new(DAEMON);
        daemon.current_dir(empty.path("")).env(&variable, "");
        Ran::of(daemon).assert(2, "", &message("leadclicksd", &variable));
    }
    assert_eq!(empty.files(), [""; 0]);
}

#[test]
fn a_shell_sees_the_exit_code_for_a_signal_that_help_documents() {
    let site = Site::new().with_schema("");
    let help = site.stdout_of(&["--help"]);
    assert!(help.contains("130 by Ctrl-C, 143 by SIGTERM"), "{help}");
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        // It waits for its input. A shell that is not interactive has its background ignore Ctrl-C, unless by --monitor,
        // which other shells than bash refuse without a terminal.
        let script = format!(
            "exec bash -c 'set -m; mkfifo {signal}; exec 9<>{signal}
            leadclicks experts import - --db leadclicks.db <{signal} & kill -{signal} $!; wait $!; echo $?'"
        );
        let mut shell = site.shell(&script);
        shell.env("LEADCLICKS_DB", "leadclicks.db");
        let ran = Ran::finish(shell, b"");
        assert_eq!(ran.stdout, format!("{code}\n"), "{ran}");
    }
}

#[test]
fn a_group_without_a_command_prints_its_help_and_is_wrong_usage() {
    let site = Site::new();
    for group in commands() {
        if subcommands(&group).is_empty() {
            continue;
        }
        let words: Vec<&str> = group.iter().map(String::as_str).collect();
        let ran = site.run(&words);
        assert_eq!(ran.status.code(), Some(2), "{ran}");
        assert!(ran.stderr.contains("\nExamples:\n"), "{ran}");
    }
}
