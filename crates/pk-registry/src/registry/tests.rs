//! Registries in temp directories: what is read, what is written and what is left alone.
#![allow(clippy::disallowed_methods, reason = "plain files set the scene")]

mod conflicts;
mod endings;
mod refusals;
mod shared;
mod states;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, UNIX_EPOCH};

use pk_core::{Host, Port, Protocol};
use pk_fs::lock;
use tempfile::TempDir;

use super::*;
use crate::format::{Document, Entry, MOST_ENTRIES};
use crate::{Kind, Lease, Listed, Obstacle, Reservation, Verdict};

/// A registry that nobody else has, and the place where it is looked at.
struct World {
    home: TempDir,
    registry: Registry,
    here: Here,
}

impl World {
    fn new() -> World {
        let home = tempfile::tempdir().unwrap();
        let registry = Registry::at(home.path().join("registry.json"));
        let machine = Machine {
            boot_id: "this boot".into(),
            network: 1,
            time: 2,
            processes: 3,
        };
        let here = Here {
            machine,
            boot_ms: 1000,
            wall: UNIX_EPOCH + Duration::from_secs(1_795_348_800),
            uid: rustix::process::geteuid().as_raw(),
        };
        World {
            home,
            registry,
            here,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// What lies in the folder of the registry, sorted.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.home.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    /// Puts bytes where the registry is, in place.
    fn set(&self, bytes: impl AsRef<[u8]>) {
        fs::write(self.registry.path(), bytes).unwrap();
    }

    /// Writes a registry of this boot, with this text between the braces of its entries.
    fn set_entries(&self, entries: &str) {
        self.set(format!(
            "{{\"version\":1,\"boot_id\":\"this boot\",\"entries\":{{{entries}}}}}"
        ));
    }

    fn text(&self) -> String {
        fs::read_to_string(self.registry.path()).unwrap()
    }

    /// What tells whether a file was written, replaced or only looked at.
    fn identity(&self) -> (u64, i64, i64, Vec<u8>) {
        let stat = fs::metadata(self.registry.path()).unwrap();
        let bytes = fs::read(self.registry.path()).unwrap();
        (stat.ino(), stat.mtime(), stat.mtime_nsec(), bytes)
    }

    #[track_caller]
    fn update<T>(&self, work: impl FnMut(&mut Transaction<'_>) -> T) -> Updated<T> {
        self.try_update(work).unwrap()
    }

    fn try_update<T>(
        &self,
        mut work: impl FnMut(&mut Transaction<'_>) -> T,
    ) -> Result<Updated<T>, Error> {
        self.registry
            .update(WAIT, &self.here, |transaction| Ok(work(transaction)))
    }

    #[track_caller]
    fn insert(&self, reservation: &Reservation) -> Reservation {
        self.update(|transaction| transaction.insert(reservation.clone()).unwrap())
            .value
    }

    /// What stands in the way of a TCP port on 127.0.0.1.
    #[track_caller]
    fn obstacle(&self, number: u16) -> Option<Obstacle> {
        self.update(|transaction| {
            transaction.obstacle(Host::default(), port(number), Protocol::Tcp)
        })
        .value
    }

    #[track_caller]
    fn verdicts(&self) -> Vec<(u16, Verdict)> {
        let entries = self.registry.read(&self.here).unwrap().entries;
        let verdict = |listed: &Listed| match listed {
            Listed::Sound {
                reservation,
                verdict,
            } => (reservation.port.number(), *verdict),
            Listed::Damaged { .. } => panic!("{listed:?}"),
        };
        entries.iter().map(verdict).collect()
    }
}

const WAIT: Wait = Wait::UpTo(Duration::from_secs(20));

fn port(number: u16) -> Port {
    Port::new(number).unwrap()
}

/// A leased reservation that lasts.
fn reservation(number: u16) -> Reservation {
    Reservation {
        id: format!("id{number}"),
        port: port(number),
        host: Host::default(),
        protocol: Protocol::Tcp,
        owner: None,
        name: None,
        project: None,
        notes: Default::default(),
        uid: 1000,
        fence: 0,
        created: UNIX_EPOCH,
        kind: Kind::Leased,
        network: 1,
        time: 2,
        lease: Lease::Never,
        process: None,
        until: None,
        control: None,
    }
}

/// The key and the text of a reservation's entry.
fn on_disk(reservation: &Reservation) -> (String, String) {
    let mut document = Document::default();
    document.entries.push(Entry::new(reservation));
    let text = String::from_utf8(document.render()).unwrap();
    let line = text.lines().nth(1).unwrap().strip_suffix("}}").unwrap();
    let (key, raw) = line.split_once("\":").unwrap();
    (key[1..].to_owned(), raw.to_owned())
}

fn skipped(why: &str) {
    let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("skipped: {why}\n"));
}

#[test]
fn what_was_written_is_read_and_fences_grow() {
    let world = World::new();
    let first = world.insert(&reservation(8080));
    let second = world.insert(&Reservation {
        owner: Some("shop/web".into()),
        ..reservation(8081)
    });
    assert_eq!((first.fence, second.fence), (1, 2));
    let snapshot = world.registry.read(&world.here).unwrap();
    let sound = |reservation: &Reservation| Listed::Sound {
        reservation: reservation.clone(),
        verdict: Verdict::Alive,
    };
    assert_eq!(snapshot.entries, [sound(&first), sound(&second)]);
    assert_eq!(snapshot.warnings, []);
    assert_eq!(
        world.update(|it| it.remove(port(8080), "id8080")).value,
        Some(first)
    );
    assert_eq!(
        world.update(|it| it.remove(port(8080), "id8080")).value,
        None
    );
    assert_eq!(world.verdicts(), [(8081, Verdict::Alive)]);
    assert_eq!(world.insert(&reservation(8080)).fence, 4);
}

#[test]
fn a_fence_that_can_grow_no_more_stays() {
    let world = World::new();
    world.set(format!("{{\"generation\":{},\"entries\":{{}}}}", u64::MAX));
    assert_eq!(world.insert(&reservation(8080)).fence, u64::MAX);
    assert_eq!(world.insert(&reservation(8081)).fence, u64::MAX);
}

#[test]
fn reading_makes_nothing() {
    let world = World::new();
    let far = Registry::at(world.path("no/such/registry.json"));
    for registry in [&world.registry, &far] {
        let snapshot = registry.read(&world.here).unwrap();
        assert!(snapshot.entries.is_empty() && snapshot.warnings.is_empty());
        let value = registry.preview(&world.here, |it| {
            it.insert(reservation(8080)).map(|_| it.len())
        });
        assert_eq!(value.unwrap(), 1);
    }
    assert_eq!(far.sweep_leftovers(WAIT, &world.here).unwrap(), 0);
    assert_eq!(world.names(), [""; 0]);
}

#[test]
fn a_preview_of_a_registry_leaves_it_alone() {
    let world = World::new();
    world.insert(&reservation(8080));
    let (before, names) = (world.identity(), world.names());
    let left = world.registry.preview(&world.here, |transaction| {
        transaction.remove(port(8080), "id8080");
        Ok::<_, Error>(transaction.len())
    });
    assert_eq!(left.unwrap(), 0);
    assert_eq!((world.identity(), world.names()), (before, names));
}

#[test]
fn an_update_that_changes_nothing_writes_nothing() {
    let world = World::new();
    world.update(|_| ());
    assert_eq!(world.names(), ["registry.json.lock"]);
    world.insert(&reservation(8080));
    let before = world.identity();
    world.update(|transaction| {
        transaction.sweep(|_| None);
        assert!(!transaction.replace(&reservation(9)));
        assert_eq!(
            (transaction.remove(port(8080), "none"), transaction.len()),
            (None, 1)
        );
    });
    assert!(world.obstacle(8080).is_some());
    assert_eq!(world.identity(), before);
    assert_eq!(world.names(), ["registry.json", "registry.json.lock"]);
}

#[test]
fn an_update_that_fails_writes_nothing() {
    #[derive(Debug)]
    enum Failure {
        Ours,
        Theirs,
    }
    impl From<Error> for Failure {
        fn from(_: Error) -> Failure {
            Failure::Theirs
        }
    }
    let world = World::new();
    let fail = || {
        world.registry.update(WAIT, &world.here, |transaction| {
            transaction.insert(reservation(8081))?;
            transaction.remove(port(8080), "id8080");
            Err::<(), _>(Failure::Ours)
        })
    };
    assert!(matches!(fail(), Err(Failure::Ours)));
    assert_eq!(world.names(), ["registry.json.lock"]);
    world.insert(&reservation(8080));
    let before = world.identity();
    assert!(matches!(fail(), Err(Failure::Ours)));
    assert_eq!(world.identity(), before);
    world.set("broken");
    assert!(matches!(fail(), Err(Failure::Ours)));
    assert_eq!(world.text(), "broken");
    assert_eq!(world.names(), ["registry.json", "registry.json.lock"]);
}

#[test]
fn an_update_inside_an_update_is_an_error_not_a_deadlock() {
    let world = World::new();
    let inner = world.update(|_| world.try_update(|_| ())).value;
    assert!(
        matches!(inner, Err(Error::Lock(lock::Error::Reentrant { .. }))),
        "{inner:?}"
    );
}

#[test]
fn a_replaced_reservation_is_found_where_it_is_now() {
    let world = World::new();
    let old = world.insert(&reservation(8080));
    world.insert(&reservation(8081));
    let moved = Reservation {
        port: port(9090),
        lease: Lease::Until(5000),
        ..old
    };
    let blocked = world.update(|transaction| {
        assert!(transaction.replace(&moved));
        [8080, 9090].map(|number| {
            let obstacle = transaction.obstacle(Host::default(), port(number), Protocol::Tcp);
            obstacle.is_some()
        })
    });
    assert_eq!(blocked.value, [false, true]);
    let snapshot = world.registry.read(&world.here).unwrap();
    assert!(
        matches!(&snapshot.entries[0], Listed::Sound { reservation, .. } if *reservation == moved)
    );
}
