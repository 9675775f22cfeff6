//! The command lines of both programs: flags are validated first, then carried out.

pub mod admin;
pub mod daemon;
mod failure;
mod instant;
mod output;
mod progress;
mod signals;
mod systemd;

/// For tests/fuzz.
#[cfg(fuzzing)]
pub use instant::{Instant, NotAnInstant};

use std::{fmt, io::Write};

use crate::text::visible;

/// Where both programs look for the database unless told otherwise.
const DB_DEFAULT: &str = "leadclicks.db";

/// An empty variable is not taken for one that is not set: where a script has lost its database's path, nothing should
/// be stored, or deleted, elsewhere.
fn empty_variable(variable: &str) -> String {
    format!("the variable {variable} is empty; give it a value, or unset it")
}

/// Prints an error once, at the edge, as one line whatever is in it.
fn print_error(program: &str, error: &dyn fmt::Display) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(
        std::io::stderr(),
        "{program}: {}",
        visible(&error.to_string())
    );
}
