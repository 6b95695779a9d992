//! Reservations that have ended are dropped when they are in the way and by a sweep; what nobody can
//! tell stays.

use pk_core::ProcessId;

use super::*;
use crate::{Ended, Reason};

/// A process of this machine that has ended.
const GONE: ProcessId = ProcessId {
    pid: u32::MAX,
    start: 1,
    namespace: 3,
};

/// Reservations that have ended, and why.
fn ended() -> Vec<(Reservation, Reason)> {
    let base = reservation;
    vec![
        (
            Reservation {
                lease: Lease::Until(1000),
                ..base(8001)
            },
            Reason::LeaseOver,
        ),
        (
            Reservation {
                until: Some(GONE),
                ..base(8002)
            },
            Reason::ProcessGone(u32::MAX),
        ),
        (
            Reservation {
                kind: Kind::Guarded,
                ..base(8003)
            },
            Reason::GuardGone,
        ),
        (
            Reservation {
                kind: Kind::Held,
                ..base(8004)
            },
            Reason::HolderGone,
        ),
    ]
}

/// Reservations that have not, or of which nobody can tell from here.
fn lasting() -> Vec<Reservation> {
    let base = reservation;
    let elsewhere = ProcessId {
        namespace: 9,
        ..GONE
    };
    vec![
        base(9001),
        Reservation {
            lease: Lease::Until(1001),
            ..base(9002)
        },
        // The clock of another time namespace.
        Reservation {
            lease: Lease::Until(1000),
            time: 9,
            ..base(9003)
        },
        // A process that can't be seen from here.
        Reservation {
            until: Some(elsewhere),
            ..base(9004)
        },
        // The process that made it is only told, not asked.
        Reservation {
            process: Some(GONE),
            ..base(9005)
        },
        // A port of another network namespace.
        Reservation {
            network: 9,
            kind: Kind::Guarded,
            lease: Lease::Until(1),
            until: Some(GONE),
            ..base(9006)
        },
    ]
}

fn world_with_all() -> World {
    let world = World::new();
    world.update(|transaction| {
        for reservation in ended().into_iter().map(|(it, _)| it).chain(lasting()) {
            transaction.insert(reservation).unwrap();
        }
    });
    world
}

fn ports(world: &World) -> Vec<u16> {
    world.verdicts().into_iter().map(|(port, _)| port).collect()
}

/// Which ports were dropped, and why.
fn why(ended: &[Ended]) -> Vec<(u16, Reason)> {
    let pair = |ended: &Ended| (ended.reservation.port.number(), ended.reason);
    ended.iter().map(pair).collect()
}

fn expected() -> Vec<(u16, Reason)> {
    ended()
        .iter()
        .map(|(it, reason)| (it.port.number(), *reason))
        .collect()
}

#[test]
fn a_reader_is_told_and_drops_nothing() {
    let world = world_with_all();
    let before = world.identity();
    let expect = expected()
        .into_iter()
        .map(|(port, reason)| (port, Verdict::Stale(reason)));
    let lasting = (9001..9006).map(|port| (port, Verdict::Alive));
    let expect = expect.chain(lasting).chain([(9006, Verdict::Elsewhere)]);
    assert_eq!(world.verdicts(), expect.collect::<Vec<_>>());
    assert_eq!(world.identity(), before);
}

#[test]
fn a_sweep_drops_what_has_ended() {
    let world = world_with_all();
    let swept = world.update(|transaction| {
        transaction.sweep(|_| None);
        why(transaction.ended())
    });
    assert_eq!(swept.value, expected());
    assert_eq!(ports(&world), [9001, 9002, 9003, 9004, 9005, 9006]);
}

#[test]
fn a_sweep_may_be_given_more_reasons_but_not_for_what_is_elsewhere() {
    let world = world_with_all();
    let swept = world.update(|transaction| {
        transaction.sweep(|it| (it.port != port(9001)).then_some(Reason::Unused));
        why(transaction.ended())
    });
    let unused = (9002..9006).map(|port| (port, Reason::Unused));
    assert_eq!(
        swept.value,
        expected().into_iter().chain(unused).collect::<Vec<_>>()
    );
    assert_eq!(ports(&world), [9001, 9006]);
}

#[test]
fn what_has_ended_is_dropped_where_it_is_in_the_way() {
    let world = world_with_all();
    for (ended, reason) in ended() {
        let number = ended.port.number();
        let dropped = world.update(|transaction| {
            assert_eq!(
                transaction.obstacle(Host::default(), ended.port, Protocol::Udp),
                None
            );
            assert!(transaction.ended().is_empty(), "in nobody's way");
            assert_eq!(
                transaction.obstacle(Host::default(), ended.port, Protocol::Tcp),
                None
            );
            why(transaction.ended())
        });
        assert_eq!(dropped.value, [(number, reason)]);
        assert!(!ports(&world).contains(&number));
    }
    for reservation in lasting() {
        let number = reservation.port.number();
        assert_eq!(
            world.obstacle(number).is_some(),
            reservation.network == 1,
            "{number}"
        );
    }
    assert_eq!(ports(&world), [9001, 9002, 9003, 9004, 9005, 9006]);
}

#[test]
fn a_reboot_ends_all() {
    let mut world = world_with_all();
    world.here.machine.boot_id = "next boot".into();
    let before = world.identity();
    assert!(
        world
            .verdicts()
            .iter()
            .all(|(_, verdict)| *verdict == Verdict::Stale(Reason::Reboot))
    );
    assert_eq!(world.identity(), before);
    let ended = world.update(|transaction| {
        assert!(transaction.is_empty());
        transaction
            .ended()
            .iter()
            .map(|ended| ended.reason)
            .collect::<Vec<_>>()
    });
    assert_eq!(ended.value, [Reason::Reboot; 10]);
    assert_eq!(ports(&world), [0; 0]);
    let fence = world.insert(&reservation(8080)).fence;
    assert!(fence > 1, "fences go on after a reboot");
}

#[test]
fn what_a_reboot_has_ended_goes_also_where_it_can_not_be_read() {
    let mut world = World::new();
    world.set_entries("\"tcp/127.0.0.1:8080@1\":{}");
    let listed = |world: &World| world.registry.read(&world.here).unwrap().entries.len();
    world.update(|transaction| transaction.sweep(|_| None));
    assert_eq!(listed(&world), 1);
    world.here.machine.boot_id = "next boot".into();
    world.update(|transaction| transaction.sweep(|_| None));
    assert_eq!(listed(&world), 0);
}

#[test]
fn a_guard_keeps_its_reservation_alive_until_it_is_closed() {
    for (kind, reason) in [
        (Kind::Guarded, Reason::GuardGone),
        (Kind::Held, Reason::HolderGone),
    ] {
        let world = World::new();
        let live = world.update(|transaction| {
            let live = transaction.keep_alive("id8080").unwrap();
            transaction
                .insert(Reservation {
                    kind,
                    ..reservation(8080)
                })
                .unwrap();
            assert!(
                transaction
                    .obstacle(Host::default(), port(8080), Protocol::Tcp)
                    .is_some()
            );
            live
        });
        assert_eq!(world.verdicts(), [(8080, Verdict::Alive)]);
        assert!(world.obstacle(8080).is_some());
        world.update(|transaction| transaction.sweep(|_| None));
        assert_eq!(world.verdicts(), [(8080, Verdict::Alive)]);
        drop(live.value);
        assert_eq!(world.verdicts(), [(8080, Verdict::Stale(reason))]);
        let file = world.path("registry.json.live/id8080");
        assert!(file.exists());
        assert_eq!(world.obstacle(8080), None);
        assert_eq!(world.verdicts(), []);
        assert!(!file.exists(), "its liveness file goes with it");
    }
}

#[test]
fn a_removed_reservation_takes_its_liveness_file_along_once_that_is_written() {
    let world = World::new();
    let _live = world.update(|transaction| {
        let guarded = Reservation {
            kind: Kind::Guarded,
            ..reservation(8080)
        };
        transaction.insert(guarded).unwrap();
        transaction.keep_alive("id8080").unwrap()
    });
    let file = world.path("registry.json.live/id8080");
    let failed = world.registry.update(WAIT, &world.here, |transaction| {
        transaction.remove(port(8080), "id8080");
        Err::<(), _>(Error::Contended {
            path: PathBuf::new(),
        })
    });
    assert!(failed.is_err() && file.exists());
    world.update(|transaction| transaction.remove(port(8080), "id8080").unwrap());
    assert!(!file.exists());
}

#[test]
fn liveness_that_can_t_be_examined_counts_as_alive() {
    let world = World::new();
    world.insert(&Reservation {
        kind: Kind::Guarded,
        ..reservation(8080)
    });
    fs::write(world.path("registry.json.live"), "no folder").unwrap();
    assert_eq!(world.verdicts(), [(8080, Verdict::Alive)]);
}

#[test]
fn leftovers_are_swept_and_what_is_known_or_in_use_is_not() {
    let world = World::new();
    let live = world.update(|transaction| {
        let guarded = Reservation {
            kind: Kind::Guarded,
            network: 9,
            ..reservation(8080)
        };
        transaction.insert(guarded).unwrap();
        // Known, though closed at once; unknown, but open; unknown and closed.
        drop(transaction.keep_alive("id8080").unwrap());
        drop(transaction.keep_alive("left").unwrap());
        transaction.keep_alive("open").unwrap()
    });
    fs::create_dir(world.path("registry.json.live/folder")).unwrap();
    for name in [
        "registry.json.tmp-1-0",
        "registry.json.tmp-x",
        "other.json.tmp-1-0",
        "registry.json.corrupt-1",
    ] {
        fs::write(world.path(name), "").unwrap();
    }
    let before = world.identity();
    let sweep = || world.registry.sweep_leftovers(WAIT, &world.here).unwrap();
    assert_eq!(sweep(), 3);
    let stays = |name: &str| world.path("registry.json.live").join(name).exists();
    assert_eq!(
        ["id8080", "open", "folder", "left"].map(stays),
        [true, true, true, false]
    );
    let left = [
        "other.json.tmp-1-0",
        "registry.json",
        "registry.json.corrupt-1",
        "registry.json.live",
        "registry.json.lock",
    ];
    assert_eq!(world.names(), left);
    assert_eq!(world.identity(), before);
    drop(live);
    assert_eq!([sweep(), sweep()], [1, 0]);
}
