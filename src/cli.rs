//! The command lines of both programs: flags are validated first, then carried out.

pub mod admin;
pub mod daemon;
mod db_path;
mod failure;
mod output;
mod pager;
#[cfg_attr(
    not(fuzzing),
    expect(unreachable_pub, reason = "tests/fuzz uses this module")
)]
mod period;
mod progress;
mod signals;
mod systemd;
mod zone;

/// For tests/fuzz.
#[cfg(fuzzing)]
pub use period::{ParsePeriodError, Period};

use std::{fmt, io::Write, sync::LazyLock};

use crate::text::visible;

/// The database that both programs use if none is given.
const DB_DEFAULT: &str = "leadclicks.db";

/// The version, with the commit if bin/package, bin/static or bin/release has built the program in a clone.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let version = env!("CARGO_PKG_VERSION");
    match option_env!("LEADCLICKS_COMMIT") {
        Some(commit) => format!("{version} ({commit})"),
        None => version.to_owned(),
    }
});

/// The error for a variable that is set but empty. It is not the same as an unset one: if a script has lost the path of
/// its database, nothing should be stored or deleted in another.
fn empty_variable(variable: &str) -> String {
    format!("the variable {variable} is empty; give it a value, or unset it")
}

/// Prints an error as one line. Errors are returned up to `main`, and printed only there.
fn print_error(program: &str, error: &dyn fmt::Display) {
    // If standard error is closed, nobody can read the error.
    let _ = writeln!(
        std::io::stderr(),
        "{program}: {}",
        visible(&error.to_string())
    );
}
