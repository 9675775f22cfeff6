//! Very many clients at once. `tests/run` runs these tests alone, because they use all of a small machine.

use std::{
    collections::HashSet,
    io::{ErrorKind, Write},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    Daemon, Fault, PATIENCE, Ran, Site, body, counted, is_long, post_request, raise_open_files,
};

/// How long the attack of slow connections lasts at least.
const ATTACK: Duration = Duration::from_secs(8);

/// The same in a long run.
const LONG_ATTACK: Duration = Duration::from_secs(30);

/// How many clicks are posted on new connections during the attack, at least.
const CLICKS_MIN: usize = 20;

/// Connections whose heads never end. Those that the daemon closes are opened again.
struct SlowHeads {
    address: SocketAddr,
    open: Vec<TcpStream>,
    opened: usize,
}

impl SlowHeads {
    const CONNECTIONS: usize = 10_000;

    /// Opens closed connections again, and sends one more byte on the others.
    fn attack(&mut self) {
        self.open.retain_mut(|stream| {
            let is_open = matches!(stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
            is_open && stream.write(b"x").is_ok()
        });
        while self.open.len() < Self::CONNECTIONS {
            let Ok(mut stream) = TcpStream::connect_timeout(&self.address, PATIENCE) else {
                return;
            };
            stream.set_nonblocking(true).unwrap();
            // The daemon may have closed it already.
            let _ = stream.write(b"POST /api/lead-clicks HTTP/1.1\r\nHost: x\r\nX-Slow: ");
            self.open.push(stream);
            self.opened += 1;
        }
    }
}

#[test]
#[ignore = "needs 12,000 open files, and the machine for itself; tests/run runs it"]
fn ten_thousand_slow_connections_cannot_lock_out_real_clients() {
    raise_open_files();
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let mut slow = SlowHeads {
        address: daemon.address().parse().unwrap(),
        open: Vec::new(),
        opened: 0,
    };
    // A connection that posts clicks is not evicted.
    let click = post_request(&body("jane@example.com", "jdoe", ""));
    let mut kept_alive = daemon.connect();
    assert_eq!(kept_alive.send(&click).status, 202);
    slow.attack();
    assert_eq!(slow.open.len(), SlowHeads::CONNECTIONS, "see ulimit -Hn");
    let ends = Instant::now() + if is_long() { LONG_ATTACK } else { ATTACK };
    let done = AtomicBool::new(false);
    let mut waits = Vec::new();
    let slow = thread::scope(|scope| {
        let attack = scope.spawn(|| {
            // It ends by itself if an assertion below fails.
            while !done.load(Ordering::Relaxed) && Instant::now() < ends + 2 * PATIENCE {
                slow.attack();
            }
            slow
        });
        // Each click is answered on the first connection that it is posted on.
        while waits.len() < CLICKS_MIN || Instant::now() < ends {
            let started = Instant::now();
            assert_eq!(daemon.connect().send(&click).status, 202);
            waits.push(started.elapsed());
            assert_eq!(kept_alive.send(&click).status, 202);
            thread::sleep(Duration::from_millis(10));
        }
        done.store(true, Ordering::Relaxed);
        attack.join().unwrap()
    });
    waits.sort_unstable();
    let percentile = |part: usize| waits[(waits.len() - 1) * part / 100];
    let memory_kb = daemon.memory_kb("VmHWM");
    eprintln!(
        "{} slow connections opened; {} clicks answered within {:?} (median), {:?} (99th percentile), {:?}; {memory_kb} kB",
        slow.opened,
        waits.len(),
        percentile(50),
        percentile(99),
        percentile(100),
    );
    assert!(slow.opened > SlowHeads::CONNECTIONS);
    // About 30 KB for each of the 4096 connections, half as much in a release build.
    assert!(memory_kb < 200 * 1024, "{memory_kb} kB");
    assert_eq!(site.clicks().len(), 2 * waits.len() + 1);
    let (status, log) = daemon.stop();
    assert!(status.success());
    let warning = "WARN all connections are in use, closing those that have been open longest without posting a click";
    assert!(log.contains(warning), "{log}");
    // Room for the clicks came from eviction. Time limits could not have closed that many connections.
    let evicted = counted(&log, "crowded_out");
    assert!(evicted > SlowHeads::CONNECTIONS as u64, "{evicted}");
    drop(slow);
}

/// Posts clicks, each of a new lead, and returns the emails of those that were answered 202.
fn post_until(done: &AtomicBool, daemon: &Daemon, client: usize) -> Vec<String> {
    let mut connection = daemon.connect();
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let email = format!("lead{client}-{number}@example.com");
        let answer = connection.send(&post_request(&body(&email, "jdoe", "")));
        match answer.status {
            202 => acknowledged.push(email),
            status => assert_eq!(status, 503),
        }
    }
    acknowledged
}

#[test]
#[ignore = "needs wrk and strace; tests/run runs it"]
fn more_load_than_the_disk_takes_is_503_and_loses_nothing() {
    const CONNECTIONS: usize = 3000;
    const SCRIPT: &str = r#"
        wrk.method, wrk.path = "POST", "/api/lead-clicks"
        wrk.headers["Content-Type"] = "application/json"
        wrk.body = '{"email":"jane@example.com","expert_username":"jdoe"}'
        function done(summary)
            local errors = summary.errors
            io.write(string.format("\n%d %d %d %d %d %d\n", summary.requests, errors.status,
                errors.connect, errors.read, errors.write, errors.timeout))
        end"#;
    let site = Site::new();
    let script = site.write("load.lua", SCRIPT);
    let daemon = Daemon::start(&site, &[]);
    // The first commit needs more than one fsync.
    assert_eq!(daemon.post("before@example.com", "jdoe", "").status, 202);
    // The disk stores 1024 clicks in two seconds.
    let slow_disk = Fault::inject(&daemon, "fsync:delay_enter=2s");
    let mut wrk = Command::new("prlimit");
    wrk.args([
        "--nofile=8192",
        "wrk",
        "--threads",
        "1",
        "--connections",
        &CONNECTIONS.to_string(),
    ])
    .args(["--duration", "8s", "--timeout", "10s", "--script"])
    .arg(script)
    .arg(format!("http://{}", daemon.address()))
    .stdin(Stdio::null());
    let done = AtomicBool::new(false);
    let (ran, acknowledged) = thread::scope(|scope| {
        let posts: Vec<_> = (0..8)
            .map(|client| {
                let (daemon, done) = (&daemon, &done);
                scope.spawn(move || post_until(done, daemon, client))
            })
            .collect();
        let ran = Ran::of(wrk);
        done.store(true, Ordering::Relaxed);
        let acknowledged: Vec<String> = posts
            .into_iter()
            .flat_map(|posts| posts.join().unwrap())
            .collect();
        (ran, acknowledged)
    });
    assert!(ran.status.success(), "{ran}");
    let numbers: Vec<usize> = ran
        .stdout
        .lines()
        .last()
        .unwrap()
        .split(' ')
        .map(|number| number.parse().unwrap())
        .collect();
    let [requests, refused, broken @ ..] = &numbers[..] else {
        panic!("{ran}");
    };
    let (accepted, refused) = (requests - refused, *refused);
    let memory_kb = daemon.memory_kb("VmHWM");
    // There is room when the disk has stored the queue, at the latest after the Retry-After of a 503.
    let mut after = daemon.post("after@example.com", "jdoe", "");
    if after.status == 503 {
        thread::sleep(Duration::from_secs(2));
        after = daemon.post("after@example.com", "jdoe", "");
    }
    assert_eq!(after.status, 202);
    drop(slow_disk);
    assert_eq!(daemon.post("after@example.com", "jdoe", "").status, 202);
    let (_, log) = daemon.stop();
    let emails = site.emails();
    let stored = emails
        .iter()
        .filter(|email| *email == "jane@example.com")
        .count();
    eprintln!(
        "{requests} requests, {accepted} accepted, {stored} stored, {refused} refused; {memory_kb} kB"
    );
    assert!(!acknowledged.is_empty(), "{log}");
    let emails: HashSet<String> = emails.into_iter().collect();
    let lost = acknowledged.iter().find(|email| !emails.contains(*email));
    assert_eq!(lost, None);
    assert_eq!(broken, [0; 4], "connect, read, write, timeout\n{ran}");
    // For each connection, the last click, for which wrk did not wait, may also be stored.
    assert!(
        accepted > 1024 && (accepted..=accepted + CONNECTIONS).contains(&stored),
        "{ran}\n{log}"
    );
    assert!(refused >= 3 * accepted, "{ran}");
    assert!(counted(&log, "overloaded") >= refused as u64, "{log}");
    assert_eq!(counted(&log, "unavailable"), 0, "{log}");
    assert!(memory_kb < 200 * 1024, "{memory_kb} kB");
}
