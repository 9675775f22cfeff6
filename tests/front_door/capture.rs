//! The capture contract of `POST /api/lead-clicks`.

use std::{
    fs,
    io::{self, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::support::{Answer, Client, Daemon, Ran, Site, body, mode, post_request, request};

const ACCEPTED: &str = r#"{"status":"accepted"}"#;

#[test]
fn a_click_is_normalised_stored_and_dated() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let answer = daemon.post("  Jane@Example.COM ", " JDoe ", "  Rust ✨ ");
    assert_eq!((answer.status, &*answer.body), (202, ACCEPTED));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        site.clicks(),
        [(
            "jane@example.com".to_owned(),
            "JDoe".to_owned(),
            "  Rust ✨ ".to_owned()
        )]
    );
    let is_dated: bool = site
        .connect()
        .query_row(
            "SELECT created_at GLOB '????-??-?? ??:??:??.??????'
                 AND abs(julianday(created_at) - julianday('now')) * 86400 < 60
             FROM lead_clicks",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert!(is_dated);
}

#[test]
fn json_as_text_plain_is_accepted() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let mut client = daemon.connect();
    let click = body("jane@example.com", "jdoe", "");
    for (content_type, status) in [
        ("text/plain", 202),
        ("text/plain;charset=UTF-8", 202),
        ("Application/JSON; charset=utf-8", 202),
        ("application/x-www-form-urlencoded", 415),
        ("application/json5", 415),
        ("", 415),
    ] {
        let answer = client.send(&format!(
            "POST /api/lead-clicks HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n\
             Content-Length: {}\r\n\r\n{click}",
            click.len()
        ));
        assert_eq!(answer.status, status, "{content_type}");
    }
    let answer = client.send(&format!(
        "POST /api/lead-clicks HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{click}",
        click.len()
    ));
    assert_eq!(
        (answer.status, &*answer.body),
        (
            415,
            r#"{"error":"the Content-Type should be application/json, or text/plain holding JSON"}"#
        )
    );
    assert_eq!(site.clicks().len(), 3);
}

#[test]
fn an_invalid_field_is_422_and_never_echoed() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let mut client = daemon.connect();
    let secret = "s3cret".repeat(400);
    let answer = client.send(&post_request(&body("s3cret", &secret, &secret)));
    assert_eq!(answer.status, 422);
    assert_eq!(
        answer.body,
        concat!(
            r#"{"detail":[{"type":"value_error","loc":["body","email"],"#,
            r#""msg":"Value error, this should have one @ with text on both sides and no white space"},"#,
            r#"{"type":"string_too_long","loc":["body","expert_username"],"#,
            r#""msg":"String should have at most 100 characters"},"#,
            r#"{"type":"string_too_long","loc":["body","search_query"],"#,
            r#""msg":"String should have at most 2000 characters"}]}"#
        )
    );
    let null_query = r#"{"email":"a@example.com","expert_username":"x","search_query":null}"#;
    let answer = client.send(&post_request(null_query));
    assert_eq!(
        (answer.status, &*answer.body),
        (
            422,
            r#"{"detail":[{"type":"string_type","loc":["body","search_query"],"msg":"Input should be a valid string"}]}"#
        )
    );
    let answer = client.send(&post_request("{\"email\":s3cret}"));
    assert_eq!(
        (answer.status, &*answer.body),
        (
            422,
            r#"{"detail":[{"type":"json_invalid","loc":["body",9],"msg":"JSON decode error at line 1 column 10"}]}"#
        )
    );
    assert_eq!(site.clicks(), []);
    assert!(!daemon.stop().1.contains("s3cret"));
}

#[test]
fn every_character_of_a_query_is_stored_exactly_but_u0000_as_ufffd() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let queries = [
        "",
        " \t\n ",
        "a\0b",
        "\u{1b}[31m",
        "🦀\u{202e}é",
        &"🦀".repeat(2000),
    ];
    for query in queries {
        assert_eq!(daemon.post("a@example.com", "x", query).status, 202);
    }
    let stored: Vec<String> = site.clicks().into_iter().map(|click| click.2).collect();
    assert_eq!(stored, queries.map(|query| query.replace('\0', "\u{fffd}")));
}

#[test]
fn other_paths_and_methods_are_refused_with_the_next_step() {
    let site = Site::new();
    let daemon = Daemon::start(
        &site,
        &[
            "--path",
            "/api/lead-clicks",
            "--path",
            "/api/admin/lead-clicks",
        ],
    );
    let mut client = daemon.connect();
    let click = body("a@example.com", "x", "");
    for (method, target, status) in [
        ("POST", "/api/admin/lead-clicks", 202),
        ("POST", "/api/lead-clicks?utm=1", 202),
        ("POST", "http://clicks.example.com/api/lead-clicks", 202),
        ("POST", "/api/lead-clicks/", 404),
        ("POST", "/api/leads", 404),
        ("GET", "/", 404),
        ("GET", "/api/lead-clicks", 405),
        ("PUT", "/api/lead-clicks", 405),
        ("OPTIONS", "/api/lead-clicks", 405),
    ] {
        let answer = client.send(&request(method, target, "", &click));
        assert_eq!(answer.status, status, "{method} {target}");
        let allow = (status == 405).then_some("POST");
        assert_eq!(answer.header("allow"), allow, "{method} {target}");
    }
    let answer = client.send(&request("DELETE", "/api/lead-clicks", "", ""));
    assert_eq!(answer.body, r#"{"error":"clicks are sent with POST"}"#);
    assert_eq!(site.clicks().len(), 3);
}

#[test]
fn a_body_over_the_limit_is_413_and_the_connection_can_be_reused() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let mut client = daemon.connect();
    let padded = |bytes: usize| {
        let click = body("a@example.com", "x", "");
        format!("{click}{}", " ".repeat(bytes - click.len()))
    };
    assert_eq!(client.send(&post_request(&padded(32 * 1024))).status, 202);
    for bytes in [32 * 1024 + 1, 64 * 1024] {
        let answer = client.send(&post_request(&padded(bytes)));
        assert_eq!(
            (answer.status, &*answer.body),
            (
                413,
                r#"{"error":"the body has more than 32768 bytes or 1024 pieces"}"#
            )
        );
        assert_eq!(answer.header("connection"), None);
    }
    let chunk = " ".repeat(40_000);
    let answer = client.send(&format!(
        "POST /api/lead-clicks HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{chunk}\r\n0\r\n\r\n",
        chunk.len()
    ));
    assert_eq!(answer.status, 413);
    assert_eq!(client.send(&post_request(&padded(100))).status, 202);

    let answer = client.send(&post_request(&padded(200 * 1024)));
    assert_eq!(answer.status, 413);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(client.is_closed());
    assert_eq!(site.clicks().len(), 2);
}

#[test]
fn a_body_in_very_many_pieces_is_413_at_any_path() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let click = body("a@example.com", "x", "");
    let in_chunks_of_one_byte = |path: &str, bytes: usize| {
        let padded = format!("{click}{}", " ".repeat(bytes - click.len()));
        let chunks = padded.chars().map(|byte| format!("1\r\n{byte}\r\n"));
        format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n\
             Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
            chunks.collect::<String>()
        )
    };
    let mut client = daemon.connect();
    let error = r#"{"error":"the body has more than 32768 bytes or 1024 pieces"}"#;
    for (bytes, status) in [(1000, 202), (1025, 413), (2000, 413), (1000, 202)] {
        let answer = client.send(&in_chunks_of_one_byte("/api/lead-clicks", bytes));
        assert_eq!(answer.status, status, "{bytes}");
        assert_eq!(answer.body == error, status == 413, "{bytes}");
        assert_eq!(answer.header("connection"), None, "{bytes}");
    }
    // Where a body is only dropped, too.
    assert_eq!(client.send(&in_chunks_of_one_byte("/", 1000)).status, 404);
    for (path, bytes, status) in [("/", 1100, 404), ("/api/lead-clicks", 2100, 413)] {
        let mut client = daemon.connect();
        let answer = client.send(&in_chunks_of_one_byte(path, bytes));
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("connection"), Some("close"), "{path}");
        assert!(client.is_closed());
    }
    assert_eq!(site.clicks().len(), 2);
}

#[test]
fn a_client_that_expects_100_continue_need_not_send_a_refused_body() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let head = |length: usize| {
        format!(
            "POST /api/lead-clicks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    assert_eq!(daemon.connect().send(&head(40_000)).status, 413);
    let click = body("a@example.com", "x", "");
    let mut client = daemon.connect();
    assert_eq!(client.send(&head(click.len())).status, 100);
    assert_eq!(client.send(&click).status, 202);
}

#[test]
fn headers_over_the_limit_are_431() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let with_header = |bytes: usize| {
        let header = format!("X-Padding: {}\r\n", "x".repeat(bytes));
        let click = body("a@example.com", "x", "");
        request("POST", "/api/lead-clicks", &header, &click)
    };
    let mut client = daemon.connect();
    assert_eq!(client.send(&with_header(16_000)).status, 202);
    let answer = client.send(&with_header(17_000));
    assert_eq!(
        (answer.status, &*answer.body),
        (431, r#"{"error":"the headers have more than 16384 bytes"}"#)
    );
    assert_eq!(client.send(&with_header(10)).status, 202);
    // hyper itself answers a head beyond its buffer or with more than 100 fields.
    assert_eq!(client.send(&with_header(60_000)).status, 431);
    let with_fields = |fields: usize| {
        let click = body("a@example.com", "x", "");
        request(
            "POST",
            "/api/lead-clicks",
            &"X: y\r\n".repeat(fields),
            &click,
        )
    };
    // `request` adds three fields.
    assert_eq!(daemon.connect().send(&with_fields(97)).status, 202);
    assert_eq!(daemon.connect().send(&with_fields(98)).status, 431);
}

#[test]
fn slow_clients_are_disconnected_while_others_are_served() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let started = Instant::now();
    let mut slow_body = daemon.connect();
    slow_body.write(
        b"POST /api/lead-clicks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
          Content-Length: 100\r\n\r\n{",
    );
    let mut slow_head = daemon.connect();
    slow_head.write(b"POST /api/lead-clicks HTTP/1.1\r\nHost:");
    let mut kept_alive = daemon.connect();
    let click = post_request(&body("a@example.com", "x", ""));
    assert_eq!(kept_alive.send(&click).status, 202);

    let answer = slow_body.read();
    assert_eq!(
        (answer.status, &*answer.body),
        (408, r#"{"error":"the body took longer than 10 seconds"}"#)
    );
    assert!(slow_body.is_closed());
    assert!(slow_head.is_closed());
    assert!(started.elapsed() > Duration::from_secs(9));
    // The time limit of a head does not apply to an idle connection.
    thread::sleep(Duration::from_secs(11).saturating_sub(started.elapsed()));
    assert_eq!(kept_alive.send(&click).status, 202);
    assert_eq!(site.clicks().len(), 2);
}

#[test]
fn an_incomplete_body_stores_nothing() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let mut client = daemon.connect();
    let click = body("a@example.com", "x", "");
    client.write(
        format!(
            "POST /api/lead-clicks HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\n\r\n{click}",
            click.len() + 1
        )
        .as_bytes(),
    );
    client.end_sending();
    let answer = client.read();
    assert_eq!(
        (answer.status, &*answer.body),
        (
            400,
            r#"{"error":"the body ended early or is not framed as HTTP/1.1 says"}"#
        )
    );
    assert!(client.is_closed());
    assert_eq!(daemon.post("b@example.com", "x", "").status, 202);
    assert_eq!(site.clicks().len(), 1);
}

#[test]
fn a_client_that_closes_its_side_after_a_click_is_answered() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    for _ in 0..20 {
        let mut client = daemon.connect();
        client.write(post_request(&body("a@example.com", "x", "")).as_bytes());
        client.end_sending();
        assert_eq!(client.read().status, 202);
        assert!(client.is_closed());
    }
    assert_eq!(site.clicks().len(), 20);
}

#[test]
fn pages_of_allowed_origins_may_post_and_read_errors_too() {
    let site = Site::new();
    let daemon = Daemon::start(
        &site,
        &[
            "--allow-origin",
            "https://www.example.com",
            "--allow-origin",
            "HTTPS://Shop.example.com:443",
            "--allow-origin",
            "https://*.example.org,http://*.example.org:8080",
        ],
    );
    let mut client = daemon.connect();
    let click = body("a@example.com", "x", "");
    for (origin, body, status) in [
        ("https://www.example.com", &*click, 202),
        ("https://shop.example.com", &*click, 202),
        ("https://www.example.com", "{", 422),
        ("https://www.example.org", &*click, 202),
        ("https://a.b.example.org", &*click, 202),
        ("http://www.example.org:8080", &*click, 202),
    ] {
        let header = format!("Origin: {origin}\r\n");
        let answer = client.send(&request("POST", "/api/lead-clicks", &header, body));
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
    for origin in [
        "https://evil.example.com",
        "null",
        "http://www.example.com",
        "https://example.org",
        "https://evilexample.org",
        "http://www.example.org",
        "https://www.example.org:8443",
        "https://www.example.org.example.com",
    ] {
        for method in ["POST", "OPTIONS"] {
            let header = format!("Origin: {origin}\r\n");
            let answer = client.send(&request(method, "/api/lead-clicks", &header, &click));
            assert_eq!(answer.status, 403, "{method} {origin}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
            assert_eq!(
                answer.body,
                r#"{"error":"this page's origin may not post here; the operator can allow it with --allow-origin"}"#
            );
        }
    }
    // A request without an Origin does not come from a page.
    assert_eq!(client.send(&post_request(&click)).status, 202);

    let preflight = "Origin: https://www.example.com\r\nAccess-Control-Request-Method: POST\r\n";
    let answer = client.send(&request("OPTIONS", "/api/lead-clicks", preflight, ""));
    assert_eq!((answer.status, &*answer.body), (204, ""));
    for (name, value) in [
        ("access-control-allow-origin", "https://www.example.com"),
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-headers", "Content-Type"),
        ("access-control-max-age", "7200"),
        ("allow", "POST, OPTIONS"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert_eq!(site.clicks().len(), 6);
}

#[test]
fn all_origins_may_be_allowed() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &["--allow-origin", "*"]);
    let header = "Origin: https://anywhere.example.com\r\n";
    let click = body("a@example.com", "x", "");
    let answer = daemon
        .connect()
        .send(&request("POST", "/api/lead-clicks", header, &click));
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn without_configured_origins_every_page_may_read_that_its_click_is_stored() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let header = "Origin: https://www.example.com\r\n";
    let click = body("a@example.com", "x", "");
    let answer = daemon
        .connect()
        .send(&request("POST", "/api/lead-clicks", header, &click));
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("vary"), None);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let mut client = daemon.connect();
    let good = post_request(&body("a@example.com", "x", ""));
    let bad = post_request("{}");
    client.write(format!("{good}{bad}{good}").as_bytes());
    let statuses = [(); 3].map(|()| client.read().status);
    assert_eq!(statuses, [202, 422, 202]);
}

#[test]
fn an_http_1_0_client_is_answered_and_let_go() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let mut client = daemon.connect();
    let click = body("a@example.com", "x", "");
    let answer = client.send(&format!(
        "POST /api/lead-clicks HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{click}",
        click.len()
    ));
    assert_eq!(answer.status, 202);
    assert!(client.is_closed());
}

#[test]
fn it_listens_on_ipv6() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &["--listen", "[::1]:0"]);
    assert!(
        daemon.address().starts_with("[::1]:"),
        "{}",
        daemon.ready_line
    );
    assert_eq!(daemon.post("a@example.com", "x", "").status, 202);
}

#[test]
fn it_listens_on_a_unix_socket_for_its_group_and_replaces_a_dead_one() {
    let site = Site::new();
    let socket = site.path("leadclicksd.sock");
    let listen = format!("unix:{}", socket.display());
    let click = post_request(&body("a@example.com", "x", ""));
    let post = || {
        let mut client = Client::<UnixStream>::connect(&socket);
        client.send(&click).status
    };
    let daemon = Daemon::start(&site, &["--listen", &listen]);
    assert_eq!(post(), 202);
    assert_eq!(mode(&socket), 0o660);
    daemon.kill();
    assert!(socket.exists());

    let daemon = Daemon::start(&site, &["--listen", &listen]);
    assert_eq!(post(), 202);
    let refused = || {
        Ran::daemon(&site, &listen).assert(
            1,
            "",
            &format!(
                "leadclicksd: cannot listen on {listen}: address in use; \
                 choose another --listen, or stop the program that listens there\n"
            ),
        );
    };
    refused();
    assert_eq!(post(), 202);
    assert!(daemon.stop().0.success());
    assert!(!socket.exists());
    fs::write(&socket, "not a socket").unwrap();
    refused();
    assert_eq!(fs::read(&socket).unwrap(), b"not a socket");
    assert_eq!(site.clicks().len(), 3);
}

#[test]
fn environment_variables_replace_flags() {
    let site = Site::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_leadclicksd"));
    command
        .env("LEADCLICKS_PATH", "/a,/b")
        .env(
            "LEADCLICKS_ALLOW_ORIGIN",
            "https://a.example.com,https://b.example.com",
        )
        .env("LEADCLICKS_LOG_FORMAT", "json")
        .env("LEADCLICKS_DISK_RESERVE", "1MB")
        .env("LEADCLICKS_SHUTDOWN_GRACE", "5s");
    let daemon = Daemon::start_as(command, &site, &[]);
    let mut client = daemon.connect();
    let click = body("a@example.com", "x", "");
    for path in ["/a", "/b"] {
        let header = "Origin: https://b.example.com\r\n";
        assert_eq!(
            client.send(&request("POST", path, header, &click)).status,
            202
        );
    }
    let (status, log) = daemon.stop();
    assert!(status.success());
    let counts = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a JSON log line"))
        .find(|event| event["message"] == "counts")
        .expect("a line of counts");
    assert_eq!(counts["accepted"], 2);
    assert_eq!(counts["level"], "INFO");
}

#[test]
fn invalid_flag_values_are_refused_with_the_valid_form() {
    for (args, reason) in [
        (
            ["--listen", "127.0.0.1"],
            "an address is IP:PORT as in 127.0.0.1:8787 or [::1]:8787, localhost:PORT, PORT or :PORT (all interfaces), or \
             unix:PATH",
        ),
        (
            ["--socket-mode", "rw"],
            "a mode is three or four octal digits, such as 0660 or 666, at most 0777",
        ),
        (["--health-path", "healthz"], "a path begins with /"),
        (
            ["--health-path", "/api/lead-clicks"],
            "leadclicksd: --health-path /api/lead-clicks is also a --path, which accepts clicks; give it another path\n",
        ),
        (
            ["--path", "clicks"],
            "a path begins with / and contains no blanks",
        ),
        (
            ["--allow-origin", "https://example.com/"],
            "an origin is scheme://host or scheme://host:port",
        ),
        (
            ["--disk-reserve", "16"],
            "a reserve is a whole number with a unit (kB, MB, GB, KiB, MiB, GiB), such as 64MiB or 1GB; or off",
        ),
        (
            ["--disk-reserve", "99999999999GiB"],
            "a reserve is a whole number with a unit",
        ),
        (
            ["--allow-origin", "https://example.com:99999"],
            "without a path; *.host for all its subdomains; or * for all origins",
        ),
        (
            ["--shutdown-grace", "10"],
            "a time is a number with a unit, such as 10s, 500ms or 1m",
        ),
        (
            ["--shutdown-grace", "-1s"],
            "a time is a number with a unit, such as 10s, 500ms or 1m",
        ),
        (
            ["--shutdown-grace", "9223372036854775807s"],
            "a time is a number with a unit, such as 10s, 500ms or 1m",
        ),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leadclicksd"));
        command.arg(format!("{}={}", args[0], args[1]));
        let ran = Ran::of(command);
        assert_eq!(ran.status.code(), Some(2), "{ran}");
        assert!(ran.stderr.contains(reason), "{ran}");
    }
}

#[test]
fn a_daemon_that_ends_does_not_remove_the_socket_of_its_successor() {
    let site = Site::new();
    let socket = site.path("leadclicksd.sock");
    let listen = format!("unix:{}", socket.display());
    let first = Daemon::start(&site, &["--listen", &listen]);
    fs::remove_file(&socket).unwrap();
    let second = Daemon::start(&site, &["--listen", &listen]);
    assert!(first.stop().0.success());
    assert!(socket.exists());
    assert!(second.stop().0.success());
    assert!(!socket.exists());
}

#[test]
fn a_click_is_stored_while_other_requests_keep_the_daemon_busy() {
    const CLIENTS: usize = 4;
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let requests = request("GET", "/elsewhere", "", "").repeat(500);
    let streams: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| TcpStream::connect(daemon.address()).unwrap())
        .collect();
    thread::scope(|scope| {
        for mut stream in &streams {
            // Both threads end when the connection is shut down.
            let requests = requests.as_bytes();
            scope.spawn(move || while stream.write_all(requests).is_ok() {});
            scope.spawn(move || io::copy(&mut stream, &mut io::sink()));
        }
        let mut client = daemon.connect();
        let answers: io::Result<Vec<Answer>> = (0..20)
            .map(|_| client.try_send(&post_request(&body("jane@example.com", "jdoe", ""))))
            .collect();
        for stream in &streams {
            stream.shutdown(Shutdown::Both).unwrap();
        }
        let answers = answers.expect("an answer to each");
        assert!(answers.iter().all(|answer| answer.status == 202));
    });
    assert_eq!(site.clicks().len(), 20);
}
