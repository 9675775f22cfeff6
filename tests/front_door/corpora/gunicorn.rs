//! The malformed and valid requests of gunicorn's own tests.

use std::ops::Range;

use super::{
    files,
    requests::{click, exchange},
};
use crate::support::{Daemon, Site};

#[test]
#[ignore = "needs the collections of tests/corpora; tests/run runs it"]
fn no_malformed_request_to_another_path_is_accepted_or_keeps_its_connection() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    for (name, request) in [requests("invalid", 81), requests("valid", 62)].concat() {
        for status in exchange(&daemon, &name, &request) {
            assert!(matches!(status, 400..=499 | 501), "{name}: {status}");
        }
    }
    assert_eq!(site.clicks(), []);
    assert_eq!(daemon.post("a@example.com", "x", "").status, 202);
}

#[test]
#[ignore = "needs the collections of tests/corpora; tests/run runs it"]
fn a_click_in_a_malformed_request_is_refused_except_for_harmless_defects() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let mut posted = 0;
    let mut taken = Vec::new();
    for (name, request) in requests("invalid", 81) {
        // The malformed target is replaced by a valid one.
        if name.starts_with("rfc9112_target_") || ["006", "016"].contains(&&*name) {
            continue;
        }
        let Some(request) = retarget(&request) else {
            continue;
        };
        posted += 1;
        let statuses = exchange(&daemon, &name, &request);
        assert!(statuses.len() <= 1, "{name}: {statuses:?}");
        match statuses.first() {
            Some(202) => taken.push(name),
            Some(400..=499 | 501) | None => {}
            Some(status) => panic!("{name}: {status}"),
        }
    }
    assert!(posted >= 45, "{posted}");
    assert_eq!(taken, NO_MATTER.map(|(name, _)| name));
    assert_eq!(site.clicks().len(), taken.len());
}

/// Requests that gunicorn refuses and the daemon accepts, with the reason why that is safe.
const NO_MATTER: [(&str, &str); 17] = [
    ("007", "gunicorn runs with a smaller limit of a field"),
    ("008", "gunicorn runs with a smaller limit of a field"),
    ("010", "gunicorn runs with a smaller limit of fields"),
    ("011", "gunicorn runs with a smaller limit of fields"),
    ("012", "gunicorn runs with a smaller limit of a field"),
    ("017", "gunicorn's limit of a field is smaller"),
    ("019", "X-Forwarded-Proto is not read here"),
    ("040", "an underscore is no hyphen here"),
    (
        "041",
        "RFC 9110, 5.3 leaves it open what a second Content-Type is",
    ),
    ("chunked_07", "an underscore is no hyphen here"),
    (
        "chunked_09",
        "a blank behind a size can't be taken for anything else",
    ),
    (
        "limit_header_default_01",
        "gunicorn's limit of a field is smaller",
    ),
    (
        "rfc9110_trailer_forbidden_cl_01",
        "trailers are not read here",
    ),
    (
        "rfc9110_trailer_forbidden_host_01",
        "trailers are not read here",
    ),
    (
        "rfc9110_trailer_forbidden_te_01",
        "trailers are not read here",
    ),
    (
        "rfc9112_bare_lf_01",
        "RFC 9112, 2.2 lets LF alone end a line of the head",
    ),
    (
        "rfc9112_smuggle_cl_te_chunked_01",
        "RFC 9112, 6.3 lets the chunks count, if the connection ends",
    ),
];

#[test]
#[ignore = "needs the collections of tests/corpora; tests/run runs it"]
fn a_click_in_an_unusual_request_is_accepted() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let mut taken = 0;
    for (name, request) in requests("valid", 62) {
        let Some(request) = retarget(&request) else {
            continue;
        };
        // Unknown codings have their own tests.
        if ["gzip", "identity"]
            .iter()
            .any(|coding| find(&request, coding.as_bytes()).is_some())
        {
            continue;
        }
        let refusal = REFUSED.iter().find(|refused| refused.0 == name);
        let status = refusal.map_or(202, |refused| refused.1);
        let statuses = exchange(&daemon, &name, &request);
        assert_eq!(statuses.first(), Some(&status), "{name}");
        taken += usize::from(status == 202);
    }
    assert!(taken >= 35, "{taken}");
    assert_eq!(site.clicks().len(), taken);
}

/// Requests that gunicorn accepts, some only with special settings, and the daemon refuses.
const REFUSED: [(&str, u16, &str); 4] = [
    ("028", 400, "a blank before a colon"),
    ("099", 415, "the Content-Type of a form"),
    ("compat_obs_fold", 400, "a folded line"),
    ("compat_obs_fold_huge", 400, "a folded line"),
];

/// The requests in a directory of gunicorn's tests, decoded as its `tests/treq.py` does.
fn requests(directory: &str, requests_min: usize) -> Vec<(String, Vec<u8>)> {
    let requests: Vec<_> = files(&format!("gunicorn/tests/requests/{directory}"), "http")
        .into_iter()
        .map(|(name, written)| (name, decode(&written)))
        .collect();
    assert!(requests.len() >= requests_min, "{}", requests.len());
    requests
}

/// Line breaks in the file have no meaning; those of the request are escape sequences.
fn decode(written: &[u8]) -> Vec<u8> {
    let mut written: &[u8] = &written
        .iter()
        .copied()
        .filter(|&byte| byte != b'\n')
        .collect::<Vec<_>>();
    let mut decoded = Vec::new();
    while let [first, rest @ ..] = written {
        let (byte, rest) = match (first, rest) {
            (b'\\', [b'r', rest @ ..]) => (b'\r', rest),
            (b'\\', [b'n', rest @ ..]) => (b'\n', rest),
            (b'\\', [b't', rest @ ..]) => (b'\t', rest),
            (b'\\', [b'0', rest @ ..]) => (b'\0', rest),
            (b'\\', [b'x', high, low, rest @ ..]) => {
                let digit = |digit: &u8| {
                    char::from(*digit)
                        .to_digit(16)
                        .expect("a hexadecimal digit")
                };
                (u8::try_from(digit(high) * 16 + digit(low)).unwrap(), rest)
            }
            (b'\\', _) => panic!("an unknown escape"),
            (&byte, rest) => (byte, rest),
        };
        decoded.push(byte);
        written = rest;
    }
    decoded
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// The same request as a post of a click to the capture route, malformed as before. `None` if the malformation is
/// in the request line, or the body can't be a click.
fn retarget(request: &[u8]) -> Option<Vec<u8>> {
    let head_end = find(request, b"\r\n\r\n")?;
    let line_end = find(request, b"\r\n")?;
    let line = std::str::from_utf8(&request[..line_end]).ok()?;
    let [method, _, version] = line.split(' ').collect::<Vec<_>>()[..] else {
        return None;
    };
    let is_method = method.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_method || !["HTTP/1.0", "HTTP/1.1"].contains(&version) {
        return None;
    }
    let fields = &request[line_end + 2..head_end + 2];
    let names = String::from_utf8_lossy(fields).to_ascii_lowercase();
    let has = |name: &str| names.lines().any(|line| line.starts_with(name));

    let mut head = format!("POST /api/lead-clicks {version}\r\n").into_bytes();
    if !has("host:") {
        head.extend(b"Host: localhost\r\n");
    }
    if !has("content-type:") {
        head.extend(b"Content-Type: application/json\r\n");
    }
    let body = &request[head_end + 4..];
    let (fields, body) = if has("transfer-encoding:") && names.contains("chunked") {
        (fields.to_vec(), with_click_in_chunks(body)?)
    } else if has("content-length") {
        (with_length(fields, click().len()), click().into_bytes())
    } else if has("transfer-encoding:") {
        (fields.to_vec(), click().into_bytes())
    } else {
        let length = format!("Content-Length: {}\r\n", click().len());
        ([fields, length.as_bytes()].concat(), click().into_bytes())
    };
    Some([&*head, &*fields, b"\r\n", &*body].concat())
}

/// Replaces the first chunk, `hello`, whose size may be malformed, by a click, and the next chunk by blanks.
fn with_click_in_chunks(body: &[u8]) -> Option<Vec<u8>> {
    let click = click();
    if body.starts_with(b"0\r\n") {
        let chunk = format!("{:x}\r\n{click}\r\n", click.len());
        return Some([chunk.as_bytes(), body].concat());
    }
    let hello = find(body, b"hello")?;
    let size = String::from_utf8(body[..hello].to_vec()).ok()?;
    let size = size.replacen('5', &format!("{:x}", click.len()), 1);
    let rest = String::from_utf8(body[hello + 5..].to_vec()).ok()?;
    Some(format!("{size}{click}{}", rest.replace(" world", "      ")).into_bytes())
}

/// Replaces the first number by the length of the body wherever it occurs.
fn with_length(fields: &[u8], length: usize) -> Vec<u8> {
    let mut replaced = Vec::new();
    let mut before: Option<Vec<u8>> = None;
    for line in fields.split_inclusive(|&byte| byte == b'\n') {
        let is_length = line.to_ascii_lowercase().starts_with(b"content-length");
        let mut rest = line;
        while let Some(Range { start, end }) = is_length.then(|| number(rest)).flatten() {
            let before = before.get_or_insert_with(|| rest[start..end].to_vec());
            replaced.extend(&rest[..start]);
            if rest[start..end] == **before {
                replaced.extend(length.to_string().bytes());
            } else {
                replaced.extend(&rest[start..end]);
            }
            rest = &rest[end..];
        }
        replaced.extend(rest);
    }
    replaced
}

/// The position of the first number in `text`.
fn number(text: &[u8]) -> Option<Range<usize>> {
    let start = text.iter().position(u8::is_ascii_digit)?;
    let digits = text[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    Some(start..start + digits.count())
}
