//! Logs, panic messages and error bodies contain no email, search or visitor's address.
//!
//! `support` checks every log of a daemon and every answer in any test. Here the daemon logs every message that it has.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, SocketAddr},
    sync::Mutex,
};

use crate::support::{Daemon, Site, WriteLock, body, post_request, request};

/// The searches and ids that tests have sent and that are long enough to be distinguished from other words.
static TEXTS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

const SEARCH_CHARS_MIN: usize = 8;

/// What tests send in `X-Forwarded-For`: addresses reserved for documentation.
const ADDRESSES: [&str; 4] = ["192.0.2.", "198.51.100.", "203.0.113.", "2001:db8"];

/// Remembers the search, and the click's id, of a request that a test sends.
pub fn remember(request: &[u8]) {
    let Some(body) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return;
    };
    let click: serde_json::Value = serde_json::from_slice(&request[body + 4..]).unwrap_or_default();
    for text in ["search_query", "click_id"].map(|field| click[field].as_str()) {
        if let Some(text) = text
            && text.chars().count() >= SEARCH_CHARS_MIN
        {
            TEXTS.lock().unwrap().insert(text.to_owned());
        }
    }
}

/// The text without the addresses that the operator has set, and without the one address that the daemon may add: that of a
/// proxy, in this warning only, and only if it is no address of the internet.
fn without_addresses_of_the_operator(text: &str) -> String {
    const BEGIN: &str = "requests come with X-Forwarded-For from ";
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains(" INFO setting option="))
        .collect();
    let mut text = lines.join("\n");
    if let Some((before, rest)) = text.split_once(BEGIN)
        && let Some((address, rest)) = rest.split_once(", which is not a trusted proxy, so ")
        && address.parse().is_ok_and(is_private)
        && let Some((reason, rest)) = rest.split_once(&format!(" pass --trusted-proxy {address}; "))
    {
        text = format!("{before}{reason}{rest}");
    }
    text
}

/// Loopback, private, shared by a provider, or unique local.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let is_shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_loopback() || v4.is_private() || is_shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}

/// An address of another machine.
fn address(text: &str) -> Option<&str> {
    let words = text.split(|c: char| c.is_whitespace() || "\"(),;=".contains(c));
    words.map(|word| word.trim_end_matches('.')).find(|word| {
        let socket = word.parse::<SocketAddr>().map(|socket| socket.ip());
        let address = word.parse::<IpAddr>().or(socket);
        address.is_ok_and(|address| !address.is_loopback() && !address.is_unspecified())
    })
}

/// The first piece of personal data in a log or an error's body.
fn leak(text: &str) -> Option<String> {
    let text = &*without_addresses_of_the_operator(text);
    if let Some(address) = address(text) {
        return Some(address.to_owned());
    }
    let email = text
        .split_whitespace()
        .find(|word| word.trim_matches('@').contains('@'));
    if let Some(email) = email {
        return Some(email.to_owned());
    }
    let searches = TEXTS.lock().unwrap();
    searches
        .iter()
        .map(String::as_str)
        .chain(ADDRESSES)
        .chain(["panicked at"])
        .find(|personal| text.contains(personal))
        .map(str::to_owned)
}

#[track_caller]
pub fn assert_private(text: &str) {
    if let Some(personal) = leak(text) {
        panic!("{personal:?} is in\n{text}");
    }
}

#[test]
fn personal_data_in_a_log_is_found() {
    let search = "how much is a fractional CFO";
    remember(post_request(&body("jane@example.com", "jdoe", search)).as_bytes());
    assert_eq!(leak("INFO stopped at 127.0.0.1:8787"), None);
    for personal in [
        "jane@example.com",
        search,
        "203.0.113.9",
        "2001:db8::1",
        "panicked at src",
    ] {
        assert!(
            leak(&format!("WARN {personal} is slow")).is_some(),
            "{personal}"
        );
    }
    let warning = |from: &str, name: &str| {
        format!(
            "WARN requests come with X-Forwarded-For from {from}, which is not a trusted proxy, so all its visitors share one \
             limit; if it is your proxy, pass --trusted-proxy {name}; repeats are not logged"
        )
    };
    for address in ["127.0.0.1", "10.1.2.3", "100.64.0.5", "fd00::7"] {
        assert_eq!(leak(&warning(address, address)), None);
        assert_eq!(
            leak(&format!("WARN {address} is slow")).is_some(),
            address != "127.0.0.1"
        );
    }
    for (from, name) in [
        ("198.18.0.7", "198.18.0.7"),
        ("100.128.0.5", "100.128.0.5"),
        ("10.1.2.3", "10.1.2.4"),
    ] {
        assert!(leak(&warning(from, name)).is_some(), "{from}");
    }
    let setting =
        "INFO setting option=\"trusted-proxy\" value=\"10.0.0.5\" source=\"command line\"";
    assert_eq!(leak(&format!("now {setting}")), None);
}

#[test]
fn the_daemon_logs_no_personal_data() {
    const SEARCH: &str = "a private matter";
    let site = Site::new().with_schema(
        "CREATE TRIGGER refuse BEFORE INSERT ON lead_clicks WHEN new.expert_username = 'refused'
         BEGIN SELECT raise(ABORT, 'no jane@example.com, please'); END;",
    );
    let args = [
        "--rate-limit",
        "60/h",
        "--trusted-proxy",
        "127.0.0.1",
        "--allow-origin",
        "https://www.example.com",
    ];
    let daemon = Daemon::start(&site, &args);
    let good = body("jane@example.com", "jdoe", SEARCH);
    let from = "X-Forwarded-For: 203.0.113.9\r\n";
    let origin = format!("{from}Origin: https://elsewhere.example.com\r\n");
    let too_large = format!("{from}X-Long: {}\r\n", "jane@example.com".repeat(1100));
    let path = "/api/lead-clicks";
    for (request, status) in [
        (request("POST", path, from, &good), 202),
        (
            request("POST", path, "X-Forwarded-For: jane@example.com\r\n", &good),
            202,
        ),
        (request("POST", path, from, &format!("{good}{good}")), 422),
        (
            request(
                "POST",
                path,
                from,
                &body("jane@example.com@", "jdoe", SEARCH),
            ),
            422,
        ),
        (
            request("POST", path, from, &body(SEARCH, "\u{7}", SEARCH)),
            422,
        ),
        (
            request(
                "POST",
                path,
                from,
                &body("jane@example.com", "refused", SEARCH),
            ),
            422,
        ),
        (
            request("POST", path, from, &format!("{good}{}", " ".repeat(33_000))),
            413,
        ),
        (request("POST", path, &origin, &good), 403),
        (request("POST", "/jane@example.com", from, &good), 404),
        (
            request(
                "PUT",
                "/api/lead-clicks?email=jane@example.com",
                from,
                &good,
            ),
            405,
        ),
        (request("POST", path, &too_large, &good), 431),
        (
            request(
                "POST",
                path,
                &format!("{from}Host: jane@example.com\r\n"),
                &good,
            ),
            400,
        ),
    ] {
        assert_eq!(daemon.connect().send(&request).status, status, "{request}");
    }
    let text_html = post_request(&good).replace("application/json", "text/html");
    assert_eq!(daemon.connect().send(&text_html).status, 415);
    let lock = WriteLock::take(&site);
    assert_eq!(daemon.post("jane@example.com", "jdoe", SEARCH).status, 503);
    lock.release();
    fs::rename(site.db_path(), site.path("jane@example.com.db")).unwrap();
    assert_eq!(daemon.post("jane@example.com", "jdoe", SEARCH).status, 503);
    fs::rename(site.path("jane@example.com.db"), site.db_path()).unwrap();
    let limited = request("POST", path, from, &good);
    let mut proxy = daemon.connect();
    let statuses: BTreeSet<u16> = (0..60).map(|_| proxy.send(&limited).status).collect();
    assert_eq!(statuses, BTreeSet::from([202, 429]));
    let (_, log) = daemon.stop();
    for message in [
        "can't be stored",
        "are stored again",
        "rejected a click",
        "no readable X-Forwarded-For",
        "counts",
        "setting option=",
    ] {
        assert!(log.contains(message), "no {message:?} in\n{log}");
    }
    assert_private(&log);
}
