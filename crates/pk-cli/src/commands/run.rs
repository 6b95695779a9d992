//! `portkeeper run` and `portkeeper take`: standard output is the program's own.

use portkeeper::PortKeeper;
use std::ffi::OsString;

use portkeeper::launch::{Cause, Ending, Notice, Rung, Status};

use super::{prepare::definition, wish};
use crate::args::{Program, Run, Take};
use crate::error::Error;
use crate::output;

pub(crate) fn run(
    args: &Run,
    keeper: &PortKeeper,
    search: Option<OsString>,
    verbose: bool,
) -> Result<(), Error> {
    let mut notice = teller(&args.program, verbose);
    if args.project {
        let prepare = keeper.prepare(definition(&args.of)?)?;
        let prepare = prepare
            .ttl(args.wish.ttl)
            .wait(args.wish.wait.unwrap_or_default())
            .write_options(args.wish.writing.options());
        let launch = args.program.launch().search(search);
        return end(prepare.launch(launch, &mut notice)?);
    }
    if args.of.config.is_some() || args.of.profile.is_some() {
        return Err(Error::usage(
            "--config and --profile are those of --project".into(),
        ));
    }
    let request = wish::request(&args.wish, keeper)?;
    let ending = request.launch(&args.program.launch().search(search), &mut notice)?;
    end(ending)
}

pub(crate) fn take(
    args: &Take,
    keeper: &PortKeeper,
    search: Option<OsString>,
    verbose: bool,
) -> Result<(), Error> {
    let launch = args.program.launch().search(search);
    let mut notice = teller(&args.program, verbose);
    let ending = keeper.take_for(args.port, &launch, &mut notice)?;
    end(ending)
}

/// The command's exit code is the program's, and that of a signal's victim is a shell's.
fn end(ending: Ending) -> Result<(), Error> {
    match ending.cause {
        Cause::Released => output::warn(&"the port was released, so the command was ended"),
        Cause::Over => output::warn(&"the reservation's time is over, so the command was ended"),
        Cause::Itself | Cause::Asked => {}
    }
    match ending.status {
        Status::Exited(0) => Ok(()),
        Status::Exited(code) => Err(Error::Ended(code as u8)),
        Status::Signalled(signal) => Err(Error::Ended(128_u8.saturating_add(signal as u8))),
    }
}

fn teller(program: &Program, verbose: bool) -> impl FnMut(Notice) {
    let is_awaited = program.is_awaited();
    move |notice| match notice {
        Notice::Warning(warning) => output::warn(&warning),
        Notice::Started {
            rung: Rung::Closed, ..
        } => {
            output::warn(&"the port was let go of for the command, so anybody could have taken it");
        }
        Notice::Started {
            rung,
            because: Some(because),
            ..
        } => output::warn(&format_args!(
            "{}, because its bind can't be answered: {because}",
            way(rung)
        )),
        Notice::Started {
            pid,
            rung,
            because: None,
        } if verbose => {
            output::note(&format_args!("{} (process {pid})", way(rung)));
        }
        Notice::Listening {
            port,
            address,
            pid,
            after,
        } if is_awaited || verbose => {
            output::note(&format_args!(
                "process {pid} listens on {} after {:.2} s",
                std::net::SocketAddr::new(address, port),
                after.as_secs_f32()
            ));
        }
        Notice::Refused { port, address, why } => output::warn(&format_args!(
            "the command could not be given {}: {why}",
            std::net::SocketAddr::new(address, port)
        )),
        Notice::Restarting { status, pause } => output::warn(&format_args!(
            "the command {}; it is started again in {:.1} s",
            match status {
                Status::Exited(code) => format!("failed with exit code {code}"),
                Status::Signalled(signal) => format!("was killed by signal {signal}"),
            },
            pause.as_secs_f32()
        )),
        _ => {}
    }
}

fn way(rung: Rung) -> &'static str {
    match rung {
        Rung::Inherited => "the command inherits the port's socket as descriptor 3",
        Rung::Adopted => "the command's bind is answered from behind the hold",
        Rung::Relaxed => {
            "the command shares the port with whoever sets SO_REUSEADDR, which is best effort only"
        }
        Rung::Closed => "the port was let go of",
    }
}
