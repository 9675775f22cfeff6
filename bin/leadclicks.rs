//! The admin's tool; see `leadclicks --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    leadclicks::cli::admin::main()
}
