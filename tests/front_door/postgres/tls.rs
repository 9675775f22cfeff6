//! Encrypted connections, with certificates that the test makes.

use std::process::Command;

use super::server::{Server, ServerSite, as_own_user, new_directory};
use crate::support::Ran;

/// Two authorities, and the server's certificate of the first one for db.example.com.
const CERTIFICATES: &str = r#"
set -e
cd "$0"
key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
for name in ca other; do
    openssl req -x509 $key -days 2 -subj "/CN=$name" -keyout "$name.key" -out "$name.crt"
done
printf 'subjectAltName=DNS:db.example.com\nbasicConstraints=CA:FALSE\n' >extensions
openssl req $key -subj /CN=db.example.com -keyout server.key -out request
openssl x509 -req -days 2 -in request -CA ca.crt -CAkey ca.key -CAcreateserial -extfile extensions -out server.crt
chmod 600 server.key
printf 'local all all trust\nhostssl all all 127.0.0.0/8 scram-sha-256\n' >pg_hba.conf
"#;

/// An address of this machine that no other process has chosen, so that the usual port is free there.
fn address() -> String {
    let [.., high, middle, low] = std::process::id().to_be_bytes();
    format!("127.{}.{middle}.{low}", 1 + high % 0x7f)
}

struct Site {
    server: ServerSite,
    address: String,
}

impl Site {
    /// `host` is a name and more of a URL's parameters, without the address.
    fn command(&self, program: &str, host: &str, parameters: &str) -> Command {
        let mut command = match program {
            "leadclicks" => self.server.command(&["report", "--by-email"]),
            _ => Command::new(env!("CARGO_BIN_EXE_leadclicksd")),
        };
        command.env("LEADCLICKS_DB", self.url(host, parameters));
        command
    }

    fn url(&self, host: &str, parameters: &str) -> String {
        let (name, address) = (self.server.name(), &self.address);
        format!("postgres://app:secret@{host}/{name}?hostaddr={address}{parameters}")
    }

    #[track_caller]
    fn accepts(&self, host: &str, parameters: &str) {
        let ran = Ran::of(self.command("leadclicks", host, parameters));
        assert_eq!(ran.status.code(), Some(0), "{host} {parameters} {ran}");
    }

    #[track_caller]
    fn refuses(&self, host: &str, parameters: &str, reason: &str) {
        let mut command = self.command("leadclicks", host, parameters);
        // Instead of the system's authorities.
        command.env("SSL_CERT_FILE", self.server.site.path("other.crt"));
        Ran::of(command).assert(
            1,
            "",
            &format!(
                "leadclicks: postgres://app@{host}/{}: cannot connect: {reason}\n",
                self.server.name()
            ),
        );
    }
}

#[test]
#[ignore = "needs PostgreSQL and openssl; tests/run runs it"]
fn a_connection_is_encrypted_with_a_server_that_has_the_right_certificate() {
    let files = new_directory();
    let made = Ran::finish(as_own_user("sh", &["-c", CERTIFICATES], files.path()), b"");
    assert!(made.status.success(), "{made}");
    let path = |name: &str| files.path().join(name).display().to_string();
    let address = address();
    let settings = format!(
        "listen_addresses = '{address}'\nssl = on\nhba_file = '{}'\nssl_cert_file = '{}'\nssl_key_file = '{}'",
        path("pg_hba.conf"),
        path("server.crt"),
        path("server.key"),
    );
    let server = ServerSite::on(Server::start(&settings));
    server.sql("CREATE ROLE app LOGIN PASSWORD 'secret'; GRANT SELECT, INSERT ON lead_clicks, experts TO app");
    for name in ["ca.crt", "other.crt"] {
        std::fs::copy(path(name), server.site.path(name)).unwrap();
    }
    let site = Site { server, address };
    let ca = format!("&sslrootcert={}", path("ca.crt"));
    let other = format!("&sslrootcert={}", path("other.crt"));
    let (right, wrong) = ("db.example.com", "other.example.com");

    site.accepts(right, &ca);
    site.accepts(right, &format!("{ca}&sslmode=verify-full"));
    site.accepts(right, &format!("{ca}&channel_binding=require"));
    site.accepts(wrong, &format!("{ca}&sslmode=verify-ca"));
    site.accepts(&site.address, &format!("{ca}&sslmode=verify-ca"));
    site.accepts(wrong, &format!("{other}&sslmode=require"));
    site.accepts(wrong, "&sslmode=require");
    // The system's authorities.
    let mut command = site.command("leadclicks", right, "");
    command.env("SSL_CERT_FILE", path("ca.crt"));
    assert_eq!(Ran::of(command).status.code(), Some(0));

    let unknown = "invalid peer certificate: UnknownIssuer; give sslrootcert=FILE in the URL if the authority is your own";
    for parameters in [
        "",
        "&sslmode=verify-ca",
        &other,
        &format!("{other}&sslmode=verify-ca"),
    ] {
        site.refuses(right, parameters, unknown);
    }
    site.refuses(
        wrong,
        &ca,
        "the certificate is for another host name; write the host of the certificate, or sslmode=verify-ca in the URL",
    );
    site.refuses(
        &site.address,
        &format!("{ca}&sslmode=verify-full"),
        "the certificate is for another host name; write the host of the certificate, or sslmode=verify-ca in the URL",
    );
    let unencrypted = format!(
        "no pg_hba.conf entry for host \"127.0.0.1\", user \"app\", database \"{}\", no encryption; check the user, the \
         password and pg_hba.conf",
        site.server.name()
    );
    site.refuses(right, "&sslmode=disable", &unencrypted);
    site.refuses(&site.address, "", &unencrypted);
    site.refuses(
        right,
        "&sslrootcert=/nowhere/ca.crt",
        "cannot read sslrootcert /nowhere/ca.crt: I/O error: No such file or directory (os error 2)",
    );
    for (mode, rest) in [("prefer", ""), ("allow", "&sslmode=require")] {
        let parameters = format!("&sslmode={mode}{rest}");
        Ran::of(site.command("leadclicks", right, &parameters)).assert(
            2,
            "",
            &format!("leadclicks: --db has the unknown sslmode {mode}; write verify-full, verify-ca, require or disable\n"),
        );
    }

    let daemon = site.server.daemon_of(&site.url(right, &ca), &[]);
    assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
    assert!(daemon.stop().0.success());
    Ran::of(site.command("leadclicksd", wrong, &ca)).assert(
        1,
        "",
        &format!(
            "leadclicksd: postgres://app@{wrong}/{}: cannot connect: the certificate is for another host name; write the \
             host of the certificate, or sslmode=verify-ca in the URL\n",
            site.server.name()
        ),
    );
    let mut check = site.server.command(&["check", "--format", "json"]);
    check.env("LEADCLICKS_DB", site.url(right, &ca));
    let ran = Ran::of(check);
    assert!(
        ran.stdout
            .contains(r#""check":"encryption","state":"ok","found":"TLSv1.3""#),
        "{ran}"
    );

    // A server that does not encrypt gets no password.
    site.server.sql("ALTER SYSTEM SET ssl = off");
    site.server.server().restart("fast");
    site.refuses(
        right,
        &ca,
        "server does not support TLS; turn ssl on in postgresql.conf, or write sslmode=disable in the URL",
    );
}
