//! Registries that users share: whose word counts, and who may change what. The files of others are
//! given to them by root; what these tests need more than one process for is in `tests/`.

use std::os::unix::fs::{PermissionsExt, chown};

use super::*;
use crate::Reason;
use crate::registry::shard::MOST_BYTES_OF_ONE;
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
    let taken = [8080, 8081, 8082, 8083].map(|number| world.is_taken(7, number));
    assert_eq!(taken, [true, true, true, false]);
}

#[test]
fn a08_a_name_is_no_proof_and_nobody_speaks_for_another() {
    let Some(world) = machine_wide() else { return };
    // A file of Bob's under Ann's name; Ann's entry in Bob's own file; no user's name at all.
    world.plant("61001.json", BOB, 9, &[of(ANN, 8081)]);
    world.plant("61002.json", BOB, 9, &[of(ANN, 8082), of(BOB, 8083)]);
    world.plant("061001.json", ANN, 9, &[of(ANN, 8084)]);
    world.plant("61001.json.corrupt-1", ANN, 9, &[of(ANN, 8085)]);
    assert_eq!(world.ports(0), [(8083, BOB)]);
    let taken = [8081, 8082, 8083].map(|number| world.is_taken(0, number));
    assert_eq!(taken, [false, false, true]);
    let found = world.preview(0, |it| it.remove("id8082"));
    assert_eq!(found, None);
}

#[test]
fn a08_of_a_users_files_the_latest_counts_whatever_it_is_called() {
    let Some(world) = machine_wide() else { return };
    let check = |expect: u16| {
        assert_eq!(world.ports(0), [(expect, ANN)]);
        assert_eq!(world.ports(ANN), [(expect, ANN)]);
    };
    world.plant("61001.json", ANN, 5, &[of(ANN, 8080)]);
    world.plant("61001-old.json", ANN, 4, &[of(ANN, 8081)]);
    check(8080);
    world.plant("61001-new.json", ANN, 6, &[of(ANN, 8082)]);
    check(8082);
    // One that can't be read is behind all that can.
    world.plant_bytes("61001-torn.json", ANN, "torn");
    check(8082);
}

#[test]
fn a_squatted_name_is_left_alone_and_another_one_found() {
    let Some(world) = machine_wide() else { return };
    world.plant("0.json", BOB, 9, &[of(0, 8088)]);
    let before = fs::read(world.path("0.json")).unwrap();
    let updated = world.update(|it| it.insert(of(0, 8080)).unwrap());
    assert_eq!(updated.warnings, []);
    world.insert(&of(0, 8081));
    assert_eq!(world.ports(BOB), [(8080, 0), (8081, 0)]);
    assert_eq!(fs::read(world.path("0.json")).unwrap(), before);
    assert_eq!(world.names(), ["0-id8080.json", "0.json", "live", "lock"]);
    // When the name is free again the file stays where it is.
    fs::remove_file(world.path("0.json")).unwrap();
    world.insert(&of(0, 8082));
    assert_eq!(world.names(), ["0-id8080.json", "live", "lock"]);
}

#[test]
fn what_another_users_file_says_can_be_useless_but_not_in_the_way() {
    let Some(world) = machine_wide() else { return };
    let newer = b"{\"version\":2,\"entries\":{}}".to_vec();
    let large = vec![b' '; MOST_BYTES_OF_ONE as usize + 1];
    for (bytes, reason) in [
        (b"torn".to_vec(), "line 1 column"),
        (newer.clone(), "newer version"),
        (large.clone(), "too large"),
    ] {
        world.plant_bytes("61002.json", BOB, &bytes);
        let here = world.seen_by(ANN);
        let read = world.registry.read(&here).unwrap().warnings;
        let updated = world.update(|it| it.len()).warnings;
        for warnings in [read, updated] {
            let [Warning::Ignored { path, reason: told }] = &warnings[..] else {
                panic!("{warnings:?}")
            };
            assert_eq!(*path, world.path("61002.json"));
            assert!(told.contains(reason), "{told}");
        }
        assert_eq!(fs::read(world.path("61002.json")).unwrap(), bytes);
    }
    // One's own is an error, as in any registry.
    let own = world.seen_by(BOB);
    let read = || world.registry.read(&own);
    assert!(matches!(read(), Err(Error::TooLarge { .. })));
    world.plant_bytes("61002.json", BOB, newer);
    assert!(matches!(read(), Err(Error::Foreign { .. })));
    world.plant_bytes("61002.json", BOB, "torn");
    let warnings = read().unwrap().warnings;
    assert!(
        matches!(&warnings[..], [Warning::Unreadable { .. }]),
        "{warnings:?}"
    );
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
                    it.remove("id8080").is_some(),
                )
            })
        };
        let changed = |me| {
            world.preview(me, |it| {
                (it.replace(&of(BOB, 8080)), it.remove("id8080").is_some())
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
fn a07_what_is_over_the_quota_does_not_count() {
    let Some(world) = machine_wide() else { return };
    let most = QUOTA as u16;
    let flood: Vec<_> = (8000..8000 + most + 7)
        .map(|number| of(BOB, number))
        .collect();
    world.plant("61002.json", BOB, 1, &flood);
    let here = world.seen_by(ANN);
    let snapshot = world.registry.read(&here).unwrap();
    assert_eq!(snapshot.entries.len(), QUOTA);
    let [Warning::Ignored { reason, .. }] = &snapshot.warnings[..] else {
        panic!("{:?}", snapshot.warnings)
    };
    assert_eq!(reason, "beyond its first 256 entries: it has 263");
    assert!(world.is_taken(ANN, 8000 + most - 1));
    assert!(!world.is_taken(ANN, 8000 + most));
    // It is not cut short by root, either: its bytes are Bob's.
    let before = fs::read(world.path("61002.json")).unwrap();
    world.update(|it| it.remove("id8000"));
    assert_eq!(fs::read(world.path("61002.json")).unwrap(), before);
}

#[test]
fn places_that_are_no_machine_wide_registry() {
    let check = |damage: &dyn Fn(&World), expect: &str, stops_readers: bool| {
        let Some(world) = machine_wide() else { return };
        damage(&world);
        let update = world.try_update(|it| it.keep_alive("id1").map(drop));
        let update = update.and_then(|updated| updated.value);
        let read = world.registry.read(&world.here).map(drop);
        let answers = if stops_readers {
            vec![read, update]
        } else {
            vec![update]
        };
        for answer in answers {
            let Err(Error::NotMachineWide { why, .. }) = answer else {
                panic!("{expect}: {answer:?}")
            };
            assert!(why.contains(expect), "{why}");
        }
    };
    let mode = |world: &World, name: &str, mode| {
        fs::set_permissions(world.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    check(
        &|it| mode(it, "", 0o777),
        "its mode is 0777, not 1777",
        true,
    );
    check(
        &|it| mode(it, "", 0o3777),
        "its mode is 3777, not 1777",
        true,
    );
    let give = |it: &World| chown(it.path(""), Some(BOB), None).unwrap();
    check(&give, "it belongs to uid 61002", true);
    check(
        &|it| fs::remove_file(it.path("lock")).unwrap(),
        "lock is missing",
        false,
    );
    check(
        &|it| mode(it, "live", 0o777),
        "live is not root's, with mode 1777",
        false,
    );
    let missing = Registry::at("/no/such/folder/");
    let read = missing.read(&Here::now());
    assert!(
        matches!(read, Err(Error::NotMachineWide { .. })),
        "{read:?}"
    );
}

#[test]
fn a_stamp_tells_of_a_change_by_anybody_and_of_ones_own() {
    let Some(world) = machine_wide() else { return };
    let stamps = || (world.registry.stamp(), world.registry.stamp_of(0));
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
