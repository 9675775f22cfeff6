//! `leadclicks watch` prints the clicks of many writers, each once.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::{
    failover::Pooler,
    server::{Server, ServerSite},
};
use crate::{
    support::{Ran, body, post_request},
    watch::Watcher,
};

const WATCH: [&str; 5] = ["watch", "--since", "2000-01-01", "--format", "ndjson"];

/// Reads lines until `end` was printed, and for a moment more. Returns how often each search was printed.
fn searches_until(watcher: &Watcher, end: &str) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    let mut count = |line: &str| {
        let click: serde_json::Value = serde_json::from_str(line).expect(line);
        let search = click["search_query"].as_str().expect(line).to_owned();
        let is_end = search == end;
        *counts.entry(search).or_insert(0) += 1;
        is_end
    };
    while !count(&watcher.line()) {}
    // Clicks of old gaps may be printed some seconds later.
    while let Some(line) = watcher.line_within(Duration::from_secs(6)) {
        count(&line);
    }
    counts
}

fn stored_searches(server: &ServerSite) -> BTreeMap<String, u32> {
    let searches = server.sql("SELECT search_query FROM lead_clicks");
    searches
        .lines()
        .map(|search| (search.to_owned(), 1))
        .collect()
}

/// Rows whose transaction commits after those of others with larger ids, is rolled back, or meets an id that is stored.
const MANY: &str = "
    BEGIN;
    INSERT INTO lead_clicks (email, expert_username, search_query)
        SELECT 'jane@example.com', 'jdoe', 'WRITER-ROUND-' || n FROM generate_series(1, 5) AS n;
    SELECT pg_sleep(0.02 * (ROUND % 7));
    INSERT INTO lead_clicks (email, expert_username, search_query)
        SELECT 'jane@example.com', 'jdoe', 'WRITER-ROUND-' || n FROM generate_series(6, 9) AS n;
    COMMIT;
    BEGIN;
    INSERT INTO lead_clicks (email, expert_username, search_query)
        SELECT 'jane@example.com', 'jdoe', 'rolled back' FROM generate_series(1, 3) AS n;
    ROLLBACK;
    INSERT INTO lead_clicks (email, expert_username, search_query, click_id)
        SELECT 'jane@example.com', 'jdoe', 'twice', 'aaaaaaaa-aaaa-7000-8000-aaaaaaaaaaaa' FROM generate_series(1, 3)
        ON CONFLICT (click_id) DO NOTHING;
";

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn the_clicks_of_eight_writers_are_printed_once_each() {
    const ROUNDS: usize = 25;
    let server = ServerSite::new();
    let daemons = [server.daemon(&[]), server.daemon(&[])];
    let watcher = Watcher::start(server.command(&WATCH));
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..4 {
            let mut client = daemons[writer % 2].connect();
            let ends = &ends;
            scope.spawn(move || {
                for number in 0.. {
                    if ends.load(Ordering::SeqCst) {
                        break;
                    }
                    let search = format!("daemon-{writer}-{number}");
                    let click = body("Jane@Example.com", "jdoe", &search);
                    assert_eq!(client.send(&post_request(&click)).status, 202);
                }
            });
        }
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let server = &server;
                scope.spawn(move || {
                    let script: String = (0..ROUNDS)
                        .map(|round| {
                            MANY.replace("WRITER", &format!("psql{writer}"))
                                .replace("ROUND", &round.to_string())
                        })
                        .collect();
                    server.sql(&script);
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        ends.store(true, Ordering::SeqCst);
    });
    server.sql("INSERT INTO lead_clicks (email, expert_username, search_query) VALUES ('end@example.com', 'jdoe', 'end')");
    let printed = searches_until(&watcher, "end");
    let stored = stored_searches(&server);
    let missing: Vec<_> = stored
        .keys()
        .filter(|search| !printed.contains_key(*search))
        .collect();
    let wrong: Vec<_> = printed
        .iter()
        .filter(|(search, count)| stored.get(*search) != Some(count))
        .collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "missing {missing:?}, wrong {wrong:?}"
    );
    assert!(printed.len() > 4 * 9 * ROUNDS, "{}", printed.len());
}

/// A session that holds a transaction open while others write.
#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn clicks_with_ids_below_those_that_were_printed_are_printed_too() {
    let server = ServerSite::new();
    server.sql(
        "INSERT INTO lead_clicks (id, email, expert_username, search_query) VALUES
        (900, 'jane@example.com', 'jdoe', 'a'), (1000, 'JANE@example.com', 'jdoe', 'b')",
    );
    let watcher = Watcher::start(server.command(&["watch"]));
    // What happened before is not printed, so the first click shows that it has begun.
    let insert = |id: i64, search: &str, more: &str| {
        server.sql(&format!(
            "INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at)
             VALUES ({id}, 'Jane@Example.com', 'jdoe', '{search}', now() {more})"
        ));
    };
    let printed = |search: &str| {
        assert_eq!(watcher.click(), format!("jane@example.com  jdoe  {search}"));
    };
    let mut id = 1001;
    loop {
        insert(id, "begin", "");
        id += 1;
        if watcher.click_within(Duration::from_millis(300)).is_some() {
            break;
        }
    }
    while watcher.click_within(Duration::from_millis(600)).is_some() {}
    // Between those that existed, below all, and from long ago.
    insert(950, "between", "");
    printed("between");
    insert(-5, "negative", "");
    printed("negative");
    insert(940, "late", "- interval '3 days'");
    printed("late");
    insert(5000, "above", "");
    printed("above");
    insert(3000, "in the new gap", "");
    printed("in the new gap");
    // The newest are deleted, and later ids are used again.
    server.sql("DELETE FROM lead_clicks WHERE id > 950");
    insert(960, "again", "");
    printed("again");
    server.sql("TRUNCATE lead_clicks");
    insert(1, "after a reset", "");
    printed("after a reset");
    insert(950, "after a reset too", "");
    printed("after a reset too");
    insert(6000, "end", "");
    printed("end");
    assert_eq!(watcher.click_within(Duration::from_secs(6)), None);
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn filters_and_since_select_what_is_printed() {
    let server = ServerSite::new();
    server.sql(
        "INSERT INTO experts VALUES ('jdoe', 'Jane', 'Doe');
        INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
            ('early@example.com', 'jdoe', '', '2026-11-01 09:00:00+00'),
            ('amy@example.com', 'jdoe', 'pricing', '2026-11-02 09:00:00+00'),
            ('bob@example.com', 'ghost', '', '2026-11-02 09:00:01+00')",
    );
    for (args, first) in [
        (&[][..], "amy@example.com  Jane Doe (jdoe)  pricing"),
        (&["--expert", "GHOST"], "bob@example.com  ghost"),
        (
            &["--email", "@EXAMPLE.com"],
            "amy@example.com  Jane Doe (jdoe)  pricing",
        ),
        (
            &["--query", "RIC"],
            "amy@example.com  Jane Doe (jdoe)  pricing",
        ),
    ] {
        let args = [&["watch", "--since", "2026-11-02"], args].concat();
        let watcher = Watcher::start(server.command(&args));
        assert_eq!(watcher.click(), first, "{args:?}");
    }
    let watcher = Watcher::start(server.command(&["watch", "--since", "2026-11-02 09:00:01"]));
    assert_eq!(watcher.click(), "bob@example.com  ghost");
    // As text and in ndjson, whatever the session's time zone.
    let report = server
        .run(&[
            "report",
            "--by-email",
            "--format",
            "ndjson",
            "--since",
            "2026-11-02 09:00:01",
        ])
        .stdout;
    let watch = [
        "watch",
        "--since",
        "2026-11-02 09:00:01",
        "--format",
        "ndjson",
    ];
    assert_eq!(Watcher::start(server.command(&watch)).line() + "\n", report);
    // The clicks before one whose time can't be read are printed.
    server.sql("INSERT INTO lead_clicks (id, email, expert_username, created_at) VALUES (77, 'joe@example.com', 'jdoe', 'infinity')");
    server.run(&["watch", "--since", "2026-11-02 09:00:01"]).assert(
        1,
        "2026-11-02 09:00:01  bob@example.com         ghost\n",
        &format!(
            "leadclicks: {}: the click with id 77 has an invalid created_at; change it to YYYY-MM-DD HH:MM:SS (UTC) or delete \
             the row\n",
            server.shown()
        ),
    );
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn it_continues_after_a_lost_connection_and_a_restart_of_the_server() {
    let own = Server::start("");
    let server = ServerSite::on(own);
    let watcher = Watcher::start(server.command(&["watch", "--since", "2000-01-01"]));
    let insert = |search: &str| {
        server.sql(&format!(
            "INSERT INTO lead_clicks (email, expert_username, search_query) VALUES ('jane@example.com', 'jdoe', '{search}')"
        ));
    };
    let printed =
        |search: &str| assert_eq!(watcher.click(), format!("jane@example.com  jdoe  {search}"));
    insert("a");
    printed("a");
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'leadclicks'");
    insert("b");
    printed("b");
    server.server().restart("fast");
    insert("c");
    printed("c");
    // A backup is restored, which lacks the last clicks, and their ids are used again.
    server.sql("BEGIN; DELETE FROM lead_clicks WHERE search_query <> 'a'; SELECT setval('lead_clicks_id_seq', 1); COMMIT");
    server.server().restart("fast");
    for search in ["d", "e", "f", "g"] {
        insert(search);
    }
    let mut rest: Vec<String> = (0..4).map(|_| watcher.click()).collect();
    rest.sort();
    let expected = ["d", "e", "f", "g"].map(|search| format!("jane@example.com  jdoe  {search}"));
    assert_eq!(rest, expected);
    assert_eq!(watcher.click_within(Duration::from_secs(6)), None);
}

#[test]
#[ignore = "needs PostgreSQL and pgbouncer; tests/run runs it"]
fn watch_and_check_work_behind_a_pooler() {
    let server = ServerSite::new();
    let pooler = Pooler::start(server.server());
    let url = server.url_on(&[pooler.directory.path()]);
    let command = |args: &[&str]| {
        let mut command = server.site.command(args);
        command.env("LEADCLICKS_DB", &url);
        command
    };
    let watchers = [(); 3].map(|()| Watcher::start(command(&["watch", "--since", "2000-01-01"])));
    // More watches than the pooler has connections.
    for search in ["a", "b", "c"] {
        server.sql(&format!(
            "INSERT INTO lead_clicks (email, expert_username, search_query) VALUES ('jane@example.com', 'jdoe', '{search}')"
        ));
        for watcher in &watchers {
            assert_eq!(watcher.click(), format!("jane@example.com  jdoe  {search}"));
        }
    }
    let ran = Ran::of(command(&["check", "--format", "json"]));
    assert_eq!(ran.status.code(), Some(0), "{ran}");
}
