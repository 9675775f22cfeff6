//! The capture daemon; see `leadclicksd --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    leadclicks::cli::daemon::main()
}
