//! Registries that users share: whose word counts, and who may change what. The files of others are
//! given to them by root; what these tests need more than one process for is in `tests/`.

mod trust;

use std::os::unix::fs::{PermissionsExt, chown};

use super::*;
use crate::Reason;
use crate::snapshot::Sharing;
use crate::transaction::QUOTA;

const ANN: u32 = 61_001;
const BOB: u32 = 61_002;
const GROUP: u32 = 62_000;

/// A machine-wide registry; `None` where only root could make it.
fn machine_wide() -> Option<World> {
    let mut world = World::new();
    if !rustix::process::geteuid().is_root() {
        skipped("only root can make a machine-wide registry");
        return None;
    }
    let folder = world.path("");
    fs::write(folder.join("lock"), "").unwrap();
    fs::create_dir(folder.join("live")).unwrap();
    for shared in [folder.join("live"), folder.clone()] {
        fs::set_permissions(shared, fs::Permissions::from_mode(0o1777)).unwrap();
    }
    world.registry = Registry::at(folder.join(""));
    Some(world)
}

/// A registry of a group; `None` where only root could make it.
fn of_group() -> Option<World> {
    let world = World::new();
    if !rustix::process::geteuid().is_root() {
        skipped("only root can give a folder to a group");
        return None;
    }
    chown(world.path(""), None, Some(GROUP)).unwrap();
    fs::set_permissions(world.path(""), fs::Permissions::from_mode(0o2770)).unwrap();
    Some(world)
}

impl World {
    /// Looked at by this user.
    fn seen_by(&self, uid: u32) -> Here {
        Here {
            uid,
            ..self.here.clone()
        }
    }

    /// Writes a file of this user's with these reservations.
    fn plant(&self, name: &str, uid: u32, generation: u64, reservations: &[Reservation]) {
        let mut document = Document::default();
        document.generation = generation;
        document.boot_id = "this boot".into();
        document.entries.extend(reservations.iter().map(Entry::new));
        self.plant_bytes(name, uid, document.render());
    }

    fn plant_bytes(&self, name: &str, uid: u32, bytes: impl AsRef<[u8]>) {
        // Where regular files are protected, not even root writes to one that is there.
        let _ = fs::remove_file(self.path(name));
        fs::write(self.path(name), bytes).unwrap();
        chown(self.path(name), Some(uid), None).unwrap();
    }

    /// The ports in it, each with its user, as this user sees them.
    #[track_caller]
    fn ports(&self, me: u32) -> Vec<(u16, u32)> {
        let snapshot = self.registry.read(&self.seen_by(me)).unwrap();
        let port = |listed: &Listed| match listed {
            Listed::Sound { reservation, .. } => (reservation.port.number(), reservation.uid),
            Listed::Damaged { .. } => panic!("{listed:?}"),
        };
        snapshot.entries.iter().map(port).collect()
    }

    /// What a change by this user would come to.
    fn preview<T>(&self, me: u32, work: impl FnOnce(&mut Transaction<'_>) -> T) -> T {
        let here = self.seen_by(me);
        let done = self.registry.preview(&here, |it| Ok::<_, Error>(work(it)));
        done.unwrap()
    }

    fn is_taken(&self, me: u32, number: u16) -> bool {
        self.preview(me, |it| {
            it.obstacle(Host::default(), port(number), Protocol::Tcp)
                .is_some()
        })
    }
}

fn of(uid: u32, number: u16) -> Reservation {
    Reservation {
        uid,
        ..reservation(number)
    }
}

#[test]
fn a_folder_says_who_shares_a_registry() {
    let sharing = |world: &World| world.registry.read(&world.here).unwrap().sharing;
    assert_eq!(sharing(&World::new()), Sharing::Private);
    assert_eq!(
        of_group().as_ref().map_or(Sharing::Group, sharing),
        Sharing::Group
    );
    let machine = machine_wide();
    assert_eq!(
        machine.as_ref().map_or(Sharing::Machine, sharing),
        Sharing::Machine
    );
    let names = [Sharing::Private, Sharing::Group, Sharing::Machine].map(Sharing::name);
    assert_eq!(names, ["private", "group", "machine"]);
}

#[test]
fn each_user_has_a_file_and_sees_those_of_all() {
    let Some(world) = machine_wide() else { return };
    world.plant("61001.json", ANN, 1, &[of(ANN, 8081)]);
    world.plant("61002.json", BOB, 1, &[of(BOB, 8082)]);
    let written = world.insert(&of(0, 8080));
    assert_eq!(written.fence, 1);
    assert_eq!(world.ports(0), [(8080, 0), (8081, ANN), (8082, BOB)]);
    assert_eq!(world.ports(BOB), [(8082, BOB), (8080, 0), (8081, ANN)]);
    assert_eq!(world.ports(7), [(8080, 0), (8081, ANN), (8082, BOB)]);
    let names = ["0.json", "61001.json", "61002.json", "live", "lock"];
    assert_eq!(world.names(), names);
    let mode = fs::metadata(world.path("0.json")).unwrap().mode();
    assert_eq!(mode, 0o100_644);
    // Its own it gives the mode that it should have.
    fs::set_permissions(world.path("0.json"), fs::Permissions::from_mode(0o600)).unwrap();
    world.insert(&of(0, 8090));
    let mode = fs::metadata(world.path("0.json")).unwrap().mode();
    assert_eq!(mode, 0o100_644);
    let taken = [8080, 8081, 8082, 8083].map(|number| world.is_taken(7, number));
    assert_eq!(taken, [true, true, true, false]);
}

#[test]
fn a_mebibyte_of_a_user_is_read_and_no_more_is_written() {
    let Some(world) = machine_wide() else { return };
    let with_owner = |number, length| Reservation {
        owner: Some("x".repeat(length)),
        ..of(0, number)
    };
    let try_insert = |one: &Reservation| world.try_update(|it| it.insert(one.clone()).map(drop));
    assert!(try_insert(&with_owner(8080, 1_000_000)).is_ok());
    let answer = try_insert(&with_owner(8081, 100_000));
    assert!(matches!(answer, Err(Error::TooLarge { .. })), "{answer:?}");
    assert_eq!(world.ports(0), [(8080, 0)]);
}

#[test]
fn f65_what_is_anothers_and_alive_is_neither_removed_nor_replaced_nor_swept() {
    for world in [machine_wide(), of_group()] {
        let Some(world) = world else { return };
        match world.registry.path().to_str().unwrap().ends_with('/') {
            true => world.plant("61002.json", BOB, 1, &[of(BOB, 8080)]),
            false => world.plant("registry.json", BOB, 1, &[of(BOB, 8080)]),
        }
        let touched = |me| {
            world.preview(me, |it| {
                it.sweep(|_| Some(Reason::Unused));
                (
                    it.len(),
                    it.replace(&of(me, 8080)),
                    it.remove(port(8080), "id8080").is_some(),
                )
            })
        };
        let changed = |me| {
            world.preview(me, |it| {
                (
                    it.replace(&of(BOB, 8080)),
                    it.remove(port(8080), "id8080").is_some(),
                )
            })
        };
        assert_eq!(
            (touched(ANN), changed(ANN)),
            ((1, false, false), (false, false))
        );
        let is_machine = world.path("61002.json").exists();
        // Bob's file is written by Bob alone, and by root; in a group's, all that counts is the entry.
        assert_eq!(changed(BOB), (true, true), "{is_machine}");
        assert_eq!(changed(0), (true, true), "{is_machine}");
        assert_eq!(touched(BOB).0, 0);
    }
}

#[test]
fn what_has_ended_is_dropped_by_whoever_may_write_it() {
    let over = Reservation {
        lease: Lease::Until(999),
        ..of(BOB, 8080)
    };
    for world in [machine_wide(), of_group()] {
        let Some(world) = world else { return };
        let is_machine = world.registry.path().to_str().unwrap().ends_with('/');
        let name = if is_machine {
            "61002.json"
        } else {
            "registry.json"
        };
        world.plant(name, BOB, 1, std::slice::from_ref(&over));
        assert!(!world.is_taken(ANN, 8080), "in nobody's way");
        let left = |me| {
            world.preview(me, |it| {
                it.sweep(|_| None);
                (it.len(), it.ended().len())
            })
        };
        assert_eq!(left(ANN), if is_machine { (1, 0) } else { (0, 1) });
        assert_eq!((left(BOB), left(0)), ((0, 1), (0, 1)));
        // Root really does, and the file stays Bob's, or the group's.
        world.update(|it| it.sweep(|_| None));
        let stat = fs::metadata(world.path(name)).unwrap();
        let (uid, mode) = if is_machine { (BOB, 0o644) } else { (0, 0o660) };
        assert_eq!((stat.uid(), stat.mode() & 0o7777), (uid, mode));
        assert_eq!(world.ports(0), []);
    }
}

#[test]
fn what_another_user_wrote_before_the_last_boot_is_void() {
    let Some(world) = machine_wide() else { return };
    world.plant("61002.json", BOB, 1, &[of(BOB, 8080)]);
    let text = fs::read_to_string(world.path("61002.json")).unwrap();
    world.plant_bytes("61002.json", BOB, text.replace("this boot", "the last"));
    assert!(!world.is_taken(ANN, 8080));
    assert_eq!(world.verdicts(), [(8080, Verdict::Stale(Reason::Reboot))]);
    assert_eq!(
        world.preview(ANN, |it| (it.len(), it.ended().len())),
        (0, 0)
    );
}

#[test]
fn f66_a_user_has_so_many_and_no_more() {
    let most = QUOTA as u16;
    for world in [machine_wide(), of_group()] {
        let Some(world) = world else { return };
        let fill = |it: &mut Transaction<'_>| {
            let mut made = 0;
            for number in 8000..8000 + most + 5 {
                let reservation = of(0, number);
                match it.insert(reservation) {
                    Ok(_) => made += 1,
                    Err(Error::Quota { uid: 0, .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            made
        };
        assert_eq!(world.update(fill).value, most);
        assert_eq!(world.update(fill).value, 0);
        // Those of others are not counted, and what has ended is dropped first.
        let over = Reservation {
            lease: Lease::Until(1500),
            ..of(0, 8000)
        };
        let renewed = world.update(|it| it.replace(&over)).value;
        assert!(renewed);
        let mut later = world.here.clone();
        later.boot_ms = 2000;
        let inserted = world
            .registry
            .update(WAIT, &later, |it| it.insert(of(0, 9000)));
        assert_eq!(inserted.unwrap().value.port, port(9000));
    }
    let alone = World::new();
    alone.update(|it| {
        for number in 8000..8000 + most + 5 {
            it.insert(reservation(number)).unwrap();
        }
    });
}

#[test]
fn what_killed_writers_left_is_swept_and_what_others_put_there_stays() {
    let Some(world) = machine_wide() else { return };
    world.plant("61002.json", BOB, 1, &[]);
    for name in [
        "0.json.tmp-1-0",
        "61002.json.tmp-1-0",
        "61003.json.tmp-1-0",
        "live/none",
    ] {
        world.plant_bytes(name, 0, "");
    }
    fs::create_dir(world.path("0.json.tmp-a-folder")).unwrap();
    // Root sees to all that have a file, and to its own before there is one.
    assert_eq!(
        world.registry.sweep_leftovers(WAIT, &world.here).unwrap(),
        3
    );
    let left = [
        "0.json.tmp-a-folder",
        "61002.json",
        "61003.json.tmp-1-0",
        "live",
        "lock",
    ];
    assert_eq!(world.names(), left);
}

#[test]
fn a_stamp_tells_of_a_change_by_anybody_and_of_ones_own() {
    let Some(world) = machine_wide() else { return };
    let stamps = || {
        (
            world.registry.stamp().unwrap(),
            world.registry.stamp_of(0).unwrap(),
        )
    };
    world.insert(&of(0, 8080));
    let (all, own) = stamps();
    world.plant("61002.json", BOB, 1, &[of(BOB, 8081)]);
    fs::rename(world.path("61002.json"), world.path("x")).unwrap();
    assert_eq!(stamps().1, own);
    world.insert(&of(0, 8082));
    assert_ne!(stamps().1, own);
    assert!(all.is_some());
    let settled = own.unwrap();
    let now = SystemTime::now();
    assert!(!settled.is_settled(now));
    assert!(settled.is_settled(now + Duration::from_secs(3)));
}
