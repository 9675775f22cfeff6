//! Requests that a proxy and the daemon might parse differently, byte by byte, each with the answer that
//! [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112) demands.

use std::io;

use crate::support::{Daemon, Site, body};

/// Sends bytes on a new connection and closes the sending side; returns the statuses of all answers until the daemon
/// closes it.
pub fn exchange(daemon: &Daemon, name: &str, request: &[u8]) -> Vec<u16> {
    let mut client = daemon.connect();
    client.write(request);
    client.end_sending();
    let mut statuses = Vec::new();
    loop {
        match client.try_read() {
            Ok(answer) => statuses.push(answer.status),
            Err(error) => {
                let is_open =
                    [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind());
                assert!(!is_open, "{name}: open after {statuses:?}");
                return statuses;
            }
        }
    }
}

/// The valid body of every request.
pub fn click() -> String {
    body("a@example.com", "x", "")
}

/// A defect, its place in a request, and the allowed answers.
type Row = (&'static str, &'static str, &'static [u16]);

const TAKEN: &[u16] = &[202];
const REFUSED: &[u16] = &[400];
const NOT_IMPLEMENTED: &[u16] = &[501];
/// The connection ends without an answer.
const CLOSED: u16 = 0;

/// Sends the request of each row, and asserts that it gets one allowed answer and that only accepted clicks are stored.
#[track_caller]
fn assert_rows(rows: &[Row], request: impl Fn(&str) -> Vec<u8>) {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let mut wrong = Vec::new();
    let mut taken = 0;
    for (name, malformed, expected) in rows {
        let statuses = exchange(&daemon, name, &request(malformed));
        let status = statuses.first().copied().unwrap_or(CLOSED);
        taken += statuses.iter().filter(|status| **status == 202).count();
        if statuses.len() > 1 || !expected.contains(&status) {
            wrong.push(format!(
                "{name}: {statuses:?} instead of one of {expected:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(site.emails(), vec!["a@example.com"; taken]);
    assert_eq!(daemon.post("a@example.com", "x", "").status, 202);
}

/// A post with `fields`: complete lines in which `LEN` is the length of a click.
fn post(fields: &str, body: &str) -> Vec<u8> {
    let fields = fields.replace("LEN", &click().len().to_string());
    format!(
        "POST /api/lead-clicks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{fields}\r\n{body}"
    )
    .into_bytes()
}

/// A post of a click in one chunk, followed by a second request. A parser that ends the first one too early would run it.
fn chunked_with(fields: &str) -> Vec<u8> {
    const SMUGGLED: &str = r#"{"email":"smuggled@example.com","expert_username":"x"}"#;
    let click = click();
    let length = format!("Content-Length: {}\r\n", SMUGGLED.len());
    let smuggled = String::from_utf8(post(&length, SMUGGLED)).expect("UTF-8");
    let body = format!("{:x}\r\n{click}\r\n0\r\n\r\n{smuggled}", click.len());
    post(fields, &body)
}

/// The request as HTTP/1.0 has it.
fn as_1_0(request: Vec<u8>) -> Vec<u8> {
    let request = String::from_utf8(request).expect("UTF-8");
    request.replacen("HTTP/1.1", "HTTP/1.0", 1).into_bytes()
}

#[test]
fn the_length_of_a_body_is_one_number() {
    assert_rows(LENGTHS, |fields| post(fields, &click()));
}

/// In `Content-Length` (RFC 9112, 6.3).
const LENGTHS: &[Row] = &[
    ("one length", "Content-Length: LEN\r\n", TAKEN),
    (
        "two lengths",
        "Content-Length: LEN\r\nContent-Length: 2\r\n",
        REFUSED,
    ),
    (
        "the shorter first",
        "Content-Length: 2\r\nContent-Length: LEN\r\n",
        REFUSED,
    ),
    ("two in a list", "Content-Length: LEN, 2\r\n", REFUSED),
    ("negative", "Content-Length: -LEN\r\n", REFUSED),
    ("with a plus", "Content-Length: +LEN\r\n", REFUSED),
    ("hexadecimal", "Content-Length: 0x41\r\n", REFUSED),
    ("a blank in it", "Content-Length: LEN LEN\r\n", REFUSED),
    ("a fraction", "Content-Length: LEN.0\r\n", REFUSED),
    ("empty", "Content-Length: \r\n", REFUSED),
    (
        "2^64 and some",
        "Content-Length: 18446744073709551681\r\n",
        REFUSED,
    ),
    (
        "a blank before the colon",
        "Content-Length : LEN\r\n",
        REFUSED,
    ),
    ("in a folded line", "Content-Length:\r\n LEN\r\n", REFUSED),
];

#[test]
fn a_body_is_chunked_or_its_coding_is_refused() {
    assert_rows(CODINGS, chunked_with);
}

/// In `Transfer-Encoding` (RFC 9112, 6.1 and 6.3). No sender may chunk twice.
const CODINGS: &[Row] = &[
    ("unknown", "Transfer-Encoding: xchunked\r\n", REFUSED),
    ("identity", "Transfer-Encoding: identity\r\n", REFUSED),
    ("empty", "Transfer-Encoding: \r\n", REFUSED),
    ("quoted", "Transfer-Encoding: \"chunked\"\r\n", REFUSED),
    (
        "with a parameter",
        "Transfer-Encoding: chunked;q=1\r\n",
        REFUSED,
    ),
    (
        "behind a vertical tab",
        "Transfer-Encoding: \u{b}chunked\r\n",
        REFUSED,
    ),
    (
        "a blank before the colon",
        "Transfer-Encoding : chunked\r\n",
        REFUSED,
    ),
    (
        "in a folded line",
        "Transfer-Encoding:\r\n chunked\r\n",
        REFUSED,
    ),
    (
        "not the last",
        "Transfer-Encoding: chunked, identity\r\n",
        REFUSED,
    ),
    (
        "not in the last line",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
        REFUSED,
    ),
];

#[test]
fn a_body_is_chunked_once_and_coded_no_further() {
    assert_rows(FURTHER_CODINGS, chunked_with);
}

/// In `Transfer-Encoding`: no sender may chunk twice, and an unknown coding cannot be decoded.
const FURTHER_CODINGS: &[Row] = &[
    (
        "twice",
        "Transfer-Encoding: chunked, chunked\r\n",
        NOT_IMPLEMENTED,
    ),
    (
        "in two lines",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        NOT_IMPLEMENTED,
    ),
    (
        "also gzip",
        "Transfer-Encoding: gzip, chunked\r\n",
        NOT_IMPLEMENTED,
    ),
    (
        "also gzip in another line",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        NOT_IMPLEMENTED,
    ),
    (
        "also identity",
        "Transfer-Encoding: identity, chunked\r\n",
        NOT_IMPLEMENTED,
    ),
];

#[test]
fn nothing_is_smuggled_behind_a_body_that_is_chunked_and_has_a_length_too() {
    assert_rows(BOTH, chunked_with);
}

/// A length and a coding (RFC 9112, 6.3): the chunks may take precedence, if the connection is then closed.
const BOTH: &[Row] = &[
    (
        "the length first",
        "Content-Length: LEN\r\nTransfer-Encoding: chunked\r\n",
        TAKEN,
    ),
    (
        "the coding first",
        "Transfer-Encoding: chunked\r\nContent-Length: LEN\r\n",
        TAKEN,
    ),
    (
        "a length of 0",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        TAKEN,
    ),
];

#[test]
fn http_1_0_has_no_chunks() {
    assert_rows(IN_1_0, |fields| as_1_0(chunked_with(fields)));
}

const IN_1_0: &[Row] = &[
    ("chunked", "Transfer-Encoding: chunked\r\n", REFUSED),
    (
        "and a length",
        "Content-Length: LEN\r\nTransfer-Encoding: chunked\r\n",
        REFUSED,
    ),
];

#[test]
fn chunks_are_framed_exactly() {
    let click = click();
    let size = format!("{:x}", click.len());
    assert_rows(CHUNKS, |body| {
        let body = body.replace("SIZE", &size).replace("CLICK", &click);
        post("Transfer-Encoding: chunked\r\n", &body)
    });
}

/// In a body in chunks (RFC 9112, 7.1): `SIZE` is the size of the click and `CLICK` the click.
const CHUNKS: &[Row] = &[
    ("one chunk", "SIZE\r\nCLICK\r\n0\r\n\r\n", TAKEN),
    (
        "zeros before a size",
        "000SIZE\r\nCLICK\r\n000\r\n\r\n",
        TAKEN,
    ),
    (
        "an extension",
        "SIZE;a=\"b c\"\r\nCLICK\r\n0\r\n\r\n",
        TAKEN,
    ),
    (
        "a length in the trailer",
        "SIZE\r\nCLICK\r\n0\r\nContent-Length: 5\r\n\r\n",
        TAKEN,
    ),
    (
        "size of 2^64 and some",
        "100000000000000SIZE\r\nCLICK\r\n0\r\n\r\n",
        REFUSED,
    ),
    (
        "size of 2^68 less 1",
        "fffffffffffffffff\r\nCLICK\r\n0\r\n\r\n",
        REFUSED,
    ),
    ("negative size", "-SIZE\r\nCLICK\r\n0\r\n\r\n", REFUSED),
    ("size with a plus", "+SIZE\r\nCLICK\r\n0\r\n\r\n", REFUSED),
    ("size with 0x", "0xSIZE\r\nCLICK\r\n0\r\n\r\n", REFUSED),
    (
        "size with an underscore",
        "0_SIZE\r\nCLICK\r\n0\r\n\r\n",
        REFUSED,
    ),
    (
        "blank before a size",
        " SIZE\r\nCLICK\r\n0\r\n\r\n",
        REFUSED,
    ),
    ("no size", "\r\nCLICK\r\n0\r\n\r\n", REFUSED),
    (
        "an extension and no size",
        ";a=b\r\nCLICK\r\n0\r\n\r\n",
        REFUSED,
    ),
    ("bare LF after a size", "SIZE\nCLICK\r\n0\r\n\r\n", REFUSED),
    ("bare CR after a size", "SIZE\rCLICK\r\n0\r\n\r\n", REFUSED),
    (
        "bare LF in an extension",
        "SIZE;a\nb\r\nCLICK\r\n0\r\n\r\n",
        REFUSED,
    ),
    (
        "bare CR in an extension",
        "SIZE;a\rb\r\nCLICK\r\n0\r\n\r\n",
        REFUSED,
    ),
    ("bare LF after a chunk", "SIZE\r\nCLICK\n0\r\n\r\n", REFUSED),
    ("nothing after a chunk", "SIZE\r\nCLICK0\r\n\r\n", REFUSED),
    (
        "two bytes after a chunk",
        "SIZE\r\nCLICKxx0\r\n\r\n",
        REFUSED,
    ),
    (
        "a chunk longer than its size",
        "3\r\nCLICK\r\n0\r\n\r\n",
        REFUSED,
    ),
    ("no last chunk", "SIZE\r\nCLICK\r\n", REFUSED),
    (
        "no end after the last chunk",
        "SIZE\r\nCLICK\r\n0\r\n",
        REFUSED,
    ),
    (
        "bare LF after the last chunk",
        "SIZE\r\nCLICK\r\n0\n\n",
        REFUSED,
    ),
];

#[test]
fn a_header_field_that_proxies_might_parse_differently_is_refused() {
    let click = click();
    assert_rows(FIELDS, |fields| {
        format!(
            "POST /api/lead-clicks HTTP/1.1\r\n{fields}Content-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{click}",
            click.len()
        )
        .into_bytes()
    });
}

/// In the fields before all others (RFC 9112, 3.2 and 5; RFC 9110, 5.5).
const FIELDS: &[Row] = &[
    ("a host", "Host: example.com\r\n", TAKEN),
    ("an empty host", "Host:\r\n", TAKEN),
    ("an IPv6 host", "Host: [::1]:8787\r\n", TAKEN),
    ("no host", "", REFUSED),
    ("two hosts", "Host: a\r\nHost: b\r\n", REFUSED),
    ("the same host twice", "Host: a\r\nHost: a\r\n", REFUSED),
    ("hosts in a list", "Host: a, b\r\n", REFUSED),
    ("a host with a blank", "Host: a b\r\n", REFUSED),
    ("a host with a path", "Host: a/b\r\n", REFUSED),
    ("a host with a user", "Host: a@b\r\n", REFUSED),
    ("a blank before the host's colon", "Host : a\r\n", REFUSED),
    ("a blank before the first field", " Host: a\r\n", REFUSED),
    ("a folded value", "Host: a\r\nA: b\r\n c\r\n", REFUSED),
    ("NUL in a value", "Host: a\r\nA: b\0c\r\n", REFUSED),
    (
        "bare CR in a value",
        "Host: a\r\nA: b\rContent-Length: 2\r\n",
        REFUSED,
    ),
    ("NUL in a name", "Host: a\r\nA\0: b\r\n", REFUSED),
    ("a blank in a name", "Host: a\r\nA b: c\r\n", REFUSED),
    ("no name", "Host: a\r\n: c\r\n", REFUSED),
    ("no colon", "Host: a\r\nA\r\n", REFUSED),
];

#[test]
fn a_request_line_that_proxies_might_parse_differently_is_refused() {
    let click = click();
    assert_rows(LINES, |line| {
        format!(
            "{line}Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{click}",
            click.len()
        )
        .into_bytes()
    });
}

/// In the request line (RFC 9112, 2.2 and 3).
const LINES: &[Row] = &[
    (
        "as it should be",
        "POST /api/lead-clicks HTTP/1.1\r\n",
        TAKEN,
    ),
    (
        "an empty line before",
        "\r\nPOST /api/lead-clicks HTTP/1.1\r\n",
        TAKEN,
    ),
    (
        "text before",
        "x\r\nPOST /api/lead-clicks HTTP/1.1\r\n",
        REFUSED,
    ),
    ("no version", "POST /api/lead-clicks\r\n", REFUSED),
    (
        "version in lower case",
        "POST /api/lead-clicks http/1.1\r\n",
        REFUSED,
    ),
    (
        "version 2",
        "POST /api/lead-clicks HTTP/2.0\r\n",
        &[400, 505],
    ),
    (
        "version 1.10",
        "POST /api/lead-clicks HTTP/1.10\r\n",
        REFUSED,
    ),
    (
        "text after the version",
        "POST /api/lead-clicks HTTP/1.1 x\r\n",
        REFUSED,
    ),
    (
        "bare CR after the version",
        "POST /api/lead-clicks HTTP/1.1\r",
        REFUSED,
    ),
    (
        "NUL in the target",
        "POST /api/lead-clicks?\0 HTTP/1.1\r\n",
        REFUSED,
    ),
    (
        "DEL in the target",
        "POST /api/lead-clicks?\x7f HTTP/1.1\r\n",
        REFUSED,
    ),
    (
        "a blank in the target",
        "POST /api/lead-clicks? x HTTP/1.1\r\n",
        REFUSED,
    ),
    (
        "a colon in the method",
        "POST: /api/lead-clicks HTTP/1.1\r\n",
        REFUSED,
    ),
    (
        "NUL in the method",
        "POST\0 /api/lead-clicks HTTP/1.1\r\n",
        REFUSED,
    ),
    ("no method", " /api/lead-clicks HTTP/1.1\r\n", REFUSED),
];

#[test]
fn other_protocols_than_http_1_are_refused_or_closed() {
    assert_rows(OTHER_PROTOCOLS, |request| request.as_bytes().to_vec());
}

const OTHER_PROTOCOLS: &[Row] = &[
    (
        "the preface of HTTP/2",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &[400, 505, CLOSED],
    ),
    (
        "the hello of TLS",
        "\x16\x03\x01\0\x05\x01\0\0\x01\0",
        &[400, CLOSED],
    ),
    ("HTTP/0.9", "GET /api/lead-clicks\r\n", &[400, CLOSED]),
    ("nothing", "", &[CLOSED]),
    ("an empty line", "\r\n", &[CLOSED]),
    ("half a line", "POST /api/lead-clicks HT", &[400, CLOSED]),
    (
        "half a head",
        "POST /api/lead-clicks HTTP/1.1\r\nHost: x\r\n",
        &[400, CLOSED],
    ),
];
