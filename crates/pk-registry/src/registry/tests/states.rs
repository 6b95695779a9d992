//! Files that are empty, foreign, broken or damaged in part: what is kept and what is said.

use super::*;

/// Bytes that are no registry, and what is said about them.
const BROKEN: [(&str, &str); 7] = [
    ("\0\0\0\0", "line 1 column 1"),
    ("{\"version\":1,\n\"entries\":{", "line 2 column 11"),
    ("<<<<<<< ours\n{}\n", "line 1 column 1"),
    ("[]", "line 1 column"),
    ("{\"entries\":[]}", "line 1 column"),
    (
        "{\"generation\":1,\"generation\":2,\"entries\":{}}",
        "duplicate field \"generation\" at line 1 column 28",
    ),
    ("{}", "no entries"),
];

#[test]
fn an_empty_file_is_a_fresh_registry_with_a_warning() {
    let world = World::new();
    world.set("");
    let path = world.registry.path().to_owned();
    let empty = [Warning::Empty { path: path.clone() }];
    let snapshot = world.registry.read(&world.here).unwrap();
    assert_eq!(
        (snapshot.entries, snapshot.warnings),
        (vec![], empty.to_vec())
    );
    assert_eq!(world.text(), "");
    let updated = world.update(|transaction| transaction.insert(reservation(8080)).unwrap());
    assert_eq!(updated.warnings, empty);
    assert!(empty[0].to_string().contains(path.to_str().unwrap()));
    assert_eq!(world.update(|_| ()).warnings, []);
    assert_eq!(world.names(), ["registry.json", "registry.json.lock"]);
}

#[test]
fn a_reader_of_a_broken_file_gets_a_warning_and_leaves_it() {
    for (bytes, reason) in BROKEN {
        let world = World::new();
        world.set(bytes);
        let before = world.identity();
        let snapshot = world.registry.read(&world.here).unwrap();
        assert_eq!(snapshot.entries, []);
        let [warning @ Warning::Unreadable { path, .. }] = &snapshot.warnings[..] else {
            panic!("{:?}", snapshot.warnings)
        };
        assert_eq!(path, world.registry.path());
        assert!(
            warning.to_string().contains(path.to_str().unwrap()),
            "{warning}"
        );
        assert!(warning.to_string().contains(reason), "{warning}");
        let len = world
            .registry
            .preview(&world.here, |it| Ok::<_, Error>(it.len()));
        assert_eq!(len.unwrap(), 0);
        assert_eq!(world.identity(), before);
        assert_eq!(world.names(), ["registry.json"]);
    }
}

#[test]
fn a_writer_sets_a_broken_file_aside_and_begins_anew() {
    for (bytes, reason) in BROKEN {
        let world = World::new();
        world.set(bytes);
        let updated = world.update(|transaction| transaction.insert(reservation(8080)).unwrap());
        let [warning @ Warning::SetAside { path, kept, .. }] = &updated.warnings[..] else {
            panic!("{:?}", updated.warnings)
        };
        assert_eq!(path, world.registry.path());
        assert_eq!(fs::read_to_string(kept).unwrap(), bytes);
        let name = kept.file_name().unwrap().to_str().unwrap();
        let expect = format!(
            "registry.json.corrupt-20261122T120000.000000000Z-{}",
            std::process::id()
        );
        assert_eq!(name, expect);
        let warning = warning.to_string();
        for part in [path.to_str().unwrap(), kept.to_str().unwrap(), reason] {
            assert!(warning.contains(part), "{part:?} is not in {warning}");
        }
        assert_eq!(world.verdicts(), [(8080, Verdict::Alive)]);
        assert_eq!(world.names(), ["registry.json", name, "registry.json.lock"]);
        assert_eq!(world.update(|_| ()).warnings, [], "said once");
    }
}

#[test]
fn a_broken_file_is_replaced_even_if_nothing_is_reserved() {
    let world = World::new();
    world.set("broken");
    assert_eq!(world.update(|_| ()).warnings.len(), 1);
    assert_eq!(world.update(|_| ()).warnings, []);
    assert_eq!(world.verdicts(), []);
}

#[test]
fn five_broken_files_are_kept() {
    let mut world = World::new();
    let mut kept_last = Vec::new();
    for round in 0..8 {
        world.set(format!("broken {round}"));
        // Two in each second.
        world.here.wall = UNIX_EPOCH + Duration::from_secs(1_795_348_800 + round / 2);
        for warning in world.update(|_| ()).warnings {
            let Warning::SetAside { kept, .. } = warning else {
                panic!("{warning}")
            };
            kept_last.push(kept);
        }
    }
    assert_eq!(kept_last.len(), 8);
    for (round, kept) in kept_last.iter().enumerate() {
        let bytes = fs::read_to_string(kept).ok();
        assert_eq!(bytes, (round >= 3).then(|| format!("broken {round}")));
    }
}

#[test]
fn what_a_newer_version_wrote_is_read_where_it_allows_that_and_never_written() {
    let (key, raw) = on_disk(&reservation(8080));
    let document = |fields: &str| {
        format!("{{{fields}\"boot_id\":\"this boot\",\"entries\":{{\"{key}\":{raw}}}}}")
    };
    for (fields, readable) in [
        ("\"version\":99,\"min_reader\":1,", true),
        ("\"version\":99,\"min_reader\":2,", false),
        ("\"version\":99,", false),
        ("\"schema\":\"other\",\"version\":1,", false),
    ] {
        let world = World::new();
        world.set(document(fields));
        let before = world.identity();
        match world.registry.read(&world.here) {
            Ok(snapshot) if readable => assert_eq!(snapshot.entries.len(), 1),
            Err(Error::Foreign { path, .. }) if !readable => {
                assert_eq!(path, world.registry.path());
            }
            other => panic!("{fields}: {other:?}"),
        }
        let written = world.try_update(|_| panic!("nothing may be done with it"));
        assert!(matches!(written, Err(Error::Foreign { .. })), "{written:?}");
        assert_eq!(world.identity(), before);
        assert_eq!(world.names(), ["registry.json", "registry.json.lock"]);
    }
}

#[test]
fn foreign_fields_survive_what_others_do() {
    let world = World::new();
    let (key, raw) = on_disk(&Reservation {
        lease: Lease::Until(2000),
        ..reservation(8080)
    });
    let raw = raw.replace(
        "\"uid\"",
        "\"x\": [1, 12345678901234567890123 , \"\\u00e9\\/\"],\"uid\"",
    );
    let top = "\"future\" : {\"n\":12345678901234567890123, \"f\" : 1.50e+300}";
    world.set(format!(
        "{{ {top},\"boot_id\":\"this boot\",\"entries\":{{\"{key}\": {raw} }}}}"
    ));
    let survives = || {
        let text = world.text();
        assert!(
            text.contains("{\"n\":12345678901234567890123, \"f\" : 1.50e+300}"),
            "{text}"
        );
        text.contains(&raw)
    };
    world.insert(&reservation(8081));
    assert!(survives());
    world.update(|transaction| transaction.remove(port(8081), "id8081").unwrap());
    assert!(survives());
    world.insert(&Reservation {
        lease: Lease::Until(1),
        ..reservation(8082)
    });
    world.update(|transaction| transaction.sweep(|_| None));
    assert_eq!(world.verdicts(), [(8080, Verdict::Alive)]);
    assert!(survives());
    world.update(|transaction| transaction.remove(port(8080), "id8080").unwrap());
    assert!(!survives());
}

#[test]
fn a_damaged_entry_is_kept_shown_and_its_port_is_taken() {
    let (key, sound) = on_disk(&reservation(8080));
    let key = key.as_str();
    let other_port = |port: &str| sound.replace("\"port\":8080", &format!("\"port\":{port}"));
    let table = [
        (key, other_port("0")),
        (key, other_port("99999")),
        (key, other_port("-1")),
        (key, other_port("8080.5")),
        (key, other_port("\"x\"")),
        (key, other_port("8080,\"port\":8080")),
        (key, sound.replace("id8080", "../../x")),
        (key, sound.replace("leased", "\\u001b[2J")),
        (key, "{}".into()),
        (key, "null".into()),
        ("tcp/::1:8080@1", sound.clone()),
        ("no key", sound.clone()),
        ("\\u001b[2J\\u202e", sound.clone()),
    ];
    for (key, raw) in table {
        let world = World::new();
        world.set_entries(&format!("\"{key}\":{raw}"));
        let snapshot = world.registry.read(&world.here).unwrap();
        let [
            Listed::Damaged {
                key: shown,
                port: known,
                reason,
            },
        ] = &snapshot.entries[..]
        else {
            panic!("{raw}: {snapshot:?}")
        };
        assert_eq!(*known, Some(port(8080)), "{raw}");
        assert!(
            !format!("{shown}{reason}")
                .chars()
                .any(crate::reservation::is_unprintable)
        );
        let obstacle = world.obstacle(8080);
        assert_eq!(
            obstacle,
            Some(Obstacle::Damaged { key: shown.clone() }),
            "{raw}"
        );
        assert_eq!(world.obstacle(8081), None);
        world.update(|transaction| {
            transaction.insert(reservation(8081)).unwrap();
            transaction.sweep(|_| Some(crate::Reason::Unused));
            assert_eq!(transaction.remove(port(8080), "id8080"), None);
        });
        assert!(
            world.text().contains(&raw),
            "{raw} is not in {}",
            world.text()
        );
        assert_eq!(
            world.registry.read(&world.here).unwrap().entries,
            snapshot.entries
        );
    }
    assert!(!Path::new("../../x").exists());
}

#[test]
fn the_second_entry_of_a_key_is_damaged() {
    let (key, sound) = on_disk(&reservation(8080));
    let second = sound.replace("id8080", "second");
    let world = World::new();
    world.set_entries(&format!("\"{key}\":{sound},\"{key}\":{second}"));
    let first = world.update(|transaction| {
        assert_eq!(transaction.reservations().count(), 1);
        assert_eq!(transaction.remove(port(8080), "second"), None);
        transaction.remove(port(8080), "id8080").unwrap()
    });
    assert_eq!(first.value.id, "id8080");
    assert!(world.text().contains(&second));
    // Alone it is as good as any other.
    let Some(Obstacle::Reserved(second)) = world.obstacle(8080) else {
        panic!("nobody has it")
    };
    assert_eq!(second.id, "second");
}

/// What was reserved since is not in it, and what was released since is there again: somebody has to
/// be told, once. Fences go on from where they were.
#[test]
fn an_older_copy_in_its_place_is_told_once_and_fences_go_on() {
    let world = World::new();
    let insert = |port| world.insert(&reservation(port)).fence;
    assert_eq!(insert(8000), 1);
    let old = world.text();
    assert_eq!([8001, 8002, 8003].map(insert), [2, 3, 4]);
    world.set(old);
    let expect = [Warning::Older {
        path: world.registry.path().into(),
        generation: 1,
        latest: 4,
    }];
    assert_eq!(world.registry.read(&world.here).unwrap().warnings, expect);
    assert_eq!(world.update(|_| ()).warnings, expect);
    assert_eq!(world.registry.read(&world.here).unwrap().warnings, []);
    assert_eq!(world.update(|_| ()).warnings, []);
    assert_eq!(insert(8009), 6);
    // One that was lost, or is garbage, is begun anew, but not with old fences.
    fs::remove_file(world.registry.path()).unwrap();
    assert_eq!(insert(8000), 7);
    world.set("garbage");
    assert_eq!(insert(8000), 8);
}
