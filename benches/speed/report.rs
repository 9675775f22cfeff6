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

/// What is asked of both. In its texts EXPERT stands for a username and LAST_WEEK for a time.
struct Question {
    name: &'static str,
    format: &'static str,
    arguments: &'static [&'static str],
    sql: &'static str,
    answers: Answers,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    /// Both print the same rows in the same order.
    Equal,
    /// Both tell the same, in forms of their own; or the shell has less to do, which is said.
    Comparable,
}

const ALL: Question = Question {
    name: "by email",
    format: "csv",
    arguments: &["--by-email"],
    sql: BY_EMAIL,
    answers: Answers::Equal,
};

const LAST_WEEK: Question = Question {
    name: "by email, last 7 days",
    format: "csv",
    arguments: &["--by-email", "--since", "LAST_WEEK"],
    sql: BY_EMAIL_LAST_WEEK,
    answers: Answers::Equal,
};

const EXPERT: Question = Question {
    name: "one expert",
    format: "csv",
    arguments: &["--expert", "EXPERT"],
    sql: BY_EXPERT,
    answers: Answers::Equal,
};

const QUESTIONS: [Question; 8] = [
    ALL,
    Question {
        format: "json",
        answers: Answers::Comparable,
        ..ALL
    },
    Question {
        name: "by email, 50 leads",
        format: "table",
        sql: BY_EMAIL_TABLE,
        answers: Answers::Comparable,
        ..ALL
    },
    LAST_WEEK,
    EXPERT,
    Question {
        name: "one expert, against a bare scan",
        sql: BY_EXPERT_SCAN,
        answers: Answers::Comparable,
        ..EXPERT
    },
    Question {
        format: "json",
        answers: Answers::Comparable,
        ..EXPERT
    },
    Question {
        name: "one expert, 200 clicks",
        format: "table",
        sql: BY_EXPERT_TABLE,
        answers: Answers::Comparable,
        ..EXPERT
    },
];

/// Faster than `first_value` and than a join with each lead's latest click. What is newer has the larger id here, and
/// leadclicks, which can't know that, orders by time.
const BY_EMAIL: &str = "
    SELECT email, expert_username, NAME AS expert_name, search_query, created_at
    FROM (SELECT *, max(id) OVER (PARTITION BY email) AS latest FROM lead_clicks)
    LEFT JOIN experts ON username = expert_username
    ORDER BY latest DESC, id DESC";
const BY_EMAIL_LAST_WEEK: &str = "
    SELECT email, expert_username, NAME AS expert_name, search_query, created_at
    FROM (
        SELECT *, max(id) OVER (PARTITION BY email) AS latest FROM lead_clicks WHERE created_at >= 'LAST_WEEK'
    )
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

impl Question {
    fn ours(&self, db: &Path) -> Command {
        let mut leadclicks = Command::new(env!("CARGO_BIN_EXE_leadclicks"));
        leadclicks.arg("report").args(["--format", self.format]);
        leadclicks.arg("--db").arg(db);
        leadclicks.args(self.arguments.iter().map(|argument| {
            argument
                .replace("EXPERT", &data::expert_username(0))
                .replace("LAST_WEEK", data::LAST_WEEK)
        }));
        leadclicks
    }

    fn shell(&self, db: &Path) -> Command {
        let sql = self
            .sql
            .replace("NAME", NAME)
            .replace("EXPERT", &data::expert_username(0))
            .replace("LAST_WEEK", data::LAST_WEEK_STORED);
        let mut shell = Command::new("sqlite3");
        shell.args(["-readonly", "-header", &format!("-{}", self.format)]);
        shell.arg(db).arg(sql);
        shell
    }
}

/// What a question took on a database of so many rows.
struct Sample {
    rows: u64,
    name: &'static str,
    format: &'static str,
    ours: Vec<Run>,
    shells: Vec<Run>,
}

/// Measures and prints the table.
pub fn bench(plan: &Plan, directory: &Path) -> Result<(), Box<dyn Error>> {
    let mut samples: Vec<Sample> = Vec::new();
    let mut facts = Vec::new();
    for &rows in &plan.rows {
        let db = data::database(directory, rows)?;
        for question in &QUESTIONS {
            samples.push(measure(plan, question, rows, &db)?);
        }
        let secs_of = |question: Question| {
            let mut runs = samples.iter().filter(|sample| sample.rows == rows);
            let sample = runs
                .find(|sample| (sample.name, sample.format) == (question.name, question.format));
            sample.map_or(f64::NAN, |sample| median_secs(&sample.ours))
        };
        let first_ms = (0..plan.rounds)
            .map(|_| first_row_ms(&mut EXPERT.ours(&db)))
            .collect::<Result<Vec<f64>, _>>()?;
        facts.push(format!(
            "Of {}, the last 7 days by email take 1/{:.0} of the time that all take; the first row about one expert is \
             there after {:.0} ms.",
            data::name(rows),
            secs_of(ALL) / secs_of(LAST_WEEK),
            median(first_ms)
        ));
    }
    print(&samples);
    println!("\n{}", facts.join("\n"));
    Ok(())
}

fn measure(
    plan: &Plan,
    question: &Question,
    rows: u64,
    db: &Path,
) -> Result<Sample, Box<dyn Error>> {
    let Question { name, format, .. } = *question;
    eprintln!("report: {}, {name}, {format}", data::name(rows));
    // Also the first run, which brings the file into memory.
    if question.answers == Answers::Equal {
        compare(question, db)?;
    }
    let mut sample = Sample {
        rows,
        name,
        format,
        ours: Vec::new(),
        shells: Vec::new(),
    };
    for _ in 0..plan.rounds {
        sample.ours.push(measure::run(&mut question.ours(db))?);
        sample.shells.push(measure::run(&mut question.shell(db))?);
    }
    Ok(sample)
}

fn print(samples: &[Sample]) {
    let lines: Vec<_> = samples
        .iter()
        .map(|sample| {
            let pairs = sample.ours.iter().zip(&sample.shells);
            [
                sample.name.to_owned(),
                data::name(sample.rows),
                sample.format.to_owned(),
                format!("{:.2}", median_secs(&sample.ours)),
                format!("{:.2}", median_secs(&sample.shells)),
                format!(
                    "{:.2}",
                    median(pairs.map(|(ours, shell)| ours.secs / shell.secs))
                ),
                format!("{:.0}", median_mb(&sample.ours)),
                format!("{:.0}", median_mb(&sample.shells)),
            ]
        })
        .collect();
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
}

fn median_secs(runs: &[Run]) -> f64 {
    median(runs.iter().map(|run| run.secs))
}

fn median_mb(runs: &[Run]) -> f64 {
    median(runs.iter().map(|run| run.peak_mb))
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
