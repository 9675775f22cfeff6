//! `leadclicks report` against Debian's sqlite3 shell with the best single query that was found for the same rows.

use std::{
    error::Error,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use crate::{
    Plan, data,
    measure::{self, Run, median},
    print_table,
};

/// Faster than `first_value` and than a join with each lead's latest click. What is newer has the larger id here, and
/// leadclicks, which can't know that, orders by time.
const BY_EMAIL: &str = "
    SELECT email, expert_username, NAME AS expert_name, search_query, created_at
    FROM (SELECT *, max(id) OVER (PARTITION BY email) AS latest FROM lead_clicks WHERE WINDOW)
    LEFT JOIN experts ON username = expert_username
    ORDER BY latest DESC, id DESC";
/// The clicks of the 50 leads that a table shows, and how many there are of both.
const BY_EMAIL_TABLE: &str = "
    WITH leads AS MATERIALIZED (SELECT email AS lead, max(id) AS latest FROM lead_clicks GROUP BY email),
        shown AS MATERIALIZED (SELECT * FROM leads ORDER BY latest DESC LIMIT 50)
    SELECT email, expert_username, NAME AS expert_name, search_query, created_at,
        (SELECT count(*) FROM leads) AS leads, (SELECT count(*) FROM lead_clicks) AS clicks
    FROM lead_clicks CROSS JOIN shown ON lead = email LEFT JOIN experts ON username = expert_username
    ORDER BY latest DESC, id DESC";
const BY_EXPERT: &str = "
    SELECT email, expert_username, NAME AS expert_name, search_query, created_at
    FROM lead_clicks LEFT JOIN experts ON username = expert_username
    WHERE expert_username = 'EXPERT' ORDER BY created_at DESC, id DESC";
/// The clicks that a table shows, and how many leads and clicks there are.
const BY_EXPERT_TABLE: &str = "
    SELECT email, expert_username, NAME AS expert_name, search_query, created_at,
        (SELECT count(DISTINCT email) FROM lead_clicks WHERE expert_username = 'EXPERT') AS leads,
        (SELECT count(*) FROM lead_clicks WHERE expert_username = 'EXPERT') AS clicks
    FROM lead_clicks LEFT JOIN experts ON username = expert_username
    WHERE expert_username = 'EXPERT' ORDER BY created_at DESC, id DESC LIMIT 200";
/// The least that any query for an expert has to do where there is no index: no order, no names.
const BY_EXPERT_SCAN: &str = "
    SELECT email, expert_username, search_query, created_at FROM lead_clicks WHERE expert_username = 'EXPERT'";
const NAME: &str = "coalesce(nullif(trim(first_name || ' ' || last_name), ''), expert_username)";

/// What is asked of both.
struct Question {
    name: &'static str,
    format: &'static str,
    ours: Vec<String>,
    sql: String,
    /// Whether both print the same rows in the same order.
    answer: Answer,
}

#[derive(PartialEq, Eq)]
enum Answer {
    Same,
    Comparable,
}

fn questions() -> Vec<Question> {
    let expert = &data::expert_username(0);
    let question = |name, format, ours: &[&str], sql: String, answer| Question {
        name,
        format,
        ours: ours.iter().map(ToString::to_string).collect(),
        sql: sql.replace("NAME", NAME).replace("EXPERT", expert),
        answer,
    };
    let all = || BY_EMAIL.replace("WINDOW", "TRUE");
    let last_week = BY_EMAIL.replace(
        "WINDOW",
        &format!("created_at >= '{}'", data::LAST_WEEK_STORED),
    );
    let by_email = &["--by-email"][..];
    let since = &["--by-email", "--since", data::LAST_WEEK][..];
    let by_expert = &["--expert", expert][..];
    vec![
        question("by email", "csv", by_email, all(), Answer::Same),
        question("by email", "json", by_email, all(), Answer::Comparable),
        question(
            "by email, 50 leads",
            "table",
            by_email,
            BY_EMAIL_TABLE.to_owned(),
            Answer::Comparable,
        ),
        question(
            "by email, last 7 days",
            "csv",
            since,
            last_week,
            Answer::Same,
        ),
        question(
            "one expert",
            "csv",
            by_expert,
            BY_EXPERT.to_owned(),
            Answer::Same,
        ),
        question(
            "one expert, against a bare scan",
            "csv",
            by_expert,
            BY_EXPERT_SCAN.to_owned(),
            Answer::Comparable,
        ),
        question(
            "one expert",
            "json",
            by_expert,
            BY_EXPERT.to_owned(),
            Answer::Comparable,
        ),
        question(
            "one expert, 200 clicks",
            "table",
            by_expert,
            BY_EXPERT_TABLE.to_owned(),
            Answer::Comparable,
        ),
    ]
}

impl Question {
    fn ours(&self, db: &Path) -> Command {
        let mut leadclicks = Command::new(env!("CARGO_BIN_EXE_leadclicks"));
        leadclicks.arg("report").args(&self.ours);
        leadclicks
            .args(["--format", self.format])
            .arg("--db")
            .arg(db);
        leadclicks
    }

    fn shell(&self, db: &Path) -> Command {
        let mut shell = Command::new("sqlite3");
        shell.args(["-readonly", "-header", &format!("-{}", self.format)]);
        shell.arg(db).arg(&self.sql);
        shell
    }
}

/// Measures and prints the table.
pub fn bench(plan: &Plan, directory: &Path) -> Result<(), Box<dyn Error>> {
    let questions = questions();
    let mut lines = Vec::new();
    for &rows in &plan.rows {
        let db = data::database(directory, rows)?;
        for question in &questions {
            eprintln!(
                "report: {}, {}, {}",
                data::name(rows),
                question.name,
                question.format
            );
            // Also the first run, which brings the file into memory.
            if question.answer == Answer::Same {
                compare(question, &db)?;
            }
            let mut ours = Vec::new();
            let mut shells = Vec::new();
            for _ in 0..plan.rounds {
                ours.push(measure::run(&mut question.ours(&db))?);
                shells.push(measure::run(&mut question.shell(&db))?);
            }
            lines.push(line(rows, question, &ours, &shells));
        }
        let csv = &questions[4];
        let mut first_ms = Vec::new();
        for _ in 0..plan.rounds {
            first_ms.push(first_row_ms(&mut csv.ours(&db))?);
        }
        println!(
            "{}: the first row about one expert is there after {:.1} ms",
            data::name(rows),
            median(first_ms)
        );
    }
    print_table(
        [
            "report",
            "of",
            "format",
            "leadclicks s",
            "sqlite3 s",
            "ratio",
            "leadclicks MB",
            "sqlite3 MB",
        ],
        &lines,
    );
    Ok(())
}

fn line(rows: u64, question: &Question, ours: &[Run], shells: &[Run]) -> [String; 8] {
    let secs = |runs: &[Run]| median(runs.iter().map(|run| run.secs));
    let megabytes = |runs: &[Run]| median(runs.iter().map(|run| run.peak_mb));
    let ratios = ours
        .iter()
        .zip(shells)
        .map(|(ours, shell)| ours.secs / shell.secs);
    [
        question.name.to_owned(),
        data::name(rows),
        question.format.to_owned(),
        format!("{:.2}", secs(ours)),
        format!("{:.2}", secs(shells)),
        format!("{:.2}", median(ratios)),
        format!("{:.0}", megabytes(ours)),
        format!("{:.0}", megabytes(shells)),
    ]
}

/// A comparison of times is worth nothing where the answers differ.
fn compare(question: &Question, db: &Path) -> Result<(), Box<dyn Error>> {
    let (mut ours, mut shell) = (question.ours(db), question.shell(db));
    let mut children = [
        ours.stdout(Stdio::piped()).spawn()?,
        shell.stdout(Stdio::piped()).spawn()?,
    ];
    let [ours, shells] = &mut children;
    let mut ours_out = csv::Reader::from_reader(ours.stdout.take().ok_or("no output")?);
    let mut shells_out = csv::Reader::from_reader(shells.stdout.take().ok_or("no output")?);
    let mut shells_records = shells_out.byte_records();
    let mut number = 0;
    for record in ours_out.byte_records() {
        number += 1;
        let record = record?;
        let expected = shells_records.next().transpose()?;
        let is_same = expected.is_some_and(|expected| {
            record.len() == 5
                && expected.len() == 5
                && (0..4).all(|cell| record[cell] == expected[cell])
                // The shell prints the time as it is stored.
                && record[4][..10] == expected[4][..10]
                && record[4][11..26] == expected[4][11..]
        });
        if !is_same {
            return Err(format!("{}: row {number} differs from the shell's", question.name).into());
        }
    }
    if shells_records.next().is_some() {
        return Err(format!("{}: the shell has more than {number} rows", question.name).into());
    }
    for mut child in children {
        child.wait()?;
    }
    Ok(())
}

fn first_row_ms(command: &mut Command) -> Result<f64, Box<dyn Error>> {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    let (_header, _row) = (lines.next(), lines.next().ok_or("no row")??);
    let took = started.elapsed();
    child.kill()?;
    child.wait()?;
    Ok(took.as_secs_f64() * 1e3)
}
