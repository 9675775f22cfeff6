//! Very many clients at once. `tests/run` runs these tests alone, because they use all of a small machine.

use std::{
    collections::HashSet,
    io::{ErrorKind, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    Client, Daemon, Fault, PATIENCE, Ran, Site, body, counted, in_own_network, is_long,
    post_request, raise_open_files,
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

/// What the connections of a crowd do after the first 4,080, which have posted a click each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Newcomers {
    Silent,
    PostOneClick,
}

/// How many connections a crowd has, nearly all that the daemon serves.
const CROWD: u32 = 4080;
/// How many more it opens each second.
const NEWCOMERS_PER_SEC: u32 = 480;
/// How long a visitor's request comes after its connection, as over a slow mobile network.
const ROUND_TRIP: Duration = Duration::from_millis(100);
const VISITORS_AT_ONCE: u32 = 16;

/// The numbers of visitors and of those who were not answered 202, and the median wait for the answer.
fn visit_in_a_crowd(newcomers: Newcomers) -> (usize, usize, Duration) {
    // Each client is within its own limits.
    let next_source = AtomicU32::new(u32::from(Ipv4Addr::new(198, 18, 1, 0)));
    let source = || Ipv4Addr::from_bits(next_source.fetch_add(1, Ordering::Relaxed));
    let site = Site::new();
    let daemon = Daemon::start(&site, &["--listen", "198.18.0.1:0"]);
    let click = post_request(&body("jane@example.com", "jdoe", ""));
    let mut crowd: Vec<_> = (0..CROWD)
        .map(|number| daemon.connect_from(Ipv4Addr::from([198, 18, 0, 2 + (number % 250) as u8])))
        .collect();
    // As many at a time as the queue holds.
    for part in crowd.chunks_mut(1000) {
        for client in &mut *part {
            client.write(click.as_bytes());
        }
        for client in part {
            assert_eq!(client.read().status, 202);
        }
    }
    let started = Instant::now();
    let ends = started + if is_long() { LONG_ATTACK } else { ATTACK };
    let waits = thread::scope(|scope| {
        let visitors: Vec<_> = (0..VISITORS_AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    let mut waits = Vec::new();
                    while Instant::now() < ends {
                        let mut visitor = daemon.connect_from(source());
                        thread::sleep(ROUND_TRIP);
                        let sent = Instant::now();
                        let answer = visitor.try_send(&click);
                        let accepted = answer.is_ok_and(|answer| answer.status == 202);
                        waits.push(accepted.then(|| sent.elapsed()));
                    }
                    waits
                })
            })
            .collect();
        let mut opened = 0;
        while Instant::now() < ends {
            let due = started.elapsed().as_millis() * u128::from(NEWCOMERS_PER_SEC) / 1000;
            while opened < due {
                let mut client: Client<TcpStream> = daemon.connect_from(source());
                if newcomers == Newcomers::PostOneClick {
                    client.write(click.as_bytes());
                }
                crowd.push(client);
                opened += 1;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let waits = visitors.into_iter().map(|visits| visits.join().unwrap());
        waits.flatten().collect::<Vec<_>>()
    });
    let visitors = waits.len();
    let mut waits: Vec<_> = waits.into_iter().flatten().collect();
    waits.sort_unstable();
    let median = waits.get(waits.len() / 2).copied().unwrap_or_default();
    (visitors, visitors - waits.len(), median)
}

#[test]
#[ignore = "needs user namespaces, iproute2, 12,000 open files, and the machine for itself; tests/run runs it"]
fn a_crowd_with_a_click_on_each_connection_cannot_lock_out_visitors() {
    if !in_own_network("heavy::a_crowd_with_a_click_on_each_connection_cannot_lock_out_visitors") {
        return;
    }
    raise_open_files();
    for newcomers in [Newcomers::PostOneClick, Newcomers::Silent] {
        let (visitors, failed, median) = visit_in_a_crowd(newcomers);
        eprintln!("{newcomers:?}: {failed} of {visitors} visitors failed; median {median:?}");
        assert!(visitors >= CLICKS_MIN, "{visitors}");
        assert!(100 * failed <= visitors, "{failed} of {visitors}");
    }
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
