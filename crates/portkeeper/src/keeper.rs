//! A registry, opened: what can be asked of it and done to it as a whole. Never keeps a lock or a
//! file open between two calls.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pk_config::{State, recovery};
use pk_core::sockets::{self, States};
use pk_core::{Host, Machine, Transport};
use pk_fs::failpoint;
use pk_fs::lock::Wait;
use pk_registry::{
    Ended, Here, Kind, Lease, Listed, Reason, Registry, Reservation, Snapshot, Transaction,
    Updated, Warning,
};
use rustix::net::AddressFamily;
use tracing::debug;

use crate::error::Error;
use crate::files::Tag;
use crate::holder::{HolderCommand, client, sweep};
use crate::places;
use crate::release::Force;
use crate::request::Request;
use crate::settings::Settings;
use crate::ttl::Ttl;

/// How long to wait for a lock where nothing is said.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// The way to reserve ports, and to see and change who has which.
///
/// It holds no lock and no file, so there can be many, also of the same registry.
#[derive(Debug, Clone)]
pub struct PortKeeper {
    pub(crate) registry: Registry,
    pub(crate) settings: Settings,
    pub(crate) holder: Option<HolderCommand>,
    #[cfg(feature = "fuzzing")]
    pub(crate) elsewhere: Option<crate::fuzzing::Elsewhere>,
}

/// What a collection came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Collected {
    /// The reservations that were dropped, each with the reason.
    pub removed: Vec<Ended>,
    /// How many entries are left.
    pub kept: usize,
    /// How many files that killed processes had left were removed.
    pub leftovers: usize,
    /// What a person should know about the registry.
    pub warnings: Vec<Warning>,
}

/// What to collect besides what has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unused {
    /// Nothing.
    #[default]
    Keep,
    /// Leases that are older than this and whose port nobody has bound.
    Drop(Duration),
}

impl PortKeeper {
    /// Opens the registry that the settings name. Nothing is read or created yet.
    ///
    /// # Errors
    /// [`Error::NoHome`], [`Error::ForeignHome`] where its place has to be derived.
    pub fn open(settings: Settings) -> Result<PortKeeper, Error> {
        let registry = Registry::at(places::registry(&settings)?);
        Ok(PortKeeper {
            registry,
            settings,
            holder: None,
            #[cfg(feature = "fuzzing")]
            elsewhere: None,
        })
    }

    /// Opens the registry in the file of this path.
    ///
    /// # Errors
    /// [`Error::NoFolder`] when a relative path can't be resolved.
    pub fn at(path: impl Into<PathBuf>) -> Result<PortKeeper, Error> {
        PortKeeper::open(Settings {
            registry: Some(path.into()),
            ..Settings::default()
        })
    }

    /// With a way to start holders, so that a hold can outlive this process.
    #[must_use]
    pub fn with_holder(self, command: HolderCommand) -> PortKeeper {
        PortKeeper {
            holder: Some(command),
            ..self
        }
    }

    /// How holders and supervisors are started.
    pub(crate) fn holder(&self) -> Result<&HolderCommand, Error> {
        self.holder.as_ref().ok_or_else(|| Error::Request {
            why: "no holder command is known, so a hold can't be kept".into(),
        })
    }

    /// Where and when this is.
    pub(crate) fn here(&self) -> Here {
        self.here_on(&Machine::here())
    }

    /// The same, where the boot and the namespaces are known already.
    pub(crate) fn here_on(&self, machine: &Machine) -> Here {
        #[cfg(feature = "fuzzing")]
        if let Some(elsewhere) = &self.elsewhere {
            return elsewhere.here();
        }
        Here::on(machine.clone())
    }

    /// The registry file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.registry.path()
    }

    /// The host of those who name none.
    #[must_use]
    pub fn host(&self) -> Host {
        self.settings.host.unwrap_or_default()
    }

    /// Begins a request for a port.
    pub fn request(&self) -> Request<'_> {
        Request::new(self)
    }

    /// Who has what. Takes no lock and creates nothing.
    ///
    /// # Errors
    /// [`Error::Registry`].
    pub fn status(&self) -> Result<Snapshot, Error> {
        Ok(self.registry.read(&self.here())?)
    }

    /// Drops what has ended, of any user, and what killed processes left lying about. Never drops a
    /// reservation only because nobody listens on its port, unless `unused` says so.
    ///
    /// # Errors
    /// [`Error::Registry`]; [`Error::Io`] where the kernel does not tell which ports are bound.
    pub fn gc(&self, unused: Unused) -> Result<Collected, Error> {
        let here = self.here();
        let in_use = InUse::ask(unused)?;
        let updated = self.update(&here, |transaction| {
            transaction.sweep(|reservation| in_use.drops(reservation, &here));
            Ok((transaction.ended().to_vec(), transaction.len()))
        })?;
        let Updated {
            value: (removed, kept),
            warnings,
            ..
        } = updated;
        for ended in &removed {
            client::tidy(&ended.reservation, &here.machine);
        }
        failpoint!("gc.collected");
        let mut leftovers = self.registry.sweep_leftovers(self.wait(), &here)?;
        failpoint!("gc.swept");
        leftovers += sweep::sweep(&here.machine);
        // Without a state folder no file was written.
        if let Ok(state) = self.state() {
            leftovers += state.sweep()?;
        }
        Ok(Collected {
            removed,
            kept,
            leftovers,
            warnings,
        })
    }

    /// What [`PortKeeper::gc`] would drop. Changes nothing.
    ///
    /// # Errors
    /// As there.
    pub fn preview_gc(&self, unused: Unused) -> Result<Collected, Error> {
        let here = self.here();
        let in_use = InUse::ask(unused)?;
        self.registry.preview(&here, |transaction| {
            transaction.sweep(|reservation| in_use.drops(reservation, &here));
            let (removed, kept) = (transaction.ended().to_vec(), transaction.len());
            Ok(Collected {
                removed,
                kept,
                leftovers: 0,
                warnings: Vec::new(),
            })
        })
    }

    /// Takes back changes of files that were cut short, and ends the reservations that were made
    /// with them. Every command that writes files does it first.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Registry`].
    pub fn recover(&self) -> Result<(), Error> {
        self.recover_files(&self.here())
    }

    pub(crate) fn recover_files(&self, here: &Here) -> Result<(), Error> {
        let (state, wait) = (self.state()?, self.wait());
        let recovered = recovery::recover(&state, wait, here.wall)?;
        for Tag { registry, ids } in recovered
            .rolled_back
            .iter()
            .filter_map(|tag| Tag::read(tag))
        {
            debug!(
                ?ids,
                "taken back with the files that they were written into"
            );
            let keeper = PortKeeper {
                registry: Registry::at(registry),
                ..self.clone()
            };
            let snapshot = keeper.registry.read(here)?;
            let is_meant = |entry| match entry {
                Listed::Sound { reservation, .. } if ids.contains(&reservation.id) => {
                    Some(reservation)
                }
                _ => None,
            };
            let records: Vec<_> = snapshot.entries.into_iter().filter_map(is_meant).collect();
            keeper.take_back(&records, here)?;
        }
        failpoint!("recover.taken-back");
        // Only now: whoever is killed before is told of them again.
        Ok(recovery::acknowledge(&state, wait, &recovered)?)
    }

    /// Ends reservations that should never have been.
    pub(crate) fn take_back(&self, records: &[Reservation], here: &Here) -> Result<(), Error> {
        for record in records.iter().filter(|record| record.kind == Kind::Held) {
            if let Err(error) = client::release(record, &self.registry, &here.machine, Force::Yes) {
                debug!(%error, "a holder stays");
            }
        }
        self.forget(records, here)
    }

    /// The state folder, which keeps backups and journals.
    ///
    /// # Errors
    /// [`Error::NoHome`], [`Error::ForeignHome`].
    pub fn state(&self) -> Result<State, Error> {
        Ok(State::at(places::state_dir(&self.settings)?))
    }

    /// Takes entries out of the registry; those that are no longer there are fine.
    pub(crate) fn forget(&self, reservations: &[Reservation], here: &Here) -> Result<(), Error> {
        if reservations.is_empty() {
            return Ok(());
        }
        self.update(here, |transaction| {
            for reservation in reservations {
                transaction.remove(reservation.port, &reservation.id);
            }
            Ok(())
        })?;
        Ok(())
    }

    pub(crate) fn update<T>(
        &self,
        here: &Here,
        work: impl FnMut(&mut Transaction<'_>) -> Result<T, Error>,
    ) -> Result<Updated<T>, Error> {
        self.registry.update(self.wait(), here, work)
    }

    /// How long to wait for a lock.
    #[must_use]
    pub fn wait(&self) -> Wait {
        Wait::UpTo(self.settings.lock_timeout.unwrap_or(LOCK_TIMEOUT))
    }

    /// How long a reservation is to last, if anybody said so.
    pub(crate) fn ttl(&self, asked: Option<Ttl>) -> Option<Ttl> {
        asked.or(self.settings.ttl)
    }

    /// The end of a lease that begins now.
    pub(crate) fn lease(&self, asked: Option<Ttl>, here: &Here) -> Lease {
        match self.ttl(asked).unwrap_or(Ttl::DEFAULT) {
            Ttl::Never => Lease::Never,
            Ttl::For(time) => Lease::Until(here.boot_ms.saturating_add(time.as_millis() as u64)),
        }
    }
}

/// The ports that somebody has bound, asked for only where it matters.
pub(crate) struct InUse {
    tcp: HashSet<u16>,
    /// `None` where the kernel does not tell (it has no `udp_diag`).
    udp: Option<HashSet<u16>>,
    unused: Unused,
}

impl InUse {
    pub(crate) fn ask(unused: Unused) -> Result<InUse, Error> {
        let families = [AddressFamily::INET, AddressFamily::INET6];
        let ask = |transport, states| -> io::Result<HashSet<u16>> {
            let found = match unused {
                Unused::Keep => Vec::new(),
                Unused::Drop(_) => sockets::list(transport, &families, states, None)?,
            };
            Ok(found.into_iter().map(|socket| socket.port).collect())
        };
        Ok(InUse {
            tcp: ask(Transport::Tcp, States::LISTENING | States::BOUND)
                .map_err(Error::io("ask the kernel which ports are in use"))?,
            udp: ask(Transport::Udp, States::RECEIVING).ok(),
            unused,
        })
    }

    pub(crate) fn has(&self, reservation: &Reservation) -> bool {
        let port = reservation.port.number();
        let has = |transport: &Transport| match transport {
            Transport::Tcp => self.tcp.contains(&port),
            Transport::Udp => self.udp.as_ref().is_none_or(|ports| ports.contains(&port)),
        };
        reservation.protocol.transports().iter().any(has)
    }

    pub(crate) fn drops(&self, reservation: &Reservation, here: &Here) -> Option<Reason> {
        let Unused::Drop(after) = self.unused else {
            return None;
        };
        let age = here
            .wall
            .duration_since(reservation.created)
            .unwrap_or_default();
        let is_unused = reservation.kind == Kind::Leased && age >= after && !self.has(reservation);
        is_unused.then_some(Reason::Unused)
    }
}
