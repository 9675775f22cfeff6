//! A database that belongs to another application is used as it stands, or refused and left as it was.

use std::{ffi::OsStr, fs};

use serde_json::{Value, json};

use crate::{
    python,
    support::{Daemon, Site},
};

/// The tables of tests/host_app.py that a reset wipes, and those that it must not.
const WIPED: [&str; 6] = [
    "feedback",
    "conversations",
    "email_leads",
    "newsletter_subscribers",
    "user_events",
    "lead_clicks",
];
const KEPT: [(&str, u64); 3] = [("experts", 3), ("admin_users", 1), ("settings", 1)];

/// Runs a command of tests/host_app.py on the site's database.
#[track_caller]
fn host_app(site: &Site, command: &str) -> Value {
    let database = site.db_path();
    python::run(
        "host_app.py",
        &[OsStr::new(command), database.as_os_str()],
        "",
    )
}

/// All that a host app's migrations would notice: the DDL of everything, and the numbers in the file's header.
fn schema(site: &Site) -> (Vec<String>, [i64; 3]) {
    let conn = site.connect();
    let ddl = conn
        .prepare("SELECT type || ' ' || name || ' ' || tbl_name || ' ' || ifnull(sql, '') FROM sqlite_schema ORDER BY rowid")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let numbers = ["user_version", "application_id", "schema_version"].map(|pragma| {
        conn.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
            .unwrap()
    });
    (ddl, numbers)
}

fn row_count(site: &Site, table: &str) -> u64 {
    site.connect()
        .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        })
        .unwrap()
}

#[test]
fn a_sqlalchemy_app_reads_clicks_as_datetimes() {
    let site = Site::new();
    host_app(&site, "make");
    let daemon = Daemon::start(&site, &[]);
    for (email, expert) in [("ann@example.com", "jdoe"), ("ben@example.com", "unknown")] {
        assert_eq!(daemon.post(email, expert, "rust \"q\"").status, 202);
    }
    let clicks = host_app(&site, "read");
    let clicks = clicks.as_array().unwrap();
    assert_eq!(clicks.len(), 2);
    for click in clicks {
        assert_eq!(click["created_at_type"], "datetime", "{click}");
        let age_s = click["age_s"].as_f64().unwrap();
        assert!((0.0..60.0).contains(&age_s), "{click}");
        assert_eq!(click["search_query"], "rust \"q\"");
        // The app's own trigger saw the click.
        assert_eq!(click["found_by_search"], 1, "{click}");
    }
}

#[test]
fn reports_tell_a_sqlalchemy_apps_clicks_with_its_experts_names() {
    let site = Site::new();
    host_app(&site, "make");
    let daemon = Daemon::start(&site, &[]);
    assert_eq!(daemon.post("ann@example.com", "jdoe", "rust").status, 202);
    assert_eq!(daemon.post("ben@example.com", "unknown", "go").status, 202);
    host_app(&site, "write");

    let clicks = host_app(&site, "read");
    let clicks = clicks.as_array().unwrap();
    let whole_second = clicks[5]["created_at"].as_str().unwrap();
    assert!(whole_second.ends_with(".000000Z"), "{whole_second}");
    // Every lead clicked once.
    let mut newest_first: Vec<&Value> = clicks.iter().rev().collect();
    newest_first.sort_by(|a, b| b["created_at"].as_str().cmp(&a["created_at"].as_str()));
    let leads: Vec<Value> = newest_first
        .iter()
        .map(|click| {
            let name = match click["expert_username"].as_str().unwrap() {
                "jdoe" => "Jane Doe",
                "émile" => "Émile O'Neil",
                username => username,
            };
            json!({
                "email": click["email"],
                "clicks": [{
                    "expert_username": click["expert_username"],
                    "expert_name": name,
                    "search_query": click["search_query"],
                    "created_at": click["created_at"],
                }],
            })
        })
        .collect();
    assert_eq!(leads.len(), 6);
    let report = site.stdout_of(&["report", "--by-email", "--format", "json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report, json!({ "leads": leads }));

    // A time without a fraction lies in a window that begins with it.
    let window = [
        "--since=2026-01-02T03:04:05Z",
        "--until=2026-01-02T03:04:05.000006Z",
    ];
    let report = [&["report", "--by-email", "--format", "csv"][..], &window].concat();
    assert_eq!(
        site.stdout_of(&report),
        "email,expert_username,expert_name,search_query,created_at\n\
         app-émile@example.com,émile,Émile O'Neil,from the app,2026-01-02T03:04:05.000000Z\n"
    );
}

#[test]
fn a_sqlalchemy_apps_schema_and_experts_are_never_changed() {
    let site = Site::new();
    host_app(&site, "make");
    let schema_before = schema(&site);
    assert_eq!(schema_before.1[0], 42);
    let daemon = Daemon::start(&site, &[]);
    assert_eq!(daemon.post("ann@example.com", "jdoe", "").status, 202);
    host_app(&site, "write");

    let refusal = format!(
        "leadclicks: {}: the experts table is not leadclicks' own, so it is only read; \
         change experts in the program that owns the database\n",
        site.db_path().display()
    );
    site.run_with_input(
        &["experts", "import", "-"],
        b"username,first_name,last_name\njdoe,Janet,Doe\n",
    )
    .assert(1, "", &refusal);

    site.stdout_of(&["reset", "--yes"]);
    for table in WIPED {
        assert_eq!(row_count(&site, table), 0, "{table}");
    }
    for (table, rows) in KEPT {
        assert_eq!(row_count(&site, table), rows, "{table}");
    }
    for file in ["leadclicks.db", "leadclicks.db-wal"] {
        let bytes = fs::read(site.path(file)).unwrap();
        for email in [
            "ann@example.com",
            "app-jdoe@example.com",
            "trial@example.com",
        ] {
            let is_there = bytes
                .windows(email.len())
                .any(|window| window == email.as_bytes());
            assert!(!is_there, "{email} is still in {file}");
        }
    }

    assert_eq!(daemon.post("eve@example.com", "jdoe", "x").status, 202);
    assert!(daemon.stop().0.success());
    assert_eq!(host_app(&site, "read").as_array().unwrap().len(), 1);
    assert_eq!(schema(&site), schema_before);
    let integrity: String = site
        .connect()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(integrity, "ok");
}
