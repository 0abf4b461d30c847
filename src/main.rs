//! The `flexgate` program. Everything is in the library, where tests can reach it.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Small blocks that one core allocates and frees, again and again, are what a proxy's memory is about.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    flexgate::telemetry::install_crypto();
    flexgate::cli::run()
}
