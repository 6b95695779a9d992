//! How much of a shared registry one user can have.

use std::fs;
use std::os::unix::fs::chown;

use pk_tests::{Ports, Shared, TestEnv};
use serde_json::Value;

use super::reserve;

/// As many as a user may have.
const MOST: u16 = 256;

/// Reserves as many as `user` may have, and one more.
fn flood(user: &TestEnv, ports: &Ports) {
    let range = ports.range();
    for count in [100, 100, 56] {
        user.pk(format!("reserve --count {count} {range}")).ok();
    }
    let refused = user.pk(format!("reserve {range}")).refused(3);
    drop(
        refused
            .says("256 reservations")
            .says("portkeeper release --mine"),
    );
    user.pk(format!("reserve --hold {range}")).refused(3);
    user.pk(format!("run {range} -- true")).refused(3);
}

#[test]
fn f66_a06_one_user_cannot_have_all_ports() {
    for shared in [Shared::machine_wide(), Shared::of_group()] {
        let Some(shared) = shared else { return };
        let (ports, ann, bob) = (Ports::claim(MOST + 16), shared.user(0), shared.user(1));
        flood(&bob, &ports);
        let live = ["live", "registry.json.live"].map(|name| shared.path(name));
        let left: usize = live
            .iter()
            .filter_map(|folder| Some(fs::read_dir(folder).ok()?.count()))
            .sum();
        assert_eq!(left, 0, "files of reservations that were not made");
        let granted = ann
            .pk(format!("reserve --format port {}", ports.range()))
            .ok();
        assert!(!bob.reserved().is_empty() && ann.reserved().len() == usize::from(MOST) + 1);
        // What has ended counts no more.
        bob.pk(format!("release {}", ports.at(0))).ok();
        reserve(&bob, ports.at(0), "--ttl 1ms").ok();
        let last = ports.at(MOST + 15);
        reserve(&bob, last, "").ok();
        drop(granted);
    }
}

/// Entries of the second user's for so many ports from `first` on, as a file of that user's.
fn write_by_hand(shared: &Shared, bob: &TestEnv, first: u16, count: usize) {
    let ports = Ports::claim(1);
    reserve(bob, ports.at(0), "").ok();
    let path = shared.path("61002.json");
    let text = fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once('\n').unwrap();
    let (line, _) = rest.split_once("}}").unwrap();
    let port = ports.at(0).to_string();
    let id = line
        .split("\"id\":\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let entry = |at: usize| {
        let number = usize::from(first) + at;
        line.replace(&port, &number.to_string())
            .replace(id, &format!("id{number}"))
    };
    let entries: Vec<_> = (0..count).map(|at| entry(at) + "}").collect();
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
    let (ports, ann, bob) = (Ports::claim(MOST + 64), shared.user(0), shared.user(1));
    write_by_hand(&shared, &bob, ports.at(0), usize::from(MOST) + 64);
    let status = ann.pk("status --format json").ok();
    let of_bob = |status: &Value| status["reservations"].as_array().unwrap().len();
    assert_eq!(of_bob(&status.json()), usize::from(MOST));
    drop(
        status
            .says("61002.json")
            .says("beyond its first 256 entries: it has 320"),
    );
    reserve(&ann, ports.at(MOST - 1), "").refused(3);
    let taken = ann
        .pk(format!("reserve --format port {}", ports.range()))
        .ok();
    assert_eq!(taken.port(), ports.at(MOST));

    // So many are not even read.
    fs::remove_file(shared.path("61002.json")).unwrap();
    write_by_hand(&shared, &bob, 1, 60_000);
    let taken = reserve(&ann, ports.at(0), "").ok().says("too large");
    assert!(taken.took.as_secs() < 5, "{taken:?}");
    assert_eq!(ann.reserved(), [ports.at(0), ports.at(MOST)]);
}
