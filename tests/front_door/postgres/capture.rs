//! Clicks on their way into a server.

use std::{
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::Duration,
};

use super::server::{Server, ServerSite, health};
use crate::{
    faults::with_clock,
    support::{Daemon, FAILING, Ran, WORKING, assert_unavailable, post_request},
};

/// Posts these clicks at the same time, while the table is locked, so that they become one batch or two. Returns the statuses.
fn post_together(server: &ServerSite, daemon: &Daemon, emails: &[String]) -> Vec<u16> {
    let (mut locker, stdin) = lock_table(server);
    let answers = thread::scope(|scope| {
        let posts: Vec<_> = emails
            .iter()
            .map(|email| scope.spawn(move || daemon.post(email, "jdoe", "").status))
            .collect();
        // They wait by now for the first of them, or soon join the queue.
        server.wait_until("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted");
        drop(stdin);
        let statuses = posts.into_iter().map(|post| post.join().unwrap());
        statuses.collect()
    });
    assert!(locker.wait().unwrap().success());
    answers
}

/// Locks the table until the standard input of the program is closed.
fn lock_table(server: &ServerSite) -> (Child, ChildStdin) {
    let mut locker = server.psql(&["--quiet", "--tuples-only", "--no-align"]);
    locker.stdin(Stdio::piped());
    let mut locker = locker.spawn().unwrap();
    let mut stdin = locker.stdin.take().unwrap();
    std::io::Write::write_all(
        &mut stdin,
        b"BEGIN; LOCK TABLE lead_clicks IN ACCESS EXCLUSIVE MODE; SELECT 'locked';\n",
    )
    .unwrap();
    assert_eq!(
        crate::support::first_line(locker.stdout.take().unwrap()),
        "locked\n"
    );
    (locker, stdin)
}

fn emails(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("lead{number}@example.com"))
        .collect()
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_click_is_stored_once_however_often_it_is_sent() {
    let server = ServerSite::new();
    let daemon = server.daemon(&[]);
    assert_eq!(daemon.post("jane@example.com", "jdoe", "tax").status, 202);
    let repeated = r#"{"email":"joe@example.com","expert_username":"jdoe","search_query":"","click_id":"0190a0de-1111-7000-8000-000000000001","age_ms":90000}"#;
    for _ in 0..3 {
        let answer = daemon.connect().send(&post_request(repeated));
        assert_eq!(answer.status, 202);
    }
    // Another daemon knows it too.
    let other = server.daemon(&[]);
    assert_eq!(other.connect().send(&post_request(repeated)).status, 202);
    let stored = server.sql(
        "SELECT email, expert_username, search_query, click_id IS NOT NULL, round(extract(epoch FROM now() - created_at) / 60)
         FROM lead_clicks ORDER BY email",
    );
    assert_eq!(
        stored,
        "jane@example.com|jdoe|tax|t|0\njoe@example.com|jdoe||t|2\n"
    );
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
}

#[test]
#[ignore = "needs PostgreSQL and faketime; tests/run runs it"]
fn the_clock_of_the_server_dates_the_clicks() {
    let server = ServerSite::new();
    let (_, mut command) = with_clock(&server.site, "+400d");
    command.env("LEADCLICKS_DB", server.url());
    let daemon = Daemon::start_on_own_database(command, &server.site, &[]);
    assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
    let age = "SELECT abs(extract(epoch FROM now() - created_at)) < 60 FROM lead_clicks";
    assert_eq!(server.sql(age), "t\n");
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_click_that_the_table_rejects_is_422_alone() {
    const TRIGGER: &str = "
        CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF new.email LIKE 'lead5%' THEN RAISE 'no % please', new.email USING DETAIL = new.email; END IF;
            IF new.email LIKE 'lead6%' THEN RETURN NULL; END IF;
            RETURN new;
        END $$;
        CREATE TRIGGER reject BEFORE INSERT ON lead_clicks FOR EACH ROW EXECUTE FUNCTION reject();";
    for (schema, table) in [
        ("", "its own table"),
        (
            "ALTER TABLE lead_clicks DROP COLUMN click_id",
            "without ids",
        ),
    ] {
        let server = ServerSite::new();
        server.sql(schema);
        server.sql(TRIGGER);
        server
            .sql("ALTER TABLE lead_clicks ADD CONSTRAINT no_seven CHECK (email NOT LIKE 'lead7%')");
        server
            .sql("CREATE UNIQUE INDEX one_of_eight ON lead_clicks ((1)) WHERE email LIKE 'lead8%'");
        let daemon = server.daemon(&[]);
        let emails = emails(100);
        let statuses = post_together(&server, &daemon, &emails);
        let rejected = |prefix: &str| {
            let pairs = emails.iter().zip(&statuses);
            pairs
                .filter(|(email, status)| email.starts_with(prefix) && **status == 422)
                .count()
        };
        assert_eq!(
            ["lead5", "lead6", "lead7", "lead8"].map(rejected),
            [11, 11, 11, 10],
            "{table}"
        );
        let stored = statuses.iter().filter(|status| **status == 202).count();
        assert_eq!(stored, 57, "{table}: {statuses:?}");
        assert_eq!(
            server.sql("SELECT count(*), count(DISTINCT email) FROM lead_clicks"),
            "57|57\n"
        );
        let (_, log) = daemon.stop();
        let rejections: Vec<&str> = log
            .lines()
            .filter_map(|line| Some(line.split_once("not logged ")?.1))
            .collect();
        let mut rejections: Vec<String> = rejections.iter().map(ToString::to_string).collect();
        rejections.sort();
        assert_eq!(
            rejections,
            [
                "reason=\"SQLSTATE 23505, constraint one_of_eight\"",
                "reason=\"SQLSTATE 23514, constraint no_seven\"",
                "reason=\"SQLSTATE P0001\"",
                "reason=\"ignored by a trigger or rule\"",
            ],
            "{log}"
        );
    }
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_sequence_behind_its_rows_is_503_and_logged_with_the_next_step() {
    let server = ServerSite::new();
    server.sql(
        "INSERT INTO lead_clicks (id, email, expert_username) SELECT n, 'jane@example.com', 'jdoe' FROM generate_series(1, 50) n",
    );
    let daemon = server.daemon(&[]);
    assert_unavailable(&daemon.post("joe@example.com", "jdoe", ""));
    assert_unavailable(&daemon.post("joe@example.com", "jdoe", ""));
    server.sql(
        "SELECT setval(pg_get_serial_sequence('lead_clicks', 'id'), max(id)) FROM lead_clicks",
    );
    assert_eq!(daemon.post("joe@example.com", "jdoe", "").status, 202);
    let (_, log) = daemon.stop();
    assert_eq!(log.matches(FAILING).count(), 1, "{log}");
    assert_eq!(log.matches(WORKING).count(), 1, "{log}");
    assert!(
        log.contains(
            "reason=\"SQLSTATE 23505, constraint lead_clicks_pkey: the sequence of lead_clicks.id is behind its rows; run SELECT \
             setval(pg_get_serial_sequence('lead_clicks', 'id'), max(id)) FROM lead_clicks\""
        ),
        "{log}"
    );
    assert_eq!(
        server.sql("SELECT count(*) FROM lead_clicks WHERE email = 'joe@example.com'"),
        "1\n"
    );
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn the_daemon_refuses_to_start_on_a_table_that_does_not_take_clicks() {
    const GRANT: &str = "; grant it as docs/postgresql.md shows";
    let owner = "in the program that owns the database";
    for (sql, user, fault) in [
        ("DROP TABLE lead_clicks", "admin", "no table lead_clicks; check --db and the search_path of the user, or create it with `leadclicks schema | psql`".to_owned()),
        ("ALTER TABLE lead_clicks DROP COLUMN email", "admin", format!("the table lead_clicks has no column email; add it {owner}")),
        ("ALTER TABLE lead_clicks ADD COLUMN page text NOT NULL", "admin", format!("lead_clicks.page is NOT NULL without a default, so no click could be stored; give it a default {owner}")),
        ("ALTER TABLE lead_clicks ALTER COLUMN created_at TYPE text", "admin", "lead_clicks.created_at has an unsupported type; make it timestamptz".to_owned()),
        ("ALTER TABLE lead_clicks ALTER COLUMN click_id TYPE integer USING 0", "admin", "lead_clicks.click_id has an unsupported type; make it uuid".to_owned()),
        ("ALTER TABLE lead_clicks ALTER COLUMN click_id TYPE varchar(35)", "admin", "lead_clicks.click_id is too short: 35 characters, and an id has 36, so no click could be stored; make it uuid".to_owned()),
        ("ALTER TABLE lead_clicks DROP CONSTRAINT lead_clicks_click_id_key", "admin", "lead_clicks.click_id has no unique index that is checked at once, so a click could be stored twice; create it with `CREATE UNIQUE INDEX ON lead_clicks (click_id)`".to_owned()),
        ("ALTER TABLE lead_clicks DROP CONSTRAINT lead_clicks_click_id_key, ADD UNIQUE (click_id) DEFERRABLE", "admin", "lead_clicks.click_id has no unique index that is checked at once, so a click could be stored twice; create it with `CREATE UNIQUE INDEX ON lead_clicks (click_id)`".to_owned()),
        ("ALTER TABLE lead_clicks SET UNLOGGED", "admin", "lead_clicks or a partition of it is unlogged, temporary or foreign, so a click that was answered 202 could be lost; run ALTER TABLE … SET LOGGED".to_owned()),
        ("ALTER TABLE lead_clicks RENAME TO clicks; CREATE VIEW lead_clicks AS SELECT * FROM clicks", "admin", format!("lead_clicks is a view, so nothing confirms that a click is stored; make it a table {owner}")),
        ("CREATE ROLE nobody_in_particular LOGIN", "nobody_in_particular", format!("permission denied for table lead_clicks{GRANT}")),
    ] {
        let server = ServerSite::new();
        server.sql(sql);
        let mut command = Command::new(env!("CARGO_BIN_EXE_leadclicksd"));
        command
            .args(["--listen", "127.0.0.1:0"])
            .env("LEADCLICKS_DB", server.url_of(user));
        let shown = server.shown().replace("admin@", &format!("{user}@"));
        Ran::of(command).assert(1, "", &format!("leadclicksd: {shown}: {fault}\n"));
    }
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn the_daemon_refuses_to_start_where_a_202_would_not_be_durable() {
    let refused = |server: &ServerSite, fault: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leadclicksd"));
        command
            .args(["--listen", "127.0.0.1:0"])
            .env("LEADCLICKS_DB", server.url());
        Ran::of(command).assert(
            1,
            "",
            &format!("leadclicksd: {}: {fault}\n", server.shown()),
        );
    };
    let off = "is off, so a click that was answered 202 could be lost; set it to on in postgresql.conf, or for the user with \
        ALTER ROLE";
    let server = ServerSite::new();
    let database = server.name();
    server.sql(&format!(
        "ALTER DATABASE {database} SET client_min_messages = error"
    ));
    refused(
        &server,
        "client_min_messages hides warnings, so a click could be answered 202 that no standby has; set it to warning, or for the \
         user with ALTER ROLE",
    );
    server.sql(&format!(
        "ALTER DATABASE {database} SET synchronous_commit = off"
    ));
    refused(&server, &format!("synchronous_commit {off}"));
    let unsynced = ServerSite::on(Server::start("fsync = off"));
    refused(&unsynced, &format!("fsync {off}"));
    refused(
        &ServerSite::with_encoding("SQL_ASCII"),
        "the database has the encoding SQL_ASCII, which cannot store every click; create it with ENCODING 'UTF8'",
    );
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_table_that_refuses_every_click_is_unhealthy_and_logged_once() {
    let server = ServerSite::new();
    let daemon = server.daemon(&["--health-path", "/healthz"]);
    assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
    server.sql("ALTER TABLE lead_clicks RENAME COLUMN search_query TO query");
    for _ in 0..3 {
        assert_unavailable(&daemon.post("joe@example.com", "jdoe", ""));
        thread::sleep(Duration::from_millis(1_100));
        assert_eq!(health(&daemon), 503);
    }
    server.sql("ALTER TABLE lead_clicks RENAME COLUMN query TO search_query");
    thread::sleep(Duration::from_millis(1_100));
    assert_eq!(health(&daemon), 200, "{}", daemon.log());
    assert_eq!(daemon.post("joe@example.com", "jdoe", "").status, 202);
    assert_eq!(
        server.sql("SELECT email FROM lead_clicks ORDER BY id"),
        "jane@example.com\njoe@example.com\n"
    );
    let (_, log) = daemon.stop();
    assert_eq!(log.matches(" ERROR ").count(), 1, "{log}");
    assert_eq!(log.matches(WORKING).count(), 1, "{log}");
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_locked_table_is_unhealthy_and_logged_once_and_no_process_of_the_server_is_left_waiting() {
    let server = ServerSite::new();
    let daemon = server.daemon(&["--health-path", "/healthz"]);
    let (mut locker, stdin) = lock_table(&server);
    for _ in 0..3 {
        assert_unavailable(&daemon.post("jane@example.com", "jdoe", ""));
        assert_eq!(health(&daemon), 503);
    }
    // At most the one that finds out whether clicks can be stored again.
    server.wait_until(
        "SELECT count(*) <= 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
    );
    drop(stdin);
    assert!(locker.wait().unwrap().success());
    assert_eq!(daemon.post("joe@example.com", "jdoe", "").status, 202);
    assert_eq!(health(&daemon), 200);
    let (_, log) = daemon.stop();
    assert_eq!(log.matches(" ERROR ").count(), 1, "{log}");
    assert_eq!(log.matches(WORKING).count(), 1, "{log}");
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_daemon_that_stops_while_the_table_is_locked_leaves_no_process_of_the_server_waiting() {
    let waiting =
        "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let server = ServerSite::new();
    let daemon = server.daemon(&[]);
    let (mut locker, stdin) = lock_table(&server);
    let mut client = daemon.connect();
    client
        .write(post_request(r#"{"email":"jane@example.com","expert_username":"jdoe"}"#).as_bytes());
    server.wait_until(&format!("SELECT count(*) = 1 {waiting}"));
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert_unavailable(&client.read());
    server.wait_until(&format!("SELECT count(*) = 0 {waiting}"));
    drop(stdin);
    assert!(locker.wait().unwrap().success());
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_trigger_that_can_never_connect_is_503_and_logged_once() {
    let server = ServerSite::new();
    server.sql(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             RAISE 'no other server' USING ERRCODE = '08001';
         END $$;
         CREATE TRIGGER fail BEFORE INSERT ON lead_clicks FOR EACH ROW EXECUTE FUNCTION fail();",
    );
    let daemon = server.daemon(&[]);
    for _ in 0..2 {
        assert_unavailable(&daemon.post("jane@example.com", "jdoe", ""));
    }
    server.sql("DROP TRIGGER fail ON lead_clicks");
    assert_eq!(daemon.post("joe@example.com", "jdoe", "").status, 202);
    let (_, log) = daemon.stop();
    assert_eq!(log.matches(" ERROR ").count(), 1, "{log}");
    assert!(log.contains("reason=\"SQLSTATE 08001\""), "{log}");
    assert_eq!(log.matches(WORKING).count(), 1, "{log}");
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_running_daemon_answers_503_when_commits_are_no_longer_durable() {
    let server = ServerSite::on(Server::start(""));
    let daemon = server.daemon(&[]);
    assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
    server.sql("ALTER SYSTEM SET synchronous_commit = off");
    server.sql("SELECT pg_reload_conf()");
    server.wait_until("SELECT current_setting('synchronous_commit') = 'off'");
    thread::sleep(Duration::from_millis(1_100));
    assert_unavailable(&daemon.post("joe@example.com", "jdoe", ""));
    server.sql("ALTER SYSTEM RESET synchronous_commit");
    server.sql("SELECT pg_reload_conf()");
    server.wait_until("SELECT current_setting('synchronous_commit') = 'on'");
    assert_eq!(
        daemon.post("joe@example.com", "jdoe", "").status,
        202,
        "{}",
        daemon.log()
    );
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn an_error_code_of_a_trigger_and_a_partition_behind_its_sequence_are_what_they_are() {
    let server = ServerSite::new();
    server.sql(
        "CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF new.email = 'bad@example.com' THEN RAISE 'no' USING ERRCODE = 'LC001'; END IF;
             RETURN new;
         END $$;
         CREATE TRIGGER reject BEFORE INSERT ON lead_clicks FOR EACH ROW EXECUTE FUNCTION reject();",
    );
    let daemon = server.daemon(&[]);
    let mut emails = emails(6);
    emails.push("bad@example.com".to_owned());
    let mut statuses = post_together(&server, &daemon, &emails);
    assert_eq!(statuses.pop(), Some(422));
    assert_eq!(statuses, [202; 6]);

    let server = ServerSite::empty();
    server.sql(
        "CREATE TABLE lead_clicks (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, email text, expert_username text,
             search_query text, created_at timestamptz) PARTITION BY HASH (id);
         CREATE TABLE part PARTITION OF lead_clicks FOR VALUES WITH (MODULUS 1, REMAINDER 0);
         INSERT INTO lead_clicks (id) SELECT * FROM generate_series(1, 50)",
    );
    let daemon = server.daemon(&[]);
    assert_unavailable(&daemon.post("jane@example.com", "jdoe", ""));
    assert!(daemon.log().contains("setval"), "{}", daemon.log());
}
