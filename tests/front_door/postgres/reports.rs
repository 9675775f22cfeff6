//! The same clicks give the same reports on both engines.

use std::fmt::Write as _;

use super::server::ServerSite;
use crate::support::Site;

/// Clicks in many spellings, many at the same instant.
fn random_clicks(seed: u64, count: usize) -> Vec<String> {
    const LEADS: [&str; 8] = [
        "jane@example.com",
        "Jane@Example.com",
        "jane\u{200b}@example.com",
        "jörg@example.com",
        "JÖRG@example.com",
        "bo@münchen.example",
        "bo@xn--mnchen-3ya.example",
        "'quoted;\"one\"'@example.com",
    ];
    const SEARCHES: [&str; 8] = [
        "",
        "tax",
        "Tax ",
        "café",
        "cafe\u{301}",
        "=1+1",
        "a\nb\t\u{7}",
        "emoji \u{1f468}\u{200d}\u{1f469} \u{202e}rtl",
    ];
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count)
        .map(|_| {
            let lead = match random.usize(..3) {
                0 => LEADS[random.usize(..LEADS.len())].to_owned(),
                _ => format!("lead{}@example.com", random.usize(..count / 4)),
            };
            let expert = match random.usize(..6) {
                0 => "zoë".to_owned(),
                1 => "zoe\u{308}".to_owned(),
                _ => format!("expert{}", random.usize(..20)),
            };
            let search = match random.usize(..3) {
                0 => format!("search {}", random.usize(..50)),
                _ => SEARCHES[random.usize(..SEARCHES.len())].to_owned(),
            };
            let (day, hour, minute) = (random.u8(1..=28), random.u8(..24), random.u8(..3));
            let micros = random.u32(..3) * 499_999;
            let quoted = |text: &str| text.replace('\'', "''");
            format!(
                "('{}', '{}', '{}', '2026-10-{day:02} {hour:02}:{minute:02}:00.{micros:06}')",
                quoted(&lead),
                quoted(&expert),
                quoted(&search)
            )
        })
        .collect()
}

fn fill(server: &ServerSite, site: Site, clicks: &[String]) -> Site {
    let mut sql = String::new();
    for some in clicks.chunks(500) {
        let rows = some.join(",\n");
        writeln!(
            sql,
            "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES {rows};"
        )
        .unwrap();
    }
    sql += "INSERT INTO experts (username, first_name, last_name) VALUES
        ('zoë', 'Zoë', 'Ünal'), ('expert1', 'Anna', 'Schmidt'), ('B', 'B', ''), ('a', 'a', '');";
    server.sql(&format!("SET TIME ZONE 'UTC';\n{sql}"));
    site.with_schema(&sql)
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn every_report_is_byte_equal_on_both_engines() {
    let server = ServerSite::new();
    // More than is fetched at a time.
    let site = fill(&server, Site::new(), &random_clicks(18, 5_000));
    let questions: [&[&str]; 6] = [
        &["report", "--by-email"],
        &["report", "--by-expert"],
        &["report", "--by-query"],
        &["report", "--by-day", "--tz", "Asia/Tokyo"],
        &["report", "--expert", "Zoë Ünal"],
        &["report", "--email", "jane@example.com"],
    ];
    let filters: [&[&str]; 7] = [
        &[],
        &["--limit", "7"],
        &["--since", "2026-10-10", "--until", "2026-10-12"],
        &["--expert", "expert1"],
        &["--email", "@example.com"],
        &["--email", "JÖRG@example.com"],
        &["--query", "CAFÉ"],
    ];
    let mut compared = 0;
    for question in questions {
        for filter in filters {
            if question.contains(filter.first().unwrap_or(&"")) {
                continue;
            }
            let formats: &[&str] = match filter {
                [] => &["table", "csv", "json", "ndjson", "html"],
                _ => &["json"],
            };
            for format in formats {
                let args = [question, filter, &["--format", format]].concat();
                let (here, there) = (site.run(&args), server.run(&args));
                // A page names the time at which it was made.
                let comparable = |text: &str| match text.find("<main") {
                    Some(main) if *format == "html" => text[main..].to_owned(),
                    _ => text.to_owned(),
                };
                assert_eq!(
                    comparable(&there.stdout),
                    comparable(&here.stdout),
                    "{args:?} {}",
                    there.stderr
                );
                assert_eq!(there.status, here.status, "{there}");
                compared += usize::from(!there.stdout.is_empty());
            }
        }
    }
    assert!(compared > 50, "only {compared} reports");
    for args in [
        &["summary", "--format", "json"][..],
        &["experts", "list"],
        &["experts", "list", "--format", "csv"],
        &[
            "report",
            "--by-email",
            "--email",
            "nobody@example.com",
            "--format",
            "csv",
        ],
    ] {
        let (here, there) = (site.run(args), server.run(args));
        assert_eq!(there.stdout, here.stdout, "{args:?} {there}");
        assert_eq!(there.status, here.status, "{there}");
    }
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn times_outside_the_years_of_a_click_are_an_error_that_names_the_click() {
    let server = ServerSite::new();
    server.sql(
        "INSERT INTO lead_clicks (email, expert_username, created_at) VALUES
             ('jane@example.com', 'jdoe', now()), ('joe@example.com', 'jdoe', 'infinity')",
    );
    let error = "the click with id 2 has an invalid created_at; change it to YYYY-MM-DD HH:MM:SS (UTC) or delete the row";
    let ran = server.run(&["report", "--by-email"]);
    ran.assert(1, "", &format!("leadclicks: {}: {error}\n", server.shown()));
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_server_that_is_not_there_is_an_error_with_the_next_step() {
    let site = Site::new();
    for (url, shown, error) in [
        (
            "postgres://app@127.0.0.1:1/app",
            "postgres://app@127.0.0.1:1/app",
            "cannot connect: Connection refused (os error 111); check the host and port in --db, and whether the server runs",
        ),
        (
            "postgres://app@127.0.0.1:1,127.0.0.1:2/app",
            "postgres://app@127.0.0.1:1,127.0.0.1:2/app",
            "cannot connect: 127.0.0.1:1: Connection refused (os error 111); check the host and port in --db, and whether the \
             server runs; 127.0.0.1:2: Connection refused (os error 111); check the host and port in --db, and whether the server \
             runs",
        ),
    ] {
        let ran = site.run(&["report", "--by-email", "--db", url]);
        ran.assert(1, "", &format!("leadclicks: {shown}: {error}\n"));
    }
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn an_expert_is_removed_in_every_spelling_and_never_from_the_table_of_a_host_app() {
    let server = ServerSite::new();
    server.sql(
        "INSERT INTO experts (username, first_name, last_name) VALUES
             ('zoë', 'Zoë', 'Tan'), ('zoe\u{308}', '', ''), ('jdoe', 'John', 'Doe')",
    );
    let usernames = "SELECT string_agg(username, ' ' ORDER BY username) FROM experts";
    server.run(&["experts", "remove", "zoe\u{308}"]).assert(
        0,
        "removed zoe\u{308}; clicks on this expert stay\nremoved zoë (Zoë Tan); clicks on this expert stay\n",
        "",
    );
    assert_eq!(server.sql(usernames).trim(), "jdoe");
    let again = server.run(&["experts", "remove", "zoë"]);
    let error = "`leadclicks experts list` lists them";
    let error = format!(
        "leadclicks: no expert 'zoë' in {}; {error}\n",
        server.shown()
    );
    again.assert(1, "", &error);
    server.sql("ALTER TABLE experts ADD COLUMN note text");
    let refused = server.run(&["experts", "remove", "jdoe"]);
    assert_eq!(refused.status.code(), Some(1), "{refused}");
    assert!(
        refused
            .stderr
            .contains("the experts table belongs to another program"),
        "{refused}"
    );
    assert_eq!(server.sql(usernames).trim(), "jdoe");
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn clicks_of_another_database_are_compared_by_their_ids() {
    let clicks = "INSERT INTO lead_clicks (email, expert_username, search_query, created_at, click_id) VALUES
        ('jane@example.com', 'jdoe', 'tax', '2026-10-01 09:00:00.000000', '0e4c1b1e-6d4f-4a7e-9c58-2f1f3a5b7c01'),
        ('max@example.com', 'jdoe', 'law', '2026-10-01 10:00:00.000000', '0e4c1b1e-6d4f-4a7e-9c58-2f1f3a5b7c02'),
        ('max@example.com', 'jdoe', 'law', '2026-10-01 11:00:00.000000', NULL);";
    let server = ServerSite::new();
    server.sql(&format!("SET TIME ZONE 'UTC';\n{clicks}"));
    // The same id at another time is the same click, and another id at the same time is another one.
    server.sql(
        "UPDATE lead_clicks SET created_at = created_at + interval '1 day' WHERE email = 'jane@example.com';
         UPDATE lead_clicks SET click_id = '0e4c1b1e-6d4f-4a7e-9c58-2f1f3a5b7c03' WHERE search_query = 'law' AND click_id IS NOT NULL",
    );
    let other = Site::new().with_schema(clicks);
    let other = other.db_path().display().to_string();
    let import = ["import", "--dry-run", &other];
    server.run(&import).assert(
        0,
        "1 new, 2 already stored\n\ndry run: nothing was imported\n",
        "",
    );
    server.sql("ALTER TABLE lead_clicks DROP COLUMN click_id");
    server.run(&import).assert(
        0,
        "1 new, 2 already stored\n\ndry run: nothing was imported\n",
        "",
    );
}
