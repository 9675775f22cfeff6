//! `leadclicks man`: every command has a page with the text of `--help`, which man reads without a warning.

use std::{fs, path::Path};

use crate::support::{Ran, Site, commands, help, mode};

/// A site with all pages in the directory `pages`.
fn pages() -> Site {
    let site = Site::new();
    let written = site.stdout_of(&["man", "pages"]);
    let count = fs::read_dir(site.path("pages")).unwrap().count();
    assert_eq!(written, format!("{count} pages written to pages\n"));
    site
}

/// Each page's name, and the program and command that it is about.
fn subjects() -> Vec<(String, &'static str, Vec<String>)> {
    let admin = commands().into_iter().map(|command| {
        let name = [&["leadclicks".to_owned()], &command[..]]
            .concat()
            .join("-");
        (
            format!("{name}.1"),
            env!("CARGO_BIN_EXE_leadclicks"),
            command,
        )
    });
    let daemon = (
        "leadclicksd.8".to_owned(),
        env!("CARGO_BIN_EXE_leadclicksd"),
        vec![],
    );
    admin.chain([daemon]).collect()
}

/// The output of man on a terminal wide enough that no line is broken.
fn shown(site: &Site, page: &str) -> String {
    let mut man = site.shell("man --local-file --warnings --encoding=UTF-8 \"$0\"");
    man.env("MANWIDTH", "500")
        .env("LC_ALL", "C.UTF-8")
        .arg(site.path("pages").join(page));
    let ran = Ran::finish(man, b"");
    assert!(ran.status.success() && ran.stderr.is_empty(), "{ran}");
    // Lines are justified.
    let mut shown = String::new();
    for line in ran.stdout.lines() {
        let (indent, _) = line.split_at(line.len() - line.trim_start_matches(' ').len());
        let words: Vec<&str> = line.split_whitespace().collect();
        shown += indent;
        shown += &words.join(" ");
        shown.push('\n');
    }
    shown
}

fn sections(shown: &str) -> Vec<&str> {
    shown
        .lines()
        .filter(|line| {
            line.starts_with(|char: char| char.is_ascii_uppercase()) && !line.contains('(')
        })
        .filter(|line| {
            line.chars()
                .all(|char| char.is_ascii_uppercase() || char == ' ')
        })
        .collect()
}

#[test]
#[ignore = "needs man; tests/run runs it"]
fn every_command_has_a_page_that_man_reads_without_a_warning_and_finds_by_its_name() {
    let site = pages();
    let mut expected: Vec<String> = subjects().into_iter().map(|(page, ..)| page).collect();
    let mut found: Vec<String> = fs::read_dir(site.path("pages"))
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    for (page, program, command) in subjects() {
        let about = help(program, &command);
        let about = about.lines().next().unwrap();
        let mut whatis = site.shell("lexgrog \"$0\"");
        whatis.arg(Path::new("pages").join(&page));
        let name = page.split('.').next().unwrap();
        Ran::finish(whatis, b"").assert(0, &format!("pages/{page}: \"{name} - {about}\"\n"), "");
        let shown = shown(&site, &page);
        let (_, section) = page.rsplit_once('.').unwrap();
        let title = format!("{}({section})", name.to_uppercase());
        assert!(shown.starts_with(&title), "{shown}");
        // The date is unknown.
        assert!(
            shown
                .trim_end()
                .ends_with(&format!("leadclicks {} {title}", env!("CARGO_PKG_VERSION"))),
            "{shown}"
        );
    }
}

#[test]
#[ignore = "needs man; tests/run runs it"]
fn a_manual_page_has_the_text_of_help() {
    let site = pages();
    for (page, program, command) in subjects() {
        let shown = shown(&site, &page);
        let help = help(program, &command);
        let flags = help
            .split_whitespace()
            .filter(|word| word.starts_with("--"));
        for flag in flags.map(|flag| flag.trim_end_matches([',', ':', ';'])) {
            assert!(shown.contains(flag), "{flag}\n{shown}");
        }
        for variable in help.split("[env: ").skip(1) {
            let variable = variable.split([']', '=']).next().unwrap();
            assert!(
                shown.contains(&format!(
                    "specified with the {variable} environment variable"
                )),
                "{variable}\n{shown}"
            );
        }
        let examples = help.split("\nExamples:\n").nth(1);
        for example in examples
            .into_iter()
            .flat_map(|rest| rest.split("\n\n").next().unwrap().lines())
        {
            let example: Vec<&str> = example.split_whitespace().collect();
            let example = example.join(" ");
            assert!(
                shown.lines().any(|line| line.trim() == example),
                "{example}\n{shown}"
            );
        }
        let mut expected = vec!["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"];
        if help.contains("\nCommands:\n") {
            expected.push("SUBCOMMANDS");
        }
        if help.contains("\nExamples:\n") {
            expected.push("NOTES");
        }
        let mut sections = sections(&shown);
        // Pages also have headings of groups of flags.
        sections.retain(|section| !["REPORTS", "FILTERS", "OUTPUT"].contains(section));
        assert_eq!(sections, expected, "{shown}");
    }
}

#[test]
fn manual_pages_are_overwritten_and_world_readable() {
    let site = pages();
    let before = site.read("pages/leadclicks.1");
    site.write("pages/leadclicks.1", "old");
    site.write("pages/other.1", "stays");
    let mut again = site.command_with_umask("022", &["man", "pages"]);
    again.current_dir(site.path(""));
    assert!(Ran::finish(again, b"").status.success());
    assert_eq!(site.read("pages/leadclicks.1"), before);
    assert_eq!(site.read("pages/other.1"), b"stays");
    assert_eq!(mode(&site.path("pages/leadclicks.1")), 0o644);
    assert_eq!(site.files(), ["pages"]);
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error() {
    let site = Site::new();
    site.write("file", "");
    site.run(&["man", "file"]).assert(
        1,
        "",
        "leadclicks: cannot write file: File exists (os error 17); choose another directory\n",
    );
    fs::create_dir_all(site.path("pages/leadclicks.1")).unwrap();
    site.run(&["man", "pages"]).assert(
        1,
        "",
        "leadclicks: cannot write pages/leadclicks.1: Is a directory (os error 21); choose another directory\n",
    );
    assert_eq!(fs::read_dir(site.path("pages")).unwrap().count(), 1);
}
