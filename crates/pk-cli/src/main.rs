//! The command `portkeeper`.

use std::process::ExitCode;

use portkeeper::HolderCommand;

fn main() -> ExitCode {
    let holder = std::env::current_exe().ok().map(|program| HolderCommand {
        program,
        arguments: vec![pk_cli::HOLDER.into()],
    });
    pk_cli::run(std::env::args_os(), std::env::vars_os(), holder).into()
}
