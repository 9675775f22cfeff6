//! Servers that fail while clicks arrive: each 202 is stored exactly once, and each 503 at most once.

use std::{
    collections::HashMap,
    fs,
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::server::{Server, ServerSite, health};
use crate::support::{Daemon, PATIENCE, WORKING, is_long};

/// What became of the clicks that a test posted: for each email the status, 0 without an answer.
#[derive(Default)]
struct Outcomes(Mutex<HashMap<String, u16>>);

impl Outcomes {
    fn count(&self, status: u16) -> usize {
        let outcomes = self.0.lock().unwrap();
        outcomes.values().filter(|&&of| of == status).count()
    }

    /// Every click was answered 202.
    #[track_caller]
    fn assert_all_accepted(&self) {
        let outcomes = self.0.lock().unwrap();
        let others: Vec<_> = outcomes.iter().filter(|(_, of)| **of != 202).collect();
        assert!(others.is_empty(), "{others:?}");
    }

    /// Compares with what a server has.
    fn check(&self, server: &ServerSite, psql: &Server) {
        let stored = sql_on(
            psql,
            server,
            "SELECT email, count(*) FROM lead_clicks GROUP BY email",
        );
        let stored: HashMap<&str, u32> = stored
            .lines()
            .map(|line| line.split_once('|').unwrap())
            .map(|(email, count)| (email, count.parse().unwrap()))
            .collect();
        let outcomes = self.0.lock().unwrap();
        assert!(!outcomes.is_empty());
        for (email, status) in &*outcomes {
            match (status, stored.get(&**email).copied().unwrap_or(0)) {
                (202, 1) | (503 | 0, 0 | 1) => {}
                (status, count) => {
                    panic!("{email} was answered {status} and is stored {count} times")
                }
            }
        }
        assert!(stored.len() <= outcomes.len());
    }
}

fn sql_on(server: &Server, site: &ServerSite, sql: &str) -> String {
    let mut command = server.program("psql");
    command.args([
        "--no-psqlrc",
        "--quiet",
        "--tuples-only",
        "--no-align",
        "--set=ON_ERROR_STOP=1",
    ]);
    command.args(["--dbname", site.name(), "--command", sql]);
    let ran = crate::support::Ran::of(command);
    assert!(ran.status.success(), "{ran}");
    ran.stdout
}

/// Posts clicks to all daemons from several threads, each on a connection of its own, until `during` has ended. A daemon may
/// be replaced meanwhile.
fn under_load(daemons: &[Mutex<Daemon>], during: impl FnOnce(&Outcomes)) -> Outcomes {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    const THREADS_A_DAEMON: usize = 6;
    let outcomes = Outcomes::default();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for daemon in daemons {
            for _ in 0..THREADS_A_DAEMON {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let address = daemon.lock().unwrap().address().to_owned();
                        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                        let email = format!("lead{number}@example.com");
                        let status = post(&address, &email);
                        outcomes.0.lock().unwrap().insert(email, status);
                        thread::sleep(Duration::from_millis(if status == 202 { 2 } else { 50 }));
                    }
                });
            }
        }
        // Also when it panics.
        let over = SetOnDrop(&is_over);
        during(&outcomes);
        drop(over);
    });
    outcomes
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Posts a click whose id is made by the daemon.
fn post(address: &str, email: &str) -> u16 {
    let Ok(stream) = std::net::TcpStream::connect(address) else {
        return 0;
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut client = crate::support::Client::new(stream);
    let request = crate::support::post_request(&crate::support::body(email, "jdoe", "tax"));
    client.try_send(&request).map_or(0, |answer| answer.status)
}

fn wait_for_new(outcomes: &Outcomes, status: u16, more: usize) {
    let before = outcomes.count(status);
    let deadline = Instant::now() + PATIENCE;
    while outcomes.count(status) < before + more {
        assert!(Instant::now() < deadline, "no {status} any more");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A promoted standby would wait for one of its own.
const ALONE: &str = "synchronous_standby_names = ''";

/// A primary with a synchronous standby.
fn with_standby() -> (ServerSite, Server) {
    let primary = Server::start("");
    let standby = primary.start_standby(ALONE);
    let server = ServerSite::on(primary);
    server.sql("ALTER SYSTEM SET synchronous_standby_names = '*'; SELECT pg_reload_conf()");
    server.wait_until("SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'");
    (server, standby)
}

fn start(server: &ServerSite, url: &str) -> Mutex<Daemon> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leadclicksd"));
    command.env("LEADCLICKS_DB", url);
    Mutex::new(Daemon::start_on_own_database(command, &server.site, &[]))
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn two_daemons_follow_the_primary_through_a_promotion_and_leave_an_old_one_that_is_back() {
    let (server, standby) = with_standby();
    let url = server.url_on(&[server.server().socket(), standby.socket()]);
    let daemons = [start(&server, &url), start(&server, &url)];
    let outcomes = under_load(&daemons, |outcomes| {
        wait_for_new(outcomes, 202, 100);
        server.server().kill();
        standby.promote();
        wait_for_new(outcomes, 202, 100);
        outcomes.assert_all_accepted();
        // It accepts connections and commits nothing, because it waits for its standby.
        server.server().start_again();
        let late = start(&server, &url).into_inner().unwrap();
        for (email, status) in [("early@example.com", 503), ("late@example.com", 202)] {
            assert_eq!(post(late.address(), email), status, "{}", late.log());
            outcomes.0.lock().unwrap().insert(email.to_owned(), status);
        }
        wait_for_new(outcomes, 202, 100);
    });
    outcomes.check(&server, &standby);
    for daemon in daemons {
        let (_, log) = daemon.into_inner().unwrap().stop();
        assert!(log.matches(" ERROR ").count() <= 3, "{log}");
        assert!(log.contains(WORKING), "{log}");
        assert!(!log.contains("example.com"), "{log}");
    }
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn restarts_of_the_server_lose_no_click_and_each_outage_is_logged_once() {
    let server = ServerSite::on(Server::start(""));
    let daemons = [start(&server, &server.url())];
    let outcomes = under_load(&daemons, |outcomes| {
        for mode in ["fast", "immediate"] {
            wait_for_new(outcomes, 202, 50);
            server.server().restart(mode);
        }
        wait_for_new(outcomes, 202, 50);
    });
    outcomes.assert_all_accepted();
    outcomes.check(&server, server.server());
    let [daemon] = daemons;
    let (_, log) = daemon.into_inner().unwrap().stop();
    assert_eq!(
        log.matches(" ERROR clicks can't be stored, waiting")
            .count(),
        2,
        "{log}"
    );
    assert_eq!(log.matches(WORKING).count(), 2, "{log}");
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn clicks_are_503_while_the_only_standby_is_gone_and_no_click_is_stored_twice() {
    let (server, standby) = with_standby();
    let daemons = [start(&server, &server.url())];
    let outcomes = under_load(&daemons, |outcomes| {
        wait_for_new(outcomes, 202, 20);
        standby.kill();
        wait_for_new(outcomes, 503, 10);
        standby.start_again();
        wait_for_new(outcomes, 202, 20);
    });
    outcomes.check(&server, server.server());
}

/// Forwards connections from a socket to that of a server, and cuts some of them just before an answer.
struct CuttingProxy {
    directory: tempfile::TempDir,
    cuts: Arc<AtomicU32>,
}

impl CuttingProxy {
    /// Every `n`th answer of the server to a `statement` is not forwarded, and its connection is closed.
    fn start(server: &Path, statement: &'static str, n: u32) -> Self {
        let directory = tempfile::tempdir_in("/tmp").unwrap();
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).unwrap();
        let target = server.join(".s.PGSQL.5432");
        let cuts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&cuts);
        let answers = Arc::new(AtomicU32::new(0));
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { break };
                let Ok(server) = UnixStream::connect(&target) else {
                    continue;
                };
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
                let (answers, cuts) = (Arc::clone(&answers), Arc::clone(&counted));
                thread::spawn(move || {
                    forward_answers(server, client, statement, &answers, &cuts, n);
                });
            }
        });
        Self { directory, cuts }
    }
}

fn forward_answers(
    mut server: UnixStream,
    mut client: UnixStream,
    statement: &str,
    answers: &AtomicU32,
    cuts: &AtomicU32,
    n: u32,
) {
    let mut bytes = [0; 16_384];
    while let Ok(length @ 1..) = server.read(&mut bytes) {
        let mut parts = bytes[..length].windows(statement.len());
        let is_answer = parts.any(|part| part == statement.as_bytes());
        if is_answer && answers.fetch_add(1, Ordering::Relaxed) % n == n - 1 {
            // The commit's confirmation is lost.
            cuts.fetch_add(1, Ordering::Relaxed);
            break;
        }
        if client.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = server.shutdown(std::net::Shutdown::Both);
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_click_whose_commit_was_not_confirmed_is_stored_once() {
    let server = ServerSite::new();
    let proxy = CuttingProxy::start(server.server().socket(), "INSERT ", 5);
    let daemons = [start(&server, &server.url_on(&[proxy.directory.path()]))];
    let outcomes = under_load(&daemons, |_| {
        let deadline = Instant::now() + PATIENCE;
        while proxy.cuts.load(Ordering::Relaxed) < 20 {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(20));
        }
    });
    outcomes.assert_all_accepted();
    outcomes.check(&server, server.server());
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_table_without_ids_gets_no_click_twice_when_its_commit_was_not_confirmed() {
    let server = ServerSite::new();
    server.sql("ALTER TABLE lead_clicks DROP COLUMN click_id");
    let proxy = CuttingProxy::start(server.server().socket(), "COMMIT", 5);
    let daemons = [start(&server, &server.url_on(&[proxy.directory.path()]))];
    let outcomes = under_load(&daemons, |outcomes| wait_for_new(outcomes, 503, 10));
    outcomes.check(&server, server.server());
    // Some were stored although that was not confirmed.
    let stored: usize = server
        .sql("SELECT count(*) FROM lead_clicks")
        .trim()
        .parse()
        .unwrap();
    assert!(stored > outcomes.count(202));
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn conflicts_and_timeouts_that_pass_are_tried_again() {
    let server = ServerSite::new();
    // The first two attempts of each batch fail.
    server.sql(
        "CREATE SEQUENCE attempts;
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('attempts') % 3 > 0 THEN
                 RAISE 'try again' USING ERRCODE = CASE WHEN new.email LIKE 'a%' THEN '40001' ELSE '40P01' END;
             END IF;
             RETURN new;
         END $$;
         CREATE TRIGGER fail BEFORE INSERT ON lead_clicks FOR EACH ROW EXECUTE FUNCTION fail();",
    );
    let daemon = server.daemon(&[]);
    for email in ["a@example.com", "b@example.com"] {
        assert_eq!(daemon.post(email, "jdoe", "").status, 202);
    }
    server.sql("DROP TRIGGER fail ON lead_clicks");
    let name = server.name();
    server.sql(&format!(
        "ALTER DATABASE {name} SET statement_timeout = '100ms'"
    ));
    let slow = server.daemon(&[]);
    let mut lock = server.psql(&[
        "--quiet",
        "--command",
        "BEGIN; LOCK TABLE lead_clicks; SET statement_timeout = 0; SELECT pg_sleep(1)",
    ]);
    let mut lock = lock.stdout(Stdio::null()).spawn().unwrap();
    server.wait_until("SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(1)%' AND wait_event = 'PgSleep'");
    assert_eq!(slow.post("c@example.com", "jdoe", "").status, 202);
    assert!(lock.wait().unwrap().success());
    assert_eq!(
        server.sql("SELECT email FROM lead_clicks ORDER BY email"),
        "a@example.com\nb@example.com\nc@example.com\n"
    );
}

/// A pooler that gives each transaction another connection.
pub struct Pooler {
    pub directory: tempfile::TempDir,
    child: std::process::Child,
}

impl Pooler {
    pub fn start(server: &Server) -> Self {
        let directory = super::server::new_directory();
        let path = directory.path().display();
        let configuration = format!(
            "[databases]\n* = user=admin host={}\n[pgbouncer]\nunix_socket_dir = {path}\nlisten_port = 5432\n\
             listen_addr =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 2\nlogfile = {path}/log\n\
             pidfile = {path}/pid\n",
            server.socket().display()
        );
        let file = directory.path().join("pgbouncer.ini");
        fs::write(&file, configuration).unwrap();
        let mut command = super::server::as_own_user("pgbouncer", &[], &file);
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pooler = Self { directory, child };
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(pooler.directory.path().join(".s.PGSQL.5432")).is_err() {
            assert!(
                Instant::now() < deadline,
                "{}",
                fs::read_to_string(pooler.directory.path().join("log")).unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(20));
        }
        pooler
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs PostgreSQL and pgbouncer; tests/run runs it"]
fn three_daemons_and_every_report_work_behind_a_pooler() {
    let server = ServerSite::new();
    let pooler = Pooler::start(server.server());
    let url = server.url_on(&[pooler.directory.path()]);
    let daemons = [
        start(&server, &url),
        start(&server, &url),
        start(&server, &url),
    ];
    let outcomes = under_load(&daemons, |outcomes| wait_for_new(outcomes, 202, 300));
    outcomes.assert_all_accepted();
    outcomes.check(&server, server.server());
    for args in [
        &["report", "--by-email", "--format", "csv"][..],
        &["summary", "--format", "json"],
        &["report", "--by-day"],
    ] {
        let mut command = server.site.command(args);
        command.env("LEADCLICKS_DB", &url);
        let ran = crate::support::Ran::of(command);
        assert_eq!(ran.stdout, server.stdout_of(args), "{ran}");
    }
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn random_kills_of_servers_and_daemons_lose_nothing_and_store_nothing_twice() {
    let seconds = if is_long() { 600 } else { 20 };
    let server = ServerSite::on(Server::start(""));
    let url = server.url();
    let daemons = [start(&server, &url), start(&server, &url)];
    let mut random = fastrand::Rng::with_seed(19);
    let end = Instant::now() + Duration::from_secs(seconds);
    let outcomes = under_load(&daemons, |outcomes| {
        while Instant::now() < end {
            match random.usize(..5) {
                0 => {
                    server.server().kill();
                    server.server().start_again();
                }
                1 => server.server().restart("fast"),
                2 => server.server().restart("immediate"),
                3 => {
                    let number = random.usize(..daemons.len());
                    let new = start(&server, &url).into_inner().unwrap();
                    let old = std::mem::replace(&mut *daemons[number].lock().unwrap(), new);
                    old.kill();
                }
                _ => {
                    sql_on(
                        server.server(),
                        &server,
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'leadclicks'",
                    );
                }
            }
            wait_for_new(outcomes, 202, 1 + random.usize(..30));
        }
    });
    assert!(outcomes.count(202) > 50);
    outcomes.check(&server, server.server());
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn the_health_path_follows_the_server_without_any_click() {
    let server = ServerSite::on(Server::start(""));
    let daemon = server.daemon(&["--health-path", "/healthz"]);
    let wait_for_health = |status: u16| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if health(&daemon) == status {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "never {status}: {}",
                daemon.log()
            );
            thread::sleep(Duration::from_millis(100));
        }
    };
    wait_for_health(200);
    server.server().kill();
    wait_for_health(503);
    server.server().start_again();
    wait_for_health(200);
    assert_eq!(server.sql("SELECT count(*) FROM lead_clicks"), "0\n");
    let (_, log) = daemon.stop();
    assert_eq!(log.matches(" ERROR ").count(), 1, "{log}");
    assert_eq!(log.matches(WORKING).count(), 1, "{log}");
}

/// A click with an id, as a page sends it again.
const SENT_AGAIN: &str = r#"{"email":"again@example.com","expert_username":"jdoe","search_query":"","click_id":"0190a0de-2222-7000-8000-000000000001"}"#;

fn status_of(daemon: &Daemon) -> u16 {
    let request = crate::support::post_request(SENT_AGAIN);
    daemon.connect().send(&request).status
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_click_that_is_sent_again_is_202_only_when_the_standby_has_it() {
    let server = ServerSite::on(Server::start(""));
    server.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    server.sql("SELECT pg_reload_conf()");
    let daemon = server.daemon(&[]);
    // It is committed on the primary alone.
    assert_eq!(status_of(&daemon), 503, "{}", daemon.log());
    server.server().restart("fast");
    assert_eq!(server.sql("SELECT count(*) FROM lead_clicks"), "1\n");
    assert_eq!(status_of(&daemon), 503, "{}", daemon.log());
    server
        .sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    // An administrator who cancels the wait makes the server report success.
    let cancelled = thread::scope(|scope| {
        let posted = scope.spawn(|| post(daemon.address(), "cancelled@example.com"));
        let inserts = "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE 'INSERT%'";
        server.wait_until(&format!("SELECT count(*) = 1 {inserts}"));
        server.sql(&format!("SELECT pg_cancel_backend(pid) {inserts}"));
        posted.join().unwrap()
    });
    assert_eq!(cancelled, 503, "{}", daemon.log());
    server.sql("ALTER SYSTEM SET synchronous_standby_names = ''");
    server.sql("SELECT pg_reload_conf()");
    assert_eq!(status_of(&daemon), 202, "{}", daemon.log());
    let stored = "SELECT count(*) FROM lead_clicks WHERE email = 'again@example.com'";
    assert_eq!(server.sql(stored), "1\n");
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_slow_connection_ends_an_outage_too() {
    let server = ServerSite::on(Server::start(""));
    let proxy = SlowProxy::start(server.server().socket(), Duration::from_millis(150));
    let daemon = start(&server, &server.url_on(&[proxy.directory.path()]))
        .into_inner()
        .unwrap();
    assert_eq!(post(daemon.address(), "before@example.com"), 202);
    server.server().kill();
    assert_eq!(post(daemon.address(), "during@example.com"), 503);
    server.server().start_again();
    let deadline = Instant::now() + PATIENCE;
    while post(daemon.address(), "after@example.com") != 202 {
        assert!(Instant::now() < deadline, "{}", daemon.log());
        thread::sleep(Duration::from_millis(100));
    }
}

/// Forwards connections to the socket of a server, each of its answers after a delay.
struct SlowProxy {
    directory: tempfile::TempDir,
}

impl SlowProxy {
    fn start(server: &Path, delay: Duration) -> Self {
        let directory = tempfile::tempdir_in("/tmp").unwrap();
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).unwrap();
        let target = server.join(".s.PGSQL.5432");
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { break };
                let Ok(server) = UnixStream::connect(&target) else {
                    continue;
                };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || forward(from, to, Duration::ZERO));
                thread::spawn(move || forward(server, client, delay));
            }
        });
        Self { directory }
    }
}

fn forward(mut from: UnixStream, mut to: UnixStream, delay: Duration) {
    let mut bytes = [0; 16_384];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        thread::sleep(delay);
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}
