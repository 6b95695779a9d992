//! The guard: a reservation that lasts as long as a value. Never outlives its process.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use pk_core::{Coverage, Hold, Host, Machine, Origin, Port, ProcessId, Protocol, Transport};
use pk_fs::live::LiveFile;
use pk_fs::lock::Wait;
use pk_registry::{Here, Kind, Lease, Reservation as Record, Transaction};
use tracing::debug;

use crate::error::Error;
use crate::holder::Role;
use crate::holder::launch::{Control, Launched};
use crate::keeper::PortKeeper;
use crate::launch::{Ending, Launch, Notice};
use crate::pick::Grip;
use crate::places;

/// A port that is reserved, and if it was asked for held, until this is dropped.
///
/// Dropping it never fails and never waits: where the registry is locked at that moment the entry
/// stays behind, as one that everybody can see to have ended. [`Reservation::release`] waits, and
/// tells.
///
/// One that was there already, under its [name](crate::Request::name), is there afterwards as well:
/// this is then a view of it.
///
/// A forked child that drops its copy does nothing: the reservation is its parent's.
#[derive(Debug)]
#[must_use = "the port is released when this is dropped"]
pub struct Reservation {
    keeper: PortKeeper,
    /// Where it was made.
    machine: Machine,
    record: Record,
    hold: Option<Hold>,
    live: Option<LiveFile>,
    made_by: u32,
    /// It was there before, under its name, and goes on afterwards.
    is_found: bool,
}

/// What [`Reservation::keep`] could keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The reservation and its hold.
    Held,
    /// The reservation alone: it was not held, or no [`crate::HolderCommand`] is known.
    Leased,
}

impl Reservation {
    pub(crate) fn new(
        keeper: &PortKeeper,
        machine: Machine,
        record: Record,
        hold: Option<Hold>,
        live: Option<LiveFile>,
    ) -> Reservation {
        Reservation {
            keeper: keeper.clone(),
            machine,
            record,
            hold,
            live,
            made_by: std::process::id(),
            is_found: false,
        }
    }

    /// One that is there without this process. Only the hold, if there is one, ends with the value.
    pub(crate) fn found(
        keeper: &PortKeeper,
        machine: Machine,
        record: Record,
        grip: Grip,
    ) -> Result<Reservation, Error> {
        let hold = match grip {
            Grip::Record => None,
            Grip::Hold(coverage) => Some(Hold::acquire(
                record.host,
                record.port,
                record.protocol,
                coverage,
                Origin::Number,
            )?),
        };
        let mut found = Reservation::new(keeper, machine, record, hold, None);
        found.is_found = true;
        found.disarm();
        Ok(found)
    }

    /// Whether it was there before, under its name, and goes on afterwards.
    #[must_use]
    pub fn is_found(&self) -> bool {
        self.is_found
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> Port {
        self.record.port
    }

    /// Where the server will listen.
    #[must_use]
    pub fn host(&self) -> Host {
        self.record.host
    }

    /// The protocol that it is reserved for.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.record.protocol
    }

    /// What stands in the registry.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Whether the port is bound, so that nobody else can take it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.hold.is_some()
    }

    /// A TCP listener on the port. Where it is held this is a copy of the very socket that holds it,
    /// or one that is made behind a wider hold: there is no moment at which somebody else could take
    /// it, and the hold goes on. Where it is not held, it is bound now, which may fail.
    ///
    /// # Errors
    /// [`Error::Port`] when it can't listen; with [`pk_core::Error::OtherProtocol`] when the port is
    /// reserved for UDP alone.
    pub fn listener(&mut self) -> Result<TcpListener, Error> {
        match &mut self.hold {
            Some(hold) => Ok(hold.listener()?),
            None => Ok(self.bind(Transport::Tcp)?.into_listener()?),
        }
    }

    /// Like [`Reservation::listener`], for good: the reservation stays in the registry until this
    /// process ends, and the other sockets of the hold are let go of.
    ///
    /// # Errors
    /// As there; the reservation is released then.
    pub fn into_listener(mut self) -> Result<TcpListener, Error> {
        let listener = self.take_or_bind(Transport::Tcp)?.into_listener()?;
        self.outlive();
        Ok(listener)
    }

    /// A UDP socket on the port. Where it is held this is a copy of the very socket that holds it,
    /// or one that is made behind a wider hold: there is no moment at which somebody else could take
    /// it, and the hold goes on. Where it is not held, it is bound now, which may fail.
    ///
    /// # Errors
    /// [`Error::Port`]; with [`pk_core::Error::OtherProtocol`] when the port is reserved for TCP
    /// alone.
    pub fn udp_socket(&mut self) -> Result<UdpSocket, Error> {
        match &mut self.hold {
            Some(hold) => Ok(hold.udp_socket()?),
            None => Ok(self.bind(Transport::Udp)?.into_udp_socket()?),
        }
    }

    /// Like [`Reservation::udp_socket`], for good: the reservation stays in the registry until this
    /// process ends, and the other sockets of the hold are let go of.
    ///
    /// # Errors
    /// As there; the reservation is released then.
    pub fn into_udp_socket(mut self) -> Result<UdpSocket, Error> {
        let socket = self.take_or_bind(Transport::Udp)?.into_udp_socket()?;
        self.outlive();
        Ok(socket)
    }

    /// Lets any server in that sets `SO_REUSEADDR`, as nearly all do: for one that is started by
    /// other means than [`Reservation::launch`]. Until [`Reservation::tighten`] the port is not kept
    /// from another server that wants this very one.
    ///
    /// # Errors
    /// [`Error::NotHeld`], [`Error::Port`].
    pub fn relax(&self) -> Result<(), Error> {
        Ok(self.held()?.relax()?)
    }

    /// Lets nobody in any more. A server that has come in stays.
    ///
    /// # Errors
    /// As [`Reservation::relax`].
    pub fn tighten(&self) -> Result<(), Error> {
        Ok(self.held()?.tighten()?)
    }

    fn held(&self) -> Result<&Hold, Error> {
        let port = self.port();
        self.hold.as_ref().ok_or(Error::NotHeld { port })
    }

    /// How long [`Reservation::release`] and [`Reservation::keep`] wait for the registry's lock, where
    /// that is not what the settings said.
    pub fn lock_timeout(mut self, time: Duration) -> Reservation {
        self.keeper.settings.lock_timeout = Some(time);
        self
    }

    /// Lets the reservation outlive this process: as a lease of 24 hours (or what the request or the
    /// settings say), and where the port is held, in the care of a holder.
    ///
    /// # Errors
    /// [`Error::Holder`], [`Error::Registry`]; the reservation is released then.
    pub fn keep(mut self) -> Result<Kept, Error> {
        if self.is_found {
            return Ok(Kept::Leased);
        }
        let here = self.keeper.here();
        let record = self.record.clone();
        let lease = |now| match now {
            Lease::Never => self.keeper.lease(None, &here),
            Lease::Until(_) => now,
        };
        let (hold, live) = (self.hold.take(), self.live.take());
        let (Some(hold), Some(live), Some(command)) = (hold, live, &self.keeper.holder) else {
            let record = Record {
                kind: Kind::Leased,
                process: None,
                ..record
            };
            self.rewrite(&record, &here, lease)?;
            self.disarm();
            return Ok(Kept::Leased);
        };
        let launched = Launched::start(command)?;
        let process = launched.process(&here.machine)?;
        let control = Control::bind(&Control::path_of(
            &places::control_folder()?,
            &record.id,
            Role::Hold,
            process.pid,
        ))?;
        let record = Record {
            kind: Kind::Held,
            process: Some(process),
            control: Some(control.path().into()),
            ..record
        };
        let record = self.rewrite(&record, &here, lease)?;
        let mut holder = launched.hand_over(&record, self.keeper.path(), &live, control, hold)?;
        // Somebody has to ask for its status when it ends, or it stays in the process table.
        std::thread::spawn(move || holder.wait());
        self.disarm();
        Ok(Kept::Held)
    }

    /// Ends the reservation and frees the port. What was there before under its name goes on:
    /// [`PortKeeper::release`] ends it.
    ///
    /// # Errors
    /// [`Error::Registry`] when the entry can't be removed; the port is free all the same.
    pub fn release(mut self) -> Result<(), Error> {
        self.let_go();
        self.disarm();
        if self.is_found {
            return Ok(());
        }
        let here = self.keeper.here_on(&self.machine);
        self.keeper
            .forget(std::slice::from_ref(&self.record), &here)
    }

    /// Runs a program on the port, which is at no moment free, until nothing of the program is left;
    /// then the reservation ends. What a person may want to know meanwhile is told to `notice`.
    ///
    /// Meant for a program that does nothing else: from here on this process catches the signals
    /// that it passes on, and becomes the parent of every orphan below it.
    ///
    /// # Errors
    /// [`Error::NotHeld`], [`Error::Program`], [`Error::HandOver`], [`Error::NotReady`],
    /// [`Error::Supervisor`], and [`Error::Request`] when the keeper has no
    /// [`crate::HolderCommand`].
    pub fn launch(
        mut self,
        launch: &Launch,
        notice: &mut dyn FnMut(Notice),
    ) -> Result<Ending, Error> {
        launch.check(1)?;
        if self.hold.is_none() || self.is_found {
            return Err(Error::NotHeld { port: self.port() });
        }
        let here = self.keeper.here();
        let holder = self.keeper.holder()?.clone();
        let waiting = launch.prepare(&holder)?;
        let control = Control::bind(&Control::path_of(
            &places::control_folder()?,
            &self.record.id,
            Role::Run,
            std::process::id(),
        ))?;
        let record = Record {
            kind: Kind::Held,
            process: Some(ProcessId::this(&here.machine)),
            control: Some(control.path().into()),
            ..self.record.clone()
        };
        self.record = self.rewrite(&record, &here, |now| now)?;
        launch.run(&holder, vec![self], control, waiting, &here.machine, notice)
    }

    /// What keeps the port, to be kept by another process.
    pub(crate) fn take_hold(&mut self) -> Option<Hold> {
        self.hold.take()
    }

    /// What tells that the reservation is alive.
    pub(crate) fn life(&self) -> Option<BorrowedFd<'_>> {
        self.live.as_ref().map(AsFd::as_fd)
    }

    fn take_or_bind(&mut self, transport: Transport) -> Result<Hold, Error> {
        match self.hold.take() {
            Some(hold) => Ok(hold),
            None => self.bind(transport),
        }
    }

    /// Binds what is needed for a socket of this protocol.
    fn bind(&self, transport: Transport) -> Result<Hold, Error> {
        let (host, port) = (self.host(), self.port());
        let protocol = match (self.protocol(), transport) {
            (Protocol::Both, Transport::Tcp) => Protocol::Tcp,
            (Protocol::Both, Transport::Udp) => Protocol::Udp,
            (one, _) => one,
        };
        let hold = Hold::acquire(host, port, protocol, Coverage::Host, Origin::Number)?;
        Ok(hold)
    }

    /// Lets the reservation stay until this process ends.
    fn outlive(mut self) {
        // Its lock must last as long as the process: this is what tells others that it is alive.
        std::mem::forget(self.live.take());
        self.disarm();
    }

    /// Writes down what becomes of it, and gives that back. `lease` is made of the one that the registry
    /// knows: it may have been renewed since it was reserved.
    fn rewrite(
        &self,
        record: &Record,
        here: &Here,
        lease: impl Fn(Lease) -> Lease,
    ) -> Result<Record, Error> {
        let ports = vec![record.port];
        let replace = |transaction: &mut Transaction<'_>| {
            let there = transaction.reservations_of(&ports);
            let now = there.into_iter().find(|(it, _)| it.id == record.id);
            let record = Record {
                lease: lease(now.map_or(record.lease, |(now, _)| now.lease)),
                ..record.clone()
            };
            match transaction.replace(&record) {
                true => Ok(record),
                false => Err(Error::NotReserved {
                    ports: ports.clone(),
                }),
            }
        };
        Ok(self.keeper.update(here, replace)?.value)
    }

    fn let_go(&mut self) {
        self.hold = None;
        self.live = None;
    }

    /// Nothing is left to be done when this is dropped.
    fn disarm(&mut self) {
        self.made_by = 0;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.made_by != std::process::id() {
            return;
        }
        self.let_go();
        let here = self.keeper.here_on(&self.machine);
        let removed = self
            .keeper
            .registry
            .update(Wait::Never, &here, |transaction| {
                transaction.remove(self.record.port, &self.record.id);
                Ok::<_, pk_registry::Error>(())
            });
        if let Err(error) = removed {
            debug!(port = %self.port(), %error, "the entry stays, as one that has ended");
        }
    }
}
