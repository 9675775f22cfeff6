//! Measures leadclicks, as ratios to a baseline in the same run.
//!
//! `cargo bench` measures everything in a quarter of an hour, `cargo bench -- --quick` in two minutes after the build, and
//! `cargo bench -- capture` or `-- report` one part. `cargo bench --features postgres -- postgres` compares the engines. Needs Debian's packages wrk and sqlite3, 4 GB in `target/` for data,
//! and 2 GB for sorting in the sqlite3 shell.

mod bare;
mod capture;
mod data;
mod measure;
#[cfg(feature = "postgres")]
mod postgres;
mod report;

use std::{error::Error, fs, path::Path, process::ExitCode};

use clap::{Parser, ValueEnum};

/// Measure leadclicks
#[derive(Parser)]
struct Cli {
    /// What to measure; by default everything
    part: Option<Part>,
    /// A million rows, and short loads
    #[arg(long)]
    quick: bool,
    /// Only check that everything works: few rows, one short round
    #[arg(long, conflicts_with = "quick")]
    smoke: bool,
    /// Cargo passes it to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Capture,
    Report,
    /// PostgreSQL against SQLite
    #[cfg(feature = "postgres")]
    Postgres,
    /// The server that the daemon is compared with
    #[value(hide = true)]
    BareServer,
}

/// The amount of work.
struct Plan {
    rows: Vec<u64>,
    connections: Vec<u32>,
    rounds: u32,
    /// The duration of each load.
    secs: u32,
}

impl Plan {
    fn full() -> Self {
        Self {
            rows: vec![1_000_000, 10_000_000],
            connections: vec![1, 16, 64, 256],
            rounds: 3,
            secs: 5,
        }
    }

    fn quick() -> Self {
        Self {
            rows: vec![1_000_000],
            rounds: 3,
            secs: 1,
            ..Self::full()
        }
    }

    fn smoke() -> Self {
        Self {
            rows: vec![10_000],
            connections: vec![1, 64],
            rounds: 1,
            secs: 1,
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.part {
        Some(Part::BareServer) => bare::serve(),
        part => bench(&cli, part),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(cli: &Cli, part: Option<Part>) -> Result<(), Box<dyn Error>> {
    let plan = if cli.smoke {
        Plan::smoke()
    } else if cli.quick {
        Plan::quick()
    } else {
        Plan::full()
    };
    // On a real disk, unlike the directory for temporary files.
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("speed");
    fs::create_dir_all(&directory)?;
    let wants = |wanted: Part| part.is_none_or(|part| part == wanted);
    if wants(Part::Report) {
        report::bench(&plan, &directory)?;
    }
    if wants(Part::Capture) {
        capture::bench(&plan, &directory)?;
    }
    #[cfg(feature = "postgres")]
    if wants(Part::Postgres) {
        postgres::bench(&plan, &directory)?;
    }
    Ok(())
}

/// Prints a table in the form of docs/benchmarks.md.
fn print_table<const COLUMNS: usize>(heads: [&str; COLUMNS], lines: &[[String; COLUMNS]]) {
    println!("\n| {} |", heads.join(" | "));
    println!("|{}", "---|".repeat(COLUMNS));
    for line in lines {
        println!("| {} |", line.join(" | "));
    }
}
