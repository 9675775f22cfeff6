//! How the daemon starts: addresses, the variable `PORT`, what the first lines of the log and the ready line say, and errors about
//! files that belong to another user. Also SIGHUP.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        net::UnixStream,
    },
    process::{Command, Stdio},
};

use crate::support::{Client, Daemon, Ran, Site, body, mode, post_request};

fn daemon() -> Command {
    Command::new(env!("CARGO_BIN_EXE_leadclicksd"))
}

/// A running daemon that has no `--listen`, unless `args` have it.
fn start(site: &Site, variables: &[(&str, &str)], args: &[&str]) -> Daemon {
    let mut command = daemon();
    command
        .arg("--db")
        .arg(site.db_path())
        .args(args)
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    Daemon::start_prepared(command, site)
}

/// The log without its times.
fn lines(log: &str) -> Vec<&str> {
    log.lines()
        .map(|line| line.split_once("Z ").expect(line).1.trim_start())
        .collect()
}

#[test]
fn a_port_alone_means_all_interfaces_and_localhost_only_this_machine() {
    let site = Site::new();
    for (listen, address) in [
        ("0", "[::]"),
        (":0", "[::]"),
        ("[::]:0", "[::]"),
        ("0.0.0.0:0", "0.0.0.0"),
        ("localhost:0", "127.0.0.1"),
    ] {
        let daemon = start(&site, &[], &["--listen", listen]);
        let (host, port) = daemon.address().rsplit_once(':').unwrap();
        assert_eq!(host, address, "{listen}");
        // IPv4 reaches all of them.
        let port = port.parse().unwrap();
        let mut client =
            Daemon::connect_between([127, 0, 0, 1].into(), ([127, 0, 0, 1], port).into());
        let click = post_request(&body("jane@example.com", "jdoe", ""));
        assert_eq!(client.send(&click).status, 202, "{listen}");
        let mut taken = daemon_on(&site, &format!(":{port}"));
        taken.stdin(Stdio::null());
        let ran = Ran::of(taken);
        let error = format!("leadclicksd: cannot listen on port {port} of all interfaces: ");
        assert!(ran.stderr.starts_with(&error), "{ran}");
    }
}

fn daemon_on(site: &Site, listen: &str) -> Command {
    let mut command = daemon();
    command
        .args(["--listen", listen, "--db"])
        .arg(site.db_path());
    command
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn without_ipv6_a_port_alone_means_all_addresses_of_ipv4() {
    let site = Site::new();
    let mut command = Command::new("strace");
    // The first socket is the listener's.
    command
        .args([
            "-D",
            "-f",
            "-o",
            "/dev/null",
            "-e",
            "inject=socket:error=EAFNOSUPPORT:when=1",
        ])
        .arg(env!("CARGO_BIN_EXE_leadclicksd"));
    let daemon = Daemon::start_as(command, &site, &["--listen", "0"]);
    assert!(
        daemon.address().starts_with("0.0.0.0:"),
        "{}",
        daemon.ready_line
    );
}

#[test]
fn the_variable_port_is_used_if_nothing_else_says_where_to_listen() {
    let site = Site::new();
    let port = [("PORT", "0")];
    for (variables, args, address, setting) in [
        (
            &port[..],
            &[][..],
            "[::]",
            "port 0 of all interfaces\" source=\"PORT",
        ),
        (
            &port,
            &["--listen", "127.0.0.1:0"],
            "127.0.0.1",
            "127.0.0.1:0\" source=\"command line",
        ),
        (
            &[("PORT", "0"), ("LEADCLICKS_LISTEN", "localhost:0")],
            &[],
            "127.0.0.1",
            "localhost:0\" source=\"LEADCLICKS_LISTEN",
        ),
    ] {
        let daemon = start(&site, variables, args);
        assert_eq!(daemon.address().rsplit_once(':').unwrap().0, address);
        let (_, log) = daemon.stop();
        let setting = format!(r#"INFO setting option="listen" value="{setting}""#);
        assert!(lines(&log).contains(&&*setting), "{setting}\n{log}");
        assert_eq!(log.matches(r#"option="listen""#).count(), 1, "{log}");
    }
    for (value, error) in [
        (
            "",
            "the variable PORT is empty; give it a value, or unset it",
        ),
        (
            "tcp://10.0.0.1:80",
            "the variable PORT is not the number of a port; correct it, or pass --listen",
        ),
        (
            "65536",
            "the variable PORT is not the number of a port; correct it, or pass --listen",
        ),
    ] {
        let mut command = daemon();
        command.env("PORT", value).arg("--db").arg(site.db_path());
        Ran::of(command).assert(2, "", &format!("leadclicksd: {error}\n"));
    }
}

#[test]
fn the_log_begins_with_the_version_and_every_setting_that_is_not_a_default() {
    let site = Site::new();
    let path = site.db_path();
    let variables = [
        ("LEADCLICKS_RATE_LIMIT", "30/m"),
        ("LEADCLICKS_TRUSTED_PROXY", "127.0.0.1,10.0.0.0/8"),
    ];
    let args = ["--listen", "127.0.0.1:0", "--path", "/a", "--path", "/b"];
    let daemon = start(&site, &variables, &args);
    assert_eq!(
        daemon.ready_line,
        format!(
            "leadclicksd is ready: POST http://{0}/a or http://{0}/b stores into {1}\n",
            daemon.address(),
            path.display()
        )
    );
    let (_, log) = daemon.stop();
    let mut version = self::daemon();
    version.arg("--version");
    let version = Ran::of(version);
    let version = version
        .stdout
        .trim_end()
        .strip_prefix("leadclicksd ")
        .unwrap();
    assert_eq!(
        lines(&log)[..6],
        [
            &*format!(r#"INFO leadclicksd starts version="{version}""#),
            &format!(
                r#"INFO setting option="db" value="{}" source="command line""#,
                path.display()
            ),
            r#"INFO setting option="listen" value="127.0.0.1:0" source="command line""#,
            r#"INFO setting option="path" value="/a,/b" source="command line""#,
            r#"INFO setting option="trusted-proxy" value="127.0.0.1,10.0.0.0/8" source="LEADCLICKS_TRUSTED_PROXY""#,
            r#"INFO setting option="rate-limit" value="30/m" source="LEADCLICKS_RATE_LIMIT""#,
        ]
    );
    assert_eq!(lines(&log)[6..], ["INFO stopping", "INFO stopped"], "{log}");
}

#[test]
fn the_json_log_and_the_ready_line_are_one_object_a_line() {
    let site = Site::new();
    let args = [
        "--log-format",
        "json",
        "--listen",
        "127.0.0.1:0",
        "--path",
        "/a",
    ];
    let daemon = start(&site, &[], &args);
    let json = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect(line);
    assert_eq!(
        json(&daemon.ready_line),
        serde_json::json!({
            "message": "leadclicksd is ready",
            "address": format!("http://{}", daemon.address()),
            "paths": ["/a"],
            "db": site.db_path(),
        })
    );
    let (_, log) = daemon.stop();
    let events: Vec<_> = log.lines().map(json).collect();
    assert_eq!(events[0]["message"], "leadclicksd starts");
    assert!(events[0]["version"].is_string(), "{log}");
    let settings = events.iter().filter(|event| event["message"] == "setting");
    let settings: Vec<[&str; 3]> = settings
        .map(|event| ["option", "value", "source"].map(|field| event[field].as_str().unwrap()))
        .collect();
    let path = site.db_path();
    let source = "command line";
    assert_eq!(
        settings,
        [
            ["db", path.to_str().unwrap(), source],
            ["listen", "127.0.0.1:0", source],
            ["path", "/a", source],
            ["log-format", "json", source],
        ]
    );
}

#[test]
fn the_log_of_a_failed_start_has_the_version_and_the_settings_before_the_reason() {
    let site = Site::new();
    let db = site.path("missing/x.db").display().to_string();
    let failed = |args: &[&str]| {
        let output = daemon()
            .args(["--listen", "127.0.0.1:0", "--db", &db])
            .args(args)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(output.stdout, b"");
        String::from_utf8(output.stderr).unwrap()
    };
    let text = failed(&[]);
    let (log, error) = text.trim_end().rsplit_once('\n').unwrap();
    let log = lines(log);
    assert!(
        log[0].starts_with("INFO leadclicksd starts version="),
        "{text}"
    );
    assert_eq!(
        log[1..],
        [
            &*format!(r#"INFO setting option="db" value="{db}" source="command line""#),
            r#"INFO setting option="listen" value="127.0.0.1:0" source="command line""#,
        ]
    );
    let reason = error.strip_prefix("leadclicksd: ").unwrap();

    let json = failed(&["--log-format", "json"]);
    let events: Vec<serde_json::Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let messages: Vec<_> = events.iter().map(|event| &event["message"]).collect();
    assert_eq!(
        messages,
        [
            "leadclicksd starts",
            "setting",
            "setting",
            "setting",
            "leadclicksd failed"
        ]
    );
    assert_eq!(
        [&events[4]["level"], &events[4]["reason"]],
        ["ERROR", reason]
    );
}

#[test]
fn the_mode_of_a_socket_is_refused_without_a_unix_socket() {
    let site = Site::new();
    for (variables, args) in [
        (&[][..], &["--socket-mode", "0666"][..]),
        (&[("LEADCLICKS_SOCKET_MODE", "0600"), ("PORT", "0")], &[]),
    ] {
        let mut command = daemon();
        command
            .args(args)
            .envs(variables.iter().copied())
            .arg("--db")
            .arg(site.db_path());
        let error = "--socket-mode is for a Unix socket; leave it out, or pass --listen unix:PATH";
        Ran::of(command).assert(2, "", &format!("leadclicksd: {error}\n"));
    }
}

#[test]
fn a_unix_socket_has_the_mode_that_is_set() {
    let site = Site::new();
    let socket = site.path("leadclicksd.sock");
    let listen = format!("unix:{}", socket.display());
    for (given, found) in [("0666", 0o666), ("600", 0o600)] {
        let daemon = start(&site, &[], &["--listen", &listen, "--socket-mode", given]);
        assert_eq!(mode(&socket), found);
        let mut client = Client::<UnixStream>::connect(&socket);
        let click = post_request(&body("jane@example.com", "jdoe", ""));
        assert_eq!(client.send(&click).status, 202);
        assert!(daemon.stop().0.success());
    }
}

#[test]
fn sighup_is_logged_and_ignored() {
    let site = Site::new();
    let daemon = start(&site, &[], &["--listen", "127.0.0.1:0"]);
    let message = "INFO SIGHUP is ignored; restart leadclicksd to change its settings\n";
    for times in 1..=2 {
        daemon.signal("HUP");
        daemon.wait_for_logs(message, times);
    }
    assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
    // It is no first signal, after which a second would end the daemon at once.
    let (status, log) = daemon.stop();
    assert!(status.success() && log.ends_with("INFO stopped\n"), "{log}");
}

/// A user that need not exist.
const USER: u32 = 64_001;

/// The daemon, a copy of which is in the directory, as that user.
fn as_user(site: &Site, db: &str) -> Ran {
    let mut command = Command::new("setpriv");
    command
        .args([
            &format!("--reuid={USER}"),
            "--regid=64001",
            "--clear-groups",
        ])
        .arg(site.path("leadclicksd"))
        .args(["--listen", "127.0.0.1:0", "--db"])
        .arg(site.path(db));
    Ran::of(command)
}

#[test]
fn an_error_about_permissions_says_whose_the_files_are_and_whose_they_must_be() {
    let site = Site::new();
    if chown(site.path(""), Some(0), Some(0)).is_err() {
        eprintln!("not root: the daemon can't run as another user");
        return;
    }
    fs::set_permissions(site.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    // Copied to where this user may go, by another process: a program can't be started while a child that some test forks has it
    // open for writing.
    let mut copy = Command::new("cp");
    copy.args([
        env!("CARGO_BIN_EXE_leadclicksd"),
        site.path("").to_str().unwrap(),
    ]);
    assert!(Ran::of(copy).status.success());
    let make = |name: &str, owner: u32, mode: u32| {
        let path = site.path(name);
        if name.ends_with('/') {
            fs::create_dir(&path).unwrap();
        } else {
            fs::write(&path, "").unwrap();
        }
        chown(&path, Some(owner), Some(owner)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    make("volume/", 0, 0o755);
    make("read-only/", USER, 0o555);
    make("closed/", 0, 0o700);
    make("mine/", USER, 0o755);
    make("mine/theirs.db", 0, 0o640);
    make("mine/unwritable.db", USER, 0o440);
    make("mine/side.db", USER, 0o640);
    make("mine/side.db-wal", 0, 0o640);
    make("its own/", 0, 0o755);
    let me = "leadclicksd runs as uid 64001 and may not";
    let or = "as root, or start leadclicksd as its owner";
    let root = |mode: &str| format!("which belongs to root (uid 0) and has mode {mode}");
    let mine = |mode: &str| format!("which belongs to uid 64001 and has mode {mode}");
    let path = |name: &str| site.path(name).display().to_string();
    for (db, error) in [
        (
            "missing/x.db",
            "its directory does not exist; create it, owned by uid 64001, the user of leadclicksd, or check --db".to_owned(),
        ),
        (
            "volume/x.db",
            format!("{me} create files in the directory {0}, {1}; run `chown 64001 {0}` {or}", path("volume"), root("0755")),
        ),
        (
            "its own/x.db",
            format!("{me} create files in the directory {0}, {1}; run `chown 64001 '{0}'` {or}", path("its own"), root("0755")),
        ),
        (
            "read-only/x.db",
            format!("{me} create files in the directory {0}, {1}; run `chmod u+wx {0}` {or}", path("read-only"), mine("0555")),
        ),
        (
            "closed/x.db",
            format!("{me} enter the directory {0}, {1}; run `chown 64001 {0}` {or}", path("closed"), root("0700")),
        ),
        (
            "mine/theirs.db",
            format!("{me} read and write the file {0}, {1}; run `chown 64001 {0}` {or}", path("mine/theirs.db"), root("0640")),
        ),
        (
            "mine/unwritable.db",
            format!("{me} read and write the file {0}, {1}; run `chmod u+rw {0}` {or}", path("mine/unwritable.db"), mine("0440")),
        ),
        (
            "mine/side.db",
            format!("{me} read and write the file {0}, {1}; run `chown 64001 {0}` {or}", path("mine/side.db-wal"), root("0640")),
        ),
    ] {
        as_user(&site, db).assert(1, "", &format!("leadclicksd: {}: {error}\n", path(db)));
    }
    assert_eq!(fs::read_dir(site.path("volume")).unwrap().count(), 0);
}
