//! `--health-path`: whether a click could be stored, for load balancers and platforms.

use std::{fs, thread, time::Instant};

use crate::support::{
    Answer, Daemon, FAILING, Fault, PATIENCE, Site, WORKING, WriteLock, assert_logged_once,
    assert_unavailable, body, counted, request,
};

/// A health check as a load balancer sends it.
const PROBE: &str = "GET /healthz HTTP/1.1\r\nHost: 10.0.0.7:8787\r\n\r\n";

fn start(site: &Site, args: &[&str]) -> Daemon {
    Daemon::start(site, &[&["--health-path", "/healthz"], args].concat())
}

fn probe(daemon: &Daemon) -> u16 {
    let Answer {
        status,
        mut headers,
        body,
    } = daemon.connect().send(PROBE);
    headers.retain(|header| !header.starts_with("date: "));
    assert_eq!(headers, ["cache-control: no-store", "content-length: 0"]);
    assert_eq!(body, "");
    status
}

/// Waits until the probes of a daemon without traffic are answered so.
#[track_caller]
fn wait_for(daemon: &Daemon, status: u16) {
    let deadline = Instant::now() + PATIENCE;
    while probe(daemon) != status {
        assert!(Instant::now() < deadline, "not {status}\n{}", daemon.log());
        thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn a_probe_says_whether_a_click_could_be_stored_and_nothing_else() {
    let site = Site::new();
    let args = ["--trusted-proxy", "127.0.0.1", "--rate-limit", "2/h"];
    let daemon = start(&site, &args);
    // No probe is refused, or counts for the limit of a client.
    let forwarded = PROBE.replace("\r\n\r\n", "\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n");
    let mut proxy = daemon.connect();
    for _ in 0..20 {
        assert_eq!(proxy.send(&forwarded).status, 200);
    }
    assert_eq!(probe(&daemon), 200);
    let mut client = daemon.connect();
    client.write(PROBE.replace("GET", "HEAD").as_bytes());
    client.end_sending();
    let head = client.read_head();
    assert_eq!(head, (200, String::new()));
    // An origin does not matter, nor a query, nor a body, which is dropped.
    for odd in [
        PROBE.replace("\r\n\r\n", "\r\nOrigin: https://www.example.com\r\n\r\n"),
        PROBE.replace("/healthz", "/healthz?from=balancer"),
        request("GET", "/healthz", "", "a body"),
        "GET /healthz HTTP/1.0\r\n\r\n".to_owned(),
    ] {
        let answer = daemon.connect().send(&odd);
        assert_eq!((answer.status, &*answer.body), (200, ""), "{odd}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.header("vary"), None);
    }
    // Nothing can be posted there, and all else is as without it.
    let from = "X-Forwarded-For: 203.0.113.9\r\n";
    let click = body("jane@example.com", "jdoe", "");
    for (method, path, status) in [
        ("POST", "/healthz", 404),
        ("POST", "/api/lead-clicks", 202),
        ("POST", "/api/lead-clicks", 429),
        ("GET", "/healthz/", 429),
    ] {
        let answer = proxy.send(&request(method, path, from, &click));
        assert_eq!(answer.status, status, "{method} {path}");
    }
    assert_eq!(
        daemon
            .connect()
            .send("GET /healthz HTTP/1.1\r\n\r\n")
            .status,
        400
    );
    let (_, log) = daemon.stop();
    assert_eq!(counted(&log, "accepted"), 1, "{log}");
    assert_eq!(counted(&log, "other_refusals"), 2, "{log}");
    assert_eq!(counted(&log, "commits"), 1, "{log}");

    let daemon = Daemon::start(&site, &[]);
    assert_eq!(daemon.connect().send(PROBE).status, 404);
    drop(daemon);
    // Probes alone cause no line of counts.
    let daemon = start(&site, &[]);
    assert_eq!(probe(&daemon), 200);
    let (_, log) = daemon.stop();
    assert!(!log.contains(" counts "), "{log}");
    assert_eq!(site.clicks().len(), 1);
}

#[test]
fn a_daemon_without_traffic_notices_by_probes_that_it_cannot_store_and_that_it_can_again() {
    let site = Site::new();
    let daemon = start(&site, &[]);
    wait_for(&daemon, 200);
    fs::rename(site.db_path(), site.path("moved.db")).unwrap();
    wait_for(&daemon, 503);
    fs::rename(site.path("moved.db"), site.db_path()).unwrap();
    wait_for(&daemon, 200);
    assert_logged_once(&daemon.log(), "the database file was moved or deleted");
    assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);

    // While another program holds the lock, no probe waits for as long as a click does.
    let lock = WriteLock::take(&site);
    wait_for(&daemon, 503);
    lock.release();
    wait_for(&daemon, 200);
    let (_, log) = daemon.stop();
    assert_eq!(counted(&log, "commits"), 1, "{log}");
    assert_eq!(site.clicks().len(), 1);
}

#[test]
fn many_probes_during_a_lock_take_no_place_from_a_click() {
    const PROBES: usize = 2000;
    let site = Site::new();
    let daemon = start(&site, &[]);
    wait_for(&daemon, 200);
    // Then the outcome of the last attempt no longer counts.
    thread::sleep(std::time::Duration::from_millis(1100));
    let lock = WriteLock::take(&site);
    // More than there are places in the queue. A client that goes away without its answer leaves no place taken either.
    for _ in 0..PROBES / 100 {
        let mut waiting: Vec<_> = (0..100).map(|_| daemon.connect()).collect();
        for client in &mut waiting {
            client.write(PROBE.as_bytes());
        }
    }
    thread::scope(|scope| {
        let click = scope.spawn(|| daemon.post("jane@example.com", "jdoe", ""));
        let probes = scope.spawn(|| probe(&daemon));
        assert_eq!(probes.join().unwrap(), 503);
        lock.release();
        assert_eq!(click.join().unwrap().status, 202);
    });
    assert_eq!(site.emails(), ["jane@example.com"]);
}

#[test]
fn clicks_and_probes_agree() {
    let site = Site::new();
    let daemon = start(&site, &[]);
    fs::rename(site.db_path(), site.path("moved.db")).unwrap();
    assert_unavailable(&daemon.post("jane@example.com", "jdoe", ""));
    assert_eq!(probe(&daemon), 503);
    fs::rename(site.path("moved.db"), site.db_path()).unwrap();
    assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
    assert_eq!(probe(&daemon), 200);
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn a_probe_does_not_take_a_broken_disk_for_a_working_one() {
    let site = Site::new();
    let daemon = start(&site, &[]);
    assert_eq!(daemon.post("before@example.com", "jdoe", "").status, 202);
    let version = "PRAGMA user_version";
    site.connect()
        .execute_batch("PRAGMA user_version = 7")
        .unwrap();
    for injection in ["fsync:error=EIO", "pwrite64:error=ENOSPC"] {
        let fault = Fault::inject(&daemon, injection);
        assert_unavailable(&daemon.post("refused@example.com", "jdoe", ""));
        // Longer than the last outcome counts, so that the writer tries several times.
        let end = Instant::now() + std::time::Duration::from_secs(3);
        while Instant::now() < end {
            assert_eq!(probe(&daemon), 503);
            thread::sleep(std::time::Duration::from_millis(200));
        }
        drop(fault);
        wait_for(&daemon, 200);
    }
    // The attempts change nothing.
    assert_eq!(site.value::<i64>(version), 7);
    assert_eq!(site.emails(), ["before@example.com"]);
    let (_, log) = daemon.stop();
    assert_eq!(
        [FAILING, WORKING].map(|text| log.matches(text).count()),
        [2, 2],
        "{log}"
    );
}
