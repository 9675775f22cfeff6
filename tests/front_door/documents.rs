//! The documents are true: their examples run, their options and commands are those of `--help`, and their links lead
//! somewhere.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::support::{Daemon, Ran, Site, commands, help, subcommands};

/// Where the documents say that the daemon listens and the database is.
const ADDRESS: &str = "127.0.0.1:8787";
const DB: &str = "/var/lib/leadclicks/leadclicks.db";
/// The largest size of a document that people read first, in bytes.
const README_BYTES_MAX: usize = 8 * 1024;
const ARCHITECTURE_BYTES_MAX: usize = 10 * 1024;

/// A document for people.
struct Document {
    /// Its path in the repository.
    name: String,
    text: String,
}

impl Document {
    fn read(name: &str) -> Self {
        let text = fs::read_to_string(in_repository(name)).expect(name);
        Self {
            name: name.to_owned(),
            text,
        }
    }

    /// The contents of its code blocks in a language, without the indentation that a list gives them.
    fn blocks(&self, language: &str) -> Vec<String> {
        let mut blocks = Vec::new();
        let mut lines = self.text.lines();
        while let Some(line) = lines.next() {
            let Some(found) = line.trim_start().strip_prefix("```") else {
                continue;
            };
            let indentation = line.len() - line.trim_start().len();
            let block: Vec<&str> = lines
                .by_ref()
                .take_while(|line| line.trim() != "```")
                .map(|line| line.get(indentation..).unwrap_or_default())
                .collect();
            if found == language {
                blocks.push(block.join("\n") + "\n");
            }
        }
        blocks
    }

    /// Its lines that are not in a code block.
    fn prose(&self) -> impl Iterator<Item = &str> {
        let mut is_code = false;
        self.text.lines().filter(move |line| {
            let is_fence = line.trim_start().starts_with("```");
            is_code ^= is_fence;
            !is_code && !is_fence
        })
    }

    /// The anchors of its headings, as GitHub derives them.
    fn anchors(&self) -> BTreeSet<String> {
        self.prose()
            .filter(|line| line.starts_with('#'))
            .map(|line| {
                line.trim_start_matches('#')
                    .trim()
                    .to_lowercase()
                    .chars()
                    .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                    .map(|c| if c == ' ' { '-' } else { c })
                    .collect()
            })
            .collect()
    }

    /// The targets of its links, except for those on the web.
    fn links(&self) -> Vec<&str> {
        // The text of a link may continue on the next line, but its target may not.
        self.prose()
            .flat_map(|line| line.split("](").skip(1))
            .map(|rest| rest.split(')').next().unwrap())
            .filter(|target| !target.starts_with("https://"))
            .collect()
    }
}

fn in_repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// All documents of the repository.
fn documents() -> Vec<Document> {
    let mut names: Vec<String> = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "tests/README.md",
    ]
    .map(str::to_owned)
    .to_vec();
    for entry in fs::read_dir(in_repository("docs")).expect("docs") {
        let name = entry.expect("an entry").file_name().into_string().unwrap();
        names.push(format!("docs/{name}"));
    }
    names.iter().map(|name| Document::read(name)).collect()
}

/// A command of a `console` block and what the document says that it prints.
struct Example {
    command: String,
    printed: String,
}

fn examples(document: &Document) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for block in document.blocks("console") {
        let mut lines = block.lines();
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

/// Replaces every `YYYY-MM-DD`, with a weekday before it and a time after it, by one word.
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

/// Runs a document's examples in their order, on a database of their own; returns how many there are.
fn run_examples(document: &Document) -> usize {
    let examples = examples(document);
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    for Example { command, printed } in &examples {
        let script = command
            .replace(ADDRESS, daemon.address())
            .replace(DB, site.db_path().to_str().unwrap());
        let mut shell = site.shell(&format!("exec 2>&1\n{script}"));
        shell.env("TZ", "Etc/UTC");
        let ran = Ran::finish(shell, b"");
        let expected = printed.replace(DB, site.db_path().to_str().unwrap());
        // curl prints no line break after an answer.
        let ends = |text: &str| without_space(&without_times(text.trim_end_matches('\n')));
        assert_eq!(
            ends(&ran.stdout),
            ends(&expected),
            "{}\n{ran}",
            document.name
        );
    }
    examples.len()
}

#[test]
#[ignore = "needs curl and man; tests/run runs it"]
fn the_examples_print_what_the_documents_say() {
    let count: usize = documents().iter().map(run_examples).sum();
    assert!(count > 35, "only {count} examples");
}

#[test]
fn the_scripts_in_the_documents_are_shell() {
    let mut count = 0;
    for document in documents() {
        for script in document.blocks("sh") {
            let mut shell = Command::new("sh");
            shell
                .arg("-n")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            let ran = Ran::finish(shell, script.as_bytes());
            assert!(ran.status.success(), "{}\n{script}\n{ran}", document.name);
            count += 1;
        }
    }
    assert!(count > 10, "only {count} scripts");
}

/// The words that begin with `--` in a text.
fn flags(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .filter(|word| word.starts_with("--") && !word.ends_with('-'))
        .collect()
}

#[test]
fn the_documents_name_every_command_and_flag_and_no_others() {
    let mut helps = vec![help(env!("CARGO_BIN_EXE_leadclicksd"), &[])];
    let mut leaves = BTreeSet::from(["leadclicksd".to_owned()]);
    for command in commands() {
        helps.push(help(env!("CARGO_BIN_EXE_leadclicks"), &command));
        if subcommands(&command).is_empty() {
            leaves.insert(format!("leadclicks {}", command.join(" ")));
        }
    }

    // Each has a heading in docs/commands.md, and a line in README's table.
    let without_flags = |command: &str| command.split(" --").next().unwrap().to_owned();
    let headings: BTreeSet<String> = Document::read("docs/commands.md")
        .prose()
        .filter_map(|line| line.strip_prefix("### "))
        .map(without_flags)
        .collect();
    assert_eq!(headings, leaves);
    let rows: BTreeSet<String> = Document::read("README.md")
        .prose()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(without_flags)
        .collect();
    assert_eq!(rows, leaves);

    let explained: BTreeSet<&str> = helps.iter().flat_map(|help| flags(help)).collect();
    let usual = BTreeSet::from(["--help", "--version"]);
    // Flags of other programs, and a style sheet's variable.
    let foreign = BTreeSet::from([
        "--allow-downgrades",
        "--append",
        "--bin",
        "--cap-drop",
        "--command",
        "--csv",
        "--detach",
        "--entrypoint",
        "--env",
        "--expert-card-accent",
        "--features",
        "--file",
        "--from",
        "--fuzz-dir",
        "--groups",
        "--home-dir",
        "--include-ignored",
        "--input",
        "--interactive",
        "--lib",
        "--locked",
        "--long",
        "--name",
        "--now",
        "--prefix",
        "--project",
        "--publish",
        "--read-only",
        "--release",
        "--restart",
        "--rm",
        "--sanitizer",
        "--shell",
        "--show",
        "--showformat",
        "--size",
        "--system",
        "--tag",
        "--test",
        "--time",
        "--tty",
        "--ulimit",
        "--user",
        "--verify",
        "--volume",
    ]);
    let documents = documents();
    let documented: BTreeSet<&str> = documents
        .iter()
        .flat_map(|document| flags(&document.text))
        .collect();
    assert_eq!(&(&documented - &foreign) - &usual, &explained - &usual);
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_exist() {
    let mut count = 0;
    for document in documents() {
        for link in document.links() {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = in_repository(&document.name);
            let target = match file {
                "" => path,
                file => path.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{} links to {link}", document.name);
            if !anchor.is_empty() {
                let target = Document::read(target.to_str().unwrap());
                assert!(
                    target.anchors().contains(anchor),
                    "{} links to {link}, but there are only {:#?}",
                    document.name,
                    target.anchors()
                );
            }
            count += 1;
        }
    }
    assert!(count > 50, "only {count} links");
}

/// The text between pairs of backticks.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The text of all files of a directory.
fn sources(directory: &Path) -> String {
    fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                fs::read_to_string(&path).expect("a source")
            }
        })
        .collect()
}

#[test]
fn every_test_that_the_table_of_faults_names_exists() {
    let faults = Document::read("docs/faults.md");
    let tests = faults.text.split("\n## Tests\n").nth(1).expect("Tests");
    let sources = sources(&in_repository("tests/front_door"));
    let named: Vec<&str> = code_spans(tests)
        .filter(|name| name.contains('_'))
        .collect();
    assert!(named.len() > 15, "only {named:?}");
    for name in named {
        assert!(sources.contains(&format!("fn {name}()")), "no test {name}");
    }
}

/// A message is in the source, or, if SQLite words it, in a test that expects it.
#[test]
fn every_message_that_the_tables_of_faults_quote_exists() {
    let faults = Document::read("docs/faults.md");
    let sources = sources(&in_repository("src")) + &sources(&in_repository("tests/front_door"));
    let mut column = None;
    let mut count = 0;
    for line in faults.prose() {
        let cells: Vec<&str> = line.split(" | ").collect();
        if line.starts_with("| fault ") {
            column = cells.iter().position(|cell| *cell == "the log says");
        }
        let cell = column.and_then(|column| cells.get(column));
        for message in cell.into_iter().flat_map(|cell| code_spans(cell)) {
            assert!(sources.contains(message), "nothing logs {message:?}");
            count += 1;
        }
    }
    assert!(count > 10, "only {count} messages");
}

#[test]
fn all_files_that_name_the_version_name_the_same() {
    let version = env!("CARGO_PKG_VERSION");
    for (name, text) in [
        (
            "frontend/package.json",
            format!("\n  \"version\": \"{version}\",\n"),
        ),
        (
            "frontend/package-lock.json",
            format!("\n  \"version\": \"{version}\",\n"),
        ),
        (
            "bin/container/compose.yaml",
            format!("image: leadclicks:{version}\n"),
        ),
        ("CHANGELOG.md", format!("\n## [{version}]\n")),
        (
            "docs/deployment.md",
            format!("/leadclicks_{version}-1_amd64.deb"),
        ),
        (
            "docs/deployment.md",
            format!("/leadclicks-{version}-x86_64-container.tar"),
        ),
        ("docs/deployment.md", format!(" leadclicks:{version}\n")),
        ("docs/platforms.md", format!("/leadclicks:{version}\"\n")),
        ("docs/platforms.md", format!("=leadclicks:{version} /usr ")),
        (
            "docs/upgrade.md",
            format!("/leadclicks_{version}-1_amd64.deb"),
        ),
        (
            "docs/browser-integration.md",
            format!("/leadclicks-{version}.tgz"),
        ),
    ] {
        assert!(
            Document::read(name).text.contains(&text),
            "{name} lacks {text}"
        );
    }
}

#[test]
fn readme_and_architecture_are_short() {
    for (name, bytes_max) in [
        ("README.md", README_BYTES_MAX),
        ("ARCHITECTURE.md", ARCHITECTURE_BYTES_MAX),
    ] {
        let bytes = Document::read(name).text.len();
        assert!(bytes <= bytes_max, "{name} has {bytes} bytes");
    }
}
