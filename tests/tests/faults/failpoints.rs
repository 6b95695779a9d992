//! The failpoints: each of them is passed by some command, and each command survives each of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pk_tests::walk::{SCENES, stumble};

/// What no scene comes to: a server that binds while it is run, a host of its own, a lock that others
/// have, a table on a terminal. The tests of these make them happen, and only the last stumbles.
const BESIDE: [&str; 7] = [
    "adopt.asked",
    "adopt.replied",
    "adopt.reply",
    "hold.host-bound",
    "lock.wait",
    "lock.waited",
    "watch.show",
];

#[test]
fn every_failpoint_is_passed_and_survived() {
    let mut passed = BTreeSet::new();
    for scene in SCENES {
        let Some(done) = stumble(scene, &passed) else {
            return;
        };
        eprintln!("{}", done.report);
        assert!(done.report.failures.is_empty(), "{:#?}", done.report);
        passed.extend(done.names);
    }
    let mut named = BTreeSet::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates"),
        &mut named,
    );
    let missing: Vec<_> = named.difference(&passed).map(String::as_str).collect();
    assert_eq!(missing, BESIDE, "passed by no command");
}

/// The names of the failpoints in the sources below a folder.
fn collect(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, names);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            let calls = code.filter_map(|line| line.split_once("failpoint!(\""));
            names.extend(calls.filter_map(|(_, rest)| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
}
