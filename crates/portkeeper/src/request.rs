//! A request for ports: what is wanted, and the steps from there to an answer, undone as one when a
//! step fails. Never answers before the reservation is on disk.

mod foreground;
mod terms;
mod variables;

use std::path::Path;
use std::time::Duration;

use pk_core::{Coverage, Fallback, Host, Machine, Port, PortRange, ProcessId, Protocol, Wish};
use pk_registry::{Here, Name, Note, Owner};

use crate::draft::{Draft, Given};
use crate::error::Error;
use crate::files::{EnvTarget, JsonTarget, Targets, WriteOptions};
use crate::keep::{self, Kept, Reserved};
use crate::keeper::PortKeeper;
use crate::launch::{Ending, Launch, Notice};
use crate::order::{self, Keeps};
use crate::pick::Grip;
use crate::places;
use crate::project::Project;
use crate::reservation::Reservation;
use crate::template::Template;
use crate::ttl::Ttl;
use crate::warning::Warning;

pub use foreground::HeldHere;

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
    name: Option<Name>,
    project: Option<Project>,
    notes: Vec<Note>,
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
            name: None,
            project: None,
            notes: Vec::new(),
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

    /// The name by which the project of the current folder knows it. Under a name there is one
    /// reservation at a time: whoever asks again is given the same one while it lives, and the same
    /// number later, if it is free. A number that a name had goes before the preferred port, unless
    /// another one was preferred then.
    pub fn name(mut self, name: Name) -> Self {
        self.name = Some(name);
        self
    }

    /// In which project the name is meant.
    pub fn project(mut self, project: Project) -> Self {
        self.project = Some(project);
        self
    }

    /// Something to be found with it; may be said several times.
    pub fn note(mut self, note: Note) -> Self {
        self.notes.push(note);
        self
    }

    /// Ports that are never taken; may be said several times.
    pub fn exclude(mut self, range: PortRange) -> Self {
        self.wish.excluded.push(range);
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
        let mut start = self.rehearse()?;
        let machine = start.here.machine.clone();
        let grip = match self.hold {
            Holding::No => Grip::Record,
            Holding::Yes => Grip::Hold(Coverage::Host),
        };
        let recall = self.recall();
        let order = [self.order(grip, Keeps::Guard, self.ttl.unwrap_or(Ttl::Never), &recall)?];
        let drafts: Vec<_> = (0..self.count).map(|_| Draft::guarded(&machine)).collect();
        let grant = order::grant(self.keeper, &order, &drafts, &mut start, self.wait)?;
        let made = self.guard(grant.ports, grip, &machine)?;
        // A failure drops the guards, which releases what they guard.
        let records: Vec<_> = made.iter().map(|it| it.record().clone()).collect();
        let own = made.iter().filter(|it| !it.is_found());
        let own: Vec<_> = own.map(|it| it.record().clone()).collect();
        let reserved = Reserved {
            all: &records,
            made: &own,
        };
        self.write(&grant.here, &reserved)?;
        self.remember(&recall, &grant.here, &order, &records);
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
        let start = self.rehearse()?;
        let ttl = self.keeper.ttl(self.ttl).unwrap_or(Ttl::DEFAULT);
        let (grip, keeps) = self.kept();
        let recall = self.recall();
        let order = [self.order(grip, keeps, ttl, &recall)?];
        let write = |here: &Here, reserved: &Reserved<'_>| self.write(here, reserved);
        // Rehearsed above.
        keep::keep(
            self.keeper,
            &order,
            &recall,
            start,
            self.wait,
            || Ok(()),
            write,
        )
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
        let machine = start.here.machine.clone();
        let (process, folder) = (ProcessId::this(&machine), places::control_folder()?);
        let drafts = Draft::for_program(this.count, process, &folder);
        let recall = this.recall();
        let grip = Grip::Hold(Coverage::Everywhere);
        let ttl = this.ttl.unwrap_or(Ttl::Never);
        let order = [this.order(grip, Keeps::Program, ttl, &recall)?];
        let grant = order::grant(this.keeper, &order, &drafts, &mut start, this.wait)?;
        let warnings = order::warnings(&order, &grant.ports);
        let (records, before) = keep::made_and_before(&grant.ports);
        let begun = || {
            let made = this.guard(grant.ports, grip, &machine)?;
            let control = drafts.into_iter().find_map(Draft::into_control);
            let control = control.ok_or_else(Error::not_held)?;
            this.write(&grant.here, &Reserved::new(&records))?;
            Ok((made, control))
        };
        // A failure drops the guards, which lets go of the ports.
        let begun = begun();
        let (made, control) = begun
            .map_err(|cause| keep::put_back(this.keeper, &records, &before, &grant.here, cause))?;
        let forgotten = this.remember(&recall, &grant.here, &order, &records);
        let all = grant.warnings.into_iter().chain(warnings).chain(forgotten);
        all.for_each(|warning| notice(Notice::Warning(warning)));
        launch.run(holder, made, control, waiting, &machine, notice)
    }

    fn guard(
        &self,
        ports: Vec<Given>,
        grip: Grip,
        machine: &Machine,
    ) -> Result<Vec<Reservation>, Error> {
        let guard = |given| {
            let (keeper, machine) = (self.keeper, machine.clone());
            match given {
                Given::Made(it) => {
                    let hold = it.taken.hold;
                    Ok(Reservation::new(keeper, machine, it.record, hold, it.live))
                }
                Given::Found(record) => Reservation::found(keeper, machine, record, grip),
            }
        };
        ports.into_iter().map(guard).collect()
    }

    /// What [`Request::keep`] would come to. Changes nothing.
    ///
    /// # Errors
    /// As there.
    pub fn preview(self) -> Result<Preview, Error> {
        let here = self.keeper.here();
        let (grip, keeps) = self.kept();
        let ttl = self.keeper.ttl(self.ttl).unwrap_or(Ttl::DEFAULT);
        let order = [self.order(grip, keeps, ttl, &self.recall())?];
        let found = order::preview(self.keeper, &order, &here)?;
        let ports: Vec<_> = found
            .iter()
            .map(|it| (self.host, it.record().port))
            .collect();
        Ok(Preview {
            diffs: self.diffs(&ports)?,
            warnings: order::warnings(&order, &found),
            ports,
            protocol: self.protocol,
        })
    }
}

fn contradiction(why: &str) -> Error {
    Error::Request { why: why.into() }
}
