//! The real library, with clocks, boots and users of our own. Never starts a holder: what is guarded
//! is guarded by values of this process.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use pk_tests::Ports;
use pk_tests::process::spawn;
use portkeeper::config::backup;
use portkeeper::fs::lock::{LockFile, Wait};
use portkeeper::fuzzing::{self, Clock, Elsewhere};
use portkeeper::{
    Error, Force, Listed, Port, PortKeeper, PortRange, Reservation, Selection, Settings, Ttl,
    Unused, Verdict,
};
use tempfile::TempDir;

use super::check::{self, Shown, Status};
use super::machine::{Mode, World};
use super::{Answer, Breakage, Model, Op, PORTS, Wish};
use crate::worlds;

/// The users' numbers.
const USERS: [u32; 2] = [61_001, 61_002];
/// When a machine has just booted.
const BOOTED: u64 = 1_000_000;
/// A second of the wall clock passes with each operation.
const TICK: Duration = Duration::from_secs(1);

/// The library in a world of its own.
#[derive(Debug)]
pub struct Library {
    root: TempDir,
    clock: Arc<Mutex<Clock>>,
    keepers: Vec<PortKeeper>,
    guards: BTreeMap<u32, Reservation>,
    servers: BTreeMap<u8, std::net::TcpListener>,
    process: Option<Child>,
    boots: u32,
    /// Ports of entries that can't be read, of an earlier boot.
    forgotten: Vec<u8>,
    /// The largest fence so far.
    fence: u64,
}

/// The ports of all sequences of this process.
pub(super) fn ports() -> &'static Ports {
    static PORTS_OF_ALL: OnceLock<Ports> = OnceLock::new();
    PORTS_OF_ALL.get_or_init(|| Ports::claim(PORTS.into()))
}

pub(super) fn number(port: u8) -> u16 {
    ports().at(port.into())
}

/// The index of a port.
pub(super) fn index(number: u16) -> u8 {
    u8::try_from(number - ports().at(0)).expect("one of few")
}

impl World for Library {
    const MODE: Mode = Mode::Library;

    fn new() -> Library {
        let root = worlds::folder();
        let clock = Arc::new(Mutex::new(Clock {
            boot_id: "boot-0".into(),
            boot_ms: BOOTED,
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        }));
        let settings = Settings {
            registry: Some(root.path().join("registry.json")),
            state_dir: Some(root.path().join("state")),
            ..Settings::default()
        };
        let keeper = |uid| {
            let keeper = PortKeeper::open(settings.clone()).unwrap();
            let clock = Arc::clone(&clock);
            fuzzing::elsewhere(keeper, Elsewhere { uid, clock })
        };
        let keepers = USERS.map(keeper).into();
        let first = Model::default();
        fs::write(root.path().join(".env"), check::env(&first.env, number)).unwrap();
        fs::write(
            root.path().join("config.json"),
            check::config(&first.json, number),
        )
        .unwrap();
        Library {
            root,
            clock,
            keepers,
            guards: BTreeMap::new(),
            servers: BTreeMap::new(),
            process: None,
            boots: 0,
            forgotten: Vec::new(),
            fence: 0,
        }
    }

    fn act(&mut self, op: &Op, after: &Model) -> Answer {
        self.tick(TICK);
        match op {
            Op::Reserve(wish) => return self.reserve(wish, after),
            Op::Release { user, port } => return self.release(*user, *port),
            Op::Renew { user, port, ttl } => return self.renew(*user, *port, *ttl),
            Op::Collect => self.collect(after),
            // Both ways of letting go.
            Op::LetGo(id) if id % 2 == 0 => self.guard(*id).release().unwrap(),
            Op::LetGo(id) => drop(self.guard(*id)),
            Op::Keep(id) => self.keep(*id),
            Op::Kill(id) => self.kill(*id),
            Op::Pass(time) => self.clock.lock().unwrap().boot_ms += time,
            Op::SetClock(days) => self.set_clock(*days),
            Op::Reboot => self.reboot(),
            Op::End => self.end_process(),
            Op::Serve(port) => {
                let server = std::net::TcpListener::bind(("127.0.0.1", number(*port)));
                self.servers.insert(*port, server.unwrap());
            }
            Op::Close(port) => drop(self.servers.remove(port)),
            Op::Break(how) => self.break_registry(*how),
            Op::Damage(port) => self.damage(*port),
            Op::Newer => self.newer(),
            Op::Note => self.note(),
            Op::Restore => return self.restore(),
        }
        Answer::Done
    }

    fn check(&self, model: &Model) {
        check::registry(self.status(), model, &self.forgotten);
        check::sockets(number, model);
        check::files(self.root.path(), number, model);
        self.check_folder();
    }
}

impl Library {
    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn tick(&self, time: Duration) {
        self.clock.lock().unwrap().wall += time;
    }

    fn set_clock(&self, days: i64) {
        let time = Duration::from_secs(days.unsigned_abs() * 86_400);
        let mut clock = self.clock.lock().unwrap();
        clock.wall = if days < 0 {
            clock.wall - time
        } else {
            clock.wall + time
        };
    }

    fn guard(&mut self, id: u32) -> Reservation {
        self.guards.remove(&id).expect("the model has it")
    }

    fn reserve(&mut self, wish: &Wish, after: &Model) -> Answer {
        let port = |index: u8| Port::new(number(index)).unwrap();
        let tied = wish.tied.then(|| self.process());
        let keeper = &self.keepers[usize::from(wish.user)];
        let range = PortRange::new(port(wish.range.start), port(wish.range.end - 1)).unwrap();
        let mut request = keeper.request().range(range).count(wish.count);
        request = request.protocol(wish.protocol.of());
        request = wish
            .preferred
            .map_or(request.clone(), |index| request.preferred(port(index)));
        request = if wish.strict {
            request.strict()
        } else {
            request
        };
        request = if wish.hold { request.hold() } else { request };
        if let Some(except) = wish.except.map(port) {
            request = request.exclude(PortRange::new(except, except).unwrap());
        }
        request = request.ttl(lease(wish.ttl)).env_path(self.path(".env"));
        request = tied.map_or(request.clone(), |pid| request.until(pid));
        if wish.write.is_in_env() {
            request = request.write_env("PORT");
        }
        if wish.write.is_in_json() {
            request = request.write_json(self.path("config.json"), "/server/port");
        }
        let (records, guards) = if wish.guarded {
            match request.reserve_all() {
                Err(error) => return refused(&error),
                Ok(guards) => (
                    guards.iter().map(|it| it.record().clone()).collect(),
                    guards,
                ),
            }
        } else {
            match request.keep() {
                Err(error) => return refused(&error),
                Ok(kept) => (kept.reservations, Vec::new()),
            }
        };
        let fence = records[0].fence;
        assert!(fence > self.fence, "fence {fence} after {}", self.fence);
        assert!(
            records.iter().all(|record| record.fence == fence),
            "made together"
        );
        self.fence = fence;
        let first = after.count + 1 - u32::try_from(records.len()).unwrap();
        self.guards.extend((first..).zip(guards));
        Answer::Granted(
            records
                .iter()
                .map(|record| index(record.port.number()))
                .collect(),
        )
    }

    fn renew(&self, user: u8, port: u8, ttl: Option<u64>) -> Answer {
        let keeper = &self.keepers[usize::from(user)];
        match keeper.renew(&only(port), Some(lease(ttl))) {
            Ok(renewed) => {
                assert!(renewed.iter().all(|it| index(it.port.number()) == port));
                Answer::Done
            }
            Err(Error::NotReserved { .. } | Error::NotYours { .. }) => Answer::Refused,
            Err(error) => panic!("{error}"),
        }
    }

    fn release(&self, user: u8, port: u8) -> Answer {
        let keeper = &self.keepers[usize::from(user)];
        let released = keeper.release(&only(port), Force::No).unwrap();
        let is_theirs = |error: &Error| matches!(error, Error::NotYours { .. });
        let is_missing = |error: &Error| matches!(error, Error::NotReserved { .. });
        let theirs = released.failed.iter().any(is_theirs);
        let missing = released.failed.iter().any(is_missing);
        let mine = released.released.len();
        assert_eq!(missing, mine == 0 && !theirs, "{released:?}");
        Answer::Released {
            mine,
            theirs,
            ended: false,
        }
    }

    fn collect(&self, after: &Model) {
        let collected = self.keepers[0].gc(Unused::Keep).unwrap();
        assert_eq!(collected.kept, after.entries.len() + after.damaged.len());
        assert_eq!(self.status().ended, [], "all that has ended is dropped");
        let kept = after
            .entries
            .iter()
            .filter(|entry| entry.guard.is_some())
            .count();
        let live = fs::read_dir(self.path("registry.json.live"));
        let live = live.map_or(0, Iterator::count);
        assert!(
            live <= kept + self.guards.len(),
            "{live} liveness files for {kept}"
        );
    }

    fn keep(&mut self, id: u32) {
        match self.guard(id).keep() {
            // It is somebody else's by now, or nobody's; then it is listed no more.
            Ok(_) | Err(Error::NotReserved { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Lets go of a guard as a process does that is killed: its sockets and locks are closed, and
    /// nothing else happens. While the registry is locked a guard can do no more.
    fn kill(&mut self, id: u32) {
        let guard = self.guard(id);
        let lock = LockFile::sidecar(self.path("registry.json.lock"));
        lock.exclusive(Wait::UpTo(TICK), |_| drop(guard)).unwrap();
    }

    fn reboot(&mut self) {
        for id in self.guards.keys().copied().collect::<Vec<_>>() {
            self.kill(id);
        }
        self.forgotten = (0..PORTS).collect();
        self.boots += 1;
        let mut clock = self.clock.lock().unwrap();
        (clock.boot_id, clock.boot_ms) = (format!("boot-{}", self.boots), BOOTED);
    }

    /// The process that reservations are tied to.
    fn process(&mut self) -> u32 {
        let start = || {
            let mut command = Command::new("cat");
            command.stdin(Stdio::piped()).stdout(Stdio::null());
            spawn(&mut command).unwrap()
        };
        self.process.get_or_insert_with(start).id()
    }

    fn end_process(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn break_registry(&self, how: Breakage) {
        let path = self.path("registry.json");
        let now = fs::read(&path).unwrap_or_default();
        match how {
            Breakage::Missing => drop(fs::remove_file(path)),
            Breakage::Empty => fs::write(path, "").unwrap(),
            Breakage::Torn if now.len() > 20 => fs::write(path, &now[..now.len() / 2]).unwrap(),
            Breakage::Torn | Breakage::Garbage => fs::write(path, b"\0\0<html>\xff").unwrap(),
        }
    }

    fn damage(&mut self, port: u8) {
        let path = self.path("registry.json");
        let port = number(port);
        let network = portkeeper::Here::now().machine.network;
        let entry = format!("\"tcp/127.0.0.1:{port}@{network}\":{{\"port\":{port}}}}}}}\n");
        // What is of another boot goes, and what comes now is of this one.
        self.keepers[0].gc(Unused::Keep).unwrap();
        let now = fs::read_to_string(&path).unwrap_or_default();
        let front = match now.strip_suffix("}}\n") {
            Some(front) if front.contains(&self.boot()) => front.to_owned(),
            _ => {
                let fresh = check::fresh(&path, &self.boot());
                fresh.strip_suffix("}}").expect("no entries").to_owned()
            }
        };
        let comma = if front.ends_with('{') { "" } else { "," };
        fs::write(path, format!("{front}{comma}{entry}")).unwrap();
    }

    fn boot(&self) -> String {
        self.clock.lock().unwrap().boot_id.clone()
    }

    /// A newer version writes the registry: nobody touches it, and then it is as it was.
    fn newer(&self) {
        let path = self.path("registry.json");
        let now = fs::read(&path).ok();
        let newer = r#"{"schema":"portkeeper/registry","version":2,"min_reader":2,"entries":[]}"#;
        fs::write(&path, newer).unwrap();
        let keeper = &self.keepers[0];
        assert!(keeper.status().is_err() && keeper.gc(Unused::Keep).is_err());
        assert!(keeper.release(&Selection::default(), Force::No).is_err());
        assert!(keeper.request().keep().is_err());
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            newer,
            "a newer version's is left alone"
        );
        match now {
            Some(now) => fs::write(path, now).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
    }

    fn note(&self) {
        for (name, note) in [(".env", "# a note\n"), ("config.json", "// a note\n")] {
            let path = self.path(name);
            let text = fs::read_to_string(&path).unwrap() + note;
            fs::write(path, text).unwrap();
        }
    }

    fn restore(&self) -> Answer {
        let keeper = &self.keepers[0];
        let wall = self.clock.lock().unwrap().wall;
        let state = keeper.state().unwrap();
        match backup::restore(&state, &self.path(".env"), None, wall) {
            Ok(_) => Answer::Done,
            Err(portkeeper::config::Error::NoBackup { .. }) => Answer::Refused,
            Err(error) => panic!("{error}"),
        }
    }

    fn status(&self) -> Status {
        let snapshot = self.keepers[0].status().unwrap();
        let mut status = Status {
            warns: !snapshot.warnings.is_empty(),
            ..Status::default()
        };
        for entry in snapshot.entries {
            match entry {
                Listed::Damaged { port, .. } => {
                    status
                        .damaged
                        .push(index(port.expect("its key names it").number()));
                }
                Listed::Sound {
                    reservation,
                    verdict,
                } => {
                    let user = USERS.iter().position(|uid| *uid == reservation.uid);
                    let shown = Shown {
                        port: index(reservation.port.number()),
                        protocol: reservation.protocol.name(),
                        user: u8::try_from(user.expect("one of two")).unwrap(),
                        kept: reservation.kind != portkeeper::Kind::Leased,
                    };
                    match verdict {
                        Verdict::Alive => status.alive.push(shown),
                        Verdict::Stale(_) => status.ended.push(shown),
                        Verdict::Elsewhere => panic!("all of it is here"),
                    }
                }
            }
        }
        status
    }

    /// Nothing lies about.
    fn check_folder(&self) {
        let mut aside = 0;
        for entry in fs::read_dir(self.root.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            aside += usize::from(name.starts_with("registry.json.corrupt-"));
            let known = [
                ".env",
                "config.json",
                "state",
                "registry.json",
                "registry.json.lock",
            ];
            let is_known = known.contains(&&*name)
                || name == "registry.json.live"
                || name.starts_with("registry.json.corrupt-");
            assert!(is_known, "{name} lies about");
        }
        assert!(aside <= 5, "{aside} registries are kept aside");
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // While there is a registry: a guard without one would make another.
        self.guards.clear();
        self.end_process();
    }
}

/// What is on a port.
fn only(port: u8) -> Selection {
    Selection {
        ports: vec![Port::new(number(port)).unwrap()],
        ..Selection::default()
    }
}

/// So many milliseconds, or for ever.
fn lease(ttl: Option<u64>) -> Ttl {
    ttl.map_or(Ttl::Never, |time| Ttl::For(Duration::from_millis(time)))
}

/// Only for want of ports.
fn refused(error: &Error) -> Answer {
    let is_expected = matches!(error, Error::NoFreePort(_) | Error::Taken { .. });
    assert!(is_expected, "{error}");
    Answer::Refused
}
