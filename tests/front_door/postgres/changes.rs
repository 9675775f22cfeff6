//! Commands that change rows of a server: import, erasure, and what they say remains.

use std::{
    io::Write,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    thread,
};

use super::{failover::Pooler, server::ServerSite};
use crate::{
    forget::NEEDS,
    support::{Daemon, Ran, Site, post_request},
};

const HEADER: &str = "email,expert_username,search_query,created_at\n";

/// The tables of a host app, as SQLAlchemy creates them on PostgreSQL.
const HOST_APP: &str = "
    CREATE TABLE experts (id SERIAL PRIMARY KEY, username VARCHAR(100) NOT NULL UNIQUE, email VARCHAR(320) NOT NULL,
        first_name VARCHAR(100) NOT NULL, last_name VARCHAR(100));
    CREATE TABLE admin_users (id SERIAL PRIMARY KEY, email VARCHAR(320) NOT NULL);
    CREATE TABLE conversations (id SERIAL PRIMARY KEY, email VARCHAR(320) NOT NULL, text TEXT);
    CREATE TABLE feedback (id SERIAL PRIMARY KEY, conversation_id INTEGER NOT NULL REFERENCES conversations (id), text TEXT);
    CREATE TABLE lead_clicks (id SERIAL PRIMARY KEY, email VARCHAR(320) NOT NULL, expert_username VARCHAR(100) NOT NULL,
        search_query TEXT NOT NULL, created_at TIMESTAMP NOT NULL);
    CREATE INDEX ix_lead_clicks_email ON lead_clicks (email);";

const CLICKS: &str = "
    INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
        (1, 'gone@example.com', 'jdoe', 'tax', '2024-11-01 09:00:00.000000'),
        (2, 'kept@example.com', 'jdoe', 'tax law', '2025-11-01 09:00:01.000000'),
        (3, 'Gone@Example.com', 'zoë', '', '2025-11-01 09:00:02.000000'),
        (4, 'gone@example.company', 'zoë', '', '2026-11-01 09:00:00.000000');";

/// What every deletion says about the bytes that are left.
fn remain(tables: &str) -> String {
    format!(
        "their bytes remain on the server: in its files until you run VACUUM (FULL, ANALYZE) {tables}, and in its WAL, \
         standbys, archives and backups until those are deleted\n\
         VACUUM FULL locks a table while it rewrites it: clicks wait, and after 5 seconds are answered 503; pages send them again\n"
    )
}

fn server(sql: &str) -> ServerSite {
    let server = ServerSite::new();
    server.sql(&format!("SET TIME ZONE 'UTC'; {sql}"));
    server
}

fn host_app(sql: &str) -> ServerSite {
    let server = ServerSite::empty();
    server.sql(&format!("{HOST_APP} {sql}"));
    server
}

/// The same output on both engines, apart from the names of the databases, and the disk space and the wait of a file.
#[track_caller]
fn assert_equal(site: &Site, server: &ServerSite, args: &[&str], input: &[u8]) -> Ran {
    let (here, there) = (
        site.run_with_input(args, input),
        server.run_with_input(args, input),
    );
    let name = site.db_path().display().to_string();
    let of_file = |text: &str| {
        text.replace(&name, "DATABASE")
            .replace(NEEDS, "")
            .replace(" for good\n", "\n")
            .replace("clicks wait for about a second meanwhile\n", "")
    };
    let of_server = |text: &str| {
        let text = text.replace(&server.shown(), "DATABASE");
        text.replace(&remain("lead_clicks"), "")
    };
    assert_eq!(of_server(&there.stdout), of_file(&here.stdout), "{args:?}");
    assert_eq!(of_server(&there.stderr), of_file(&here.stderr), "{args:?}");
    assert_eq!(there.status, here.status, "{args:?}");
    there
}

/// A session that stays open, and runs what is written to it.
fn session(server: &ServerSite) -> Child {
    let mut command = server.psql(&["--quiet"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    command.spawn().expect("psql")
}

/// Runs SQL in a session.
fn write(session: &mut Child, sql: &str) {
    let stdin = session.stdin.as_mut().expect("a pipe");
    stdin.write_all(sql.as_bytes()).expect("written");
}

fn end(mut session: Child) {
    drop(session.stdin.take());
    session.wait().expect("the end of psql");
}

/// Waits until a session has an advisory lock, and with it has done what it did before.
#[track_caller]
fn wait_for_lock(server: &ServerSite, number: u64) {
    let query = format!(
        "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND {OF_DATABASE}
             AND (classid::int8 << 32 | objid::int8) = {number}"
    );
    server.wait_until(&query);
}

/// The lock of an import.
const IMPORT_LOCK: u64 = 0x6c65_6164_636c_636b;

/// SQL about a row of pg_locks.
const OF_DATABASE: &str =
    "database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// A file of random clicks in NDJSON, with many equal ones, many of the same microsecond, and texts of all kinds.
fn random_lines(random: &mut fastrand::Rng, count: usize) -> Vec<String> {
    let emails = [
        "ann@example.com",
        "Ann@Example.COM",
        "bo+1@example.com",
        "zoë@exämple.com",
        "ẞ@example.com",
    ];
    let experts = ["jdoe", " jdoe", "zoë", "zoe\\u0308", "JDoe"];
    let searches = [
        "",
        "tax",
        "Tax",
        "a\\u0000b",
        "\\u0000",
        "a\\ufffdb",
        "'; --",
        "\\\\",
        "🦀\\n\\t",
        "{1,2}",
    ];
    (0..count)
        .map(|_| {
            let second = random.usize(..20);
            let micros = [0, 1, 999_999, 500_000][random.usize(..4)];
            let offset = ["Z", "+00:00"][random.usize(..2)];
            format!(
                r#"{{"email":"{}","expert_username":"{}","search_query":"{}","created_at":"2026-11-02T10:00:{second:02}.{micros:06}{offset}"}}"#,
                emails[random.usize(..emails.len())],
                experts[random.usize(..experts.len())],
                searches[random.usize(..searches.len())],
            )
        })
        .collect()
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn thousands_of_random_clicks_are_imported_once_and_as_on_the_other_engine() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let lines = random_lines(&mut random, 5_000);
    let all = lines.join("\n");
    // Of equal clicks some are in the first part and some are not.
    let part: Vec<&str> = lines
        .iter()
        .map(String::as_str)
        .filter(|_| random.bool())
        .collect();
    let part = part.join("\n");
    let host_app = host_app("");
    for server in [ServerSite::new(), host_app] {
        server.sql("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = %L', current_database(), 'Asia/Tokyo'); END $$");
        let site = Site::new().with_schema("");
        for (args, input) in [
            (&["import", "-"][..], &part),
            (&["import", "--dry-run", "-"], &all),
            (&["import", "-"], &all),
            (&["import", "-"], &all),
            (&["import", "--dry-run", "-"], &part),
            (&["report", "--by-email", "--format", "csv"], &String::new()),
            (
                &["report", "--email", "ann@example.com", "--format", "ndjson"],
                &String::new(),
            ),
        ] {
            let ran = assert_equal(&site, &server, args, input.as_bytes());
            assert!(ran.status.success(), "{ran}");
        }
        assert_eq!(server.sql("SELECT count(*) FROM lead_clicks"), "5000\n");
        for args in [
            &["purge", "--expert", "zoë", "--dry-run"][..],
            &[
                "purge",
                "--email",
                "@example.com",
                "--query",
                "TAX",
                "--dry-run",
            ],
            &["purge", "--until", "2026-11-02T10:00:07.000001Z", "--yes"],
            &["purge", "--email", "zoë@exämple.com", "--yes"],
            &["report", "--by-query", "--format", "csv"],
        ] {
            let ran = assert_equal(&site, &server, args, b"");
            assert!(ran.status.success(), "{ran}");
        }
        let ran = assert_equal(&site, &server, &["import", "-"], all.as_bytes());
        assert!(ran.stdout.ends_with(" already stored\n"), "{ran}");
        let report = server.stdout_of(&["report", "--by-email", "--format", "ndjson"]);
        let ran = assert_equal(&site, &server, &["import", "-"], report.as_bytes());
        ran.assert(0, "0 new, 5000 already stored\n", "");
    }
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_click_that_the_table_rejects_is_named_and_earlier_batches_stay() {
    let server = ServerSite::new();
    server.sql(
        "ALTER TABLE lead_clicks ADD CONSTRAINT no_spam CHECK (email NOT LIKE 'spam%');
         ALTER TABLE lead_clicks ADD CONSTRAINT once UNIQUE (search_query) DEFERRABLE INITIALLY DEFERRED;
         CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF new.expert_username = 'ignored' THEN RETURN NULL; END IF;
             IF new.expert_username = 'refused' THEN RAISE EXCEPTION 'no %, please', new.email; END IF;
             RETURN new; END $$;
         CREATE TRIGGER judge BEFORE INSERT ON lead_clicks FOR EACH ROW EXECUTE FUNCTION judge();",
    );
    let row = |email: &str, expert: &str, search: usize, second: usize| {
        let (minute, second) = (second / 60, second % 60);
        format!(
            "{email}@example.com,{expert},{search},2026-11-02T{:02}:{:02}:{second:02}Z\n",
            minute / 60,
            minute % 60
        )
    };
    let good: String = (0..5_000).map(|at| row("jane", "jdoe", at, at)).collect();
    for (bad, reason) in [
        (
            row("spam", "jdoe", 9_000, 4_700),
            "SQLSTATE 23514, constraint no_spam",
        ),
        (
            row("jane", "ignored", 9_000, 4_700),
            "ignored by a trigger or rule",
        ),
        (row("jane", "refused", 9_000, 4_700), "SQLSTATE P0001"),
        // A constraint that is checked by the commit.
        (
            row("joe", "jdoe", 4_500, 4_700),
            "SQLSTATE 23505, constraint once",
        ),
    ] {
        server.sql("DELETE FROM lead_clicks");
        let ran =
            server.run_with_input(&["import", "-"], format!("{HEADER}{good}{bad}").as_bytes());
        let error = format!(
            "leadclicks: {}: the database rejected the click on line 5002: {reason}; correct or remove that line; \
             4000 clicks imported; import the file again to continue, which skips them\n",
            server.shown()
        );
        ran.assert(1, "", &error);
        assert_eq!(server.sql("SELECT count(*) FROM lead_clicks"), "4000\n");
    }
    let ran = server.run_with_input(&["import", "-"], format!("{HEADER}{good}").as_bytes());
    ran.assert(0, "1000 new, 4000 already stored\n", "");

    // Ids that the sequence has not given yet.
    server.sql(
        "UPDATE lead_clicks SET id = nextval(pg_get_serial_sequence('lead_clicks', 'id')) + 1",
    );
    let ran = server.run_with_input(
        &["import", "-"],
        format!("{HEADER}{}", row("jane", "jdoe", 7_000, 1)).as_bytes(),
    );
    let error = format!(
        "leadclicks: {}: the sequence of lead_clicks.id is behind its rows; run SELECT \
         setval(pg_get_serial_sequence('lead_clicks', 'id'), max(id)) FROM lead_clicks; nothing was imported\n",
        server.shown()
    );
    ran.assert(1, "", &error);
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn imports_wait_for_each_other_and_a_lost_lock_stops_one() {
    let server = ServerSite::new();
    let mut random = fastrand::Rng::new();
    let file = server
        .site
        .write("clicks.ndjson", random_lines(&mut random, 9_000).join("\n"));
    let file = file.to_str().unwrap();
    let counts: Vec<Ran> = thread::scope(|scope| {
        let imports: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| server.run(&["import", file])))
            .collect();
        imports
            .into_iter()
            .map(|import| import.join().unwrap())
            .collect()
    });
    let mut counts: Vec<&str> = counts.iter().map(|ran| &*ran.stdout).collect();
    counts.sort_unstable();
    let none = "0 new, 9000 already stored\n";
    assert_eq!(counts, [none, none, none, "9000 new, 0 already stored\n"]);

    // Ctrl-C ends one that waits.
    server.sql("DELETE FROM lead_clicks");
    let mut holder = session(&server);
    write(
        &mut holder,
        &format!("SELECT pg_advisory_lock({IMPORT_LOCK});\n"),
    );
    wait_for_lock(&server, IMPORT_LOCK);
    let mut command = server.command(&["import", file]);
    let child = command.spawn().unwrap();
    // Between two tries.
    server.wait_until(
        "SELECT count(*) = 1 FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'leadclicks' AND query = 'ROLLBACK'",
    );
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let ran = Ran::wait(&command, child);
    assert_eq!(ran.status.signal(), Some(2), "{ran}");
    end(holder);
    assert_eq!(server.sql("SELECT count(*) FROM lead_clicks"), "0\n");

    // A pooler or an administrator closes the connection that holds the lock.
    server.sql(&format!(
        "CREATE FUNCTION unlock() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND {OF_DATABASE};
             FOR try IN 1..1000 LOOP
                 EXIT WHEN NOT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND {OF_DATABASE});
                 PERFORM pg_sleep(0.01);
             END LOOP;
             RETURN NULL; END $$;
         CREATE TRIGGER unlock AFTER INSERT ON lead_clicks FOR EACH STATEMENT EXECUTE FUNCTION unlock();"
    ));
    let error = format!(
        "leadclicks: {}: the connection that keeps other imports waiting was closed; check the timeouts of the server \
         and the pooler; 4000 clicks imported; import the file again to continue, which skips them\n",
        server.shown()
    );
    server.run(&["import", file]).assert(1, "", &error);
}

/// Its pool has two connections to the server: an import that waits must not keep one.
#[test]
#[ignore = "needs PostgreSQL and pgbouncer; tests/run runs it"]
fn imports_and_deletions_work_behind_a_pooler() {
    let server = ServerSite::new();
    let pooler = Pooler::start(server.server());
    let url = server.url_on(&[pooler.directory.path()]);
    let mut random = fastrand::Rng::new();
    let lines = random_lines(&mut random, 4_500).join("\n");
    let file = server.site.write("clicks.ndjson", lines);
    let run = |args: &[&str]| {
        let mut command = server.site.command(args);
        command.env("LEADCLICKS_DB", &url);
        Ran::of(command)
    };
    let import = ["import", file.to_str().unwrap()];
    let counts: Vec<Ran> = thread::scope(|scope| {
        let imports: Vec<_> = (0..3).map(|_| scope.spawn(|| run(&import))).collect();
        let ended = imports.into_iter().map(|import| import.join().unwrap());
        ended.collect()
    });
    let mut counts: Vec<&str> = counts.iter().map(|ran| &*ran.stdout).collect();
    counts.sort_unstable();
    let none = "0 new, 4500 already stored\n";
    assert_eq!(counts, [none, none, "4500 new, 0 already stored\n"]);
    for args in [
        &["purge", "--query", "tax", "--yes"][..],
        &["forget", "ann@example.com", "--yes"],
        &["reset", "--yes"],
    ] {
        let ran = run(args);
        assert!(ran.status.success(), "{ran}");
    }
    assert_eq!(server.sql("SELECT count(*) FROM lead_clicks"), "0\n");
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_null_character_of_a_search_is_replaced_at_capture_on_both_engines() {
    let server = ServerSite::new();
    let site = Site::new();
    for daemon in [server.daemon(&[]), Daemon::start(&site, &[])] {
        for (email, status) in [("jane", 202), ("j\\u0000ne", 422)] {
            let body = format!(
                r#"{{"email":"{email}@example.com","expert_username":"jdoe","search_query":"a\u0000b"}}"#
            );
            assert_eq!(daemon.connect().send(&post_request(&body)).status, status);
        }
        assert!(daemon.stop().0.success());
    }
    assert_eq!(
        server.sql("SELECT search_query FROM lead_clicks"),
        "a\u{fffd}b\n"
    );
    assert_eq!(site.clicks()[0].2, "a\u{fffd}b");
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_copy_is_the_servers_own_programs_work() {
    let server = ServerSite::new();
    let url = server.url().replacen("/test", ":5432/test", 1);
    let command = |file: &str| {
        format!("pg_dump --format=custom --file={file} --dbname='{url}?sslmode=disable'")
    };
    let line = command("'my clicks.dump'");
    let error = format!(
        "leadclicks: leadclicks copies a database file, not that of a server; run `{line}`\n"
    );
    server
        .run(&["backup", "my clicks.dump"])
        .assert(2, "", &error);
    let error = format!(
        "leadclicks: --backup copies a database file, not that of a server; run `{}`, then reset without --backup\n",
        command("trial.dump")
    );
    for also in [&[][..], &["--yes"], &["--dry-run"]] {
        let args = [&["reset", "--backup", "trial.dump"][..], also].concat();
        server.run(&args).assert(2, "", &error);
    }
    // The line works.
    let mut shell = server.server().program("sh");
    shell.current_dir(server.site.path("."));
    shell.args([
        "-c",
        &format!("PATH=$(echo /usr/lib/postgresql/*/bin):$PATH; {line}"),
    ]);
    let ran = Ran::of(shell);
    assert!(ran.status.success(), "{ran}");
    assert!(server.site.read("my clicks.dump").starts_with(b"PGDMP"));

    let mut other = server.site.command(&["backup", "a.dump"]);
    other.env(
        "LEADCLICKS_DB",
        "postgres://app:secret@db1.example.com:5433,db2.example.com/shop",
    );
    Ran::of(other).assert(
        2,
        "",
        "leadclicks: leadclicks copies a database file, not that of a server; run `pg_dump --format=custom --file=a.dump \
         --dbname='postgres://app@db1.example.com:5433,db2.example.com:5432/shop?sslmode=verify-full&sslrootcert=system'`\n",
    );
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_reset_deletes_all_leads_and_clicks_and_says_what_remains() {
    let (site, server) = (Site::new().with_schema(CLICKS), server(CLICKS));
    assert_equal(&site, &server, &["reset", "--dry-run"], b"");
    assert_equal(&site, &server, &["reset"], b"");
    let shown = format!(
        "{}\n\n Table         Rows\n────────────────────\n lead_clicks      4\n",
        server.shown()
    );
    let mut terminal = server.site.on_terminal(&format!(
        "LEADCLICKS_DB='{}' leadclicks reset",
        server.url()
    ));
    let prompt = "\nType reset to delete these rows: ";
    terminal.wait_for(prompt);
    terminal.type_and_end("reset\n");
    let screen = format!(
        "{shown}{prompt}reset\n\ndeleted 4 rows\n{}",
        remain("lead_clicks")
    );
    assert_eq!(terminal.finish(), (Some(0), screen));
    site.stdout_of(&["reset", "--yes"]);
    // Nothing is left to rewrite.
    assert_eq!(
        server.stdout_of(&["reset", "--yes"]),
        format!(
            "{}\n\ndeleted 0 rows\n",
            shown.replace("      4\n", "      0\n").trim_end()
        )
    );

    // References in both directions, and a partitioned table.
    let server = ServerSite::empty();
    server.sql(
        "CREATE TABLE email_leads (email text PRIMARY KEY, click_id bigint);
         CREATE TABLE lead_clicks (id bigint GENERATED BY DEFAULT AS IDENTITY, email text REFERENCES email_leads,
             expert_username text, search_query text, created_at timestamptz, PRIMARY KEY (id, created_at))
             PARTITION BY RANGE (created_at);
         CREATE TABLE old PARTITION OF lead_clicks FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
         CREATE TABLE new PARTITION OF lead_clicks DEFAULT;
         CREATE TABLE experts (username text, first_name text, last_name text);
         CREATE TABLE notes (id int, click_id bigint, at timestamptz,
             FOREIGN KEY (click_id, at) REFERENCES lead_clicks ON DELETE SET NULL);
         INSERT INTO email_leads VALUES ('a@example.com'), ('b@example.com');
         INSERT INTO experts VALUES ('jdoe', 'Jane', 'Doe');
         INSERT INTO lead_clicks SELECT i, 'a@example.com', 'jdoe', '', '2025-12-01'::timestamptz + i * interval '1 day'
             FROM generate_series(1, 60) AS i;
         INSERT INTO notes SELECT id, id, created_at FROM lead_clicks WHERE id < 4; INSERT INTO notes VALUES (9);",
    );
    let ran = server.run(&["reset", "--yes"]);
    let error = format!(
        "leadclicks: {}: rows of notes (3) refer to rows of lead_clicks that would be deleted; delete the rows of notes first\n",
        server.shown()
    );
    assert_eq!(
        (ran.status.code(), &*ran.stderr),
        (Some(1), &*error),
        "{ran}"
    );
    server.sql("DELETE FROM notes WHERE click_id IS NOT NULL");
    let ran = server.run(&["reset", "--yes"]);
    assert!(
        ran.stdout.ends_with(&format!(
            "\ndeleted 62 rows\n{}",
            remain("email_leads, lead_clicks")
        )),
        "{ran}"
    );
    let left = "SELECT (SELECT count(*) FROM lead_clicks), (SELECT count(*) FROM email_leads), (SELECT count(*) FROM notes),
        (SELECT count(*) FROM experts)";
    assert_eq!(server.sql(left), "0|0|1|1\n");
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn rows_that_a_trigger_keeps_stop_every_deletion() {
    let server = server(&format!(
        "{CLICKS} CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF old.id = 1 THEN RETURN NULL; END IF; RETURN old; END $$;
         CREATE TRIGGER keep BEFORE DELETE ON lead_clicks FOR EACH ROW EXECUTE FUNCTION keep();"
    ));
    for (args, consequence) in [
        (&["reset", "--yes"][..], "nothing was deleted"),
        (
            &["forget", "gone@example.com", "--yes"],
            "nothing was deleted",
        ),
        (
            &["purge", "--older-than", "2026-01-01", "--yes"],
            "they were not deleted",
        ),
    ] {
        let ran = server.run(args);
        let error = format!(
            "leadclicks: {}: a trigger keeps rows of lead_clicks (1), so {consequence}; change it in the program that \
             owns the database\n",
            server.shown()
        );
        assert_eq!(
            (ran.status.code(), &*ran.stderr),
            (Some(1), &*error),
            "{ran}"
        );
        assert!(!ran.stdout.contains("their bytes remain"), "{ran}");
        assert_eq!(server.sql("SELECT count(*) FROM lead_clicks"), "4\n");
    }
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn one_person_is_forgotten_as_on_the_other_engine() {
    let (site, server) = (Site::new().with_schema(CLICKS), server(CLICKS));
    for args in [
        &["forget", "GONE@example.com", "--dry-run"][..],
        &["forget", "gone@example.com"],
        &["forget", "nobody@example.com"],
        &["forget", "jane"],
    ] {
        assert_equal(&site, &server, args, b"");
    }
    let ran = server.run(&["forget", "gone@example.com", "--yes"]);
    ran.assert(
        0,
        &format!(
            "{}\n\n Table         Email              Rows\n───────────────────────────────────────\n \
             lead_clicks   Gone@Example.com      1\n lead_clicks   gone@example.com      1\n\ndeleted 2 rows\n\n\
             searched in every spelling: all columns of 2 tables (experts, lead_clicks)\n{}\
             not searched: backups, exported reports, logs (sudo's has command lines) and other files\n",
            server.shown(),
            remain("lead_clicks")
        ),
        "",
    );
    site.run(&["forget", "gone@example.com", "--yes"]);
    for args in [
        &["forget", "gone@example.com", "--yes"][..],
        &["report", "--by-email"],
    ] {
        assert_equal(&site, &server, args, b"");
    }
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_person_is_searched_in_all_columns_of_a_host_app() {
    let server = host_app(&format!(
        r#"SET TIME ZONE 'UTC'; {CLICKS}
        CREATE EXTENSION citext;
        CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
        CREATE TABLE newsletter_subscribers (email citext PRIMARY KEY);
        CREATE TABLE email_leads (email char(40));
        CREATE TABLE user_events (email text COLLATE loose, id uuid, count int);
        CREATE TABLE "Odd ""names" ("E-mail" text, "json" json, data jsonb, tags text[], blob bytea, doc xml, pair admin_users);
        CREATE TABLE closed (email text);
        CREATE MATERIALIZED VIEW summed AS SELECT email, count(*) FROM lead_clicks GROUP BY 1;
        CREATE SCHEMA audit; CREATE TABLE audit.log (email text); CREATE TABLE audit.lead_clicks (email text);
        CREATE SCHEMA more; CREATE TABLE more.lead_clicks (email text);
        INSERT INTO audit.log VALUES ('gone@example.com');
        INSERT INTO more.lead_clicks VALUES ('gone@example.com');
        INSERT INTO conversations (email, text) VALUES ('gone@example.com', 'a'), ('kept@example.com', 'write to Gone@example.com');
        INSERT INTO newsletter_subscribers VALUES ('GONE@Example.com'), ('other@example.com');
        INSERT INTO email_leads VALUES ('gone@example.com'), (NULL);
        INSERT INTO user_events VALUES ('gone@example.com'), ('Gone@example.com'), ('góne@example.com');
        INSERT INTO "Odd ""names" VALUES ('<gone@example.com>', '{{"a":"gone@example.com"}}', '["gone@example.com"]',
            '{{x,gone@example.com}}', 'x gone@example.com', '<a>gone@example.com</a>', ROW(1, 'gone@example.com'));
        INSERT INTO admin_users (email) VALUES ('gone@example.com');
        CREATE ROLE forgetter LOGIN;
        GRANT USAGE ON SCHEMA more TO forgetter;
        GRANT SELECT, DELETE ON ALL TABLES IN SCHEMA public, more TO forgetter;
        REVOKE ALL ON closed FROM forgetter;
        ALTER ROLE forgetter SET search_path = public, more;"#
    ));
    let mut command = server
        .site
        .command(&["forget", "gone@example.com", "--yes"]);
    command.env("LEADCLICKS_DB", server.url_of("forgetter"));
    let ran = Ran::of(command);
    server.sql("DROP OWNED BY forgetter; DROP ROLE forgetter");
    let odd = r#"still in the table Odd "names, column"#;
    let expected = format!(
        r#"{}

 Table                    Email              Rows
──────────────────────────────────────────────────
 conversations            gone@example.com      1
 email_leads              gone@example.com      1
 newsletter_subscribers   GONE@Example.com      1
 user_events              Gone@example.com      1
 user_events              gone@example.com      1
 lead_clicks              Gone@Example.com      1
 lead_clicks              gone@example.com      1

deleted 7 rows

searched in every spelling: all columns of 11 tables (Odd "names, admin_users, conversations, email_leads, experts, feedback, lead_clicks, more.lead_clicks, newsletter_subscribers, summed, user_events)
{odd} E-mail: 1 row
{odd} json: 1 row
{odd} data: 1 row
{odd} tags: 1 row
{odd} blob: 1 row
{odd} doc: 1 row
{odd} pair: 1 row
still in the table admin_users, column email: 1 row
not searched: the table closed, which only the program that owns the database can read
still in the table conversations, column text: 1 row
still in the table more.lead_clicks, column email: 1 row
still in the table summed, column email: 2 rows
{}not searched: 1 schema outside the search_path (audit)
not searched: backups, exported reports, logs (sudo's has command lines) and other files
"#,
        server.shown().replace("admin@", "forgetter@"),
        remain("conversations, email_leads, newsletter_subscribers, user_events, lead_clicks"),
    );
    ran.assert(0, &expected, "");
    assert_eq!(
        server.sql("SELECT email FROM user_events"),
        "góne@example.com\n"
    );
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn rows_of_others_that_would_go_with_a_persons_rows_stop_forgetting() {
    for action in [
        "NO ACTION",
        "RESTRICT",
        "CASCADE",
        "SET NULL",
        "SET DEFAULT",
        "NO ACTION DEFERRABLE INITIALLY DEFERRED",
    ] {
        let server = host_app(&format!(
            "INSERT INTO conversations (email) VALUES ('gone@example.com'), ('gone@example.com'), ('kept@example.com');
             CREATE TABLE replies (id int PRIMARY KEY, to_id int REFERENCES conversations (id) ON DELETE {action});
             INSERT INTO replies VALUES (1, 1), (2, 3), (3, NULL);
             ALTER TABLE conversations ADD COLUMN answers int REFERENCES conversations (id) ON DELETE {action};
             UPDATE conversations SET answers = 1 WHERE id = 2;"
        ));
        let ran = server.run(&["forget", "gone@example.com", "--yes"]);
        let error = format!(
            "leadclicks: {}: rows of replies (1) refer to rows of conversations that would be deleted; delete the rows of \
             replies first\n",
            server.shown()
        );
        assert_eq!(
            (ran.status.code(), &*ran.stderr),
            (Some(1), &*error),
            "{action} {ran}"
        );
        server.sql("DELETE FROM replies WHERE to_id = 1; UPDATE conversations SET answers = 2 WHERE id = 3");
        let ran = server.run(&["forget", "gone@example.com", "--yes"]);
        let error = error.replace("replies", "conversations");
        assert_eq!(
            (ran.status.code(), &*ran.stderr),
            (Some(1), &*error),
            "{action} {ran}"
        );
        assert_eq!(server.sql("SELECT count(*) FROM conversations"), "3\n");
        // What refers only to each other goes together.
        server.sql("UPDATE conversations SET answers = NULL WHERE id = 3");
        let ran = server.run(&["forget", "gone@example.com", "--yes"]);
        assert!(ran.status.success(), "{action} {ran}");
        assert_eq!(
            server.sql("SELECT id, to_id FROM replies ORDER BY 1"),
            "2|3\n3|\n"
        );
        assert_eq!(server.sql("SELECT id FROM conversations"), "3\n");
    }
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn clicks_are_purged_as_on_the_other_engine() {
    let (site, server) = (Site::new().with_schema(CLICKS), server(CLICKS));
    for args in [
        &["purge", "--older-than", "2026-01-01", "--dry-run"][..],
        &["purge", "--expert", "zoë", "--dry-run"],
        &[
            "purge",
            "--email",
            "@example.com",
            "--query",
            "TAX",
            "--dry-run",
        ],
        &[
            "purge",
            "--email",
            "gone@example.com",
            "--until",
            "2025-01-01",
        ],
        &[
            "purge",
            "--since",
            "2025-11-01T09:00:01Z",
            "--until",
            "2025-11-01T09:00:02Z",
            "--dry-run",
        ],
        &["purge", "--older-than", "2020-01-01", "--yes"],
        &["purge", "--expert", "zoe", "--yes"],
        &["purge", "--older-than", "2999-01-01"],
    ] {
        assert_equal(&site, &server, args, b"");
    }
    let purge = ["purge", "--older-than", "2025-11-01T09:00:02Z", "--yes"];
    let ran = server.run(&purge);
    let shown = "2 clicks of 2 leads,\nfrom 2024-11-01 09:00:00 to 2025-11-01 09:00:01 UTC";
    ran.assert(
        0,
        &format!(
            "{}\n\n{shown}\n\ndeleted 2 clicks\n{}",
            server.shown(),
            remain("lead_clicks")
        ),
        "",
    );
    site.run(&purge);
    assert_equal(&site, &server, &["report", "--by-email"], b"");

    server.sql("ALTER TABLE lead_clicks ALTER created_at DROP NOT NULL; INSERT INTO lead_clicks VALUES (9, 'a@example.com', 'b', '', NULL)");
    let ran = server.run(&["purge", "--older-than", "2026-01-01", "--yes"]);
    let error = format!(
        "leadclicks: {}: the click with id 9 has an invalid created_at; change it to YYYY-MM-DD HH:MM:SS (UTC) or delete the row\n",
        server.shown()
    );
    ran.assert(1, "", &error);
    server.sql("ALTER TABLE lead_clicks DROP CONSTRAINT lead_clicks_pkey");
    let error = format!(
        "leadclicks: {}: lead_clicks.id has no unique index, so no click can be deleted alone; make it the primary key in \
         the program that owns the database\n",
        server.shown()
    );
    server
        .run(&["purge", "--email", "a@example.com"])
        .assert(1, "", &error);
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn only_clicks_that_were_counted_and_not_changed_are_purged() {
    let server = server(
        "INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at)
         SELECT i, 'spam' || i % 7 || '@example.com', 'jdoe', 'buy', '2026-11-02'::timestamptz + i * interval '1 second'
         FROM generate_series(1, 12000) AS i;
         SELECT setval(pg_get_serial_sequence('lead_clicks', 'id'), 20000);",
    );
    // A transaction that has begun, and commits while the question is asked.
    let mut writer = session(&server);
    write(
        &mut writer,
        "BEGIN; SAVEPOINT a; INSERT INTO lead_clicks VALUES (19000, 'new@example.com', 'jdoe', 'buy', '2026-11-02');
         UPDATE lead_clicks SET search_query = 'buy now' WHERE id = 5; RELEASE a; SELECT pg_advisory_lock(5);\n",
    );
    wait_for_lock(&server, 5);
    let mut terminal = server.site.on_terminal(&format!(
        "LEADCLICKS_DB='{}' leadclicks purge --query buy",
        server.url()
    ));
    terminal.wait_for("\nType purge to delete these rows: ");
    write(&mut writer, "COMMIT;\n");
    end(writer);
    server.sql(
        "UPDATE lead_clicks SET search_query = search_query WHERE id = 7; DELETE FROM lead_clicks WHERE id = 8;
         DELETE FROM lead_clicks WHERE id = 9;
         INSERT INTO lead_clicks SELECT 9, email, expert_username, search_query, created_at FROM lead_clicks WHERE id = 10;
         INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES ('new@example.com', 'jdoe', 'buy', '2026-11-02');",
    );
    terminal.type_and_end("purge\n");
    let (code, screen) = terminal.finish();
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("\n12000 clicks of 7 leads,\n"), "{screen}");
    assert!(
        screen.ends_with(&format!(
            "\ndeleted 11996 clicks, and 4 were changed or deleted meanwhile\n{}",
            remain("lead_clicks")
        )),
        "{screen}"
    );
    assert_eq!(
        server.sql("SELECT id FROM lead_clicks ORDER BY id"),
        "5\n7\n9\n19000\n20001\n"
    );
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_deletion_does_not_wait_for_other_programs_nor_they_for_it() {
    let server = server(CLICKS);
    server.sql("SELECT setval(pg_get_serial_sequence('lead_clicks', 'id'), 9)");
    let daemon = server.daemon(&[]);
    // An open transaction with a click of its own.
    let mut writer = session(&server);
    write(
        &mut writer,
        "BEGIN; INSERT INTO lead_clicks (email, expert_username, created_at) VALUES ('late@example.com', 'jdoe', '2020-01-01');
         SELECT pg_advisory_lock(6);\n",
    );
    wait_for_lock(&server, 6);
    for args in [
        &["purge", "--older-than", "2025-01-01", "--yes"][..],
        &["forget", "kept@example.com", "--yes"],
        &["reset", "--yes"],
    ] {
        let ran = server.run(args);
        assert!(ran.status.success(), "{ran}");
        assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
    }
    write(&mut writer, "COMMIT;\n");
    end(writer);
    assert_eq!(
        server.sql("SELECT email FROM lead_clicks ORDER BY 1"),
        "jane@example.com\nlate@example.com\n"
    );
    assert!(daemon.stop().0.success());
}

/// A deletion waits for a transaction that has locked one of its rows, and then begins again, because it has to count again.
#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn rows_that_change_at_the_moment_of_a_deletion_are_counted_again() {
    let server = host_app(
        "INSERT INTO conversations (email, text) VALUES ('gone@example.com', 'a'), ('kept@example.com', 'b');
         CREATE TABLE replies (to_id int REFERENCES conversations (id) ON DELETE CASCADE);",
    );
    let forget = ["forget", "gone@example.com", "--yes"];
    for (change, error) in [
        (
            "INSERT INTO replies VALUES (1)",
            "rows of replies (1) refer to rows of conversations that would be deleted; delete the rows of replies first",
        ),
        ("UPDATE conversations SET text = 'c' WHERE id = 1", ""),
    ] {
        server.sql("DELETE FROM replies");
        let mut writer = session(&server);
        write(
            &mut writer,
            &format!("BEGIN; {change}; SELECT pg_advisory_lock(7);\n"),
        );
        wait_for_lock(&server, 7);
        let mut command = server.command(&forget);
        let child = command.spawn().unwrap();
        server.wait_until("SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'");
        write(&mut writer, "COMMIT;\n");
        end(writer);
        let ran = Ran::wait(&command, child);
        if error.is_empty() {
            assert!(ran.stdout.contains("\ndeleted 1 row\n"), "{ran}");
        } else {
            let error = format!("leadclicks: {}: {error}\n", server.shown());
            assert_eq!(
                (ran.status.code(), &*ran.stderr),
                (Some(1), &*error),
                "{ran}"
            );
        }
    }
    assert_eq!(
        server.sql("SELECT email, text FROM conversations"),
        "kept@example.com|b\n"
    );
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn experts_are_imported_as_on_the_other_engine_and_a_host_apps_are_not_changed() {
    let (site, server) = (Site::new().with_schema(""), ServerSite::new());
    for export in [
        "\u{feff}Username,First Name,Last Name,Bio\r\njdoe,Jane,Doe,\"a\r\nb\"\r\nzoë, Zoë ,\"O'Neil, Jr.\",\r\n,No,Username,\r\nonly,,,\r\n",
        "last_name,username,first_name\nRoe,jdoe,Jane\n,new,New\n",
        "username,first_name,last_name\nnull,a\0b,\n",
    ] {
        assert_equal(
            &site,
            &server,
            &["experts", "import", "-"],
            export.as_bytes(),
        );
        assert_equal(&site, &server, &["experts", "list", "--format", "csv"], b"");
    }
    let host_app = host_app(
        "INSERT INTO experts (username, email, first_name) VALUES ('jdoe', 'jdoe@example.com', 'Jane')",
    );
    let error = format!(
        "leadclicks: {}: the experts table belongs to another program, so leadclicks never changes it; change experts in \
         the program that owns the database\n",
        host_app.shown()
    );
    host_app
        .run_with_input(
            &["experts", "import", "-"],
            b"username,first_name,last_name\njdoe,J,D\n",
        )
        .assert(1, "", &error);
    assert_eq!(host_app.sql("SELECT first_name FROM experts"), "Jane\n");
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_right_that_is_missing_is_named_and_nothing_is_changed() {
    let server = server(&format!(
        "{CLICKS} CREATE ROLE changes_reader LOGIN; GRANT SELECT ON lead_clicks, experts TO changes_reader;"
    ));
    let command = |args: &[&str]| {
        let mut command = server.site.command(args);
        command
            .env("LEADCLICKS_DB", server.url_of("changes_reader"))
            .stdin(Stdio::null());
        command
    };
    let shown = server.shown().replace("admin@", "changes_reader@");
    let error = format!(
        "leadclicks: {shown}: permission denied for table lead_clicks; grant it as docs/postgresql.md shows\n"
    );
    server.site.write(
        "a.csv",
        format!("{HEADER}a@example.com,b,,2026-11-01T09:00:00Z\n"),
    );
    for args in [
        &["reset", "--yes"][..],
        &["purge", "--older-than", "2025-01-01", "--yes"],
        &["forget", "gone@example.com", "--yes"],
        &["import", "a.csv"],
    ] {
        let ran = Ran::of(command(args));
        assert_eq!(
            (ran.status.code(), &*ran.stderr),
            (Some(1), &*error),
            "{ran}"
        );
    }
    for args in [
        &["reset", "--dry-run"][..],
        &["purge", "--older-than", "2025-01-01", "--dry-run"],
        &["forget", "gone@example.com", "--dry-run"],
    ] {
        let ran = Ran::of(command(args));
        assert!(ran.status.success(), "{ran}");
    }
    assert_eq!(server.sql("SELECT count(*) FROM lead_clicks"), "4\n");

    // A policy that hides rows would leave them, and nothing would say so.
    server.sql(
        "GRANT ALL ON lead_clicks TO changes_reader; ALTER TABLE lead_clicks ENABLE ROW LEVEL SECURITY;
         CREATE POLICY partly ON lead_clicks USING (id > 2); CREATE TABLE notes (text text);
         ALTER TABLE notes ENABLE ROW LEVEL SECURITY; GRANT SELECT ON notes TO changes_reader;",
    );
    let error = format!(
        "leadclicks: {shown}: query would be affected by row-level security policy for table \"lead_clicks\"; grant it as \
         docs/postgresql.md shows\n"
    );
    for args in [
        &["reset", "--yes"][..],
        &["purge", "--older-than", "2025-01-01", "--yes"],
        &["forget", "gone@example.com", "--yes"],
    ] {
        Ran::of(command(args)).assert(1, "", &error);
    }
    server.sql("ALTER TABLE lead_clicks DISABLE ROW LEVEL SECURITY");
    let ran = Ran::of(command(&["forget", "nobody@example.com"]));
    assert!(
        ran.stdout
            .contains("\nnot searched: the table notes, which"),
        "{ran}"
    );
    server.sql("DROP OWNED BY changes_reader; DROP ROLE changes_reader");
}
