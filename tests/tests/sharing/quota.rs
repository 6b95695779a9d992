//! How much of a shared registry one user can have.

use std::fs;
use std::os::unix::fs::chown;

use pk_tests::{Ports, Shared, TestEnv};
use serde_json::Value;

use super::reserve;

/// As many as a user may have.
const MOST: usize = 256;

/// Reserves as many as `user` may have, and tries for more.
fn flood(user: &TestEnv) {
    for count in [100, 100, 56] {
        user.pk(format!("reserve --count {count}")).ok();
    }
    let refused = user.pk("reserve").refused(3);
    drop(
        refused
            .says("256 reservations")
            .says("portkeeper release --mine"),
    );
    user.pk("reserve --hold").refused(3);
    user.pk("run -- true").refused(3);
}

#[test]
fn f66_a06_one_user_cannot_have_all_ports() {
    for shared in [Shared::machine_wide(), Shared::of_group()] {
        let Some(shared) = shared else { return };
        let (ports, ann, bob) = (Ports::claim(2), shared.user(0), shared.user(1));
        flood(&bob);
        let live = ["live", "registry.json.live"].map(|name| shared.path(name));
        let left: usize = live
            .iter()
            .filter_map(|folder| Some(fs::read_dir(folder).ok()?.count()))
            .sum();
        assert_eq!(left, 0, "files of reservations that were not made");
        ann.pk("reserve").ok();
        assert_eq!(bob.reserved().len(), MOST + 1);
        // What has ended counts no more.
        bob.pk(format!("release {}", of_second(&bob))).ok();
        reserve(&bob, ports.at(0), "--ttl 1ms").ok();
        reserve(&bob, ports.at(1), "").ok();
    }
}

/// A port that the second user has.
fn of_second(env: &TestEnv) -> u64 {
    let all = env.reservations();
    let found = all.iter().find(|it| it["uid"] == 61_002).unwrap();
    found["port"].as_u64().unwrap()
}

/// Writes a file of the second user's that has so many entries: first others, then for these ports.
fn write_by_hand(shared: &Shared, bob: &TestEnv, others: usize, ports: &Ports) {
    let own = Ports::claim(1).at(0);
    reserve(bob, own, "").ok();
    let path = shared.path("61002.json");
    let text = fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once('\n').unwrap();
    let (line, _) = rest.split_once("}}").unwrap();
    let id = line.split("\"id\":\"").nth(1).unwrap();
    let id = id.split('"').next().unwrap();
    let entry = |number: usize| {
        let line = line.replace(&own.to_string(), &number.to_string());
        line.replace(id, &format!("id{number}")) + "}"
    };
    let numbers = (1..=others).chain(ports.all().map(usize::from));
    let entries: Vec<_> = numbers.map(entry).collect();
    let temp = shared.path("61002.json.new");
    fs::write(&temp, format!("{head}\n{}}}}}\n", entries.join(",\n"))).unwrap();
    chown(&temp, Some(61_002), None).unwrap();
    fs::rename(temp, path).unwrap();
}

#[test]
fn a07_what_was_written_by_hand_over_the_quota_is_ignored() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ports, ann, bob) = (Ports::claim(16), shared.user(0), shared.user(1));
    write_by_hand(&shared, &bob, MOST - 1, &ports);
    let status = ann.pk("status --format json").ok();
    let of_bob = |status: &Value| status["reservations"].as_array().unwrap().len();
    assert_eq!(of_bob(&status.json()), MOST);
    drop(
        status
            .says("61002.json")
            .says("beyond its first 256 entries: it has 271"),
    );
    reserve(&ann, ports.at(0), "").refused(3);
    reserve(&ann, ports.at(1), "").ok();

    // So many are not even read.
    fs::remove_file(shared.path("61002.json")).unwrap();
    write_by_hand(&shared, &bob, 60_000, &ports);
    let taken = reserve(&ann, ports.at(0), "").ok().says("too large");
    assert!(taken.took.as_secs() < 5, "{taken:?}");
    assert_eq!(ann.reserved(), [ports.at(0), ports.at(1)]);
}
