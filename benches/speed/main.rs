//! How fast leadclicks is, as ratios to what is measured beside it in the same run.
//!
//! `cargo bench` measures everything in a quarter of an hour, `cargo bench -- --quick` in two minutes once it is built,
//! `cargo bench -- capture` or `-- report` one part. Needs Debian's packages wrk and sqlite3, 4 GB in `target/` for its
//! data, and 2 GB for what the sqlite3 shell sorts.

mod bare;
mod capture;
mod data;
mod measure;
mod report;

use std::{error::Error, fs, path::Path, process::ExitCode};

use clap::{Parser, ValueEnum};

/// Measure leadclicks
#[derive(Parser)]
struct Cli {
    /// What to measure; everything without it
    part: Option<Part>,
    /// A million rows, and short loads
    #[arg(long)]
    quick: bool,
    /// Only see that it all works: few rows, one short round
    #[arg(long, conflicts_with = "quick")]
    smoke: bool,
    /// Cargo gives it to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Capture,
    Report,
    /// The server that the daemon is compared with
    #[value(hide = true)]
    BareServer,
}

/// How much is measured.
struct Plan {
    rows: Vec<u64>,
    connections: Vec<u32>,
    rounds: u32,
    /// How long each load lasts.
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
    if part != Some(Part::Capture) {
        report::bench(&plan, &directory)?;
    }
    if part != Some(Part::Report) {
        capture::bench(&plan, &directory)?;
    }
    Ok(())
}

/// Prints a table as docs/benchmarks.md has it.
fn print_table<const COLUMNS: usize>(heads: [&str; COLUMNS], lines: &[[String; COLUMNS]]) {
    println!("\n| {} |", heads.join(" | "));
    println!("|{}", "---|".repeat(COLUMNS));
    for line in lines {
        println!("| {} |", line.join(" | "));
    }
}
