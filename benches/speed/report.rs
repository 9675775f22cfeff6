//! `leadclicks report` against Debian's sqlite3 shell with the best single query that was found for the same rows.

use std::{
    error::Error,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    Plan, data,
    measure::{self, Run, median},
    print_table,
};

/// What is asked of both. In its texts `{expert}`, `{name}` and `{last_week}` stand for what [`Question::fill`] puts
/// there.
struct Question {
    name: &'static str,
    /// How many experts are clicked more often than the one who is asked for.
    expert_rank: u32,
    format: &'static str,
    arguments: &'static [&'static str],
    sql: &'static str,
    answers: Answers,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    /// Both print the same rows in the same order.
    Equal,
    /// The shell prints flat rows, without a layout, or less.
    Comparable,
}

const BY_EMAIL_ALL: Question = Question {
    name: "by email",
    expert_rank: 0,
    format: "csv",
    arguments: &["--by-email"],
    sql: BY_EMAIL,
    answers: Answers::Equal,
};

const BY_EMAIL_RECENT: Question = Question {
    name: "by email, last 7 days",
    arguments: &["--by-email", "--since", "{last_week}"],
    sql: BY_EMAIL_LAST_WEEK,
    ..BY_EMAIL_ALL
};

const TOP_EXPERT: Question = Question {
    name: "top expert",
    arguments: &["--expert", "{expert}"],
    sql: BY_EXPERT,
    ..BY_EMAIL_ALL
};

const USUAL_EXPERT: Question = Question {
    name: "usual expert",
    expert_rank: 1_000,
    ..TOP_EXPERT
};

const TOP_EXPERT_RECENT: Question = Question {
    name: "top expert, last 7 days",
    arguments: &["--expert", "{expert}", "--since", "{last_week}"],
    sql: BY_EXPERT_LAST_WEEK,
    ..TOP_EXPERT
};

const EXPERTS_RANKED: Question = Question {
    name: "experts ranked",
    arguments: &["--by-expert"],
    sql: RANKING,
    answers: Answers::Comparable,
    ..BY_EMAIL_ALL
};

const BY_DAY: Question = Question {
    name: "by day",
    arguments: &["--by-day"],
    sql: DAYS,
    answers: Answers::Comparable,
    ..BY_EMAIL_ALL
};

const QUESTIONS: [Question; 13] = [
    BY_EMAIL_ALL,
    Question {
        format: "json",
        answers: Answers::Comparable,
        ..BY_EMAIL_ALL
    },
    Question {
        name: "by email, 50 leads",
        format: "table",
        sql: BY_EMAIL_TABLE,
        answers: Answers::Comparable,
        ..BY_EMAIL_ALL
    },
    BY_EMAIL_RECENT,
    TOP_EXPERT,
    Question {
        format: "json",
        sql: BY_EXPERT_JSON,
        answers: Answers::Comparable,
        ..TOP_EXPERT
    },
    Question {
        name: "top expert, 200 clicks",
        format: "table",
        sql: BY_EXPERT_TABLE,
        answers: Answers::Comparable,
        ..TOP_EXPERT
    },
    Question {
        name: "top expert, bare scan",
        sql: BY_EXPERT_SCAN,
        answers: Answers::Comparable,
        ..TOP_EXPERT
    },
    USUAL_EXPERT,
    Question {
        name: "usual expert, bare scan",
        sql: BY_EXPERT_SCAN,
        answers: Answers::Comparable,
        ..USUAL_EXPERT
    },
    TOP_EXPERT_RECENT,
    EXPERTS_RANKED,
    BY_DAY,
];

/// Faster than `first_value`, than a join with each lead's latest click, and than either with all memory it wants. What
/// is newer has the larger id here, and leadclicks, which can't know that, orders by time.
const BY_EMAIL: &str = "
    SELECT email, expert_username, {name} AS expert_name, search_query, created_at
    FROM (SELECT *, max(id) OVER (PARTITION BY email) AS latest FROM lead_clicks)
    LEFT JOIN experts ON username = expert_username
    ORDER BY latest DESC, id DESC";
const BY_EMAIL_LAST_WEEK: &str = "
    SELECT email, expert_username, {name} AS expert_name, search_query, created_at
    FROM (
        SELECT *, max(id) OVER (PARTITION BY email) AS latest FROM lead_clicks WHERE created_at >= '{last_week}'
    )
    LEFT JOIN experts ON username = expert_username
    ORDER BY latest DESC, id DESC";
/// The clicks of the 50 leads that a table shows, and how many there are of both. The `IN` is a quick way past all
/// other clicks: a quarter of the time.
const BY_EMAIL_TABLE: &str = "
    WITH leads AS MATERIALIZED (SELECT email AS lead, max(id) AS latest FROM lead_clicks GROUP BY email),
        shown AS MATERIALIZED (SELECT * FROM leads ORDER BY latest DESC LIMIT 50)
    SELECT email, expert_username, {name} AS expert_name, search_query, created_at,
        (SELECT count(*) FROM leads) AS leads, (SELECT count(*) FROM lead_clicks) AS clicks
    FROM lead_clicks CROSS JOIN shown ON lead = email LEFT JOIN experts ON username = expert_username
    WHERE email IN (SELECT lead FROM shown)
    ORDER BY latest DESC, id DESC";
/// The plus keeps the shell from the index on time: finding the rows in the table and sorting them takes it less.
const BY_EXPERT: &str = "
    SELECT email, expert_username, {name} AS expert_name, search_query, created_at
    FROM lead_clicks LEFT JOIN experts ON username = expert_username
    WHERE expert_username = '{expert}' ORDER BY +created_at DESC, id DESC";
const BY_EXPERT_LAST_WEEK: &str = "
    SELECT email, expert_username, {name} AS expert_name, search_query, created_at
    FROM lead_clicks LEFT JOIN experts ON username = expert_username
    WHERE expert_username = '{expert}' AND created_at >= '{last_week}' ORDER BY created_at DESC, id DESC";
/// What leadclicks tells of a click where the expert is told once.
const BY_EXPERT_JSON: &str = "
    SELECT email, search_query, created_at FROM lead_clicks
    WHERE expert_username = '{expert}' ORDER BY +created_at DESC, id DESC";
/// The least that any query for an expert has to do where there is no index: no order, no names.
const BY_EXPERT_SCAN: &str = "
    SELECT email, expert_username, search_query, created_at FROM lead_clicks WHERE expert_username = '{expert}'";
/// The clicks that a table shows, and how many leads and clicks there are.
const BY_EXPERT_TABLE: &str = "
    WITH counted AS MATERIALIZED (
            SELECT count(DISTINCT email) AS leads, count(*) AS clicks FROM lead_clicks
            WHERE expert_username = '{expert}'
        ),
        shown AS MATERIALIZED (
            SELECT * FROM lead_clicks WHERE expert_username = '{expert}' ORDER BY created_at DESC, id DESC LIMIT 200
        )
    SELECT email, expert_username, {name} AS expert_name, search_query, created_at, leads, clicks
    FROM counted CROSS JOIN shown LEFT JOIN experts ON username = expert_username
    ORDER BY created_at DESC, id DESC";
const RANKING: &str = "
    SELECT expert_username, {name} AS expert_name, clicks, leads, latest
    FROM (SELECT expert_username, count(*) AS clicks, count(DISTINCT email) AS leads, max(created_at) AS latest
          FROM lead_clicks GROUP BY expert_username)
    LEFT JOIN experts ON username = expert_username
    ORDER BY clicks DESC, latest DESC";
const DAYS: &str = "
    SELECT date(created_at) AS day, count(*) AS clicks, count(DISTINCT email) AS leads
    FROM lead_clicks GROUP BY day ORDER BY day DESC";
const NAME: &str = "coalesce(nullif(trim(first_name || ' ' || last_name), ''), expert_username)";

impl Question {
    fn ours(&self, db: &Path) -> Command {
        let mut leadclicks = Command::new(env!("CARGO_BIN_EXE_leadclicks"));
        leadclicks.arg("report").args(["--format", self.format]);
        leadclicks.arg("--db").arg(db);
        let arguments = self.arguments.iter();
        leadclicks.args(arguments.map(|argument| self.fill(argument, data::LAST_WEEK)));
        leadclicks
    }

    fn shell(&self, db: &Path) -> Command {
        let mut shell = Command::new("sqlite3");
        shell.args(["-readonly", "-header", &format!("-{}", self.format)]);
        shell.arg(db);
        shell.arg(self.fill(self.sql, data::LAST_WEEK_STORED));
        shell
    }

    fn fill(&self, text: &str, last_week: &str) -> String {
        text.replace("{name}", NAME)
            .replace("{expert}", &data::expert_username(self.expert_rank))
            .replace("{last_week}", last_week)
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
    measure::require("sqlite3")?;
    let mut samples: Vec<Sample> = Vec::new();
    let mut facts = Vec::new();
    for &rows in &plan.rows {
        let db = data::database(directory, rows)?;
        for question in &QUESTIONS {
            samples.push(measure(plan, question, rows, &db)?);
        }
        let secs_of = |question: Question| {
            let mut samples = samples.iter().filter(|sample| sample.rows == rows);
            let sample = samples.find(|sample| sample.name == question.name);
            sample.map_or(f64::NAN, |sample| median_secs(&sample.ours))
        };
        facts.push(format!(
            "{}: the last 7 days by email are {:.0} times faster than all.",
            data::clicks_in_words(rows),
            secs_of(BY_EMAIL_ALL) / secs_of(BY_EMAIL_RECENT),
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
    eprintln!("report: {}, {name}, {format}", data::clicks_in_words(rows));
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
                data::clicks_in_words(sample.rows),
                sample.format.to_owned(),
                format!("{:.2}", median_secs(&sample.ours)),
                format!("{:.2}", median_secs(&sample.shells)),
                measure::spread(pairs.map(|(ours, shell)| ours.secs / shell.secs)),
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
                && record[4].get(..10) == expected[4].get(..10)
                && record[4].get(11..26) == expected[4].get(11..)
        });
        if !is_same {
            return Err(format!("{}: row {number} differs from the shell's", question.name).into());
        }
    }
    if shells_records.next().is_some() {
        return Err(format!("{}: the shell has more than {number} rows", question.name).into());
    }
    for mut child in children {
        if !child.wait()?.success() {
            return Err(format!("{}: a program failed", question.name).into());
        }
    }
    if number == 0 {
        return Err(format!("{}: there are no rows to compare", question.name).into());
    }
    Ok(())
}
