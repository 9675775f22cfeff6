//! Limits: the rate limit, and the number of connections.

use std::{
    net::{Ipv4Addr, Ipv6Addr, TcpStream},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::{
    privacy::assert_private,
    support::{
        Answer, Client, Daemon, Ran, Site, WriteLock, body, counted, in_own_network, post_request,
        raise_open_files, request,
    },
};

/// How the warning about a proxy that is not trusted begins.
const UNTRUSTED: &str = "requests come with X-Forwarded-For from ";

/// The whole warning about a proxy on this machine. `name` is what to pass.
fn unlimited(from: &str, name: &str) -> String {
    format!(
        "WARN {UNTRUSTED}{from}, which is not a trusted proxy, so the rate limit does not apply to its visitors; if it is your \
         proxy, pass --trusted-proxy {name}; repeats are not logged\n"
    )
}

/// A click that a proxy forwards for `address`.
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
        1..=20,
    );
    // A request that is refused for another reason counts, too, and the connection stays open.
    assert_limited(
        &proxy.send(&request("GET", "/", "X-Forwarded-For: 203.0.113.9\r\n", "")),
        1..=20,
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
    assert_limited(&proxy.send(&forwarded("2001:db8:7:7:1:2:3:4")), 1..=20);
    assert_eq!(proxy.send(&forwarded("2001:db8:7:8::1")).status, 202);

    let (_, log) = daemon.stop();
    assert!(!log.contains(UNTRUSTED), "{log}");
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
fn an_ipv6_48_may_send_sixteen_times_as_much_as_one_client() {
    let site = Site::new();
    let args = ["--trusted-proxy", "127.0.0.1", "--rate-limit", "3/h"];
    let daemon = Daemon::start(&site, &args);
    let mut proxy = daemon.connect();
    let mut post = |address: &str| proxy.send(&forwarded(address));
    for client in 0..16 {
        for _ in 0..3 {
            // Two of the /56 networks of the /48.
            let address = format!("2001:db8:7:{:x}::1", client * 0x20);
            assert_eq!(post(&address).status, 202);
        }
    }
    // Requests of a client over its own limit do not count for the network, which regains one in 75 seconds.
    assert_limited(&post("2001:db8:7::2"), 900..=1200);
    assert_limited(&post("2001:db8:7:ffff::1"), 1..=75);
    assert_limited(&post("2001:db8:7:1::1"), 1..=75);
    assert_eq!(post("2001:db8:8::1").status, 202);
    assert_eq!(post("203.0.113.9").status, 202);
    assert_eq!(site.clicks().len(), 50);
}

/// Without a proxy, on IPv6 itself.
#[test]
#[ignore = "needs user namespaces and iproute2; tests/run runs it"]
fn addresses_of_one_ipv6_48_are_limited_together_without_a_proxy() {
    if !in_own_network("limits::addresses_of_one_ipv6_48_are_limited_together_without_a_proxy") {
        return;
    }
    let site = Site::new();
    let args = ["--listen", "[::]:0", "--rate-limit", "1/h"];
    let daemon = Daemon::start(&site, &args);
    let click = post_request(&body("jane@example.com", "jdoe", ""));
    let post = |network: u16, subnet: u16| {
        let address = Ipv6Addr::from([0x2001, 0xdb8, network, subnet, 0, 0, 0, 1]);
        daemon.connect_from(address).send(&click).status
    };
    let statuses: Vec<u16> = (1..=20).map(|subnet| post(7, subnet)).collect();
    assert_eq!(statuses, [[202; 16].as_slice(), &[429; 4]].concat());
    assert_eq!(post(8, 1), 202);
}

#[test]
#[ignore = "needs user namespaces and iproute2; tests/run runs it"]
fn one_client_cannot_have_more_than_256_connections() {
    const MANY: usize = 300;
    if !in_own_network("limits::one_client_cannot_have_more_than_256_connections") {
        return;
    }
    let site = Site::new();
    let daemon = Daemon::start(&site, &["--listen", "198.18.0.1:0"]);
    let click = post_request(&body("jane@example.com", "jdoe", ""));
    let mut other = daemon.connect_from(Ipv4Addr::new(198, 18, 0, 3));
    let mut many: Vec<_> = (0..MANY)
        .map(|_| daemon.connect_from(Ipv4Addr::new(198, 18, 0, 2)))
        .collect();
    // Its oldest are closed; those of others stay open, however old they are.
    assert!(many[0].is_closed());
    assert_eq!(many[MANY - 1].send(&click).status, 202);
    assert_eq!(other.send(&click).status, 202);
    let (_, log) = daemon.stop();
    let evicted = counted(&log, "crowded_out");
    assert!(
        (MANY as u64 - 256..MANY as u64 - 200).contains(&evicted),
        "{log}"
    );
    let warning = "WARN a client has too many connections (if it is a proxy, pass --trusted-proxy), closing those that \
                   have been open longest without posting a click";
    assert_eq!(log.matches(warning).count(), 1, "{log}");
}

#[test]
fn a_client_may_send_120_requests_at_once_by_default() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &["--trusted-proxy", "127.0.0.1"]);
    let mut proxy = daemon.connect();
    let mut statuses = (0..200).map(|_| proxy.send(&forwarded("203.0.113.9")).status);
    assert_eq!(
        statuses.by_ref().take(120).find(|status| *status != 202),
        None
    );
    // The client regains one request every half second.
    assert!(statuses.any(|status| status == 429));
}

#[test]
fn a_page_may_read_a_429_across_origins() {
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
fn a_client_that_waits_for_retry_after_is_accepted_again() {
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
        let times = log.matches(&unlimited("127.0.0.1", "127.0.0.1")).count();
        assert_eq!(times, usize::from(warned), "{args:?}\n{log}");
        assert_eq!(log.contains(UNTRUSTED), warned, "{args:?}\n{log}");
    }
}

#[test]
fn clients_without_a_proxy_cause_no_warning() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
    let (_, log) = daemon.stop();
    assert!(!log.contains("WARN"), "{log}");
}

/// As on a platform, whose proxies have addresses that its provider shares among customers.
#[test]
#[ignore = "needs user namespaces and iproute2; tests/run runs it"]
fn a_proxy_in_a_private_network_that_is_not_trusted_is_named_once() {
    if !in_own_network("limits::a_proxy_in_a_private_network_that_is_not_trusted_is_named_once") {
        return;
    }
    let site = Site::new();
    for address in ["100.64.0.5/10", "10.1.2.3/8"] {
        let mut ip = Command::new("ip");
        ip.args(["address", "add", address, "dev", "lo"]);
        Ran::of(ip).assert(0, "", "");
    }
    let daemon = Daemon::start(&site, &["--listen", "0", "--rate-limit", "3/h"]);
    assert!(
        daemon.ready_line.contains(" http://[::]:"),
        "{}",
        daemon.ready_line
    );
    let port = daemon
        .address()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let from = |source: [u8; 4], request: &str| {
        let mut client = Daemon::connect_between(source.into(), (source, port).into());
        client.send(request).status
    };
    let click = post_request(&body("jane@example.com", "jdoe", ""));
    // Neither without the header, nor from a public address.
    assert_eq!(from([100, 64, 0, 5], &click), 202);
    assert_eq!(from([198, 18, 0, 7], &forwarded("203.0.113.9")), 202);
    assert!(!daemon.log().contains("WARN"), "{}", daemon.log());
    let statuses =
        [1, 2, 3].map(|host| from([100, 64, 0, 5], &forwarded(&format!("203.0.113.{host}"))));
    assert_eq!(statuses, [202, 202, 429]);
    assert_eq!(from([10, 1, 2, 3], &forwarded("203.0.113.9")), 202);
    let (_, log) = daemon.stop();
    let warning = format!(
        "WARN {UNTRUSTED}100.64.0.5, which is not a trusted proxy, so all its visitors share the rate limit of one client; \
         if it is your proxy, pass --trusted-proxy 100.64.0.5; repeats are not logged\n"
    );
    assert!(log.contains(&warning), "{log}");
    assert_eq!(log.matches("WARN").count(), 1, "{log}");
}

#[test]
fn a_trusted_proxy_that_names_no_client_is_logged_once_and_not_limited() {
    let site = Site::new();
    let args = ["--trusted-proxy", "127.0.0.1", "--rate-limit", "1/h"];
    let daemon = Daemon::start(&site, &args);
    for _ in 0..3 {
        assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
        assert_eq!(daemon.connect().send(&forwarded("unknown")).status, 202);
    }
    let (_, log) = daemon.stop();
    let warning = "WARN a trusted proxy sends no readable X-Forwarded-For, so the rate limit does not apply to its \
                   requests; configure it to append the client's address; repeats are not logged";
    assert_eq!(log.matches(warning).count(), 1, "{log}");
}

#[test]
fn on_a_unix_socket_the_proxy_is_named_unix() {
    let site = Site::new();
    let socket = site.path("leadclicksd.sock");
    let listen = format!("unix:{}", socket.display());
    let post = || {
        let mut client = Client::<UnixStream>::connect(&socket);
        client.send(&forwarded("203.0.113.9")).status
    };
    let daemon = Daemon::start(&site, &["--listen", &listen, "--rate-limit", "1/h"]);
    assert_eq!([post(), post()], [202, 202]);
    let (_, log) = daemon.stop();
    assert!(log.contains(&unlimited("the Unix socket", "unix")), "{log}");

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
    assert!(!log.contains(UNTRUSTED), "{log}");
}

/// The daemon runs in its own network namespace, with an address other than loopback.
#[test]
#[ignore = "needs user namespaces, iproute2 and curl; tests/run runs it"]
fn a_client_on_another_machine_is_limited_by_its_own_address_whatever_it_claims() {
    let site = Site::new();
    let script = r#"
        set -e
        ip link set lo up
        ip address add 192.0.2.1/24 dev lo
        mkfifo ready
        "$0" --listen 192.0.2.1:0 --rate-limit 2/h >ready 2>log & daemon=$!
        trap 'kill $daemon' EXIT
        read -r line <ready
        address=${line#*http://}
        for number in 1 2 3 4; do
            curl -s -o answer -w '%{http_code} ' --max-time 10 -H "X-Forwarded-For: 203.0.113.$number" \
                -H 'Content-Type: application/json' \
                -d '{"email":"jane@example.com","expert_username":"jdoe"}' "http://${address%% *}"
        done
        cat log >&2"#;
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--net", "sh", "-c", script])
        .arg(env!("CARGO_BIN_EXE_leadclicksd"))
        .current_dir(site.path(""))
        .stdin(Stdio::null());
    let ran = Ran::of(command);
    assert!(ran.status.success(), "{ran}");
    assert_eq!(ran.stdout, "202 202 429 429 ", "{ran}");
    assert!(!ran.stderr.contains(UNTRUSTED), "{ran}");
    assert_private(&ran.stderr);
}

#[test]
fn connections_that_wait_for_their_answer_are_not_evicted() {
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
    daemon.wait_until_all_is_read();
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
fn a_click_keeps_a_connection_from_eviction_for_ten_seconds() {
    let site = Site::new();
    let mut command = Command::new("prlimit");
    command.args(["--nofile=80", env!("CARGO_BIN_EXE_leadclicksd")]);
    let daemon = Daemon::start_as(command, &site, &[]);
    let click = post_request(&body("jane@example.com", "jdoe", ""));
    let mut earlier = daemon.connect();
    assert_eq!(earlier.send(&click).status, 202);
    thread::sleep(Duration::from_millis(10_500));
    let mut later = daemon.connect();
    assert_eq!(later.send(&click).status, 202);
    // The limit of open files leaves 16 connections.
    let _silent: Vec<_> = (0..20).map(|_| daemon.connect()).collect();
    assert!(earlier.is_closed());
    assert_eq!(later.send(&click).status, 202);
}

#[test]
fn a_burst_of_connections_waits_until_the_daemon_accepts_them() {
    raise_open_files();
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    daemon.signal("STOP");
    // If the backlog is full, the kernel retries a connection only after a second.
    let address = daemon.address().parse().unwrap();
    let mut clients: Vec<_> = (0..500)
        .map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(500)).expect("a place"))
        .map(Client::new)
        .collect();
    daemon.signal("CONT");
    let click = post_request(&body("jane@example.com", "jdoe", ""));
    for client in &mut clients {
        assert_eq!(client.send(&click).status, 202);
    }
}
