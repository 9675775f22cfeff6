//! leadclicksd against the bare server, by wrk, in alternation.

use std::{
    env,
    error::Error,
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    Plan, data,
    measure::{self, Server, median},
    print_table,
};

const WARM_UP_SECS: u32 = 1;
const WRK_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/speed/wrk.lua");

/// What answers the posts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Bare,
    /// leadclicksd on a new database.
    Empty,
    /// leadclicksd on a database that had this many clicks at the start.
    Large {
        rows: u64,
    },
}

impl Subject {
    fn name(self) -> String {
        match self {
            Self::Bare => "bare hyper, stores nothing".to_owned(),
            Self::Empty => "leadclicksd, empty table".to_owned(),
            Self::Large { rows } => format!("leadclicksd, {}", data::clicks_in_words(rows)),
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
    measure::require("wrk")?;
    let rows = plan.rows.iter().copied().max().unwrap_or_default();
    let subjects = [Subject::Bare, Subject::Empty, Subject::Large { rows }];
    let scratch = tempfile::tempdir_in(directory)?;
    let large = scratch.path().join("large.db");
    fs::copy(data::database(directory, rows)?, &large)?;
    // The loads must not share the disk with what is left of the copy.
    File::open(&large)?.sync_all()?;
    let mut samples = Vec::new();
    let mut fsyncs_ms = Vec::new();
    let mut order = subjects;
    for round in 1..=plan.rounds {
        eprintln!("capture: round {round} of {}", plan.rounds);
        for &connections in &plan.connections {
            fsyncs_ms.push(measure::fsync_ms(scratch.path())?);
            for subject in order {
                let empty = tempfile::tempdir_in(scratch.path())?;
                let server = match subject {
                    Subject::Bare => start_bare()?,
                    Subject::Empty => start_daemon(&empty.path().join("empty.db"))?,
                    Subject::Large { .. } => start_daemon(&large)?,
                };
                samples.push(load(plan, subject, connections, &server)?);
            }
        }
        // None is always the first or the last.
        order.rotate_left(1);
    }
    print(plan, &subjects, &samples, median(fsyncs_ms));
    Ok(())
}

fn start_bare() -> Result<Server, Box<dyn Error>> {
    Server::start(Command::new(env::current_exe()?).arg("bare-server"))
}

fn start_daemon(db: &Path) -> Result<Server, Box<dyn Error>> {
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_leadclicksd"));
    // Loopback is not limited anyway, and the daemon would warn of that.
    daemon.args(["--listen", "127.0.0.1:0", "--rate-limit", "off"]);
    Server::start(daemon.arg("--db").arg(db))
}

/// Each server takes one load only, so that its memory is that load's.
fn load(
    plan: &Plan,
    subject: Subject,
    connections: u32,
    server: &Server,
) -> Result<Sample, Box<dyn Error>> {
    // A new WAL file grows at first, and growing takes the disk longer.
    wrk(server, connections, WARM_UP_SECS)?;
    let cpu_secs_before = server.cpu_secs()?;
    let output = wrk(server, connections, plan.secs)?;
    let cpu_secs = server.cpu_secs()? - cpu_secs_before;
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
        return Err(format!("{errors} posts failed at {}", subject.name()).into());
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

fn wrk(server: &Server, connections: u32, secs: u32) -> Result<String, Box<dyn Error>> {
    let wrk = Command::new("wrk")
        .args(["--threads", "1", "--connections", &connections.to_string()])
        .args(["--duration", &format!("{secs}s")])
        .args(["--script", WRK_SCRIPT])
        .arg(format!("http://{}/api/lead-clicks", server.address))
        .stderr(Stdio::inherit())
        .output()?;
    Ok(String::from_utf8(wrk.stdout)?)
}

fn print(plan: &Plan, subjects: &[Subject; 3], samples: &[Sample], fsync_ms: f64) {
    let of = |subject: Subject, connections: u32| {
        samples
            .iter()
            .filter(move |sample| sample.subject == subject && sample.connections == connections)
    };
    // Each to one of its own round, because these machines are noisy.
    let ratios = |subject: Subject, other: Subject, connections: u32| {
        let pairs = of(subject, connections).zip(of(other, connections));
        pairs.map(|(sample, other)| sample.per_sec / other.per_sec)
    };
    let mut lines = Vec::new();
    for &connections in &plan.connections {
        for &subject in subjects {
            let median_of = |value: fn(&Sample) -> f64| median(of(subject, connections).map(value));
            lines.push([
                connections.to_string(),
                subject.name(),
                format!("{:.0}", median_of(|sample| sample.per_sec)),
                measure::spread(ratios(subject, Subject::Bare, connections)),
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
            "of bare",
            "p50 ms",
            "p99 ms",
            "CPU µs a request",
            "peak MB",
        ],
        &lines,
    );
    let [_, empty, large] = *subjects;
    let flat: Vec<String> = plan
        .connections
        .iter()
        .map(|&connections| measure::spread(ratios(large, empty, connections)))
        .collect();
    println!(
        "\n{} against an empty table, in the same order: {}.\nOne fsync of this disk takes {fsync_ms:.2} ms.",
        large.name(),
        flat.join(", ")
    );
}
