//! What one client, or very many, may take from all others.

use std::{
    io::{ErrorKind, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    Answer, Client, Daemon, Fault, PATIENCE, Ran, Site, WriteLock, body, counted, is_long,
    post_request, raise_open_files, request,
};

/// How long the attack of slow connections takes.
const ATTACK: Duration = Duration::from_secs(8);

/// How long it takes in a long run.
const LONG_ATTACK: Duration = Duration::from_secs(30);

const UNLIMITED: &str = "clients on this machine are not limited in their rate, nor are those behind a proxy on it; \
                         if there is one that sets X-Forwarded-For, name it with --trusted-proxy ";

/// A click that a proxy hands on for `address`.
fn forwarded(address: &str) -> String {
    let header = format!("X-Forwarded-For: {address}\r\n");
    let click = body("jane@example.com", "jdoe", "");
    request("POST", "/api/lead-clicks", &header, &click)
}

#[track_caller]
fn assert_limited(answer: &Answer, seconds: std::ops::RangeInclusive<u32>) {
    let error = r#"{"error":"too many requests from this address; send this one again later"}"#;
    assert_eq!((answer.status, &*answer.body), (429, error));
    let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds.contains(&wait), "{wait}");
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[test]
fn behind_a_trusted_proxy_each_client_has_a_limit_of_its_own() {
    let site = Site::new();
    let args = [
        "--trusted-proxy",
        "127.0.0.1,10.0.0.0/8",
        "--rate-limit",
        "3/m",
    ];
    let daemon = Daemon::start(&site, &args);
    let mut proxy = daemon.connect();
    for chain in [
        "203.0.113.9",
        "198.51.100.7, 203.0.113.9",
        "203.0.113.9, 10.1.2.3",
    ] {
        assert_eq!(proxy.send(&forwarded(chain)).status, 202);
    }
    assert_limited(
        &proxy.send(&forwarded("198.51.100.8, 203.0.113.9:80")),
        15..=20,
    );
    // What is refused for another reason counts like any other, and the connection survives.
    assert_limited(
        &proxy.send(&request("GET", "/", "X-Forwarded-For: 203.0.113.9\r\n", "")),
        15..=20,
    );
    assert_eq!(proxy.send(&forwarded("203.0.113.10")).status, 202);
    for host in ["1", "ffff:2", "3"] {
        assert_eq!(
            proxy
                .send(&forwarded(&format!("2001:db8:7:7::{host}")))
                .status,
            202
        );
    }
    assert_limited(&proxy.send(&forwarded("2001:db8:7:7:1:2:3:4")), 15..=20);
    assert_eq!(proxy.send(&forwarded("2001:db8:7:8::1")).status, 202);

    let (_, log) = daemon.stop();
    assert!(!log.contains(UNLIMITED), "{log}");
    assert!(
        log.contains(" accepted=8 ") && log.contains(" too_many=3 "),
        "{log}"
    );
    assert!(
        !log.contains("203.0.113") && !log.contains("2001:db8"),
        "{log}"
    );
    assert_eq!(site.clicks().len(), 8);
}

#[test]
fn a_page_may_read_that_it_has_sent_too_much() {
    let site = Site::new();
    let args = ["--trusted-proxy", "127.0.0.1", "--rate-limit", "1/h"];
    let daemon = Daemon::start(&site, &args);
    let headers = "X-Forwarded-For: 203.0.113.9\r\nOrigin: https://www.example.com\r\n";
    let click = request(
        "POST",
        "/api/lead-clicks",
        headers,
        &body("jane@example.com", "jdoe", ""),
    );
    let mut client = daemon.connect();
    assert_eq!(client.send(&click).status, 202);
    let answer = client.send(&click);
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        answer.header("access-control-expose-headers"),
        Some("Retry-After")
    );
}

#[test]
fn a_client_that_waits_as_long_as_it_is_told_is_taken_again() {
    let site = Site::new();
    let args = ["--trusted-proxy", "127.0.0.1", "--rate-limit", "1/s"];
    let daemon = Daemon::start(&site, &args);
    let mut proxy = daemon.connect();
    assert_eq!(proxy.send(&forwarded("203.0.113.9")).status, 202);
    assert_limited(&proxy.send(&forwarded("203.0.113.9")), 1..=1);
    thread::sleep(Duration::from_millis(1100));
    assert_eq!(proxy.send(&forwarded("203.0.113.9")).status, 202);
}

#[test]
fn clients_on_this_machine_are_limited_only_behind_a_trusted_proxy() {
    let site = Site::new();
    for (args, warned) in [
        (&["--rate-limit", "1/h"][..], true),
        (
            &["--rate-limit", "1/h", "--trusted-proxy", "10.0.0.0/8"],
            true,
        ),
        (&["--rate-limit", "off"], false),
    ] {
        let daemon = Daemon::start(&site, args);
        for _ in 0..3 {
            assert_eq!(daemon.connect().send(&forwarded("203.0.113.9")).status, 202);
        }
        let (_, log) = daemon.stop();
        assert_eq!(
            log.contains(&format!("{UNLIMITED}127.0.0.1\n")),
            warned,
            "{args:?}\n{log}"
        );
    }
}

#[test]
fn a_trusted_proxy_that_names_nobody_is_told_once_and_its_clients_are_not_limited() {
    let site = Site::new();
    let args = ["--trusted-proxy", "127.0.0.1", "--rate-limit", "1/h"];
    let daemon = Daemon::start(&site, &args);
    for _ in 0..3 {
        assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
        assert_eq!(daemon.connect().send(&forwarded("unknown")).status, 202);
    }
    let (_, log) = daemon.stop();
    let told = "WARN a trusted proxy names no client that can be read in X-Forwarded-For, \
                so those requests are not limited; let it append the address; told once";
    assert_eq!(log.matches(told).count(), 1, "{log}");
}

#[test]
fn on_a_unix_socket_the_proxy_is_named_unix() {
    let site = Site::new();
    let socket = site.path("leadclicksd.sock");
    let listen = format!("unix:{}", socket.display());
    let post = || {
        let stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client::new(stream).send(&forwarded("203.0.113.9")).status
    };
    let daemon = Daemon::start(&site, &["--listen", &listen, "--rate-limit", "1/h"]);
    assert_eq!([post(), post()], [202, 202]);
    let (_, log) = daemon.stop();
    assert!(log.contains(&format!("{UNLIMITED}unix\n")), "{log}");

    let args = [
        "--listen",
        &listen,
        "--rate-limit",
        "1/h",
        "--trusted-proxy",
        "unix",
    ];
    let daemon = Daemon::start(&site, &args);
    assert_eq!([post(), post()], [202, 429]);
    let (_, log) = daemon.stop();
    assert!(!log.contains(UNLIMITED), "{log}");
}

/// In a network of its own, with an address that is not loopback's; as every user may make one, where the system lets it.
#[test]
fn a_client_of_another_machine_is_limited_by_its_own_address_whatever_it_says() {
    let site = Site::new();
    let script = r#"
        set -e
        ip link set lo up
        ip address add 192.0.2.1/24 dev lo
        mkfifo ready
        "$0" --listen 192.0.2.1:0 --rate-limit 2/h >ready 2>log & daemon=$!
        read -r line <ready
        address=${line#*http://}
        for number in 1 2 3 4; do
            curl -s -o answer -w '%{http_code} ' --max-time 10 -H "X-Forwarded-For: 203.0.113.$number" \
                -H 'Content-Type: application/json' \
                -d '{"email":"jane@example.com","expert_username":"jdoe"}' "http://${address%% *}"
        done
        kill $daemon && wait $daemon && cat log"#;
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--net", "sh", "-c", script])
        .arg(env!("CARGO_BIN_EXE_leadclicksd"))
        .current_dir(site.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let ran = Ran::finish(command, b"");
    assert!(ran.status.success(), "{ran}");
    assert!(ran.stdout.starts_with("202 202 429 429 "), "{ran}");
    assert!(!ran.stdout.contains(UNLIMITED), "{ran}");
}

/// Connections with heads that never end; those that are closed are opened anew.
struct SlowHeads {
    address: SocketAddr,
    open: Vec<TcpStream>,
    opened: usize,
}

impl SlowHeads {
    const CONNECTIONS: usize = 10_000;

    /// Opens what was closed, and sends one byte more on each of the others.
    fn go_on(&mut self) {
        self.open.retain_mut(|stream| {
            let is_open = matches!(stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
            is_open && stream.write(b"x").is_ok()
        });
        while self.open.len() < Self::CONNECTIONS {
            let Ok(mut stream) = TcpStream::connect_timeout(&self.address, PATIENCE) else {
                return;
            };
            stream.set_nonblocking(true).unwrap();
            // It may be closed again by then.
            let _ = stream.write(b"POST /api/lead-clicks HTTP/1.1\r\nHost: x\r\nX-Slow: ");
            self.open.push(stream);
            self.opened += 1;
        }
    }
}

#[test]
fn ten_thousand_slow_connections_keep_nobody_out() {
    raise_open_files();
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let mut slow = SlowHeads {
        address: daemon.address().parse().unwrap(),
        open: Vec::new(),
        opened: 0,
    };
    slow.go_on();
    let ends = Instant::now() + if is_long() { LONG_ATTACK } else { ATTACK };
    let attack = thread::spawn(move || {
        while Instant::now() < ends {
            slow.go_on();
        }
        slow
    });
    let mut kept_alive = daemon.connect();
    let mut waits = Vec::new();
    while Instant::now() < ends {
        let click = post_request(&body("jane@example.com", "jdoe", ""));
        let started = Instant::now();
        assert_eq!(daemon.connect().send(&click).status, 202);
        waits.push(started.elapsed());
        // A connection that sends its requests is not the one to be closed.
        assert_eq!(kept_alive.send(&click).status, 202);
        thread::sleep(Duration::from_millis(10));
    }
    let slow = attack.join().unwrap();
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
    assert!(percentile(99) < Duration::from_secs(1), "{waits:?}");
    // Some 30 KB a connection, of 4096; half as much in a release.
    assert!(memory_kb < 200 * 1024, "{memory_kb} kB");
    assert_eq!(site.clicks().len(), 2 * waits.len());
    let (status, log) = daemon.stop();
    assert!(status.success());
    let told =
        "WARN all connections are taken, closing those that have sent no request for the longest";
    assert_eq!(log.matches(told).count(), 1, "{log}");
    drop(slow);
}

#[test]
fn connections_that_wait_for_their_answer_are_not_closed_to_make_room() {
    let site = Site::new();
    let mut command = Command::new("prlimit");
    command.args(["--nofile=80", env!("CARGO_BIN_EXE_leadclicksd")]);
    let daemon = Daemon::start_as(command, &site, &[]);
    let lock = WriteLock::take(&site);
    let click = post_request(&body("jane@example.com", "jdoe", ""));
    // The limit of open files leaves 16 connections.
    let mut waiting: Vec<_> = (0..15).map(|_| daemon.connect()).collect();
    for client in &mut waiting {
        client.write(click.as_bytes());
    }
    let mut slow_body = daemon.connect();
    slow_body.write(&click.as_bytes()[..click.len() - 1]);
    thread::sleep(Duration::from_millis(500));
    let mut others: Vec<_> = (0..20).map(|_| daemon.connect()).collect();
    assert!(slow_body.is_closed());
    lock.release();
    for client in &mut waiting {
        assert_eq!(client.read().status, 202);
    }
    assert_eq!(others.last_mut().unwrap().send(&click).status, 202);
    assert_eq!(site.clicks().len(), 16);
}

#[test]
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
    // The first commit takes more than one fsync.
    assert_eq!(daemon.post("before@example.com", "jdoe", "").status, 202);
    // A disk that takes 1024 clicks in two seconds.
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
    .stdin(Stdio::null())
    .stdout(Stdio::piped())
    .stderr(Stdio::piped());
    let ran = Ran::finish(wrk, b"");
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
    // As soon as the disk has taken what is queued there is room, which is no longer than the 503 said.
    let mut after = daemon.post("after@example.com", "jdoe", "");
    if after.status == 503 {
        thread::sleep(Duration::from_secs(2));
        after = daemon.post("after@example.com", "jdoe", "");
    }
    assert_eq!(after.status, 202);
    drop(slow_disk);
    assert_eq!(daemon.post("after@example.com", "jdoe", "").status, 202);
    let (_, log) = daemon.stop();
    let stored = site.clicks().len() - 3;
    eprintln!(
        "{requests} requests, {accepted} accepted, {stored} stored, {refused} refused; {memory_kb} kB"
    );
    assert_eq!(broken, [0; 4], "connect, read, write, timeout\n{ran}");
    // Of each connection the click that wrk no longer waited for may be stored, too.
    assert!(
        accepted > 1024 && (accepted..=accepted + CONNECTIONS).contains(&stored),
        "{ran}\n{log}"
    );
    assert!(refused > accepted, "{ran}");
    assert!(counted(&log, "overloaded") >= refused as u64, "{log}");
    assert_eq!(counted(&log, "unavailable"), 0, "{log}");
    assert!(memory_kb < 200 * 1024, "{memory_kb} kB");
}
