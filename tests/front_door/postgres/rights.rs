//! Who may do what, and where passwords are.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use super::server::ServerSite;
use crate::{
    support::{Ran, Site, post_request},
    watch::Watcher,
};

/// The SQL of docs/postgresql.md that makes the three roles, with names that no other test uses.
fn grants(server: &ServerSite) -> String {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/postgresql.md");
    let text = fs::read_to_string(document).unwrap();
    let (_, section) = text.split_once("\n## Users and rights\n").unwrap();
    let (_, block) = section.split_once("```sql\n").unwrap();
    let (sql, _) = block.split_once("```").unwrap();
    sql.replace(" clicks_", &format!(" {}_", server.name()))
}

impl ServerSite {
    fn role(&self, role: &str) -> String {
        format!("{}_{role}", self.name())
    }

    fn run_as(&self, role: &str, args: &[&str]) -> Ran {
        let mut command = self.command(args);
        command.env("LEADCLICKS_DB", self.url_of(&self.role(role)));
        Ran::of(command)
    }

    /// Whether a role may run a statement.
    fn allows(&self, role: &str, sql: &str) -> bool {
        let mut psql = self.psql(&["--quiet", "--command", sql]);
        psql.env("PGUSER", self.role(role));
        let ran = Ran::of(psql);
        if !ran.status.success() {
            assert!(ran.stderr.contains("permission denied"), "{ran}");
        }
        ran.status.success()
    }
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn the_roles_of_the_documents_can_do_their_work_and_nothing_else() {
    let server = ServerSite::new();
    server.sql(&grants(&server));
    let daemon = server.daemon_of(&server.url_of(&server.role("daemon")), &[]);
    let repeated = r#"{"email":"jane@example.com","expert_username":"jdoe","search_query":"","click_id":"0190a0de-1111-7000-8000-000000000001"}"#;
    for _ in 0..2 {
        let answer = daemon.connect().send(&post_request(repeated));
        assert_eq!(answer.status, 202);
    }
    assert_eq!(daemon.post("joe@example.com", "jdoe", "tax").status, 202);
    assert_eq!(server.sql("SELECT count(*) FROM lead_clicks"), "2\n");

    let experts = server.run_with_experts("admin");
    experts.assert(0, "1 new, 0 changed, 0 unchanged, 0 skipped\n", "");
    for args in [
        &["report", "--by-email"][..],
        &["summary"],
        &["experts", "list"],
        &["check"],
    ] {
        for role in ["reader", "admin"] {
            let ran = server.run_as(role, args);
            assert_eq!(
                (ran.status.code(), &*ran.stderr),
                (Some(0), ""),
                "{role} {ran}"
            );
        }
    }
    let mut watch = server.command(&["watch", "--since", "1h", "--email", "joe@example.com"]);
    watch.env("LEADCLICKS_DB", server.url_of(&server.role("reader")));
    assert_eq!(
        Watcher::start(watch).click(),
        "joe@example.com  Jane Doe (jdoe)  tax"
    );

    let shown = |role: &str| {
        server
            .shown()
            .replace("admin@", &format!("{}@", server.role(role)))
    };
    let refused = format!(
        "leadclicks: {}: permission denied for table lead_clicks; grant it as docs/postgresql.md shows\n",
        shown("daemon")
    );
    server
        .run_as("daemon", &["report", "--by-day"])
        .assert(1, "", &refused);
    let ran = server.run_as("daemon", &["check"]);
    assert_eq!(ran.status.code(), Some(0), "{ran}");
    assert!(
        ran.stdout
            .contains(&format!("{} may store clicks", server.role("daemon"))),
        "{ran}"
    );
    let experts = server.run_with_experts("reader");
    assert_eq!(experts.status.code(), Some(1), "{experts}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_leadclicksd"));
    command
        .env("LEADCLICKS_DB", server.url_of(&server.role("reader")))
        .args(["--listen", "127.0.0.1:0"]);
    let refused = refused
        .replace("leadclicks:", "leadclicksd:")
        .replace(&shown("daemon"), &shown("reader"));
    Ran::of(command).assert(1, "", &refused);

    let insert =
        "INSERT INTO lead_clicks (email, expert_username) VALUES ('amy@example.com', 'jdoe')";
    for (sql, roles) in [
        (
            "SELECT click_id FROM lead_clicks",
            &["daemon", "reader", "admin"][..],
        ),
        ("SELECT email FROM lead_clicks", &["reader", "admin"]),
        ("SELECT id FROM lead_clicks", &["reader", "admin"]),
        ("SELECT * FROM experts", &["reader", "admin"]),
        (insert, &["daemon", "admin"]),
        (
            "INSERT INTO lead_clicks (id, email, expert_username) VALUES (99, 'amy@example.com', 'jdoe')",
            &["admin"],
        ),
        ("UPDATE lead_clicks SET email = 'joe@example.com'", &[]),
        ("UPDATE lead_clicks SET click_id = NULL", &[]),
        ("UPDATE experts SET first_name = 'Jo'", &["admin"]),
        (
            "DELETE FROM lead_clicks WHERE email = 'amy@example.com'",
            &["admin"],
        ),
        ("DELETE FROM experts WHERE username = 'nobody'", &["admin"]),
        ("TRUNCATE lead_clicks", &[]),
    ] {
        for role in ["daemon", "reader", "admin"] {
            assert_eq!(
                server.allows(role, sql),
                roles.contains(&role),
                "{role}: {sql}"
            );
        }
    }
    assert!(daemon.stop().0.success());
}

impl ServerSite {
    fn run_with_experts(&self, role: &str) -> Ran {
        let mut command = self.command(&["experts", "import", "-"]);
        command
            .env("LEADCLICKS_DB", self.url_of(&self.role(role)))
            .stdin(Stdio::piped());
        Ran::finish(command, b"username,first_name,last_name\njdoe,Jane,Doe\n")
    }
}

const SECRET: &str = "hunter2:/@ \u{e4}";
const SECRET_IN_URL: &str = "hunter2%3A%2F%40%20%C3%A4";

/// A click that the host app's trigger or constraint rejects leaves only codes and names in the log.
#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn the_log_has_the_code_and_constraint_of_an_error_and_never_its_text() {
    let server = ServerSite::new();
    server.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF NEW.expert_username = 'refused' THEN
                 RAISE EXCEPTION 'no % please', NEW.email USING DETAIL = NEW.email, HINT = NEW.search_query, ERRCODE = 'P0042';
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON lead_clicks FOR EACH ROW EXECUTE FUNCTION refuse();
         ALTER TABLE lead_clicks ADD CONSTRAINT nobody CHECK (expert_username <> 'nobody')",
    );
    let daemon = server.daemon(&[]);
    for (expert, status) in [("refused", 422), ("nobody", 422), ("jdoe", 202)] {
        assert_eq!(
            daemon
                .post("jane@example.com", expert, "a private matter")
                .status,
            status
        );
    }
    let (ended, log) = daemon.stop();
    assert!(ended.success(), "{log}");
    for reason in ["SQLSTATE P0042", "SQLSTATE 23514, constraint nobody"] {
        let line = format!(
            "the database rejected a click (422); repeats are not logged reason=\"{reason}\""
        );
        assert_eq!(log.matches(&line).count(), 1, "{log}");
    }
    for personal in ["jane", "example.com", "private", "please"] {
        assert!(!log.contains(personal), "{log}");
    }
}

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_password_comes_from_a_variable_or_a_passfile_and_is_never_shown() {
    let server = ServerSite::new();
    let role = server.role("secret");
    server.sql(&format!(
        "DO $$ BEGIN CREATE ROLE with_password; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
         CREATE ROLE {role} LOGIN PASSWORD '{SECRET}' IN ROLE with_password;
         GRANT ALL ON lead_clicks, experts TO {role}"
    ));
    let url = server.url_of(&role);
    let with_password = url.replacen('@', &format!(":{SECRET_IN_URL}@"), 1);
    let shown = server.shown().replace("admin@", &format!("{role}@"));
    let home = server.site.path("home");
    fs::create_dir(&home).unwrap();
    let run = |variables: &[(&str, &str)]| {
        let mut command = server.site.command(&["report", "--by-email"]);
        command.env("HOME", &home).envs(variables.iter().copied());
        Ran::of(command)
    };
    let refused = |variables: &[(&str, &str)], reason: &str| {
        let ran = run(variables);
        ran.assert(
            1,
            "",
            &format!("leadclicks: {shown}: cannot connect: {reason}\n"),
        );
    };
    let passfile = |name: &str, secret: &str, mode: u32| {
        let escaped = secret.replace('\\', "\\\\").replace(':', "\\:");
        let line =
            format!("# ours\nlocalhost:*:*:other:wrong\nlocalhost:5432:*:{role}:{escaped}\n");
        let path = server.site.write(name, line);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let db = ("LEADCLICKS_DB", &*url);
    let wrong = format!(
        "password authentication failed for user \"{role}\"; check the user, the password and pg_hba.conf"
    );
    refused(
        &[db],
        "password missing; give it in PGPASSWORD, in a passfile, or in the URL in LEADCLICKS_DB",
    );
    refused(&[db, ("PGPASSWORD", "wrong")], &wrong);
    let right = passfile("right", SECRET, 0o600);
    let readable = passfile("readable", SECRET, 0o644);
    let with_passfile = format!("{url}?passfile={}", right.replace('/', "%2F"));
    refused(
        &[db, ("PGPASSFILE", &readable)],
        &format!(
            "other users may open the passfile {readable}; remove that permission with chmod 600"
        ),
    );
    for variables in [
        &[("LEADCLICKS_DB", &*with_password)][..],
        &[db, ("PGPASSWORD", SECRET)],
        &[db, ("PGPASSFILE", &right)],
        &[("LEADCLICKS_DB", &*with_passfile)],
        // The first place that has one is used.
        &[("LEADCLICKS_DB", &*with_password), ("PGPASSWORD", "wrong")],
        &[db, ("PGPASSWORD", SECRET), ("PGPASSFILE", &readable)],
    ] {
        let ran = run(variables);
        assert_eq!(ran.status.code(), Some(0), "{ran}");
    }
    passfile("home/.pgpass", SECRET, 0o600);
    assert_eq!(run(&[db]).status.code(), Some(0));

    let daemon = server.daemon_of(&with_password, &[]);
    assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
    let arguments = fs::read(format!("/proc/{}/cmdline", daemon.pid())).unwrap();
    assert!(!String::from_utf8_lossy(&arguments).contains("hunter2"));
    assert!(
        !daemon.ready_line.contains("hunter2"),
        "{}",
        daemon.ready_line
    );
    // The password is changed, and the connection lost: the reason is logged.
    server.sql(&format!(
        "ALTER ROLE {role} PASSWORD 'other';
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
    ));
    assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 503);
    let (_, log) = daemon.stop();
    assert!(log.contains("clicks can't be stored"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
#[ignore = "tests/run runs it with the others of PostgreSQL"]
fn a_password_in_an_argument_is_wrong_usage() {
    let site = Site::new();
    let error = "--db has a password, which every user of this machine can read in the list of processes; put it into the \
                 variable PGPASSWORD or a passfile, or the URL into the variable LEADCLICKS_DB\n";
    for url in [
        "postgres://jane:hunter2@db.example.com/app",
        "postgresql://jane:hunter2@db.example.com:5433,other.example.com/app?sslmode=require",
        "postgres://db.example.com/app?user=jane&password=hunter2",
        "postgres://jane@db.example.com/app?password=hunter2",
        "postgres://jane:hunter2@/app",
        "postgres://:hunter2@%2Frun/app",
        "postgres://jane:12?hunter2@127.0.0.1:1/app",
        "postgres://jane:12?sslmode=hunter2@127.0.0.1:1/app",
        "postgres://jane:12/hunter2@127.0.0.1:1/app",
        "postgres://jane@127.0.0.1:1/app?%70assword=hunter2",
        "postgres://127.0.0.1:1/app?user=jane&%70%61ssword=hunter2&sslmode=require",
    ] {
        let whole = format!("--db={url}");
        for args in [
            &["check", "--db", url][..],
            &[&whole, "report", "--by-email"],
        ] {
            site.run(args)
                .assert(2, "", &format!("leadclicks: {error}"));
        }
        for args in [&["--db", url][..], &[&whole]] {
            let mut daemon = Command::new(env!("CARGO_BIN_EXE_leadclicksd"));
            daemon.args(args);
            Ran::of(daemon).assert(2, "", &format!("leadclicksd: {error}"));
        }
        // While somebody types.
        let helper = [
            "completions",
            "bash",
            "experts",
            "--",
            "leadclicks",
            "report",
            "--db",
            url,
            "--expert",
        ];
        site.run(&helper).assert(0, "", "");
        // A URL that is not valid is not repeated either.
        let ran = site.run(&["check", "--db", &format!("{url}%")]);
        assert!(
            !ran.stderr.contains("hunter2") && ran.status.code() == Some(2),
            "{ran}"
        );
    }
    // Nor is one that is not valid in the variable.
    for url in [
        "postgres://jane:hunter2@db.example.com:port/app",
        "postgres://jane:12?sslmode=hunter2@127.0.0.1:1/app",
        "postgres://jane:12@hunter2@127.0.0.1:1/app",
        "postgres://127.0.0.1:1/app?user=jane&password=12@hunter2",
        "postgres://jane@127.0.0.1:1/app?sslmode=hunter2",
    ] {
        let mut command = site.command(&["check"]);
        command.env("LEADCLICKS_DB", url);
        let ran = Ran::of(command);
        assert!(
            !ran.stderr.contains("hunter2") && ran.status.code() == Some(2),
            "{ran}"
        );
    }
}
