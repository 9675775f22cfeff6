//! Parses reports, and computes the expected ones with code independent of the product.

use std::collections::HashSet;

use serde_json::Value;

use super::plan::{Click, Erasure, Format, IMPORTED, Question};

/// A row of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub id: i64,
    pub email: String,
    pub expert: String,
    pub query: String,
    pub created_at: String,
}

/// A click in a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub email: String,
    pub expert: String,
    pub expert_name: String,
    pub query: String,
    /// As the database has it.
    pub created_at: String,
}

/// The command line of a report.
pub fn arguments(question: &Question, window: Option<(&str, &str)>) -> Vec<String> {
    let mut arguments = vec!["report".to_owned()];
    let mut add = |texts: &[&str]| arguments.extend(texts.iter().map(|&text| text.to_owned()));
    match question.expert {
        Some(expert) => add(&[&format!("--expert={expert}")]),
        None => add(&["--by-email"]),
    }
    match question.format {
        Format::Json => add(&["--format", "json"]),
        Format::Ndjson => add(&["--format", "ndjson"]),
        Format::Csv => add(&["--format", "csv"]),
        Format::RawCsv => add(&["--format", "csv", "--raw-csv"]),
    }
    if let Some(limit) = question.limit {
        add(&["--limit", &limit.to_string()]);
    }
    if let Some((since, until)) = window {
        add(&["--since", &rfc3339(since), "--until", &rfc3339(until)]);
    }
    arguments
}

/// The window of a question or an erasure; none if it is empty.
pub fn window(hundredths: Option<(usize, usize)>, rows: &[Row]) -> Option<(&str, &str)> {
    let (begin, end) = hundredths?;
    let at = |hundredth: usize| Some(&*rows.get(hundredth * rows.len() / 100)?.created_at);
    let (since, until) = (at(begin)?, at(end)?);
    (since < until).then_some((since, until))
}

/// What the clicks have that a deletion selects, besides their time.
#[derive(Debug, Clone)]
pub struct Selected {
    lead: Option<String>,
    expert: Option<&'static str>,
    search: Option<&'static str>,
}

impl Selected {
    pub fn of(erasure: &Erasure, rows: &[Row]) -> Self {
        let lead = erasure
            .lead
            .and_then(|hundredth| rows.get(hundredth * rows.len() / 100));
        Self {
            lead: lead.map(|row| row.email.clone()),
            expert: erasure.expert,
            search: erasure.search,
        }
    }

    pub fn has_click(&self, click: &Click) -> bool {
        self.has(&click.email, click.expert, &click.query)
    }

    fn has(&self, email: &str, expert: &str, query: &str) -> bool {
        self.lead.as_ref().is_none_or(|lead| email == lead)
            && self.expert.is_none_or(|selected| expert == selected)
            && self.search.is_none_or(|search| query.contains(search))
    }
}

/// The arguments of a deletion, and which of `rows` it deletes; none if it has no conditions.
pub fn erasure<'a>(erasure: &Erasure, rows: &'a [Row]) -> Option<(Vec<String>, Vec<&'a Row>)> {
    let selected = Selected::of(erasure, rows);
    let Selected {
        lead,
        expert,
        search,
    } = &selected;
    let window = window(erasure.window, rows);
    let mut arguments = vec!["purge".to_owned(), "--yes".to_owned()];
    match (lead, expert, search, window) {
        (None, None, None, None) => return None,
        (Some(lead), None, None, None) => {
            arguments = vec!["forget".to_owned(), "--yes".to_owned(), lead.to_uppercase()];
        }
        _ => {
            let lead = lead.as_ref();
            arguments.extend(lead.map(|lead| format!("--email={}", lead.to_uppercase())));
            arguments.extend(expert.map(|expert| format!("--expert={expert}")));
            arguments.extend(search.map(|search| format!("--query={}", search.to_uppercase())));
            if let Some((since, until)) = window {
                arguments.push(format!("--since={}", rfc3339(since)));
                arguments.push(format!("--until={}", rfc3339(until)));
            }
        }
    }
    let deleted = rows
        .iter()
        .filter(|row| selected.has(&row.email, &row.expert, &row.query))
        .filter(|row| {
            window.is_none_or(|(since, until)| (since..until).contains(&&*row.created_at))
        })
        .collect();
    Some((arguments, deleted))
}

/// The expected report of `rows`, which are ordered by id.
pub fn expected(question: &Question, rows: &[Row], names: Names) -> Vec<Line> {
    let window = window(question.window, rows);
    let mut rows: Vec<&Row> = rows
        .iter()
        .filter(|row| question.expert.is_none_or(|expert| row.expert == expert))
        .filter(|row| {
            window.is_none_or(|(since, until)| (since..until).contains(&&*row.created_at))
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse((&row.created_at, row.id)));
    let limit = question.limit.unwrap_or(usize::MAX);
    if question.expert.is_some() {
        rows.truncate(limit);
    } else {
        let mut seen = HashSet::new();
        let leads = rows
            .iter()
            .filter(|row| seen.insert(&row.email))
            .take(limit);
        let of_lead = |lead: &&Row| {
            let email = lead.email.clone();
            rows.iter().filter(move |row| row.email == email)
        };
        rows = leads
            .copied()
            .collect::<Vec<_>>()
            .iter()
            .flat_map(of_lead)
            .copied()
            .collect();
    }
    let line = |row: &Row| Line {
        email: row.email.clone(),
        expert: row.expert.clone(),
        expert_name: names.of(&row.expert),
        query: row.query.clone(),
        created_at: row.created_at.clone(),
    };
    rows.into_iter().map(line).collect()
}

/// The experts whose names the reports show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Those of [`crate::support::HOST_APP`].
    HostApp,
    /// Those that were imported last; edition 0 is before the first import.
    Imported { edition: usize },
}

impl Names {
    pub fn of(self, expert: &str) -> String {
        match self {
            Self::HostApp if expert == "jdoe" => "Jane Doe".to_owned(),
            Self::Imported { edition } if edition > 0 && IMPORTED.contains(&expert) => {
                format!("First{edition} Last, {expert}")
            }
            _ => expert.to_owned(),
        }
    }
}

/// The marketplace's export with the names of an edition.
pub fn export(edition: usize) -> String {
    let rows = IMPORTED.map(|expert| format!("{expert},First{edition},\"Last, {expert}\"\n"));
    format!("Username,First Name,Last Name\n{}", rows.concat())
}

/// Parses the output of a report.
pub fn parse(question: &Question, printed: &str) -> Vec<Line> {
    match question.format {
        Format::Json => parse_json(question, printed),
        Format::Ndjson => printed
            .lines()
            .map(|line| line_of(&serde_json::from_str(line).expect(line), &Value::Null))
            .collect(),
        Format::Csv => parse_csv(printed, without_guards),
        Format::RawCsv => parse_csv(printed, str::to_owned),
    }
}

fn parse_json(question: &Question, printed: &str) -> Vec<Line> {
    let whole: Value = serde_json::from_str(printed).expect("JSON");
    let parts = match question.expert {
        Some(expert) => {
            assert_eq!(whole["expert_username"], expert);
            std::slice::from_ref(&whole)
        }
        None => whole["leads"].as_array().expect("leads"),
    };
    let mut emails = HashSet::new();
    let mut lines_of = |part: &Value| -> Vec<Line> {
        assert!(emails.insert(part["email"].to_string()), "twice: {part}");
        let clicks = part["clicks"].as_array().expect("clicks");
        assert!(question.expert.is_some() || !clicks.is_empty(), "{part}");
        clicks.iter().map(|click| line_of(click, part)).collect()
    };
    parts.iter().flat_map(&mut lines_of).collect()
}

/// A click in JSON. The fields that it lacks are in the objects around it.
fn line_of(click: &Value, around: &Value) -> Line {
    let text = |name: &str| {
        let value = click.get(name).or(around.get(name));
        value.and_then(Value::as_str).expect(name).to_owned()
    };
    Line {
        email: text("email"),
        expert: text("expert_username"),
        expert_name: text("expert_name"),
        query: text("search_query"),
        created_at: stored(&text("created_at")),
    }
}

/// The text of a cell that has a `'` before each `=` with which a spreadsheet could begin a formula: at the beginning, and, if the
/// spreadsheet takes the comma for a separator, behind that in a name such as `Last, =sum`.
fn without_guards(cell: &str) -> String {
    let is_run = cell.starts_with('=') || cell.contains(", =");
    assert!(!is_run, "a spreadsheet would run {cell}");
    let text = cell.replace(", '=", ", =");
    let formula = text
        .strip_prefix('\'')
        .filter(|formula| formula.starts_with('='));
    formula.unwrap_or(&text).to_owned()
}

fn parse_csv(printed: &str, original: impl Fn(&str) -> String) -> Vec<Line> {
    let mut reader = csv::Reader::from_reader(printed.as_bytes());
    let header = "email,expert_username,expert_name,search_query,created_at";
    assert!(printed.starts_with(header), "{printed}");
    let records = reader.records().map(|record| record.expect("CSV"));
    records
        .map(|record| {
            let cell = |index: usize| original(&record[index]);
            Line {
                email: cell(0),
                expert: cell(1),
                expert_name: cell(2),
                query: cell(3),
                created_at: stored(&cell(4)),
            }
        })
        .collect()
}

fn rfc3339(stored: &str) -> String {
    format!("{}Z", stored.replace(' ', "T"))
}

fn stored(rfc3339: &str) -> String {
    let utc = rfc3339.strip_suffix('Z').expect("a time in UTC");
    utc.replace('T', " ")
}
