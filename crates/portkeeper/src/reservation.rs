//! The guard: a reservation that lasts as long as a value. Never outlives its process.

use std::net::TcpListener;

use pk_core::{Hold, Host, Port};
use pk_fs::live::LiveFile;
use pk_fs::lock::Wait;
use pk_registry::{Here, Kind, Reservation as Record, Transaction};
use tracing::debug;

use crate::error::Error;
use crate::holder::launch::{Control, Launched};
use crate::keeper::PortKeeper;
use crate::places;

/// A port that is reserved, and if it was asked for held, until this is dropped.
///
/// Dropping it never fails and never waits: where the registry is locked at that moment the entry
/// stays behind, as one that everybody can see to have ended. [`Reservation::release`] waits, and
/// tells.
///
/// A forked child that drops its copy does nothing: the reservation is its parent's.
#[derive(Debug)]
#[must_use = "the port is released when this is dropped"]
pub struct Reservation {
    keeper: PortKeeper,
    record: Record,
    hold: Option<Hold>,
    live: Option<LiveFile>,
    made_by: u32,
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
        keeper: PortKeeper,
        record: Record,
        hold: Option<Hold>,
        live: Option<LiveFile>,
    ) -> Reservation {
        Reservation {
            keeper,
            record,
            hold,
            live,
            made_by: std::process::id(),
        }
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

    /// A listener on the port. Where it is held this is a copy of the very socket that holds it, so
    /// that there is no moment at which somebody else could take it, and the hold goes on; where it
    /// is not, it is bound now, which may fail.
    ///
    /// # Errors
    /// [`Error::Port`] when it can't listen.
    pub fn listener(&self) -> Result<TcpListener, Error> {
        match &self.hold {
            Some(hold) => Ok(hold.listener()?),
            None => self.bind(),
        }
    }

    /// Like [`Reservation::listener`], for good: the reservation stays in the registry until this
    /// process ends, and the other addresses of the hold are let go of.
    ///
    /// # Errors
    /// As there; the reservation is released then.
    pub fn into_listener(mut self) -> Result<TcpListener, Error> {
        let listener = match self.hold.take() {
            Some(hold) => hold.into_listener()?,
            None => self.bind()?,
        };
        // Its lock must last as long as the process: this is what tells others that it is alive.
        std::mem::forget(self.live.take());
        self.disarm();
        Ok(listener)
    }

    /// Lets the reservation outlive this process: as a lease of 24 hours (or what the request or the
    /// settings say), and where the port is held, in the care of a holder.
    ///
    /// # Errors
    /// [`Error::Holder`], [`Error::Registry`]; the reservation is released then.
    pub fn keep(mut self) -> Result<Kept, Error> {
        let here = Here::now();
        let mut record = self.record.clone();
        if record.lease == pk_registry::Lease::Never {
            record.lease = self.keeper.lease(None, &here);
        }
        let (hold, live) = (self.hold.take(), self.live.take());
        let (Some(hold), Some(live), Some(command)) = (hold, live, &self.keeper.holder) else {
            let record = Record {
                kind: Kind::Leased,
                process: None,
                ..record
            };
            self.rewrite(&record, &here)?;
            self.disarm();
            return Ok(Kept::Leased);
        };
        let launched = Launched::start(command)?;
        let control = Control::bind(&places::control_folder()?, &record.id)?;
        let record = Record {
            kind: Kind::Held,
            process: Some(launched.process(&here.machine)?),
            control: Some(control.path().into()),
            ..record
        };
        self.rewrite(&record, &here)?;
        let mut holder = launched.hand_over(&record, self.keeper.path(), &live, control, hold)?;
        // Somebody has to ask for its status when it ends, or it stays in the process table.
        std::thread::spawn(move || holder.wait());
        self.disarm();
        Ok(Kept::Held)
    }

    /// Ends the reservation and frees the port.
    ///
    /// # Errors
    /// [`Error::Registry`] when the entry can't be removed; the port is free all the same.
    pub fn release(mut self) -> Result<(), Error> {
        self.let_go();
        self.disarm();
        let here = Here::now();
        self.keeper
            .forget(std::slice::from_ref(&self.record), &here)
    }

    fn bind(&self) -> Result<TcpListener, Error> {
        let hold = Hold::acquire(
            self.host(),
            self.port(),
            pk_core::Coverage::Host,
            pk_core::Origin::Number,
        )?;
        Ok(hold.into_listener()?)
    }

    fn rewrite(&self, record: &Record, here: &Here) -> Result<(), Error> {
        let replace = |transaction: &mut Transaction<'_>| match transaction.replace(record) {
            true => Ok(()),
            false => Err(Error::NotReserved {
                ports: vec![record.port],
            }),
        };
        self.keeper.update(here, replace).map(|_| ())
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
        let here = Here::now();
        let removed = self
            .keeper
            .registry
            .update(Wait::Never, &here, |transaction| {
                transaction.remove(&self.record.id);
                Ok::<_, pk_registry::Error>(())
            });
        if let Err(error) = removed {
            debug!(port = %self.port(), %error, "the entry stays, as one that has ended");
        }
    }
}
