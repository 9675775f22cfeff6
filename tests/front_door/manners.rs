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

#[test]
fn a_command_that_people_try_gets_the_right_one_as_a_tip_and_never_one_that_deletes_by_its_spelling()
 {
    let site = Site::new();
    let tip_of = |args: &[&str]| {
        let ran = site.run(args);
        assert_eq!(ran.status.code(), Some(2), "{ran}");
        let tips = ran
            .stderr
            .lines()
            .filter(|line| line.starts_with("  tip: "));
        tips.map(|tip| tip["  tip: ".len()..].to_owned())
            .collect::<Vec<_>>()
            .join("\n")
    };
    for (word, tip) in [
        ("stats", "`leadclicks summary` shows an overview"),
        (
            "leads",
            "`leadclicks report --leads` has a row for each lead, and `leadclicks report --by-email` lists all clicks",
        ),
        (
            "export",
            "`leadclicks report --by-email --output clicks.csv` exports the clicks; add --for excel for a spreadsheet",
        ),
        (
            "delete",
            "`leadclicks forget EMAIL` erases one person, and `leadclicks purge --older-than 365d` old clicks; both ask first",
        ),
        (
            "recover",
            "`leadclicks restore backup.db` replaces the database with a backup; it asks first",
        ),
        (
            "merge",
            "`leadclicks import other.db` merges the clicks of another database",
        ),
    ] {
        assert_eq!(tip_of(&[word, "x"]), tip);
        assert_eq!(tip_of(&[&word.to_uppercase()]), tip);
    }
    for (word, like) in [
        (&"restore"[..6], "recover"),
        ("exports", "export"),
        (&"delete"[..5], "delete"),
        (&"purge"[..4], "delete"),
        ("mrege", "merge"),
    ] {
        assert_eq!(tip_of(&[word]), tip_of(&[like]), "{word}");
    }
    let more = "For more information, try '--help'.";
    let usage = "Usage: leadclicks [OPTIONS] <COMMAND>";
    site.run(&["xyzzy"]).assert(
        2,
        "",
        &format!("error: unrecognized subcommand 'xyzzy'\n\n{usage}\n\n{more}\n"),
    );
    site.run(&["rset"]).assert(
        2,
        "",
        &format!("error: unrecognized subcommand 'rset'\n\n{usage}\n\n{more}\n"),
    );
    assert_eq!(
        tip_of(&["experts", "delete", "jdoe"]),
        "`leadclicks experts remove USERNAME` removes an expert from the list"
    );
    assert_eq!(tip_of(&["reprot"]), "a similar subcommand exists: 'report'");
    for (group, command) in [
        (None, "reset"),
        (None, "purge"),
        (None, "forget"),
        (Some("experts"), "remove"),
    ] {
        // Each letter left out, doubled, and exchanged with the next one.
        for at in 0..command.len() {
            let (begin, rest) = command.split_at(at);
            let (letter, end) = rest.split_at(1);
            let (next, after) = end.split_at(end.len().min(1));
            for word in [
                format!("{begin}{end}"),
                format!("{begin}{letter}{letter}{end}"),
                format!("{begin}{next}{letter}{after}"),
            ] {
                if word == command {
                    continue;
                }
                let args: Vec<&str> = group.into_iter().chain([&*word]).collect();
                let tip = tip_of(&args);
                let names = ["reset", "purge", "forget", "remove"].map(|name| format!("'{name}'"));
                assert!(
                    !names.iter().any(|name| tip.contains(name)),
                    "{word}: {tip}"
                );
            }
        }
    }
    assert_eq!(site.files(), [""; 0]);
}

#[test]
fn help_of_a_command_can_be_asked_for_in_both_ways() {
    let site = Site::new();
    for command in commands() {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let asked = site.stdout_of(&[&["help"], &words[..]].concat());
        assert_eq!(asked, help(env!("CARGO_BIN_EXE_leadclicks"), &command));
    }
    let report = site.stdout_of(&["report", "--help"]);
    for options in [&["--db", "x.db"][..], &["--no-pager", "--db=x.db"]] {
        let asked = site.stdout_of(&[options, &["help", "report"]].concat());
        assert_eq!(asked, report);
    }
    let ran = site.run(&["help", "nonsense"]);
    assert_eq!(ran.status.code(), Some(2), "{ran}");
    assert!(
        ran.stderr
            .starts_with("error: unrecognized subcommand 'nonsense'\n"),
        "{ran}"
    );
}

#[test]
fn the_short_help_of_report_fits_on_a_screen() {
    let site = Site::new();
    let terminal = site.on_terminal("stty rows 30 columns 80; leadclicks report -h");
    let (_, help) = terminal.finish();
    let columns = 80;
    let lines: usize = help
        .lines()
        .map(|line| line.chars().count().div_ceil(columns).max(1))
        .sum();
    assert!(lines <= 29, "{lines}\n{help}");
    let long = help.lines().filter(|line| line.chars().count() > columns);
    // Only the list of the reports is too long for a line.
    assert!(
        long.clone().all(|line| line.starts_with("Usage: ")),
        "{help}"
    );
    assert!(long.count() <= 1, "{help}");
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

/// A report on a terminal after `script`.
fn paged(script: &str) -> (Option<i32>, String) {
    let site = Site::new().with_schema(
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
             ('amy@example.com', 'jdoe', '', '2026-11-01 09:00:00.000000');",
    );
    site.write("pager", "#!/bin/sh\nsed 's/^/paged: /'");
    site.on_terminal(&format!(
        "stty rows 24 columns 80; chmod +x pager; unset LEADCLICKS_PAGER PAGER LESS; {script}"
    ))
    .finish()
}

#[test]
fn on_a_terminal_a_report_goes_through_the_pager_by_the_rules_of_git() {
    const PLAIN: &str =
        "amy@example.com  1 click\n  2026-11-01 09:00   jdoe\n\n1 lead, 1 click; times in UTC\n";
    let paged_lines = format!("paged: {}\n", PLAIN.trim_end().replace('\n', "\npaged: "));
    let report = "leadclicks report --by-email";
    for script in [
        format!("LEADCLICKS_PAGER=./pager {report}"),
        format!("PAGER=./pager {report}"),
        format!("PAGER='./pager | cat' {report}"),
        format!("LEADCLICKS_PAGER=./pager PAGER=false {report}"),
    ] {
        assert_eq!(paged(&script), (Some(0), paged_lines.clone()), "{script}");
    }
    for script in [
        format!("PAGER=./pager {report} --no-pager"),
        "PAGER=./pager leadclicks --no-pager report --by-email".to_owned(),
        format!("LEADCLICKS_PAGER= PAGER=./pager {report}"),
        format!("LEADCLICKS_PAGER=cat PAGER=./pager {report}"),
        format!("PAGER=./pager {report} | cat"),
        format!("PAGER=./pager {report} --output report.txt; cat report.txt"),
    ] {
        assert_eq!(paged(&script), (Some(0), PLAIN.to_owned()), "{script}");
    }
    // What less gets, unless the user has set it.
    for (script, settings) in [
        (
            "PAGER='cat >/dev/null; echo $LESS $LV'".to_owned(),
            "FRX -c\n",
        ),
        (
            "LESS=i PAGER='cat >/dev/null; echo $LESS'".to_owned(),
            "i\n",
        ),
    ] {
        let script = format!("{script} {report}");
        assert_eq!(paged(&script), (Some(0), settings.to_owned()), "{script}");
    }
    let (code, screen) = paged(&format!("PAGER=./missing {report}"));
    let warning = "leadclicks: cannot start the pager ./missing: No such file or directory (os error 2); \
                   correct LEADCLICKS_PAGER or PAGER, or pass --no-pager\n";
    assert_eq!((code, screen), (Some(0), format!("{warning}{PLAIN}")));
    // Other lists too; a reader who leaves early is no error.
    for command in ["summary", "experts list", "check", report] {
        let command = command.trim_start_matches("leadclicks ");
        let (code, screen) = paged(&format!(
            "PAGER='head -c 0; echo left' leadclicks {command}"
        ));
        assert!(screen.contains("left\n"), "{command}: {screen}");
        assert!(code == Some(0) || command == "check", "{command}: {screen}");
    }
}

#[test]
fn ctrl_c_is_for_the_pager_and_the_report_waits_for_it() {
    let script = "PAGER='cat >/dev/null; kill -INT $PPID; sleep 0.1; kill -INT $PPID; echo still there' \
                  leadclicks report --by-email; echo $?";
    assert_eq!(paged(script), (Some(0), "still there\n0\n".to_owned()));
}
