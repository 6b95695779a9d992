//! Starting a supervisor and giving it the ports. Never waits for it longer than a deadline.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use pk_core::handoff::child::own_group;
use pk_core::handoff::pass;
use pk_fs::failpoint;
use pk_registry::Lease;

use super::Launch;
use super::message::{Channel, Given, Orders, Said};
use crate::error::Error;
use crate::holder::launch::Control;
use crate::holder::{HolderCommand, Role, message};
use crate::reservation::Reservation;

/// How long a supervisor may take to say that it is up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A supervisor that has not been given anything yet. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Waiting {
    child: Child,
    stream: UnixStream,
}

/// A supervisor that has the ports.
#[derive(Debug)]
pub(super) struct Crew {
    pub(super) child: Child,
    pub(super) channel: Channel,
    pub(super) terminal: Option<File>,
}

impl Waiting {
    pub(super) fn start(
        command: &HolderCommand,
        program: &[OsString],
        variables: &[(String, String)],
    ) -> Result<Waiting, Error> {
        let failed = Error::holder(command);
        let (stream, theirs) = UnixStream::pair().map_err(&failed)?;
        let child = command
            .process(Role::Run)
            .args(program)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            // What a terminal sends to the command's group is not meant for it.
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .map_err(&failed)?;
        failpoint!("supervisor.started");
        Ok(Waiting { child, stream })
    }

    /// Hands over the holds of the reservations; their guards stay here.
    pub(super) fn hand_over(
        self,
        command: &HolderCommand,
        launch: &Launch,
        reservations: &mut [Reservation],
        mut control: Control,
    ) -> Result<Crew, Error> {
        let failed = Error::holder(command);
        // Without a group that the terminal knows there is nothing to give and take.
        let terminal = own_group().and_then(|_| terminal());
        let holds: Vec<_> = reservations
            .iter_mut()
            .map(|it| it.take_hold().ok_or_else(Error::not_held))
            .collect::<Result<_, _>>()?;
        let given = reservations.iter().zip(&holds).map(|(it, hold)| Given {
            host: it.host().to_string(),
            port: it.port().number(),
            sockets: hold.descriptors().len(),
        });
        let first = reservations.first().map(Reservation::record);
        let orders = Orders {
            ids: reservations
                .iter()
                .map(|it| it.record().id.clone())
                .collect(),
            control: control.path().as_os_str().as_bytes().to_vec(),
            ports: given.collect(),
            keys: launch.keys(reservations.len()),
            ends: match first.map(|it| it.lease) {
                None | Some(Lease::Never) => None,
                Some(Lease::Until(end)) => Some(end),
            },
            until: first.and_then(|it| it.until).map(Into::into),
            hand_over: launch.way(),
            restart: launch.restart,
            watch: launch.watch,
            terminal: terminal.is_some(),
            group: own_group().map_or(0, u32::cast_signed),
        };
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let listener = control.listener().ok_or_else(Error::not_held)?;
        let streams = [listener, stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let lives = reservations.iter().filter_map(Reservation::life);
        let descriptors: Vec<BorrowedFd<'_>> = streams
            .into_iter()
            .chain(terminal.as_ref().map(AsFd::as_fd))
            .chain(lives)
            .chain(holds.iter().flat_map(pk_core::Hold::descriptors))
            .collect();
        failpoint!("supervisor.order", |error| return Err(failed(error)));
        let answer = self
            .stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| pass::send(&self.stream, &message::encode(&orders), &descriptors))
            .and_then(|()| message::hear(&self.stream));
        match answer {
            Ok(Said::Ready) => {}
            Ok(_) => return Err(failed(io::ErrorKind::InvalidData.into())),
            Err(error) => return Err(failed(error)),
        }
        failpoint!("supervisor.ready");
        control.give_away();
        Ok(Crew {
            child: self.child,
            channel: Channel::new(self.stream, Vec::new()).map_err(&failed)?,
            terminal,
        })
    }
}

/// The terminal that this process belongs to, if there is one.
fn terminal() -> Option<File> {
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let opened = rustix::fs::open("/dev/tty", flags, rustix::fs::Mode::empty());
    opened.ok().map(File::from)
}
