//! Whose word counts in a machine-wide registry, and how much of it.

use super::*;
use crate::registry::page::MOST_BYTES_OF_ONE;

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
    let found = world.preview(0, |it| it.remove(port(8082), "id8082"));
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
fn one_user_cannot_make_all_others_read_much() {
    let Some(world) = machine_wide() else { return };
    world.plant("61002.json", BOB, 9, &[of(BOB, 8080)]);
    let aged = |name: &str, age: u64| {
        let file = fs::File::open(world.path(name)).unwrap();
        let time = SystemTime::now() - Duration::from_secs(age);
        file.set_modified(time).unwrap();
    };
    aged("61002.json", 5);
    // Each alone is small enough; together with the newest all but one are too much.
    let mut document = Document::default();
    document.generation = 100;
    let mut text = document.render();
    text.resize(MOST_BYTES_OF_ONE as usize / 2 + 1, b' ');
    for at in 10..20 {
        let name = format!("61002-{at}.json");
        world.plant_bytes(&name, BOB, &text);
        aged(&name, at);
    }
    let site = Site::open(&world.registry).unwrap().unwrap();
    let (pages, warnings) = site.pages(&world.seen_by(ANN)).unwrap();
    let names: Vec<_> = pages
        .iter()
        .map(|page| page.name.to_str().unwrap())
        .collect();
    assert_eq!(names, ["61001.json", "61002.json", "61002-10.json"]);
    assert_eq!(warnings, []);
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
    world.update(|it| it.remove(port(8000), "id8000"));
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
