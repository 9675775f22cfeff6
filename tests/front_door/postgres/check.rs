//! `leadclicks check` on servers.

use std::{path::Path, time::Duration};

use super::server::{Server, ServerSite};
use crate::{
    support::{Ran, Site},
    watch::Watcher,
};

/// The findings, as "check state: found; next".
fn findings(ran: &Ran) -> Vec<String> {
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).expect(&ran.stdout);
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let lines = json["checks"].as_array().unwrap().iter().map(|check| {
        let next = text(&check["next"]).map_or(String::new(), |next| format!("; {next}"));
        let [name, state, found] =
            ["check", "state", "found"].map(|field| text(&check[field]).unwrap());
        format!("{name} {state}: {found}{next}")
    });
    lines.collect()
}

/// The exit code, and the findings that are not in order.
fn faults(ran: &Ran) -> (Option<i32>, Vec<String>) {
    let faults = findings(ran).into_iter();
    (
        ran.status.code(),
        faults.filter(|line| !line.contains(" ok: ")).collect(),
    )
}

#[track_caller]
fn assert_fault(server: &ServerSite, code: i32, fault: &str) {
    let ran = server.run(&["check", "--format", "json"]);
    assert_eq!(faults(&ran), (Some(code), vec![fault.to_owned()]), "{ran}");
}

const CLICKS: &str = "
    INSERT INTO experts VALUES ('jdoe', 'Jane', 'Doe');
    INSERT INTO lead_clicks (email, expert_username, created_at) VALUES
        ('jane@example.com', 'jdoe', '2026-11-02 10:00:00+00'),
        ('JANE@example.com', 'jdoe', '2026-11-02 10:00:00+00'),
        ('joe@example.com', 'jdoe', '2026-11-03 10:00:00.5+00');";

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_healthy_database_is_in_order() {
    let server = ServerSite::new();
    server.sql(CLICKS);
    let ran = server.run(&["check"]);
    assert_eq!(ran.status.code(), Some(0), "{ran}");
    assert!(
        ran.stdout
            .starts_with(&format!("{}\n\n Check ", server.shown())),
        "{ran}"
    );
    let ran = server.run(&["check", "--format", "json"]);
    let version = server.sql("SHOW server_version");
    let mut expected = [
        &*format!("postgresql ok: {}", version.trim_end()),
        "role ok: primary",
        "encryption ok: none, on a Unix socket",
        "clock ok: the server's is that of this machine",
        "durability ok: synchronous_commit is on",
        "standbys ok: none synchronous, so a failover can lose the newest clicks",
        "replication ok: no standby is connected",
        "rights ok: admin may store, read, delete clicks",
        "schema ok: takes clicks",
        "click_id ok: each click is stored once",
        "index ok: lead_clicks_created_at",
        "ids ok: rising",
        "clicks ok: 3 of 2 leads",
        "newest ok: 2026-11-03T10:00:00.500000Z",
        "experts ok: 1",
    ]
    .map(str::to_owned);
    assert_eq!(findings(&ran), expected);
    expected[12] = "clicks ok: not estimated yet; run ANALYZE".to_owned();
    let quick = ["check", "--quick", "--format", "json"];
    assert_eq!(findings(&server.run(&quick)), expected);
    server.sql("ANALYZE lead_clicks");
    expected[12] = "clicks ok: about 3, by the last ANALYZE".to_owned();
    assert_eq!(findings(&server.run(&quick)), expected);
    let ran = server.run(&["check", "--max-age", "1h", "--format", "json"]);
    let (code, fault) = (
        Some(4),
        "newest warning: 2026-11-03T10:00:00.500000Z, longer ago than --max-age; check that the pages reach leadclicksd, with a \
         click of your own",
    );
    assert_eq!(faults(&ran), (code, vec![fault.to_owned()]), "{ran}");
    let metrics = server.stdout_of(&["check", "--format", "prometheus"]);
    let clicks = format!("leadclicks_clicks{{db=\"{}\"}} 3\n", server.shown());
    assert!(metrics.contains(&clicks), "{metrics}");
    let usage = "--disk-reserve is for a database file, and a server watches its own disk; leave it and the variable \
                 LEADCLICKS_DISK_RESERVE out\n";
    let ran = server.run(&["check", "--disk-reserve", "1GB"]);
    ran.assert(2, "", &format!("leadclicks: {usage}"));
    let mut daemon = server.site.shell("exec leadclicksd --disk-reserve 1GB");
    daemon.env("LEADCLICKS_DB", server.url());
    Ran::of(daemon).assert(2, "", &format!("leadclicksd: {usage}"));
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn each_fault_of_the_tables_is_found() {
    let server = ServerSite::new();
    server.sql(CLICKS);
    server.sql(
        "INSERT INTO lead_clicks (id, email, expert_username, created_at)
        VALUES (77, 'joe@example.com', 'jdoe', '2026-11-01 00:00:00')",
    );
    assert_fault(
        &server,
        1,
        "ids problem: the sequence of lead_clicks.id is behind its rows; run SELECT \
         setval(pg_get_serial_sequence('lead_clicks', 'id'), max(id)) FROM lead_clicks",
    );
    // What it says helps.
    server.sql(
        "SELECT setval(pg_get_serial_sequence('lead_clicks', 'id'), max(id)) FROM lead_clicks",
    );
    server.sql("UPDATE lead_clicks SET created_at = '9000-01-01 00:00:00+00' WHERE id = 77");
    assert_fault(
        &server,
        4,
        "newest warning: 9000-01-01T00:00:00.000000Z, in the future; clicks of the future: 1; set the clock if it is behind; \
         else correct their created_at, or delete them",
    );
    server.sql("UPDATE lead_clicks SET created_at = '-infinity' WHERE id = 77");
    assert_fault(
        &server,
        1,
        "clicks problem: 1 of 4 have an invalid created_at, one of them with id 77; change it to a time between the years 0 \
         and 9999, or delete the rows",
    );
    server.sql("DELETE FROM lead_clicks WHERE id = 77; DROP INDEX lead_clicks_created_at");
    assert_fault(
        &server,
        4,
        "index warning: none on created_at, so every report reads all clicks; create it with `leadclicks schema | psql`",
    );
    let quick = server.run(&["check", "--quick", "--format", "json"]);
    assert!(
        findings(&quick).contains(&"newest ok: skipped: no index on created_at".to_owned()),
        "{quick}"
    );
    server.sql(
        "CREATE INDEX ON lead_clicks (created_at);
        ALTER TABLE lead_clicks ALTER COLUMN id TYPE integer;
        SELECT setval('lead_clicks_id_seq', 2000000000)",
    );
    assert_fault(
        &server,
        4,
        "ids warning: 147483647 left; make lead_clicks.id a bigint in the program that owns the database",
    );
    server.sql("ALTER TABLE lead_clicks DROP CONSTRAINT lead_clicks_click_id_key; SELECT setval('lead_clicks_id_seq', 9)");
    assert_fault(
        &server,
        1,
        &format!(
            "schema problem: {}: lead_clicks.click_id has no unique index that is checked at once, so a click could be stored twice; create it with \
             `CREATE UNIQUE INDEX ON lead_clicks (click_id)`",
            server.shown()
        ),
    );
    server.sql("DROP TABLE experts; CREATE TABLE experts (username text); CREATE UNIQUE INDEX ON lead_clicks (click_id)");
    assert_fault(
        &server,
        4,
        &format!(
            "experts warning: {}: the table experts has no column first_name; add it in the program that owns the database",
            server.shown()
        ),
    );
    server.sql(&format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        server.name()
    ));
    let ran = server.run(&["check", "--format", "json"]);
    assert_eq!(
        faults(&ran).1[0],
        "role problem: read-only, so it takes no clicks; set default_transaction_read_only to off"
    );
    server.sql("SET default_transaction_read_only = off; DROP TABLE lead_clicks");
    let ran = server.run(&["check", "--format", "json"]);
    assert_eq!(
        faults(&ran).1[1],
        format!(
            "schema problem: {}: no table lead_clicks; check --db and the search_path of the user, or create it with \
             `leadclicks schema | psql`",
            server.shown()
        )
    );
}

#[test]
#[ignore = "tests/run runs it with the others of PostgreSQL"]
fn a_server_that_is_not_there_is_a_problem() {
    let site = Site::new();
    let nowhere = site.path("nowhere").display().to_string();
    let url = format!("postgres://admin@{}/app", nowhere.replace('/', "%2F"));
    let ran = site.run(&["check", "--format", "json", "--db", &url]);
    assert_eq!(
        faults(&ran),
        (
            Some(1),
            vec![format!(
                "database problem: postgres://admin@{nowhere}/app: cannot connect: No such file or directory (os error 2); \
                 check the host and port in --db, and whether the server runs"
            )]
        ),
        "{ran}"
    );
}

/// Changes a setting of the server.
fn set(server: &ServerSite, name: &str, value: &str) {
    server.sql(&format!("ALTER SYSTEM SET {name} = {value}"));
    server.sql("SELECT pg_reload_conf()");
    server.wait_until(&format!("SELECT current_setting('{name}') = {value}"));
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn settings_and_standbys_are_checked_and_a_standby_can_be_watched() {
    let server = &ServerSite::on(Server::start(""));
    server.sql(CLICKS);
    check_settings(server);
    let standby = server.server().start_standby("");
    check_standbys(server);
    check_and_watch_the_standby(server, &standby);
}

fn check_settings(server: &ServerSite) {
    set(server, "full_page_writes", "'off'");
    assert_fault(
        server,
        4,
        "durability warning: full_page_writes is off, so a crash of the machine can damage the database; set it to on in \
         postgresql.conf, unless the file system writes whole pages",
    );
    set(server, "full_page_writes", "'on'");
    for setting in ["fsync", "synchronous_commit"] {
        set(server, setting, "'off'");
        assert_fault(
            server,
            1,
            &format!(
                "durability problem: {}: {setting} is off, so a click that was answered 202 could be lost; set it to on in \
                 postgresql.conf, or for the user with ALTER ROLE",
                server.shown()
            ),
        );
        set(server, setting, "'on'");
    }
}

fn check_standbys(server: &ServerSite) {
    let streaming = "SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'
        AND replay_lsn >= pg_current_wal_lsn()";
    server.wait_until(streaming);
    let ran = server.run(&["check", "--format", "json"]);
    assert!(
        findings(&ran).contains(&"replication ok: walreceiver is 0 MiB behind".to_owned()),
        "{ran}"
    );
    set(server, "synchronous_standby_names", "'*'");
    server.wait_until("SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'");
    assert_fault(
        server,
        4,
        "standbys warning: 1 synchronous connected, and commits wait for 1: if one is gone, clicks are answered 503; add a \
         standby to synchronous_standby_names",
    );
    let user = "CREATE ROLE reader LOGIN; GRANT SELECT ON lead_clicks, experts TO reader";
    server.sql(user);
    let mut check = server.command(&["check", "--format", "json"]);
    check.env("LEADCLICKS_DB", server.url_of("reader"));
    let ran = Ran::of(check);
    let found = findings(&ran);
    assert_eq!(ran.status.code(), Some(0), "{ran}");
    for line in [
        "standbys ok: *; whether they are connected is visible to members of pg_monitor",
        "replication ok: standbys: 1; their lag is visible to members of pg_monitor",
        "rights ok: reader may read clicks",
        "schema ok: fit for reports",
        "ids ok: the sequence is not visible to this user",
        "clicks ok: 3 of 2 leads",
    ] {
        assert!(found.contains(&line.to_owned()), "{line}\n{ran}");
    }
    server.sql("ALTER ROLE admin SET synchronous_commit = local");
    assert_fault(
        server,
        4,
        "standbys warning: synchronous_commit is local, so no commit waits for a standby, and a failover can lose the newest \
         clicks; set it to on for the user of leadclicksd with ALTER ROLE",
    );
    server.sql("SET synchronous_commit = local; ALTER ROLE admin RESET synchronous_commit");
}

fn check_and_watch_the_standby(server: &ServerSite, standby: &Server) {
    // The standby alone, and before the primary in a URL.
    let on_standby = |args: &[&str], sockets: &[&Path]| {
        let mut command = server.command(args);
        command.env("LEADCLICKS_DB", server.url_on(sockets));
        command
    };
    let check = ["check", "--format", "json"];
    let ran = Ran::of(on_standby(&check, &[standby.socket()]));
    assert_eq!(
        faults(&ran),
        (
            Some(4),
            vec![
                "role warning: standby, which takes no clicks; name the primary in --db too, or promote this server"
                    .to_owned()
            ]
        ),
        "{ran}"
    );
    assert!(
        findings(&ran).contains(&"replication ok: 0 MiB received and not yet visible".to_owned()),
        "{ran}"
    );
    let ran = Ran::of(on_standby(
        &check,
        &[standby.socket(), server.server().socket()],
    ));
    assert!(
        findings(&ran).contains(&"role ok: primary".to_owned()),
        "{ran}"
    );
    let watch = ["watch", "--since", "2026-11-03"];
    let watcher = Watcher::start(on_standby(&watch, &[standby.socket()]));
    assert_eq!(watcher.click(), "joe@example.com  Jane Doe (jdoe)");
    server
        .sql("INSERT INTO lead_clicks (email, expert_username) VALUES ('new@example.com', 'jdoe')");
    assert_eq!(watcher.click(), "new@example.com  Jane Doe (jdoe)");

    // The primary ends, and the standby takes its place.
    let sockets = [server.server().socket(), standby.socket()];
    let watch = ["watch", "--since", "2026-11-03", "--email", "@example.com"];
    let watcher = Watcher::start(on_standby(&watch, &sockets));
    assert_eq!(watcher.click(), "joe@example.com  Jane Doe (jdoe)");
    assert_eq!(watcher.click(), "new@example.com  Jane Doe (jdoe)");

    // Commits would wait from here on.
    set(server, "synchronous_standby_names", "'FIRST 2 (*)'");
    assert_fault(
        server,
        1,
        "standbys problem: 1 synchronous connected, and commits wait for 2, so clicks are answered 503; start a standby, or \
         shorten synchronous_standby_names",
    );

    server.server().kill();
    standby.promote();
    let mut psql = standby.program("psql");
    psql.args(["--dbname", server.name(), "--command"]).arg(
        "INSERT INTO lead_clicks (email, expert_username) VALUES ('after@example.com', 'jdoe')",
    );
    let inserted = Ran::of(psql);
    assert!(inserted.status.success(), "{inserted}");
    assert_eq!(watcher.click(), "after@example.com  Jane Doe (jdoe)");
    assert_eq!(watcher.click_within(Duration::from_secs(6)), None);
}
