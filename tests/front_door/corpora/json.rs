//! Nicolas Seriot's JSONTestSuite ([Parsing JSON is a Minefield](https://seriot.ch/projects/parsing_json.html)): files
//! named `y_` are JSON, `n_` are not, and parsers may accept or reject `i_`.

use std::net::TcpStream;

use super::files;
use crate::support::{Answer, Client, Daemon, Site, body, post_request};

/// A larger body is answered 413; after more than twice as much the connection is closed.
const BODY_BYTES_MAX: usize = 32 * 1024;

const NOT_JSON: &str = r#"{"detail":[{"type":"json_invalid","#;

/// The suite's files, each with its class: `y`, `n` or `i`.
fn suite() -> Vec<(char, String, Vec<u8>)> {
    let suite: Vec<_> = files("pyjson5/third-party/JSONTestSuite/test_parsing", "json")
        .into_iter()
        .map(|(name, bytes)| (name.chars().next().expect("a name"), name, bytes))
        .collect();
    for (kind, files_min) in [('y', 95), ('n', 188), ('i', 35)] {
        let files = suite.iter().filter(|file| file.0 == kind).count();
        assert!(files >= files_min, "{files} files {kind}_");
    }
    suite
}

/// A connection that is opened again after the daemon has closed it.
struct Poster<'a> {
    daemon: &'a Daemon,
    client: Client<TcpStream>,
}

impl<'a> Poster<'a> {
    fn new(daemon: &'a Daemon) -> Self {
        Self {
            daemon,
            client: daemon.connect(),
        }
    }

    fn post(&mut self, body: &[u8]) -> Answer {
        let length = format!("Content-Length: {}", body.len());
        let request = post_request("").replace("Content-Length: 0", &length);
        self.client.write(&[request.as_bytes(), body].concat());
        let answer = self.client.read();
        let is_closed = answer.header("connection") == Some("close");
        assert_eq!(is_closed, body.len() > 2 * BODY_BYTES_MAX);
        if is_closed {
            self.client = self.daemon.connect();
        }
        answer
    }

    /// Asserts that a valid click is accepted on the same connection.
    fn assert_alive(&mut self, name: &str) {
        let answer = self.post(body("a@example.com", "x", "").as_bytes());
        assert_eq!(answer.status, 202, "after {name}");
    }
}

#[test]
#[ignore = "needs the collections of tests/corpora; tests/run runs it"]
fn no_document_of_the_json_test_suite_is_a_click_and_invalid_json_is_refused_as_that() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let mut poster = Poster::new(&daemon);
    let documents = suite();
    for (kind, name, document) in &documents {
        let answer = poster.post(document);
        if document.len() > BODY_BYTES_MAX {
            assert_eq!(answer.status, 413, "{name}");
        } else {
            assert_eq!(answer.status, 422, "{name}");
            let is_json = !answer.body.starts_with(NOT_JSON);
            match kind {
                'y' => assert!(is_json, "{name}: {}", answer.body),
                'n' => assert!(!is_json, "{name}: {}", answer.body),
                _ => {}
            }
        }
        poster.assert_alive(name);
    }
    assert_eq!(site.clicks().len(), documents.len());
}

#[test]
#[ignore = "needs the collections of tests/corpora; tests/run runs it"]
fn a_click_with_extra_content_is_accepted_if_and_only_if_all_of_it_is_json() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let mut poster = Poster::new(&daemon);
    let mut taken = 0;
    for (kind, name, document) in suite() {
        let with_document = [
            br#"{"email":"b@example.com","expert_username":"x","else":"#,
            document.as_slice(),
            b"}",
        ]
        .concat();
        let answer = poster.post(&with_document);
        taken += usize::from(answer.status == 202);
        if with_document.len() > BODY_BYTES_MAX {
            assert_eq!(answer.status, 413, "{name}");
        } else {
            match kind {
                'y' => assert_eq!(answer.status, 202, "{name}: {}", answer.body),
                'n' => assert_eq!(answer.status, 422, "{name}: {}", answer.body),
                _ => assert!([202, 422].contains(&answer.status), "{name}"),
            }
        }
    }
    assert_eq!(site.clicks().len(), taken);
}
