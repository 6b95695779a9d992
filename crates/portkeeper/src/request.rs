//! A request for ports: what is wanted, and the steps from there to an answer, undone as one when a
//! step fails. Never answers before the reservation is on disk.

mod foreground;
mod grant;

use std::path::Path;
use std::time::Duration;

use pk_core::{
    Coverage, Fallback, Host, Machine, Port, PortRange, ProcessId, Protocol, Walk, Wish,
};
use pk_fs::failpoint;
use pk_registry::{Here, Owner, Reservation as Record};

use crate::draft::{Draft, Granted};
use crate::error::Error;
use crate::files::{EnvTarget, JsonTarget, Targets, WriteOptions, Written};
use crate::keeper::PortKeeper;
use crate::launch::{Ending, Launch, Notice};
use crate::pick::{self, Grip, InUse, Search};
use crate::places;
use crate::reservation::Reservation;
use crate::template::Template;
use crate::ttl::Ttl;
use crate::warning::Warning;

pub use foreground::HeldHere;

use grant::Grant;

/// What is wanted. Made by [`PortKeeper::request`]; one of [`Request::reserve`],
/// [`Request::reserve_all`], [`Request::keep`] and [`Request::hold_here`] carries it out.
#[derive(Debug, Clone)]
#[must_use = "nothing is reserved before `reserve`, `reserve_all` or `keep`"]
pub struct Request<'k> {
    keeper: &'k PortKeeper,
    wish: Wish,
    host: Host,
    protocol: Protocol,
    count: usize,
    wait: Duration,
    owner: Option<Owner>,
    hold: Holding,
    ttl: Option<Ttl>,
    until: Option<u32>,
    targets: Targets,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holding {
    No,
    Yes,
}

/// What was reserved, to last beyond the process that asked for it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Kept {
    /// The reservations, as they stand in the registry.
    pub reservations: Vec<Record>,
    /// Where and when they were made.
    pub here: Here,
    /// The files that were changed.
    pub files: Vec<Written>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

/// What a request would come to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Preview {
    /// The ports, each with its host.
    pub ports: Vec<(Host, Port)>,
    /// The protocol.
    pub protocol: Protocol,
    /// The changes of files, as unified diffs.
    pub diffs: Vec<String>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

impl<'k> Request<'k> {
    pub(crate) fn new(keeper: &'k PortKeeper) -> Request<'k> {
        Request {
            keeper,
            wish: Wish::default(),
            host: keeper.settings.host.unwrap_or_default(),
            protocol: Protocol::default(),
            count: 1,
            wait: Duration::ZERO,
            owner: None,
            hold: Holding::No,
            ttl: None,
            until: None,
            targets: Targets::default(),
        }
    }

    /// The port to be tried first. Connections that a dead server left on it are in nobody's way.
    pub fn preferred(mut self, port: Port) -> Self {
        self.wish.preferred = Some(port);
        self
    }

    /// Where to look; may be said several times. Without a range it is
    /// [`PortRange::DEFAULT`], entered at a place of this user's and folder's own.
    pub fn range(mut self, range: PortRange) -> Self {
        self.wish.ranges.push(range);
        self
    }

    /// The preferred port or none.
    pub fn strict(mut self) -> Self {
        self.wish.fallback = Fallback::Nothing;
        self
    }

    /// Where the server will listen; 127.0.0.1 where nothing is said.
    pub fn host(mut self, host: Host) -> Self {
        self.host = host;
        self
    }

    /// For which protocol; TCP where nothing is said. [`Protocol::Both`] wants the same number of
    /// each.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Wait at most this long for what is wanted to become free, instead of failing at once. Who
    /// waits longest is not served first.
    pub fn wait(mut self, time: Duration) -> Self {
        self.wait = time;
        self
    }

    /// How many ports, all or none; 1 where nothing is said.
    pub fn count(mut self, count: usize) -> Self {
        self.count = count;
        self
    }

    /// A label for people.
    pub fn owner(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Bind the port as well, so that nobody else can.
    pub fn hold(mut self) -> Self {
        self.hold = Holding::Yes;
        self
    }

    /// How long it lasts at most. What [`Request::keep`] makes lasts 24 hours where nothing is said,
    /// what is guarded as long as its guard.
    pub fn ttl(mut self, ttl: Ttl) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// End it when this process ends.
    pub fn until(mut self, pid: u32) -> Self {
        self.until = Some(pid);
        self
    }

    /// Write the port as the value of `key` into the `.env` file; may be said several times. With
    /// more than one port, the k-th key gets the k-th.
    pub fn write_env(self, key: impl Into<String>) -> Self {
        self.write_env_as(key, Template::port())
    }

    /// Like [`Request::write_env`], with something around the port.
    pub fn write_env_as(mut self, key: impl Into<String>, value: Template) -> Self {
        self.targets.env.push(EnvTarget {
            key: key.into(),
            value,
        });
        self
    }

    /// Which file that is; `.env` where nothing is said.
    pub fn env_path(mut self, path: impl AsRef<Path>) -> Self {
        self.targets.env_path = path.as_ref().into();
        self
    }

    /// Write the port into a JSON file, at this RFC 6901 pointer; may be said several times. With
    /// more than one port, the k-th pointer gets the k-th.
    pub fn write_json(mut self, path: impl AsRef<Path>, pointer: impl Into<String>) -> Self {
        let (path, pointer) = (path.as_ref().into(), pointer.into());
        self.targets.json.push(JsonTarget { path, pointer });
        self
    }

    /// How files are written.
    pub fn write_options(mut self, options: WriteOptions) -> Self {
        self.targets.options = options;
        self
    }

    /// Reserves one port until the answer is dropped.
    ///
    /// # Errors
    /// [`Error::NoFreePort`], [`Error::Taken`] (after [`Request::wait`] in [`Error::Waited`]) and the
    /// rest of [`Error`]; nothing is reserved then.
    pub fn reserve(self) -> Result<Reservation, Error> {
        let mut all = self.count(1).reserve_all()?;
        Ok(all.pop().expect("one was wanted, and it is all or nothing"))
    }

    /// Reserves as many ports as are wanted, or none, each until its answer is dropped.
    ///
    /// # Errors
    /// As [`Request::reserve`].
    pub fn reserve_all(self) -> Result<Vec<Reservation>, Error> {
        let grip = match self.hold {
            Holding::No => Grip::Record,
            Holding::Yes => Grip::Hold(Coverage::Host),
        };
        let mut start = self.rehearse()?;
        let machine = start.machine.clone();
        let drafts: Vec<_> = (0..self.count).map(|_| Draft::guarded(&machine)).collect();
        let ttl = self.ttl.unwrap_or(Ttl::Never);
        let grant = self.grant(grip, ttl, &drafts, &mut start)?;
        let made = self.guard(grant.ports, &machine);
        // A failure drops the guards, which releases what they guard.
        let records: Vec<_> = made.iter().map(|it| it.record().clone()).collect();
        self.write(&grant.here, &records)?;
        Ok(made)
    }

    /// Reserves as many ports as are wanted, or none, to last beyond this process: until they are
    /// released, until their lease or the named process ends, or until the next boot. With
    /// [`Request::hold`] a holder process keeps each of them bound.
    ///
    /// # Errors
    /// As [`Request::reserve`]; [`Error::Request`] when it is to be held and the keeper has no
    /// [`crate::HolderCommand`].
    pub fn keep(self) -> Result<Kept, Error> {
        let mut start = self.rehearse()?;
        let machine = start.machine.clone();
        let ttl = self.keeper.ttl(self.ttl).unwrap_or(Ttl::DEFAULT);
        let (grant, holders) = match self.hold {
            Holding::No => {
                let drafts: Vec<_> = (0..self.count).map(|_| Draft::leased()).collect();
                (
                    self.grant(Grip::Record, ttl, &drafts, &mut start)?,
                    Vec::new(),
                )
            }
            Holding::Yes => {
                let holders = self.start_holders(&machine)?;
                let grip = Grip::Hold(Coverage::Everywhere);
                (self.grant(grip, ttl, &holders, &mut start)?, holders)
            }
        };
        let Grant {
            ports,
            here,
            mut warnings,
        } = grant;
        warnings.extend(self.warnings(ports.iter().map(|it| it.taken.candidate)));
        let records: Vec<Record> = ports.iter().map(|it| it.record.clone()).collect();
        failpoint!("request.granted", |error| {
            return Err(self.undo(&records, &here, Error::io("go on")(error)));
        });
        let kept = || -> Result<Vec<Written>, Error> {
            for (granted, standby) in ports.into_iter().zip(holders) {
                standby.take(granted, self.keeper.path())?;
            }
            self.write(&here, &records)
        };
        match kept() {
            Ok(files) => {
                failpoint!("request.kept");
                Ok(Kept {
                    reservations: records,
                    here,
                    files,
                    warnings,
                })
            }
            Err(cause) => Err(self.undo(&records, &here, cause)),
        }
    }

    /// Reserves as many ports as are wanted, or none, and runs a program on them, which are at no
    /// moment free, until nothing of the program is left; then the reservations end. What a person
    /// may want to know meanwhile is told to `notice`. The reservations have no lease unless
    /// [`Request::ttl`] says so; when it ends, the program is ended.
    ///
    /// Meant for a process that does nothing else: from the program's start on it catches the
    /// signals that it passes on, and is the parent of every orphan below it.
    ///
    /// # Errors
    /// As [`Request::reserve`], and [`Reservation::launch`].
    pub fn launch(self, launch: &Launch, notice: &mut dyn FnMut(Notice)) -> Result<Ending, Error> {
        launch.check(self.count)?;
        let this = self.hold();
        let holder = this.keeper.holder()?;
        let waiting = launch.prepare(holder)?;
        let mut start = this.rehearse()?;
        let machine = start.machine.clone();
        let (process, folder) = (ProcessId::this(&machine), places::control_folder()?);
        let drafts = Draft::for_program(this.count, process, &folder);
        let ttl = this.ttl.unwrap_or(Ttl::Never);
        let grip = Grip::Hold(Coverage::Everywhere);
        let grant = this.grant(grip, ttl, &drafts, &mut start)?;
        let candidates: Vec<_> = grant.ports.iter().map(|it| it.taken.candidate).collect();
        let made = this.guard(grant.ports, &machine);
        let control = drafts.into_iter().find_map(Draft::into_control);
        let control = control.ok_or_else(Error::not_held)?;
        let records: Vec<_> = made.iter().map(|it| it.record().clone()).collect();
        this.write(&grant.here, &records)?;
        let warnings = grant.warnings.into_iter();
        let all = warnings.chain(this.warnings(candidates.into_iter()));
        all.for_each(|warning| notice(Notice::Warning(warning)));
        launch.run(holder, made, control, waiting, &machine, notice)
    }

    fn guard(&self, ports: Vec<Granted>, machine: &Machine) -> Vec<Reservation> {
        let guard = |it: Granted| {
            let (keeper, machine) = (self.keeper, machine.clone());
            Reservation::new(keeper, machine, it.record, it.taken.hold, it.live)
        };
        ports.into_iter().map(guard).collect()
    }

    /// What [`Request::keep`] would come to. Changes nothing.
    ///
    /// # Errors
    /// As there.
    pub fn preview(self) -> Result<Preview, Error> {
        let here = self.keeper.here();
        let grip = match self.hold {
            Holding::No => Grip::Record,
            Holding::Yes => Grip::Hold(Coverage::Everywhere),
        };
        let wanted = self.wanted(grip)?;
        self.until_process(&here.machine)?;
        let in_use = InUse::ask(self.protocol);
        let found = self.keeper.registry.preview(&here, |transaction| {
            let mut walk = Walk::new(self.protocol);
            pick::search(transaction, &mut walk, &wanted, Some(&in_use), here.wall)
        })?;
        let Search::Found(taken) = found else {
            return Err(contradiction("still crowded"));
        };
        let ports: Vec<_> = taken
            .iter()
            .map(|it| (self.host, it.candidate.port))
            .collect();
        let diffs = self.diffs(&ports)?;
        let warnings = self.warnings(taken.iter().map(|it| it.candidate));
        Ok(Preview {
            ports,
            protocol: self.protocol,
            diffs,
            warnings,
        })
    }
}

fn contradiction(why: &str) -> Error {
    Error::Request { why: why.into() }
}
