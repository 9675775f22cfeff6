//! The daemon as a systemd service: notifications, socket activation, and the units in `bin/systemd`.

use std::{
    collections::BTreeSet,
    fs,
    net::{TcpListener, UdpSocket},
    os::{
        fd::OwnedFd,
        unix::net::{UnixDatagram, UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{Client, Daemon, PATIENCE, Ran, Site, WriteLock, body, post_request};

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bin/systemd")
}

#[test]
fn systemd_is_notified_of_readiness_watchdog_and_shutdown() {
    let site = Site::new();
    let notices = UnixDatagram::bind(site.path("notify")).unwrap();
    notices.set_read_timeout(Some(PATIENCE)).unwrap();
    let next = || {
        let mut bytes = [0; 100];
        let length = notices.recv(&mut bytes).expect("a notice");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_leadclicksd"));
    command
        .env("NOTIFY_SOCKET", site.path("notify"))
        .env("WATCHDOG_USEC", "200000");
    let mut daemon = Daemon::start_as(command, &site, &[]);
    assert_eq!(next(), "READY=1\n");
    // The watchdog must not end the daemon because the writer waits for the disk.
    let lock = WriteLock::take(&site);
    let mut client = daemon.connect();
    client.write(post_request(&body("jane@example.com", "jdoe", "")).as_bytes());
    for _ in 0..5 {
        assert_eq!(next(), "WATCHDOG=1\n");
    }
    lock.release();
    assert_eq!(client.read().status, 202);
    daemon.signal("TERM");
    let stopping = std::iter::repeat_with(next).find(|notice| notice != "WATCHDOG=1\n");
    assert_eq!(stopping.as_deref(), Some("STOPPING=1\n"));
    assert!(daemon.wait().success());
}

#[test]
fn a_failed_notification_of_systemd_is_not_fatal() {
    let site = Site::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_leadclicksd"));
    command
        .env("NOTIFY_SOCKET", site.path("nobody"))
        .env("WATCHDOG_USEC", "no number");
    let daemon = Daemon::start_as(command, &site, &[]);
    assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
    let (status, log) = daemon.stop();
    assert!(status.success());
    assert!(log.contains(r#"WARN can't notify systemd; repeats are not logged error=No such file or directory (os error 2) state="READY=1""#), "{log}");
}

/// The daemon behind a command that passes its standard input as systemd passes a socket, `count` times.
fn activated(socket: impl Into<OwnedFd>, count: usize) -> Command {
    let script = r#"export LISTEN_PID=$$ LISTEN_FDS=$0; exec "$@" 3<&0 4<&0 </dev/null"#;
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            script,
            &count.to_string(),
            env!("CARGO_BIN_EXE_leadclicksd"),
        ])
        .stdin(socket.into());
    command
}

#[test]
fn the_socket_that_systemd_passes_is_served() {
    let site = Site::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // A connection made before the daemon starts is served as soon as it runs.
    let mut early = Client::new(std::net::TcpStream::connect(address).unwrap());
    let click = post_request(&body("jane@example.com", "jdoe", ""));
    early.write(click.as_bytes());
    let command = activated(listener.try_clone().unwrap(), 1);
    let daemon = Daemon::start_with_stdin(command, &site);
    assert_eq!(daemon.address(), address.to_string());
    assert_eq!(early.read().status, 202);
    assert!(daemon.stop().0.success());
    // systemd keeps the socket open for the next daemon.
    let mut late = Client::new(std::net::TcpStream::connect(address).unwrap());
    late.write(click.as_bytes());
    let daemon = Daemon::start_with_stdin(activated(listener, 1), &site);
    assert_eq!(late.read().status, 202);
    drop(daemon);
    assert_eq!(site.clicks().len(), 2);
}

#[test]
fn a_unix_socket_that_systemd_passes_is_served_and_left_in_place() {
    let site = Site::new();
    let path = site.path("passed.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let daemon = Daemon::start_with_stdin(activated(listener, 1), &site);
    assert!(
        daemon
            .ready_line
            .contains(&format!("POST unix:{}/api/lead-clicks", path.display())),
        "{}",
        daemon.ready_line
    );
    let mut client = Client::<UnixStream>::connect(&path);
    let click = post_request(&body("jane@example.com", "jdoe", ""));
    assert_eq!(client.send(&click).status, 202);
    assert!(daemon.stop().0.success());
    assert!(path.exists());
}

#[test]
fn an_unusable_socket_from_systemd_is_an_error() {
    let refused = |mut command: Command, error: &str| {
        let site = Site::new();
        command.arg("--db").arg(site.db_path());
        let ran = Ran::of(command);
        assert_eq!(ran.status.code(), Some(1), "{ran}");
        assert!(ran.stderr.contains(error), "{ran}");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran}");
        assert!(site.files().is_empty(), "{:?}", site.files());
    };
    let listener = || TcpListener::bind("127.0.0.1:0").unwrap();
    refused(
        activated(listener(), 2),
        "cannot use the socket that systemd passed: systemd passed 2 sockets, expected one; \
         give the .socket unit exactly one ListenStream",
    );
    refused(
        activated(UdpSocket::bind("127.0.0.1:0").unwrap(), 1),
        "cannot use the socket that systemd passed: ",
    );
}

#[test]
#[ignore = "needs systemd-analyze; tests/run runs it"]
fn the_units_are_valid_and_the_service_is_hardened() {
    let site = Site::new();
    let service = fs::read_to_string(units().join("leadclicksd.service")).unwrap();
    let installed = service.replace(
        "/usr/local/bin/leadclicksd",
        env!("CARGO_BIN_EXE_leadclicksd"),
    );
    assert_ne!(installed, service);
    let unit = site.write("leadclicksd.service", installed);
    let socket = site.write(
        "leadclicksd.socket",
        fs::read(units().join("leadclicksd.socket")).unwrap(),
    );
    let analyze = |args: &[&str], units: &[&Path]| {
        let mut command = Command::new("systemd-analyze");
        command.args(args).args(units);
        Ran::of(command)
    };
    analyze(&["verify"], &[&unit, &socket]).assert(0, "", "");
    // Whoever starts only the service gets the socket too.
    let socket = fs::read_to_string(&socket).unwrap();
    assert!(
        socket.contains("\nRequiredBy=leadclicksd.service\n"),
        "{socket}"
    );
    // The kernel refuses core dumps with 1; with 0, systemd-coredump would get one.
    assert!(service.contains("\nLimitCORE=1\n"), "{service}");
    for name in ["leadclicks-backup", "leadclicks-weekly"] {
        let example = |kind: &str| {
            let name = format!("{name}.{kind}");
            let text = fs::read_to_string(units().join("examples").join(&name)).unwrap();
            let mail = units().join("examples/mail-week");
            let installed = "/usr/local/lib/leadclicks/mail-week";
            site.write(&name, text.replace(installed, mail.to_str().unwrap()))
        };
        analyze(&["verify"], &[&example("service"), &example("timer")]).assert(0, "", "");
    }
    // 1.2 of 10, less is better. The rest is that it may use the network.
    let secure = analyze(
        &["security", "--offline=true", "--no-pager", "--threshold=13"],
        &[&unit],
    );
    assert!(secure.status.success(), "{secure}");
}

#[test]
fn the_documents_create_users_without_a_login_and_leave_directories_to_their_owners() {
    let document = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("docs")
            .join(name);
        fs::read_to_string(path).unwrap()
    };
    // Otherwise systemd would give /var/lib/leadclicks, with all clicks, to the host app's user.
    let drop_in = "\n[Service]\nUser=app\nGroup=app\nStateDirectory=\nReadWritePaths=/srv/app\n";
    assert!(document("shared-database.md").contains(drop_in));
    let deployment = document("deployment.md");
    let created: Vec<_> = deployment
        .lines()
        .filter(|line| line.starts_with("useradd "))
        .collect();
    assert_eq!(
        created,
        ["useradd --system --home-dir /var/lib/leadclicks --shell /usr/sbin/nologin leadclicks"; 2]
    );
}

#[test]
fn the_weekly_mail_has_the_page_and_is_not_sent_without_one() {
    // The second is in the last week if a new one begins meanwhile.
    let site = Site::new().with_schema(
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
         SELECT 'jane@example.com', 'jdoe', '', datetime('now', age) || '.000000'
         FROM (SELECT '-7 days' AS age UNION ALL SELECT '-0 days');",
    );
    site.write("sendmail", "#!/bin/sh\necho \"$@\" >arguments\ncat >mail\n");
    let mail = |db: &Path| {
        let script = r#"chmod +x sendmail && SENDMAIL=./sendmail exec "$0" sales@example.com"#;
        let mut command = site.shell(script);
        command
            .arg(units().join("examples/mail-week"))
            .env("LEADCLICKS_DB", db);
        Ran::finish(command, b"")
    };
    let missing = mail(&site.path("missing.db"));
    assert_eq!(missing.status.code(), Some(1), "{missing}");
    assert!(!site.path("mail").exists());
    mail(&site.db_path()).assert(0, "", "");
    assert_eq!(site.read("arguments"), b"-i -t\n");
    let head = "To: sales@example.com\nSubject: Leads of last week\nMIME-Version: 1.0\n\
                Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\n\
                Content-Disposition: attachment; filename=\"leads.html\"\n\n";
    assert!(site.read("mail").starts_with(head.as_bytes()));
    let decoded = Ran::finish(site.shell("sed '1,/^$/d' mail | base64 --decode"), b"");
    assert!(decoded.stdout.starts_with("<!doctype html>"), "{decoded}");
    assert!(
        decoded.stdout.contains("<bdi>jane<wbr>@example.com</bdi>"),
        "{decoded}"
    );
}

/// The system calls of a set of systemd, including nested sets.
fn system_calls(set: &str) -> BTreeSet<String> {
    let listed = Command::new("systemd-analyze")
        .args(["--no-pager", "syscall-filter", set])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    listed
        .lines()
        .skip(1)
        .map(str::trim)
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .flat_map(|name| {
            if name.starts_with('@') {
                system_calls(name)
            } else {
                BTreeSet::from([name.to_owned()])
            }
        })
        .collect()
}

#[test]
#[ignore = "needs systemd-analyze and strace; tests/run runs it"]
fn the_service_allows_every_system_call_of_the_daemon() {
    let site = Site::new();
    let service = fs::read_to_string(units().join("leadclicksd.service")).unwrap();
    let mut allowed = BTreeSet::new();
    for filter in service
        .lines()
        .filter_map(|line| line.strip_prefix("SystemCallFilter="))
    {
        match filter.strip_prefix('~') {
            Some(sets) => {
                for call in sets.split(' ').flat_map(system_calls) {
                    allowed.remove(&call);
                }
            }
            None => allowed.extend(filter.split(' ').flat_map(system_calls)),
        }
    }
    assert!(
        allowed.contains("fsync") && !allowed.contains("chown"),
        "{allowed:?}"
    );
    let socket = format!("unix:{}", site.path("leadclicksd.sock").display());
    let mut called = BTreeSet::new();
    for listen in ["127.0.0.1:0", &socket] {
        let trace = site.path("trace");
        let mut command = Command::new("strace");
        command
            .args(["-D", "-f", "-o"])
            .arg(&trace)
            .arg(env!("CARGO_BIN_EXE_leadclicksd"));
        command.env("NOTIFY_SOCKET", site.path("nobody"));
        let daemon = Daemon::start_as(command, &site, &["--listen", listen]);
        if listen != socket {
            for _ in 0..3 {
                assert_eq!(
                    daemon
                        .post("jane@example.com", "jdoe", &"x".repeat(2000))
                        .status,
                    202
                );
            }
            fs::remove_file(site.path("leadclicks.db-wal")).unwrap();
            assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
        }
        assert!(daemon.stop().0.success());
        let trace = fs::read_to_string(&trace).unwrap();
        called.extend(trace.lines().filter_map(|line| {
            let (name, _) = line.split_once(' ')?.1.trim().split_once('(')?;
            name.chars()
                .all(|char| char.is_ascii_alphanumeric() || char == '_')
                .then(|| name.to_owned())
        }));
    }
    assert!(
        called.contains("fsync") && called.contains("accept4"),
        "{called:?}"
    );
    // SQLite calls it for the files next to the database only as root, and the service's user is not root.
    called.remove("fchown");
    let forbidden: Vec<_> = called.difference(&allowed).collect();
    assert!(forbidden.is_empty(), "{forbidden:?}");
}
