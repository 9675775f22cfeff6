//! leadclicksd against the bare server, by wrk, in alternation.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    Plan, data,
    measure::{self, Server, median},
    print_table,
};

const WRK_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/speed/wrk.lua");

/// What answers the posts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Bare,
    /// leadclicksd on a database of this many clicks.
    Daemon {
        rows: u64,
    },
}

impl Subject {
    fn name(self) -> String {
        match self {
            Self::Bare => "bare hyper, stores nothing".to_owned(),
            Self::Daemon { rows: 0 } => "leadclicksd, empty table".to_owned(),
            Self::Daemon { rows } => format!("leadclicksd, {}", data::name(rows)),
        }
    }
}

/// What one load of one server came to.
struct Sample {
    subject: Subject,
    connections: u32,
    per_sec: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_micros: f64,
    peak_mb: f64,
}

/// Measures and prints the table.
pub fn bench(plan: &Plan, directory: &Path) -> Result<(), Box<dyn Error>> {
    let rows_max = plan.rows.iter().copied().max().unwrap_or_default();
    let subjects: [Subject; 3] = [
        Subject::Bare,
        Subject::Daemon { rows: 0 },
        Subject::Daemon { rows: rows_max },
    ];
    let large = directory.join("large.db");
    fs::copy(data::database(directory, rows_max)?, &large)?;
    let mut samples = Vec::new();
    let mut fsyncs_ms = Vec::new();
    for round in 1..=plan.rounds {
        eprintln!("capture: round {round} of {}", plan.rounds);
        for &connections in &plan.connections {
            fsyncs_ms.push(measure::fsync_ms(directory)?);
            for subject in subjects {
                let db = match subject {
                    Subject::Bare => None,
                    Subject::Daemon { rows: 0 } => Some(directory.join("empty.db")),
                    Subject::Daemon { .. } => Some(large.clone()),
                };
                samples.push(load(plan, subject, connections, db.as_deref())?);
                if subject == (Subject::Daemon { rows: 0 }) {
                    remove_database(&directory.join("empty.db"))?;
                }
            }
        }
    }
    remove_database(&large)?;
    print(plan, &subjects, &samples, median(fsyncs_ms));
    Ok(())
}

/// A server of its own for each load, so that its memory is that load's.
fn load(
    plan: &Plan,
    subject: Subject,
    connections: u32,
    db: Option<&Path>,
) -> Result<Sample, Box<dyn Error>> {
    let mut command = match db {
        None => {
            let mut bench = Command::new(env::current_exe()?);
            bench.arg("bare-server");
            bench
        }
        Some(db) => {
            let mut daemon = Command::new(env!("CARGO_BIN_EXE_leadclicksd"));
            daemon.arg("--db").arg(db).args(["--listen", "127.0.0.1:0"]);
            daemon
        }
    };
    let server = Server::start(&mut command)?;
    let cpu_secs_before = server.cpu_secs()?;
    let wrk = Command::new("wrk")
        .args(["--threads", "1", "--connections", &connections.to_string()])
        .args(["--duration", &format!("{}s", plan.secs)])
        .args(["--script", WRK_SCRIPT])
        .arg(format!("http://{}/api/lead-clicks", server.address))
        .stderr(Stdio::inherit())
        .output()?;
    let cpu_secs = server.cpu_secs()? - cpu_secs_before;
    let output = String::from_utf8(wrk.stdout)?;
    let numbers: Vec<f64> = output
        .lines()
        .find_map(|line| line.strip_prefix("measured "))
        .ok_or_else(|| format!("wrk did not measure: {output}"))?
        .split(' ')
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [requests, micros, p50_micros, p99_micros, errors] = numbers[..] else {
        return Err(format!("wrk did not measure: {output}").into());
    };
    if errors > 0.0 {
        return Err(format!("{errors} posts were not answered 202 by {}", subject.name()).into());
    }
    Ok(Sample {
        subject,
        connections,
        per_sec: requests * 1e6 / micros,
        p50_ms: p50_micros / 1e3,
        p99_ms: p99_micros / 1e3,
        cpu_micros: cpu_secs * 1e6 / requests,
        peak_mb: server.peak_mb()?,
    })
}

fn remove_database(path: &Path) -> Result<(), Box<dyn Error>> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        fs::remove_file(PathBuf::from(name))?;
    }
    Ok(())
}

fn print(plan: &Plan, subjects: &[Subject; 3], samples: &[Sample], fsync_ms: f64) {
    let of = |subject: Subject, connections: u32| {
        samples
            .iter()
            .filter(move |sample| sample.subject == subject && sample.connections == connections)
    };
    // Each to one of its own round, because these machines are noisy.
    let ratio = |subject: Subject, other: Subject, connections: u32| {
        let pairs = of(subject, connections).zip(of(other, connections));
        median(pairs.map(|(sample, other)| sample.per_sec / other.per_sec))
    };
    let mut lines = Vec::new();
    for &connections in &plan.connections {
        for &subject in subjects {
            let median_of = |value: fn(&Sample) -> f64| median(of(subject, connections).map(value));
            lines.push([
                connections.to_string(),
                subject.name(),
                format!("{:.0}", median_of(|sample| sample.per_sec)),
                format!("{:.2}", ratio(subject, Subject::Bare, connections)),
                format!("{:.2}", median_of(|sample| sample.p50_ms)),
                format!("{:.2}", median_of(|sample| sample.p99_ms)),
                format!("{:.1}", median_of(|sample| sample.cpu_micros)),
                format!("{:.1}", median_of(|sample| sample.peak_mb)),
            ]);
        }
    }
    print_table(
        [
            "connections",
            "server",
            "requests/s",
            "ratio",
            "p50 ms",
            "p99 ms",
            "CPU µs a request",
            "memory MB",
        ],
        &lines,
    );
    let [_, empty, large] = *subjects;
    let flat: Vec<String> = plan
        .connections
        .iter()
        .map(|&connections| format!("{:.2}", ratio(large, empty, connections)))
        .collect();
    println!(
        "\n{} against an empty table: {}.\nOne fsync of this disk takes {fsync_ms:.2} ms.",
        large.name(),
        flat.join(", ")
    );
}
