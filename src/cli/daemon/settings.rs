//! Which options are not at their defaults, and where each came from.

use std::fmt::Display;

use clap::{ArgMatches, Command, parser::ValueSource};

/// The option that a socket of systemd and the variable `PORT` replace.
const LISTEN: &str = "listen";
/// The option that needs a Unix socket.
const SOCKET_MODE: &str = "socket-mode";
/// The option whose value is not logged as it was given: a URL would contain a password.
const DB: &str = "db";

/// An option that is not at its default.
#[derive(Debug)]
pub(super) struct Setting {
    /// Its name, without the dashes.
    option: String,
    value: String,
    /// `command line`, `systemd`, or the name of a variable.
    source: String,
}

impl Setting {
    /// The address to listen on.
    pub(super) fn listen(address: &impl Display, source: &str) -> Self {
        Self {
            option: LISTEN.to_owned(),
            value: address.to_string(),
            source: source.to_owned(),
        }
    }

    /// Whether it is the address to listen on.
    pub(super) fn is_listen(&self) -> bool {
        self.option == LISTEN
    }

    /// Whether it is the mode of a Unix socket.
    pub(super) fn is_socket_mode(&self) -> bool {
        self.option == SOCKET_MODE
    }
}

/// The options of `command` that were given on the command line or by variables. `db` is the database as it may be logged.
pub(super) fn given(command: &Command, matches: &ArgMatches, db: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    for argument in command.get_arguments() {
        let id = argument.get_id().as_str();
        let source = match (matches.value_source(id), argument.get_env()) {
            (Some(ValueSource::CommandLine), _) => "command line".into(),
            (Some(ValueSource::EnvVariable), Some(variable)) => variable.to_string_lossy(),
            _ => continue,
        };
        let values: Vec<_> = matches
            .get_raw(id)
            .into_iter()
            .flatten()
            .map(|value| value.to_string_lossy())
            .collect();
        settings.push(Setting {
            option: argument.get_long().unwrap_or(id).to_owned(),
            value: if id == DB {
                db.to_owned()
            } else {
                values.join(",")
            },
            source: source.into_owned(),
        });
    }
    settings
}

/// Logs the version and the settings.
pub(super) fn log(command: &Command, settings: &[Setting]) {
    let version = command.get_version().unwrap_or_default();
    tracing::info!(version, "leadclicksd starts");
    for Setting {
        option,
        value,
        source,
    } in settings
    {
        tracing::info!(option, value, source, "setting");
    }
}
