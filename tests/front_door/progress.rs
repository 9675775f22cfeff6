//! Progress on the terminal: shown after one second, and erased at the end.

use std::io::BufRead;

use crate::support::{Ran, Site};

/// Clicks with 2 KB of search each.
fn site(clicks: u32) -> Site {
    Site::new().with_schema(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {clicks})
         INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
         SELECT 'amy@example.com', 'jdoe', hex(zeroblob(1000)), '2026-11-01 09:00:00.000000' FROM n;"
    ))
}

/// A command whose `calls` each take `microseconds` longer, by strace.
fn slow(calls: &str, microseconds: u32, command: &str) -> String {
    format!(
        "strace -f -qq -o /dev/null -e trace={calls} -e inject={calls}:delay_enter={microseconds} {command}"
    )
}

/// Runs a script on a terminal; returns everything that the screen showed, and what is left at the end.
fn on_terminal(site: &Site, script: &str) -> (String, String) {
    let (code, screen) = site.on_terminal(script).finish();
    assert_eq!(code, Some(0), "{screen}");
    let left = screen
        .rsplit_once("\r\u{1b}[2K")
        .map_or(&*screen, |(_, left)| left)
        .to_owned();
    (screen, left)
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn a_backup_says_how_far_it_is() {
    let site = site(10_000);
    let command = |name: &str| slow("write", 50_000, &format!("leadclicks backup {name}"));
    let message = |name: &str| format!("backup written to {name}: 41.45 MB, 10000 clicks\n");
    let (screen, left) = on_terminal(&site, &command("slow.db"));
    assert!(screen.contains("copying █"), "{screen}");
    assert!(screen.contains(" MB of 41.45 MB\r\u{1b}[2K"), "{screen}");
    assert_eq!(left, message("slow.db"));

    let piped = site.shell(&command("piped.db"));
    Ran::of(piped).assert(0, &message("piped.db"), "");
    let (screen, _) = on_terminal(&site, &(command("quiet.db") + " 2>message"));
    assert_eq!(screen, message("quiet.db"));
    assert_eq!(site.read("message"), b"");
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn long_reading_shows_its_elapsed_time() {
    let site = site(300);
    for report in ["report --by-email", "report --by-query"] {
        let command = slow(
            "pread64",
            4_000,
            &format!("leadclicks {report} --format json"),
        );
        let (screen, left) = on_terminal(&site, &command);
        assert!(screen.contains(" reading clicks for 1s"), "{screen}");
        assert!(left.starts_with('{'), "{left}");
        let (screen, _) = on_terminal(&site, &format!("leadclicks {report} --format json"));
        assert!(screen.starts_with('{'), "{screen}");
    }
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn a_report_into_a_file_says_how_much_is_written() {
    let site = site(1000);
    let command =
        |rest: &str| slow("write", 60_000, "leadclicks report --by-email --format csv") + rest;
    for to_file in [" --output report.csv", " >report.csv"] {
        let (screen, left) = on_terminal(&site, &command(to_file));
        assert!(screen.contains(" MB written"), "{screen}");
        assert_eq!(left, "");
        assert_eq!(site.read("report.csv").lines().count(), 1001);
    }
    // The pipe may lead to a pager, and the terminal itself shows the report.
    let (screen, _) = on_terminal(&site, &command(" | tail -n 1 | wc -l"));
    assert_eq!(screen, "1\n");
    let (screen, _) = on_terminal(&site, &command(""));
    assert!(!screen.contains(" MB written"), "{screen}");
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn an_import_says_how_far_it_is() {
    let site = Site::new().with_schema("");
    let search = "q".repeat(1500);
    let row = format!("amy@example.com,jdoe,{search},2025-11-01T09:00:00Z\n");
    let rows = row.repeat(10_000);
    let header = "email,expert_username,search_query,created_at\n";
    site.write("clicks.csv", format!("{header}{rows}"));
    // Pages that do not fit in memory go into the WAL.
    let command = slow("pwrite64", 300, "leadclicks import clicks.csv");
    let (screen, left) = on_terminal(&site, &command);
    assert!(screen.contains("importing █"), "{screen}");
    assert!(screen.contains(" of 10,000 clicks\r\u{1b}[2K"), "{screen}");
    assert_eq!(left, "10000 new, 0 already stored\n");
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn a_check_says_how_long_it_has_taken() {
    let site = site(10_000);
    let command = slow("pread64", 100, "leadclicks check --offline --format json");
    let (code, screen) = site.on_terminal(&command).finish();
    assert_eq!(code, Some(4), "{screen}");
    assert!(screen.contains(" checking for 1s"), "{screen}");
    let (_, left) = screen.rsplit_once("\r\u{1b}[2K").expect(&screen);
    assert!(left.starts_with("{\"state\":\"warning\","), "{screen}");

    // A file that everyone may open.
    let piped = Ran::of(site.shell(&command));
    assert_eq!(piped.stderr, "leadclicks: 1 warning\n", "{piped}");
}
