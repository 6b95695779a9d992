//! The commands, one file each: from arguments to a question to the library, from its answer to
//! what is printed.

mod gc;
mod release;
mod reserve;
mod status;

use portkeeper::{HolderCommand, PortKeeper, Settings};

use crate::args::{Cli, Command, Global};
use crate::env_vars::Environment;
use crate::error::Error;
use crate::{logging, output};

/// The word by which this program starts itself as a holder.
pub(crate) const HOLDER: &str = "__hold";

pub(crate) fn run(cli: Cli, environment: Environment) -> Result<(), Error> {
    let Cli { global, command } = cli;
    output::set_up(global.color, global.quiet);
    logging::set_up(global.verbose, environment.log.as_deref())?;
    environment.warn();
    let keeper = open(&global, environment.settings)?;
    match command {
        Command::Reserve(args) => reserve::run(&args, &keeper, global.format),
        Command::Release(args) => release::run(&args, &keeper, global.format),
        Command::Status(args) => status::run(&args, &keeper, global.format),
        Command::Gc(args) => gc::run(&args, &keeper, global.format),
    }
}

/// What is said on the command line goes before what the environment says.
fn open(global: &Global, mut settings: Settings) -> Result<PortKeeper, Error> {
    if let Some(path) = &global.registry {
        settings.registry = Some(path.clone());
    }
    if let Some(time) = global.lock_timeout {
        settings.lock_timeout = Some(time);
    }
    let keeper = PortKeeper::open(settings)?;
    Ok(match std::env::current_exe() {
        Ok(program) => {
            keeper.with_holder(HolderCommand { program, arguments: vec![HOLDER.into()] })
        }
        // Only --hold needs it, and says so.
        Err(_) => keeper,
    })
}
