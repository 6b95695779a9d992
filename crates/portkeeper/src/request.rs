//! A request for ports: what is wanted, and the steps from there to an answer, undone as one when a
//! step fails. Never answers before the reservation is on disk.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use pk_core::{Coverage, Fallback, Host, Machine, Origin, Port, PortRange, ProcessId, Protocol};
use pk_core::{Wish, machine};
use pk_fs::live::LiveFile;
use pk_registry::{Here, Kind, Lease, Owner, Reservation as Record, Transaction};
use tracing::debug;

use crate::error::Error;
use crate::files::{EnvKeys, Written};
use crate::holder::client;
use crate::holder::launch::{Control, Launched};
use crate::keeper::{Force, PortKeeper};
use crate::pick::{self, Grip, InUse, Search, Taken, Wanted};
use crate::places;
use crate::reservation::Reservation;
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
    env: EnvKeys,
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
            env: EnvKeys::default(),
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
    pub fn write_env(mut self, key: impl Into<String>) -> Self {
        self.env.keys.push(key.into());
        self
    }

    /// Which file that is; `.env` where nothing is said.
    pub fn env_path(mut self, path: impl AsRef<Path>) -> Self {
        self.env.path = path.as_ref().into();
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
        let lease = self.ttl.map_or(Lease::Never, |ttl| self.keeper.lease(Some(ttl), &here));
        let process = ProcessId::this(&here.machine);
        let drafts = (0..self.count)
            .map(|_| Draft { id: new_id(), kind: Kind::Guarded, process: Some(process), control: None })
            .collect();
        let (granted, _) = self.grant(&here, grip, lease, drafts)?;
        let made: Vec<Reservation> = granted
            .into_iter()
            .map(|it| Reservation::new(self.keeper.clone(), it.record, it.taken.hold, it.live))
            .collect();
        // A failure drops the guards, which releases what they guard.
        let ports: Vec<_> = made.iter().map(|it| (it.host(), it.port())).collect();
        self.write(&here, &ports)?;
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
        let lease = self.keeper.lease(self.ttl, &here);
        let mut holders = match self.hold {
            Holding::No => Vec::new(),
            Holding::Yes => self.start_holders(&here.machine)?,
        };
        let (grip, drafts) = match self.hold {
            Holding::No => {
                let leased =
                    || Draft { id: new_id(), kind: Kind::Leased, process: None, control: None };
                (Grip::Record, (0..self.count).map(|_| leased()).collect())
            }
            Holding::Yes => {
                let held = holders.iter().map(Standby::draft).collect();
                (Grip::Hold(Coverage::Everywhere), held)
            }
        };
        let (granted, mut warnings) = self.grant(&here, grip, lease, drafts)?;
        warnings.extend(self.warnings(granted.iter().map(|it| it.taken.candidate)));
        let records: Vec<Record> = granted.iter().map(|it| it.record.clone()).collect();
        let kept = || -> Result<Vec<Written>, Error> {
            for (granted, standby) in granted.into_iter().zip(holders.drain(..)) {
                standby.take(granted, self.keeper.path())?;
            }
            let ports: Vec<_> = records.iter().map(|it| (it.host, it.port)).collect();
            self.write(&here, &ports)
        };
        match kept() {
            Ok(files) => Ok(Kept { reservations: records, here, files, warnings }),
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
        let Search::Found(taken) = found else { return Err(contradiction("still crowded")) };
        let ports: Vec<_> = taken.iter().map(|it| (self.host, it.candidate.port)).collect();
        let diffs = self.env.preview(&self.keeper.settings, &ports)?;
        let warnings = self.warnings(taken.iter().map(|it| it.candidate));
        Ok(Preview { ports, diffs, warnings })
    }

    /// Takes the ports and writes them down, all or none.
    fn grant(
        &self,
        here: &Here,
        grip: Grip,
        lease: Lease,
        drafts: Vec<Draft>,
    ) -> Result<(Vec<Granted>, Vec<Warning>), Error> {
        let wanted = self.wanted(grip, here)?;
        let until = self.until_process(&here.machine)?;
        let mut in_use = None;
        loop {
            let updated = self.keeper.update(here, |transaction| {
                let search = pick::search(transaction, &wanted, in_use.as_ref(), here.wall)?;
                let Search::Found(taken) = search else { return Ok(None) };
                let record = |(taken, draft): (Taken, &Draft)| {
                    draft.record(transaction, self, here, lease, until, taken)
                };
                taken.into_iter().zip(&drafts).map(record).collect::<Result<_, _>>().map(Some)
            })?;
            let Some(granted) = updated.value else {
                in_use = Some(InUse::ask());
                continue;
            };
            return Ok((granted, updated.warnings.into_iter().map(Warning::Registry).collect()));
        }
    }

    fn write(&self, here: &Here, ports: &[(Host, Port)]) -> Result<Vec<Written>, Error> {
        self.env.write(&self.keeper.settings, self.keeper.wait(), here.wall, ports)
    }

    fn wanted(&self, grip: Grip, here: &Here) -> Result<Wanted, Error> {
        if self.count == 0 {
            return Err(contradiction("a count of 0 ports asks for nothing"));
        }
        if self.wish.fallback == Fallback::Nothing && self.wish.preferred.is_none() {
            return Err(contradiction("strict needs a preferred port"));
        }
        self.env.check(self.count)?;
        let mut wish = self.wish.clone();
        if wish.ranges.is_empty() {
            wish.ranges.extend(self.keeper.settings.range);
        }
        if wish.preferred.is_none() {
            wish.preferred = self.env.present().filter(|port| is_suggestion(*port, &wish));
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
        let Some(pid) = self.until else { return Ok(None) };
        let process = ProcessId::of(pid, machine).map_err(Error::io("examine a process"))?;
        process.map(Some).ok_or(Error::NoProcess { pid })
    }

    fn start_holders(&self, machine: &Machine) -> Result<Vec<Standby>, Error> {
        let Some(command) = &self.keeper.holder else {
            return Err(contradiction("no holder command is known, so a hold can't be kept"));
        };
        let folder = places::control_folder()?;
        let start = |_| {
            let launched = Launched::start(command)?;
            let process = launched.process(machine)?;
            let id = new_id();
            let control = Control::bind(&folder, &id)?;
            Ok(Standby { id, launched, process, control })
        };
        (0..self.count).map(start).collect()
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
            let blocked = port.is_browser_blocked().then_some(Warning::BrowserBlocked { port });
            let range = ephemeral.filter(|range| range.contains(port));
            let ephemeral = range.map(|range| Warning::Ephemeral { port, range });
            blocked.into_iter().chain(ephemeral)
        };
        asked.iter().flat_map(of_port).collect()
    }

    /// Takes back what was reserved, and returns the error that made it necessary.
    fn undo(&self, records: &[Record], here: &Here, cause: Error) -> Error {
        debug!(%cause, "taking the reservation back");
        for record in records.iter().filter(|record| record.kind == Kind::Held) {
            if let Err(error) = client::release(record, &here.machine, Force::Yes) {
                debug!(%error, "a holder stays");
            }
        }
        match self.keeper.forget(records, here) {
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

/// A reservation before its port is known.
struct Draft {
    id: String,
    kind: Kind,
    process: Option<ProcessId>,
    control: Option<std::path::PathBuf>,
}

impl Draft {
    fn record(
        &self,
        transaction: &mut Transaction<'_>,
        request: &Request<'_>,
        here: &Here,
        lease: Lease,
        until: Option<ProcessId>,
        taken: Taken,
    ) -> Result<Granted, Error> {
        let live = match self.kind {
            Kind::Leased => None,
            Kind::Guarded | Kind::Held => {
                Some(transaction.keep_alive(&self.id).map_err(pk_registry::Error::from)?)
            }
        };
        let record = transaction.insert(Record {
            id: self.id.clone(),
            port: taken.candidate.port,
            host: request.host,
            protocol: Protocol::Tcp,
            owner: request.owner.clone().map(String::from),
            uid: here.uid,
            fence: 0,
            created: here.wall,
            kind: self.kind,
            network: here.machine.network,
            time: here.machine.time,
            lease,
            process: self.process,
            until,
            control: self.control.clone(),
        })?;
        Ok(Granted { record, taken, live })
    }
}

/// A port that was taken and written down.
struct Granted {
    record: Record,
    taken: Taken,
    live: Option<LiveFile>,
}

/// A holder that waits for its port.
struct Standby {
    id: String,
    launched: Launched,
    process: ProcessId,
    control: Control,
}

impl Standby {
    fn draft(&self) -> Draft {
        Draft {
            id: self.id.clone(),
            kind: Kind::Held,
            process: Some(self.process),
            control: Some(self.control.path().into()),
        }
    }

    fn take(self, granted: Granted, registry: &Path) -> Result<(), Error> {
        let (Some(hold), Some(live)) = (granted.taken.hold, granted.live) else {
            return Err(contradiction("a port was not held that should be"));
        };
        self.launched.hand_over(&granted.record, registry, &live, self.control, hold)?;
        Ok(())
    }
}

/// 128 random bits in 26 characters (Crockford's base 32, lower case).
pub(crate) fn new_id() -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the kernel has random numbers once the machine is up");
    let bits = u128::from_le_bytes(bytes);
    let digit = |at| char::from(DIGITS[(bits >> (5 * at)) as usize % 32]);
    (0..26).map(digit).collect()
}
