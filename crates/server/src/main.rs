//! The `hallpass` binary.
use std::process::ExitCode;

fn main() -> ExitCode {
    hallpass::cli::main()
}
