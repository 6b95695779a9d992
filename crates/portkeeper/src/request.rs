//! A request for ports: what is wanted, and the steps from there to an answer, undone as one when a
//! step fails. Never answers before the reservation is on disk.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use pk_core::{Coverage, Fallback, Host, Machine, Origin, Port, PortRange, ProcessId, Protocol};
use pk_core::{Wish, machine};
use pk_registry::{Here, Lease, Owner, Reservation as Record};
use tracing::debug;

use crate::draft::{Draft, Granted, Standby, Terms};
use crate::error::Error;
use crate::files::{EnvTarget, JsonTarget, Tag, Targets, WriteOptions, Written};
use crate::holder::client;
use crate::keeper::PortKeeper;
use crate::pick::{self, Grip, InUse, Search, Taken, Wanted};
use crate::places;
use crate::reservation::Reservation;
use crate::template::Template;
use crate::ttl::Ttl;
use crate::warning::Warning;

/// What is wanted. Made by [`PortKeeper::request`]; one of [`Request::reserve`],
/// [`Request::reserve_all`] and [`Request::keep`] carries it out.
#[derive(Debug, Clone)]
#[must_use = "nothing is reserved before `reserve`, `reserve_all` or `keep`"]
pub struct Request<'k> {
    keeper: &'k PortKeeper,
    wish: Wish,
    host: Host,
    count: usize,
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
            count: 1,
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
    /// [`Error::NoFreePort`], [`Error::Taken`] and the rest of [`Error`]; nothing is reserved then.
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
        let here = Here::now();
        self.rehearse(&here)?;
        let lease = self
            .ttl
            .map_or(Lease::Never, |ttl| self.keeper.lease(Some(ttl), &here));
        let drafts: Vec<_> = (0..self.count)
            .map(|_| Draft::guarded(&here.machine))
            .collect();
        let (granted, _) = self.grant(&here, grip, lease, &drafts)?;
        let made: Vec<Reservation> = granted
            .into_iter()
            .map(|it| Reservation::new(self.keeper.clone(), it.record, it.taken.hold, it.live))
            .collect();
        // A failure drops the guards, which releases what they guard.
        let records: Vec<_> = made.iter().map(|it| it.record().clone()).collect();
        self.write(&here, &records)?;
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
        let here = Here::now();
        self.rehearse(&here)?;
        let lease = self.keeper.lease(self.ttl, &here);
        let mut holders = match self.hold {
            Holding::No => Vec::new(),
            Holding::Yes => self.start_holders(&here.machine)?,
        };
        let (grip, drafts): (_, Vec<_>) = match self.hold {
            Holding::No => (
                Grip::Record,
                (0..self.count).map(|_| Draft::leased()).collect(),
            ),
            Holding::Yes => {
                let held = holders.iter().map(Standby::draft).collect();
                (Grip::Hold(Coverage::Everywhere), held)
            }
        };
        let (granted, mut warnings) = self.grant(&here, grip, lease, &drafts)?;
        warnings.extend(self.warnings(granted.iter().map(|it| it.taken.candidate)));
        let records: Vec<Record> = granted.iter().map(|it| it.record.clone()).collect();
        let kept = || -> Result<Vec<Written>, Error> {
            for (granted, standby) in granted.into_iter().zip(holders.drain(..)) {
                standby.take(granted, self.keeper.path())?;
            }
            self.write(&here, &records)
        };
        match kept() {
            Ok(files) => Ok(Kept {
                reservations: records,
                here,
                files,
                warnings,
            }),
            Err(cause) => Err(self.undo(&records, &here, cause)),
        }
    }

    /// What [`Request::keep`] would come to. Changes nothing.
    ///
    /// # Errors
    /// As there.
    pub fn preview(self) -> Result<Preview, Error> {
        let here = Here::now();
        let grip = match self.hold {
            Holding::No => Grip::Record,
            Holding::Yes => Grip::Hold(Coverage::Everywhere),
        };
        let wanted = self.wanted(grip, &here)?;
        self.until_process(&here.machine)?;
        let in_use = InUse::ask();
        let found = self.keeper.registry.preview(&here, |transaction| {
            pick::search(transaction, &wanted, Some(&in_use), here.wall)
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
            diffs,
            warnings,
        })
    }

    /// Takes the ports and writes them down, all or none.
    fn grant(
        &self,
        here: &Here,
        grip: Grip,
        lease: Lease,
        drafts: &[Draft],
    ) -> Result<(Vec<Granted>, Vec<Warning>), Error> {
        let wanted = self.wanted(grip, here)?;
        let until = self.until_process(&here.machine)?;
        let terms = Terms {
            host: self.host,
            owner: self.owner.as_ref(),
            lease,
            until,
            here,
        };
        let mut in_use = None;
        loop {
            let updated = self.keeper.update(here, |transaction| {
                let search = pick::search(transaction, &wanted, in_use.as_ref(), here.wall)?;
                let Search::Found(taken) = search else {
                    return Ok(None);
                };
                for ended in transaction.ended() {
                    client::tidy(&ended.reservation, &here.machine);
                }
                let record =
                    |(taken, draft): (Taken, &Draft)| draft.record(transaction, &terms, taken);
                taken
                    .into_iter()
                    .zip(drafts)
                    .map(record)
                    .collect::<Result<_, _>>()
                    .map(Some)
            })?;
            let Some(granted) = updated.value else {
                in_use = Some(InUse::ask());
                continue;
            };
            return Ok((
                granted,
                updated
                    .warnings
                    .into_iter()
                    .map(Warning::Registry)
                    .collect(),
            ));
        }
    }

    /// Finds what is wrong with the files before a port is taken, and ends what belongs to changes
    /// that were cut short.
    fn rehearse(&self, here: &Here) -> Result<(), Error> {
        if self.targets.is_empty() {
            return Ok(());
        }
        self.keeper.recover_files(here)?;
        let any = PortRange::DEFAULT.first();
        self.diffs(&vec![(self.host, any); self.count]).map(drop)
    }

    /// What would change in the files.
    fn diffs(&self, ports: &[(Host, Port)]) -> Result<Vec<String>, Error> {
        if self.targets.is_empty() {
            return Ok(Vec::new());
        }
        let state = self.keeper.state()?;
        let previews = self.targets.transaction(&state, ports).preview()?;
        Ok(previews.into_iter().map(|preview| preview.diff).collect())
    }

    fn write(&self, here: &Here, records: &[Record]) -> Result<Vec<Written>, Error> {
        if self.targets.is_empty() {
            return Ok(Vec::new());
        }
        let state = self.keeper.state()?;
        let ports: Vec<_> = records
            .iter()
            .map(|record| (record.host, record.port))
            .collect();
        let mut transaction = self
            .targets
            .transaction(&state, &ports)
            .wait(self.keeper.wait());
        let tag = Tag {
            registry: self.keeper.path().into(),
            ids: records.iter().map(|record| record.id.clone()).collect(),
        };
        if let Some(tag) = tag.write() {
            transaction = transaction.tag(tag);
        }
        Ok(transaction.commit(here.wall)?)
    }

    fn wanted(&self, grip: Grip, here: &Here) -> Result<Wanted, Error> {
        if self.count == 0 {
            return Err(contradiction("a count of 0 ports asks for nothing"));
        }
        if self.wish.fallback == Fallback::Nothing && self.wish.preferred.is_none() {
            return Err(contradiction("strict needs a preferred port"));
        }
        self.targets.check(self.count)?;
        let mut wish = self.wish.clone();
        if wish.ranges.is_empty() {
            wish.ranges.extend(self.keeper.settings.range);
        }
        if wish.preferred.is_none() {
            wish.preferred = self
                .targets
                .present()
                .filter(|port| is_suggestion(*port, &wish));
        }
        let folder = std::env::current_dir().unwrap_or_default();
        Ok(Wanted {
            wish,
            seed: pick::seed(here.uid, folder.as_os_str().as_bytes()),
            host: self.host,
            protocol: Protocol::Tcp,
            count: self.count,
            grip,
        })
    }

    fn until_process(&self, machine: &Machine) -> Result<Option<ProcessId>, Error> {
        let Some(pid) = self.until else {
            return Ok(None);
        };
        let process = ProcessId::of(pid, machine).map_err(Error::io("examine a process"))?;
        process.map(Some).ok_or(Error::NoProcess { pid })
    }

    fn start_holders(&self, machine: &Machine) -> Result<Vec<Standby>, Error> {
        let Some(command) = &self.keeper.holder else {
            return Err(contradiction(
                "no holder command is known, so a hold can't be kept",
            ));
        };
        let folder = places::control_folder()?;
        (0..self.count)
            .map(|_| Standby::start(command, &folder, machine))
            .collect()
    }

    fn warnings(&self, granted: impl Iterator<Item = pk_core::Candidate>) -> Vec<Warning> {
        let asked: Vec<_> = granted.filter(|it| it.origin != Origin::Default).collect();
        let ephemeral = match self.hold {
            // What is held is never handed out by the kernel.
            Holding::No if !asked.is_empty() => machine::ephemeral_range(),
            _ => None,
        };
        let of_port = |candidate: &pk_core::Candidate| {
            let port = candidate.port;
            let blocked = port
                .is_browser_blocked()
                .then_some(Warning::BrowserBlocked { port });
            let range = ephemeral.filter(|range| range.contains(port));
            let ephemeral = range.map(|range| Warning::Ephemeral { port, range });
            blocked.into_iter().chain(ephemeral)
        };
        asked.iter().flat_map(of_port).collect()
    }

    /// Takes back what was reserved, and returns the error that made it necessary.
    fn undo(&self, records: &[Record], here: &Here, cause: Error) -> Error {
        debug!(%cause, "taking the reservation back");
        match self.keeper.take_back(records, here) {
            Ok(()) => cause,
            Err(undo) => Error::NotUndone {
                cause: Box::new(cause),
                ports: records.iter().map(|record| record.port).collect(),
                undo: Box::new(undo),
            },
        }
    }
}

/// Whether a number that a file has already is good enough to be tried first: it was not asked for.
fn is_suggestion(port: Port, wish: &Wish) -> bool {
    match wish.ranges.as_slice() {
        [] => port.number() >= 1024 && !port.is_browser_blocked(),
        ranges => ranges.iter().any(|range| range.contains(port)),
    }
}

fn contradiction(why: &str) -> Error {
    Error::Request { why: why.into() }
}
