//! The `hallpass` binary.
use std::process::ExitCode;

/// A request allocates a few dozen small pieces; see `docs/decisions/performance.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hallpass::cli::main()
}
