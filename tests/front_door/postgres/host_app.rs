//! A table as SQLAlchemy makes it, in a database of another time zone.

use super::server::ServerSite;
use crate::{
    support::{Ran, Site},
    watch::Watcher,
};

/// `SQLAlchemy`'s `Integer` key, `String`, `Text` and `DateTime`.
const TABLES: &str = "
    CREATE TABLE experts (
        id SERIAL NOT NULL,
        username VARCHAR(100) NOT NULL,
        email VARCHAR(320) NOT NULL,
        first_name VARCHAR(100) NOT NULL,
        last_name VARCHAR(100),
        PRIMARY KEY (id),
        UNIQUE (username)
    );
    INSERT INTO experts (username, email, first_name) VALUES ('jdoe', 'jdoe@example.com', 'Jane');
    CREATE TABLE lead_clicks (
        id SERIAL NOT NULL,
        email VARCHAR(320) NOT NULL,
        expert_username VARCHAR(100) NOT NULL,
        search_query TEXT NOT NULL,
        created_at TIMESTAMP WITHOUT TIME ZONE DEFAULT now() NOT NULL,
        PRIMARY KEY (id)
    );
    CREATE INDEX ix_lead_clicks_email ON lead_clicks (email);";

/// Everything that the app's migrations would notice.
fn schema(server: &ServerSite) -> String {
    server.sql(
        "SELECT table_name, column_name, data_type, column_default, is_nullable FROM information_schema.columns
         WHERE table_schema = 'public' ORDER BY table_name, ordinal_position;
         SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname;
         SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY relname;",
    )
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_table_of_sqlalchemy_works_unaltered_in_any_time_zone() {
    let server = ServerSite::empty();
    server.sql(&format!(
        "{TABLES} ALTER DATABASE {} SET timezone = 'Asia/Tokyo'",
        server.name()
    ));
    assert_eq!(server.sql("SHOW timezone"), "Asia/Tokyo\n");
    let before = schema(&server);
    // A user of the app's own, with the rights that the documents name.
    let role = format!("{}_app", server.name());
    server.sql(&format!(
        "CREATE ROLE {role} LOGIN;
         GRANT INSERT (email, expert_username, search_query, created_at) ON lead_clicks TO {role}"
    ));
    let listen = ["--listen", "127.0.0.1:0"];
    let mut daemon = server.site.shell("exec leadclicksd \"$@\"");
    daemon
        .arg("sh")
        .args(listen)
        .env("LEADCLICKS_DB", server.url_of(&role));
    let refused = Ran::of(daemon);
    assert_eq!(refused.status.code(), Some(1), "{refused}");
    assert!(
        refused.stderr.contains("permission denied for sequence lead_clicks_id_seq; grant it as docs/postgresql.md shows"),
        "{refused}"
    );
    server.sql(&format!(
        "GRANT USAGE ON SEQUENCE lead_clicks_id_seq TO {role}"
    ));
    let daemon = server.daemon_of(&server.url_of(&role), &[]);
    let watcher = Watcher::start(server.command(&["watch", "--since", "2000-01-01"]));
    assert_eq!(daemon.post("Jane@Example.com", "jdoe", "tax").status, 202);
    assert_eq!(watcher.click(), "jane@example.com  Jane (jdoe)  tax");
    // Sent again, it is stored twice, as the documents say.
    let repeated = r#"{"email":"joe@example.com","expert_username":"jdoe","search_query":"","click_id":"0190a0de-1111-7000-8000-000000000001","age_ms":3600000}"#;
    let answer = daemon
        .connect()
        .send(&crate::support::post_request(repeated));
    assert_eq!(answer.status, 202);
    assert_eq!(watcher.click(), "joe@example.com  Jane (jdoe)");
    assert!(daemon.stop().0.success());
    // In UTC, whatever the zone of the session.
    assert_eq!(
        server.sql(
            "SELECT email, round(extract(epoch FROM (now() AT TIME ZONE 'UTC') - created_at) / 60) FROM lead_clicks ORDER BY id"
        ),
        "jane@example.com|0\njoe@example.com|60\n"
    );

    // The same clicks give the same reports as in a file.
    let clicks = "
        ('amy@example.com', 'jdoe', 'law', '2026-11-02 23:30:00.000000'),
        ('AMY@example.com', 'jdoe', '', '2026-11-03 00:30:00.250000'),
        ('bob@example.com', 'ghost', '', '2026-11-03 12:00:00.000000')";
    let insert = format!(
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES {clicks};"
    );
    server.sql(&format!("DELETE FROM lead_clicks; {insert}"));
    let experts = "INSERT INTO experts VALUES ('jdoe', 'Jane', '');";
    let site = Site::new().with_schema(&format!("{experts} {insert}"));
    for args in [
        &["report", "--by-email"][..],
        &[
            "report",
            "--by-email",
            "--since",
            "2026-11-03",
            "--until",
            "2026-11-03 12:00",
        ],
        &["report", "--by-day"],
        &["report", "--expert", "Jane"],
        &["report", "--email", "amy@example.com", "--tz", "Asia/Tokyo"],
        &["summary", "--since", "2026-11-01", "--until", "2026-11-05"],
        &["experts", "list"],
    ] {
        let (here, there) = (site.run(args), server.run(args));
        assert_eq!(
            (&there.stdout, there.status),
            (&here.stdout, here.status),
            "{args:?} {there}"
        );
    }
    assert_eq!(watcher.click(), "amy@example.com  Jane (jdoe)  law");

    let ran = server.run(&["check", "--format", "json"]);
    assert_eq!(ran.status.code(), Some(0), "{ran}");
    for line in [
        "no such column, so a click that is sent again may be stored twice",
        "none on created_at; another program owns the table",
        "3 of 2 leads",
        "2026-11-03T12:00:00.000000Z",
        "takes clicks",
    ] {
        assert!(ran.stdout.contains(line), "{line} {ran}");
    }
    assert_eq!(schema(&server), before);
}
