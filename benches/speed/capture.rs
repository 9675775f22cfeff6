//! Compares leadclicksd with the bare server, by wrk, in alternation; and measures how long the daemon takes to add the
//! column `click_id` to a database of an earlier version, and how long clicks wait while others are deleted.

use std::{
    env,
    error::Error,
    ffi::OsStr,
    fs::{self, File},
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use rusqlite::Connection;

use crate::{
    Plan, data,
    measure::{self, Server, median},
    print_table,
};

const WARM_UP_SECS: u32 = 1;
const WRK_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/speed/wrk.lua");

/// The server that answers the posts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Bare,
    /// leadclicksd on a new database.
    Empty,
    /// leadclicksd on a new database, and each click has an id.
    Ids,
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
            Self::Ids => "leadclicksd, empty table, clicks with ids".to_owned(),
            Self::Large { rows } => format!("leadclicksd, {}", data::clicks_in_words(rows)),
        }
    }
}

/// The result of one load on one server.
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
    let subjects = [
        Subject::Bare,
        Subject::Empty,
        Subject::Ids,
        Subject::Large { rows },
    ];
    let scratch = tempfile::tempdir_in(directory)?;
    let large = scratch.path().join("large.db");
    fs::copy(data::database(directory, rows)?, &large)?;
    // The kernel must not write the copy to disk during the loads.
    File::open(&large)?.sync_all()?;
    add_column(plan, &large, rows)?;
    delete_half(plan, directory, scratch.path())?;
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
                    Subject::Empty | Subject::Ids => start_daemon(empty.path().join("empty.db"))?,
                    Subject::Large { .. } => start_daemon(&large)?,
                };
                samples.push(load(plan, subject, connections, &server)?);
            }
        }
        // No subject is always first or last.
        order.rotate_left(1);
    }
    print(plan, &subjects, &samples, median(fsyncs_ms));
    Ok(())
}

fn start_bare() -> Result<Server, Box<dyn Error>> {
    Server::start(Command::new(env::current_exe()?).arg("bare-server"))
}

pub fn start_daemon(db: impl AsRef<OsStr>) -> Result<Server, Box<dyn Error>> {
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_leadclicksd"));
    // Loopback is not limited anyway, and the daemon would warn about it.
    daemon.args(["--listen", "127.0.0.1:0", "--rate-limit", "off"]);
    Server::start(daemon.arg("--db").arg(db.as_ref()))
}

#[cfg(feature = "postgres")]
/// The rate at which a daemon stores clicks with ids.
pub fn posts_per_sec(server: &Server, connections: u32, secs: u32) -> Result<f64, Box<dyn Error>> {
    wrk(server, Subject::Ids, connections, WARM_UP_SECS)?;
    let [requests, micros, _, _, errors] =
        measured(&wrk(server, Subject::Ids, connections, secs)?)?;
    if errors > 0.0 {
        return Err(format!("{errors} posts failed").into());
    }
    Ok(requests * 1e6 / micros)
}

/// Requests, microseconds, the median and the 99th percentile of the latency in microseconds, and errors.
fn measured(output: &str) -> Result<[f64; 5], Box<dyn Error>> {
    let numbers: Vec<f64> = output
        .lines()
        .find_map(|line| line.strip_prefix("measured "))
        .ok_or_else(|| format!("wrk did not measure: {output}"))?
        .split(' ')
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    numbers
        .try_into()
        .map_err(|_| format!("wrk did not measure: {output}").into())
}

/// Each server gets only one load, so its peak memory belongs to that load.
fn load(
    plan: &Plan,
    subject: Subject,
    connections: u32,
    server: &Server,
) -> Result<Sample, Box<dyn Error>> {
    // A new WAL file grows at first, which is slower than overwriting it.
    wrk(server, subject, connections, WARM_UP_SECS)?;
    let cpu_secs_before = server.cpu_secs()?;
    let output = wrk(server, subject, connections, plan.secs)?;
    let cpu_secs = server.cpu_secs()? - cpu_secs_before;
    let [requests, micros, p50_micros, p99_micros, errors] = measured(&output)?;
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

fn wrk(
    server: &Server,
    subject: Subject,
    connections: u32,
    secs: u32,
) -> Result<String, Box<dyn Error>> {
    let script_args = if subject == Subject::Ids {
        &["--", "ids"][..]
    } else {
        &[]
    };
    let wrk = Command::new("wrk")
        .args(["--threads", "1", "--connections", &connections.to_string()])
        .args(["--duration", &format!("{secs}s")])
        .args(["--script", WRK_SCRIPT])
        .arg(format!("http://{}/api/lead-clicks", server.address))
        .args(script_args)
        .stderr(Stdio::inherit())
        .output()?;
    Ok(String::from_utf8(wrk.stdout)?)
}

fn print(plan: &Plan, subjects: &[Subject; 4], samples: &[Sample], fsync_ms: f64) {
    let of = |subject: Subject, connections: u32| {
        samples
            .iter()
            .filter(move |sample| sample.subject == subject && sample.connections == connections)
    };
    // Ratios within one round, because the machine is noisy.
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
    let [_, empty, ids, large] = *subjects;
    let against_empty = |subject: Subject| {
        let ratios: Vec<String> = plan
            .connections
            .iter()
            .map(|&connections| measure::spread(ratios(subject, empty, connections)))
            .collect();
        ratios.join(", ")
    };
    println!(
        "\n{} against an empty table, in the same order: {}.\nClicks with ids against those without: {}.\n\
         One fsync of this disk takes {fsync_ms:.2} ms.",
        large.name(),
        against_empty(large),
        against_empty(ids),
    );
}

/// Measures how long the daemon takes to add the column `click_id` to the database of an earlier version, and how long a
/// click waits that is posted as soon as the daemon is ready.
fn add_column(plan: &Plan, db: &Path, rows: u64) -> Result<(), Box<dyn Error>> {
    let mut added_secs = Vec::new();
    let mut waited_secs = Vec::new();
    for round in 1..=plan.rounds {
        eprintln!(
            "capture: adding the column, round {round} of {}",
            plan.rounds
        );
        make_earlier(db)?;
        let begin = Instant::now();
        let server = start_daemon(db)?;
        let ready = Instant::now();
        post(&server)?;
        added_secs.push(begin.elapsed().as_secs_f64());
        waited_secs.push(ready.elapsed().as_secs_f64());
        post(&server)?;
        drop(server);
    }
    println!(
        "\nAdding the column click_id to {}: {} s from the start of leadclicksd on; a click that is posted meanwhile \
         waits for at most {} s.",
        data::clicks_in_words(rows),
        measure::spread(added_secs),
        measure::spread(waited_secs),
    );
    Ok(())
}

/// Measures how long `forget` and `purge` take to delete every second of a million clicks, those of one lead, and how long a
/// click waits meanwhile.
fn delete_half(plan: &Plan, directory: &Path, scratch: &Path) -> Result<(), Box<dyn Error>> {
    const LEAD: &str = "half@example.com";
    let rows = plan.rows.iter().copied().min().unwrap_or_default();
    for command in [&["forget", LEAD][..], &["purge", "--email", LEAD]] {
        let (mut took_secs, mut longest_ms) = (Vec::new(), Vec::new());
        for round in 1..=plan.rounds {
            let name = command[0];
            eprintln!("capture: {name}, round {round} of {}", plan.rounds);
            let db = scratch.join("half.db");
            fs::copy(data::database(directory, rows)?, &db)?;
            Connection::open(&db)?
                .execute("UPDATE lead_clicks SET email = ?1 WHERE id % 2 = 0", [LEAD])?;
            File::open(&db)?.sync_all()?;
            let server = start_daemon(&db)?;
            let mut delete = Command::new(env!("CARGO_BIN_EXE_leadclicks"));
            delete.args(command).args(["--yes", "--db"]).arg(&db);
            let begin = Instant::now();
            let mut child = delete.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
            let mut longest = 0.0_f64;
            let status = loop {
                let posted = Instant::now();
                post(&server)?;
                longest = longest.max(posted.elapsed().as_secs_f64() * 1e3);
                if let Some(status) = child.try_wait()? {
                    break status;
                }
            };
            if !status.success() {
                return Err(format!("{delete:?} failed").into());
            }
            took_secs.push(begin.elapsed().as_secs_f64());
            longest_ms.push(longest);
            drop(server);
            for suffix in ["", "-wal", "-shm"] {
                fs::remove_file(scratch.join(format!("half.db{suffix}")))?;
            }
        }
        println!(
            "\n{}, every second of {}: {} s; a click that is posted meanwhile waits for at most {} ms.",
            command[0],
            data::clicks_in_words(rows),
            measure::spread(took_secs),
            measure::spread(longest_ms),
        );
    }
    Ok(())
}

/// Gives the table of clicks the schema that the version before `click_id` made. Its rows have NULL there, which that
/// schema ignores.
fn make_earlier(db: &Path) -> Result<(), Box<dyn Error>> {
    let earlier = Connection::open_in_memory()?;
    earlier.execute_batch(include_str!("../../tests/front_door/earlier_schema.sql"))?;
    let find = "SELECT sql FROM sqlite_schema WHERE name = 'lead_clicks'";
    let sql: String = earlier.query_row(find, [], |row| row.get(0))?;
    let conn = Connection::open(db)?;
    conn.pragma_update(None, "writable_schema", true)?;
    conn.execute(
        "UPDATE sqlite_schema SET sql = ?1 WHERE name = 'lead_clicks'",
        [sql],
    )?;
    conn.pragma_update(None, "writable_schema", "RESET")?;
    Ok(())
}

/// Posts one click and waits for its 202.
fn post(server: &Server) -> Result<(), Box<dyn Error>> {
    let body = r#"{"email":"lead@mail.example.com","expert_username":"expert1"}"#;
    let mut stream = TcpStream::connect(&server.address)?;
    write!(
        stream,
        "POST /api/lead-clicks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 202 ") {
        Ok(())
    } else {
        Err(format!("a click was not accepted: {answer}").into())
    }
}
