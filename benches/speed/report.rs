//! Compares `leadclicks report` with Debian's sqlite3 shell, which runs the fastest known query for the same rows.

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

/// A question for both. [`Question::fill`] replaces `{expert}`, `{name}` and `{last_week}` in its texts.
struct Question {
    name: &'static str,
    /// The number of experts who are clicked more often than the expert in question.
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
    /// The shell prints the rows without a layout, or fewer columns.
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

/// Faster than `first_value`, and than a join with each lead's latest click, even with unlimited memory. It can order by id,
/// because newer clicks have larger ids here; leadclicks can't rely on that, and orders by time.
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
/// The clicks of the 50 leads in a table, and the totals. The `IN` skips all other clicks quickly, which saves three quarters
/// of the time.
const BY_EMAIL_TABLE: &str = "
    WITH leads AS MATERIALIZED (SELECT email AS lead, max(id) AS latest FROM lead_clicks GROUP BY email),
        shown AS MATERIALIZED (SELECT * FROM leads ORDER BY latest DESC LIMIT 50)
    SELECT email, expert_username, {name} AS expert_name, search_query, created_at,
        (SELECT count(*) FROM leads) AS leads, (SELECT count(*) FROM lead_clicks) AS clicks
    FROM lead_clicks CROSS JOIN shown ON lead = email LEFT JOIN experts ON username = expert_username
    WHERE email IN (SELECT lead FROM shown)
    ORDER BY latest DESC, id DESC";
/// The plus keeps SQLite from using the index on time: scanning the table and sorting is faster.
const BY_EXPERT: &str = "
    SELECT email, expert_username, {name} AS expert_name, search_query, created_at
    FROM lead_clicks LEFT JOIN experts ON username = expert_username
    WHERE expert_username = '{expert}' ORDER BY +created_at DESC, id DESC";
const BY_EXPERT_LAST_WEEK: &str = "
    SELECT email, expert_username, {name} AS expert_name, search_query, created_at
    FROM lead_clicks LEFT JOIN experts ON username = expert_username
    WHERE expert_username = '{expert}' AND created_at >= '{last_week}' ORDER BY created_at DESC, id DESC";
/// The columns of a click in a report that names the expert once.
const BY_EXPERT_JSON: &str = "
    SELECT email, search_query, created_at FROM lead_clicks
    WHERE expert_username = '{expert}' ORDER BY +created_at DESC, id DESC";
/// The least work of any query for an expert without an index: no order, no names.
const BY_EXPERT_SCAN: &str = "
    SELECT email, expert_username, search_query, created_at FROM lead_clicks WHERE expert_username = '{expert}'";
/// The clicks in a table, and the numbers of leads and clicks.
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
    fn leadclicks(&self, db: &Path) -> Command {
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

/// The measurements of a question on a database with `rows` rows.
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
    // This is also the first run, which loads the file into memory.
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
        sample
            .ours
            .push(measure::run(&mut question.leadclicks(db))?);
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

/// Checks that both answers are equal; otherwise the comparison of times would mean nothing.
fn compare(question: &Question, db: &Path) -> Result<(), Box<dyn Error>> {
    let (mut ours, mut shell) = (question.leadclicks(db), question.shell(db));
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
                // The shell prints the stored form of the time.
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
