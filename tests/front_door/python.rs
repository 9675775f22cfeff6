//! Python programs that use the database and the reports as other applications do.

use std::{
    ffi::OsStr,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::Ran;

/// Runs the Python program `tests/NAME`, which must succeed, and returns the JSON that it printed.
#[track_caller]
pub fn run(name: &str, args: &[&OsStr], input: &str) -> Value {
    let python = std::env::var_os("LEADCLICKS_TEST_PYTHON").expect(
        "LEADCLICKS_TEST_PYTHON names a Python with tests/python/requirements.txt installed: \
         run tests/run, which makes one, instead of cargo test",
    );
    let program = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name);
    let mut command = Command::new(python);
    command
        // The environment's own packages only, whatever variables the person who runs the tests has set.
        .arg("-I")
        .arg(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let ran = Ran::finish(command, input.as_bytes());
    assert!(ran.status.success(), "{ran}");
    serde_json::from_str(&ran.stdout).expect("JSON")
}
