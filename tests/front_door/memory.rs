//! What the commands need when there are very many leads or searches, and what they say if they do not get it.

use std::process::{Command, Output};

use crate::support::{Site, is_long};

/// How long a command may run.
const SECONDS_MAX: &str = "1800";

/// Commands that keep only what they show, whatever the clicks.
const FRUGAL: &[&str] = &[
    "summary",
    "report --by-expert",
    "report --by-query",
    "report --by-day",
    "report --leads",
    "report --leads --sort experts",
    "report --by-day --format csv",
    "report --expert expert1",
    "report --by-query --format html --output page.html",
    "check --offline",
    "check --quick --offline",
    "purge --older-than 1s --dry-run",
    "forget lead1@example.com --yes",
    "purge --older-than 27d --yes",
];

/// Commands that keep the clicks that they export, or all leads.
const EXPORTS: &[&str] = &[
    "report --by-email --format csv",
    "report --by-query --format csv",
    "report --expert expert1 --format json",
];

/// A database with `clicks` in the last 28 days, whose columns are these expressions of SQL for the click number `i`.
fn site(clicks: u32, email: &str, expert: &str, search: &str) -> Site {
    let site = Site::new().with_schema("");
    site.connect()
        .execute_batch(&format!(
            "PRAGMA synchronous = OFF;
             WITH RECURSIVE numbers (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < {clicks})
             INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
             SELECT {email}, {expert}, {search},
                 strftime('%Y-%m-%d %H:%M:%S.000000', 'now', (28.0 * i / {clicks} - 28.1) || ' days')
             FROM numbers;
             PRAGMA wal_checkpoint(TRUNCATE)"
        ))
        .unwrap();
    site
}

/// Clicks of so many leads, experts and searches, as mixed as possible, so that nearly each click is a different pair of any two.
fn many_clicks(clicks: u32, leads: u32, experts: u32, searches: u32) -> Site {
    let spread = |prime: u32, count: u32| format!("i * {prime} % 2147483647 % {count}");
    site(
        clicks,
        &format!("'lead' || ({}) || '@example.com'", spread(7_919, leads)),
        &format!("'expert' || ({})", spread(104_729, experts)),
        &format!("'Search ' || ({})", spread(611_953, searches)),
    )
}

/// Searches that all differ, and have the greatest length.
fn long_searches(clicks: u32) -> Site {
    site(
        clicks,
        "'lead' || i || '@example.com'",
        "'expert' || i % 2000",
        "substr(i || ' ' || replace(hex(zeroblob(1000)), '0', 'X'), 1, 2000)",
    )
}

fn run(site: &Site, limit_kb: u64, command: &str) -> Output {
    let mut limited = Command::new("timeout");
    limited
        .args([SECONDS_MAX, "prlimit"])
        .arg(format!("--as={}", limit_kb * 1024))
        .arg(env!("CARGO_BIN_EXE_leadclicks"))
        .args(command.split(' '))
        .arg("--db")
        .arg(site.db_path())
        .env("TZ", "UTC")
        .current_dir(site.db_path().parent().unwrap());
    limited.output().unwrap()
}

/// Exit code 4 is that of a warning, for instance of little free disk space.
fn succeeded(output: &Output) -> bool {
    matches!(output.status.code(), Some(0 | 4))
}

/// The least address space in which a command does its work on an empty database, in KB.
fn own_need_kb(command: &str) -> u64 {
    const STEP_KB: u64 = 512;
    const LIMITS: u64 = 128;
    let empty = Site::new().with_schema("");
    let mut limits: Vec<u64> = (0..LIMITS).map(|step| step * STEP_KB).collect();
    let suffices = |limit_kb: &u64| succeeded(&run(&empty, *limit_kb, command));
    let first = limits.partition_point(|limit_kb| !suffices(limit_kb));
    assert!(first < limits.len(), "{command}");
    limits.swap_remove(first)
}

#[test]
fn reports_and_deletions_need_little_memory_whatever_the_clicks() {
    let needs: Vec<(&str, u64)> = FRUGAL
        .iter()
        .map(|command| (*command, own_need_kb(command)))
        .collect();
    let (sites, mb) = if is_long() {
        let many = many_clicks(5_000_000, 200_000, 2_000, 50_000);
        ([many, long_searches(200_000)], 64)
    } else {
        let many = many_clicks(50_000, 20_000, 2_000, 10_000);
        ([many, long_searches(4_000)], 10)
    };
    for site in sites {
        for (command, own_kb) in &needs {
            let ran = run(&site, own_kb + mb * 1024, command);
            assert!(
                succeeded(&ran),
                "{command} with {own_kb} KB + {mb} MB: {ran:?}"
            );
        }
    }
}

#[test]
fn refused_memory_is_an_error() {
    let many = many_clicks(50_000, 20_000, 2_000, 10_000);
    for site in [many, long_searches(4_000)] {
        let error = format!(
            "leadclicks: {}: not enough memory; allow the program more, or narrow a report with --since or --limit\n",
            site.db_path().display()
        );
        for command in EXPORTS {
            let ran = run(&site, own_need_kb(command) + 1024, command);
            assert_eq!(ran.status.code(), Some(1), "{command}: {ran:?}");
            assert_eq!(String::from_utf8_lossy(&ran.stderr), error, "{command}");
            assert!(ran.stdout.is_empty());
        }
    }
}
