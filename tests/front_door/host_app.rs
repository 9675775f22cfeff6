//! A database of another application is used without changing its schema, or refused unchanged.

use std::{ffi::OsStr, fs, thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    python,
    support::{Daemon, Ran, Site, body, post_request},
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

/// Everything that a host app's migrations would notice: the whole schema, and the numbers in the file's header.
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

#[track_caller]
fn refused(site: &Site, error: &str) {
    let error = format!("leadclicksd: {}{error}\n", site.db_path().display());
    Ran::daemon(site, "127.0.0.1:0").assert(1, "", &error);
}

#[test]
#[ignore = "needs the Python packages of tests/python; tests/run runs it"]
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
#[ignore = "needs the Python packages of tests/python; tests/run runs it"]
fn reports_show_a_sqlalchemy_apps_clicks_with_its_experts_names() {
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

    // A time without a fraction is in the window that begins at it.
    let window = [
        "--since=2026-01-02T03:04:05Z",
        "--until=2026-01-02T03:04:05.000006Z",
    ];
    let report = [&["report", "--by-email", "--format", "csv"][..], &window].concat();
    assert_eq!(
        site.rows_of_period(&report, "2026-01-02 03:04 to 2026-01-02 03:04"),
        "email,expert_username,expert_name,search_query,created_at\n\
         app-émile@example.com,émile,Émile O'Neil,from the app,2026-01-02T03:04:05.000000Z\n"
    );
}

#[test]
#[ignore = "needs the Python packages of tests/python; tests/run runs it"]
fn a_sqlalchemy_apps_schema_and_experts_are_never_changed() {
    let site = Site::new();
    host_app(&site, "make");
    let schema_before = schema(&site);
    assert_eq!(schema_before.1[0], 42);
    let daemon = Daemon::start(&site, &[]);
    assert_eq!(daemon.post("ann@example.com", "jdoe", "").status, 202);
    host_app(&site, "write");

    let refusal = format!(
        "leadclicks: {}: the experts table belongs to another program, so leadclicks never changes it; \
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

#[test]
fn a_database_that_can_take_no_clicks_is_refused_and_left_byte_for_byte() {
    for (ddl, error) in [
        (
            "CREATE TABLE orders (id INTEGER PRIMARY KEY)",
            ": no table lead_clicks; check --db, or create the table with `sqlite3 FILE < schema.sql`",
        ),
        (
            "CREATE TABLE lead_clicks (id INTEGER PRIMARY KEY, email, expert_username, search_query)",
            ": the table lead_clicks has no column created_at; add it in the program that owns the database",
        ),
        (
            "CREATE VIEW lead_clicks AS
                 SELECT 1 AS id, '' AS email, '' AS expert_username, '' AS search_query, '' AS created_at",
            ": lead_clicks is a view, so nothing confirms that a click is stored; \
             make it a table in the program that owns the database",
        ),
        (
            "CREATE TABLE lead_clicks (id INTEGER NOT NULL, email VARCHAR NOT NULL,
                 expert_username VARCHAR NOT NULL, search_query VARCHAR NOT NULL, created_at DATETIME NOT NULL,
                 tenant VARCHAR NOT NULL, PRIMARY KEY (id))",
            ": lead_clicks.tenant is NOT NULL without a default, so no click could be stored; \
             give it a default in the program that owns the database",
        ),
    ] {
        let site = Site::new();
        site.connect().execute_batch(ddl).unwrap();
        let before = fs::read(site.db_path()).unwrap();
        refused(&site, error);
        assert!(fs::read(site.db_path()).unwrap() == before, "{ddl}");
        assert_eq!(site.files(), ["leadclicks.db"], "{ddl}");
    }
}

#[test]
fn a_click_that_the_host_app_refuses_fails_alone() {
    for (rule, ddl) in [
        (
            "a trigger that aborts",
            "CREATE TRIGGER gone BEFORE INSERT ON lead_clicks WHEN new.expert_username = 'gone'
             BEGIN SELECT RAISE(ABORT, 'has left'); END",
        ),
        (
            "a trigger that fails after the insert",
            "CREATE TRIGGER gone AFTER INSERT ON lead_clicks WHEN new.expert_username = 'gone'
             BEGIN SELECT RAISE(FAIL, 'has left'); END",
        ),
        (
            "a trigger that rolls everything back",
            "CREATE TRIGGER gone AFTER INSERT ON lead_clicks WHEN new.expert_username = 'gone'
             BEGIN SELECT RAISE(ROLLBACK, 'has left'); END",
        ),
        (
            "a trigger that leaves the click out",
            "CREATE TRIGGER gone BEFORE INSERT ON lead_clicks WHEN new.expert_username = 'gone'
             BEGIN SELECT RAISE(IGNORE); END",
        ),
        (
            "a check",
            "ALTER TABLE lead_clicks ADD COLUMN note VARCHAR CHECK (expert_username <> 'gone')",
        ),
        (
            "a unique index",
            "CREATE UNIQUE INDEX one_gone ON lead_clicks (expert_username) WHERE expert_username = 'gone';
             INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
             VALUES ('first@example.com', 'gone', '', '2026-01-01 00:00:00');",
        ),
    ] {
        let site = Site::new();
        site.connect()
            .execute_batch(
                "CREATE TABLE lead_clicks (id INTEGER NOT NULL, email VARCHAR(255) NOT NULL,
                     expert_username VARCHAR(100) NOT NULL, search_query VARCHAR(2000) NOT NULL,
                     created_at DATETIME NOT NULL, PRIMARY KEY (id))",
            )
            .unwrap();
        site.connect().execute_batch(ddl).unwrap();
        let before = site.clicks();
        let daemon = Daemon::start(&site, &[]);

        // While this lock is held, clicks queue up and share a transaction.
        let lock = site.connect();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        let experts: Vec<&str> = (0..30)
            .map(|number| if number % 5 == 3 { "gone" } else { "jdoe" })
            .collect();
        let mut clients: Vec<_> = experts
            .iter()
            .enumerate()
            .map(|(number, expert)| {
                let mut client = daemon.connect();
                let click = body(&format!("{number}@example.com"), expert, "");
                client.write(post_request(&click).as_bytes());
                client
            })
            .collect();
        thread::sleep(Duration::from_millis(300));
        lock.execute_batch("COMMIT").unwrap();

        let mut stored = Vec::new();
        for (number, (client, expert)) in clients.iter_mut().zip(&experts).enumerate() {
            let answer = client.read();
            if *expert == "gone" {
                assert_eq!(
                    (answer.status, &*answer.body),
                    (
                        422,
                        r#"{"detail":[{"type":"value_error","loc":["body"],"msg":"Value error, the database does not take this click"}]}"#
                    ),
                    "{rule}"
                );
            } else {
                assert_eq!(answer.status, 202, "{rule}");
                stored.push(format!("{number}@example.com"));
            }
        }
        let mut clicks = site.clicks().split_off(before.len());
        clicks.sort();
        stored.sort();
        let emails: Vec<_> = clicks.iter().map(|click| &click.0).collect();
        assert_eq!(emails, stored.iter().collect::<Vec<_>>(), "{rule}");
        let (_, log) = daemon.stop();
        let commits: usize = log
            .split_once("commits=")
            .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
            .unwrap_or_else(|| panic!("no counts in {log}"));
        assert!(commits < stored.len(), "{rule}: nothing was batched\n{log}");
    }
}

#[test]
fn a_table_that_could_take_no_click_is_refused_at_the_start() {
    let columns = "email TEXT, expert_username TEXT, search_query TEXT, created_at TEXT";
    let not_numbered = "lead_clicks.id is not the table's INTEGER PRIMARY KEY, so a click would get no id; \
                        make it that in the program that owns the database";
    for (sql, problem) in [
        (format!("CREATE TABLE lead_clicks (id TEXT PRIMARY KEY, {columns});"), not_numbered),
        (
            format!("CREATE TABLE lead_clicks (id INTEGER, {columns}, PRIMARY KEY (id, email));"),
            not_numbered,
        ),
        (
            format!("CREATE TABLE lead_clicks (id INTEGER PRIMARY KEY, {columns}) WITHOUT ROWID;"),
            not_numbered,
        ),
        (
            format!(
                "CREATE TABLE lead_clicks (id INTEGER PRIMARY KEY, {columns});
                 CREATE TRIGGER t AFTER INSERT ON lead_clicks BEGIN SELECT app_function(new.id); END;"
            ),
            "no such function: app_function; fix it in the program that owns the database",
        ),
    ] {
        let site = Site::new().with_database(&sql);
        refused(&site, &format!(": {problem}"));
    }
}
