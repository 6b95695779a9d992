//! Which reservation stands in the way of which.

use super::*;

/// Whether what is held (`tcp 127.0.0.1`) forbids what is asked for, on the same port, here.
#[track_caller]
fn check(held: &str, asked: &str, expect: bool) {
    let parse = |text: &str| -> (Protocol, Host) {
        let (protocol, host) = text.split_once(' ').unwrap();
        (protocol.parse().unwrap(), host.parse().unwrap())
    };
    let world = World::new();
    let (protocol, host) = parse(held);
    let mine = world.insert(&Reservation {
        protocol,
        host,
        ..reservation(8080)
    });
    let (protocol, host) = parse(asked);
    let ask = |number| {
        world
            .update(|it| it.obstacle(host, port(number), protocol))
            .value
    };
    let expect = expect.then(|| Obstacle::Reserved(Box::new(mine)));
    assert_eq!(ask(8080), expect, "{asked} where {held} is held");
    assert_eq!([ask(8079), ask(8081)], [None, None]);
}

#[test]
fn hosts_that_overlap() {
    let table = [
        ("127.0.0.1", "127.0.0.1", true),
        ("127.0.0.1", "localhost", true),
        ("127.0.0.1", "::1", true),
        ("localhost", "::1", true),
        ("localhost", "localhost", true),
        ("127.0.0.1", "127.0.0.2", false),
        ("localhost", "127.0.0.2", false),
        ("127.0.0.1", "0.0.0.0", true),
        ("127.0.0.1", "::", true),
        ("localhost", "0.0.0.0", true),
        ("0.0.0.0", "::", true),
        ("0.0.0.0", "192.168.1.5", true),
        ("0.0.0.0", "fe80::1", false),
        ("::", "fe80::1", true),
        ("::", "192.168.1.5", true),
        ("192.168.1.5", "127.0.0.1", false),
        ("fe80::1", "::1", false),
    ];
    for (one, other, expect) in table {
        check(&format!("tcp {one}"), &format!("tcp {other}"), expect);
        check(&format!("tcp {other}"), &format!("tcp {one}"), expect);
    }
}

#[test]
fn protocols_that_overlap() {
    let table = [
        ("tcp", "tcp", true),
        ("udp", "udp", true),
        ("tcp", "udp", false),
        ("both", "tcp", true),
        ("both", "udp", true),
        ("both", "both", true),
    ];
    for (one, other, expect) in table {
        check(&format!("{one} 127.0.0.1"), &format!("{other} ::1"), expect);
        check(&format!("{other} 127.0.0.1"), &format!("{one} ::1"), expect);
        check(
            &format!("{one} 127.0.0.1"),
            &format!("{other} 127.0.0.2"),
            false,
        );
    }
}

#[test]
fn ports_of_another_network_namespace_are_other_ports() {
    let mut world = World::new();
    world.insert(&reservation(8080));
    world.here.machine.network = 9;
    assert_eq!(world.obstacle(8080), None);
    let theirs = Reservation {
        id: "theirs".into(),
        network: 9,
        ..reservation(8080)
    };
    world.insert(&theirs);
    assert_eq!(
        world.verdicts(),
        [(8080, Verdict::Elsewhere), (8080, Verdict::Alive)]
    );
    world.here.machine.network = 1;
    assert_eq!(
        world.verdicts(),
        [(8080, Verdict::Alive), (8080, Verdict::Elsewhere)]
    );
    let Some(Obstacle::Reserved(mine)) = world.obstacle(8080) else {
        panic!("nobody has it")
    };
    assert_eq!(mine.id, "id8080");
}

#[test]
fn a_damaged_entry_is_about_what_its_key_says() {
    let table = [
        ("tcp/127.0.0.1:8080@1", true),
        ("both/localhost:8080@1", true),
        ("no key", true),
        ("udp/127.0.0.1:8080@1", false),
        ("tcp/127.0.0.2:8080@1", false),
        ("tcp/127.0.0.1:8081@1", false),
        ("tcp/127.0.0.1:8080@9", false),
    ];
    for (key, expect) in table {
        let world = World::new();
        world.set_entries(&format!("\"{key}\":{{\"port\":8080}}"));
        let expect = expect.then(|| Obstacle::Damaged { key: key.into() });
        assert_eq!(world.obstacle(8080), expect, "{key}");
    }
}

#[test]
fn what_was_inserted_is_in_the_way_at_once_and_what_was_removed_is_not() {
    let world = World::new();
    world.update(|transaction| {
        let ask = |transaction: &mut Transaction<'_>| {
            transaction
                .obstacle(Host::Localhost, port(8080), Protocol::Both)
                .is_some()
        };
        assert!(!ask(transaction));
        // Behind, in front of and between those of other ports.
        for number in [9000, 7000, 8080, 8079, 8081] {
            transaction.insert(reservation(number)).unwrap();
        }
        assert!(ask(transaction));
        transaction.remove(port(8080), "id8080").unwrap();
        assert!(!ask(transaction));
    });
    let ports: Vec<u16> = world.verdicts().into_iter().map(|(port, _)| port).collect();
    assert_eq!(ports, [9000, 7000, 8079, 8081]);
}
