//! A few seconds of every target, and all inputs of its corpus. Never the same as a long hunt:
//! `cargo xtask fuzz`.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::thread;
use std::time::Duration;

use pk_fuzz::hunt::{self, How};
use pk_fuzz::target::Source;
use pk_fuzz::{TARGETS, Target};

/// For each target. The same inputs every time: a change is to blame for what is found.
const TIME: Duration = Duration::from_secs(3);
const SEED: u64 = 1;

fn hunt(target: &Target) {
    let hunted = hunt::hunt(target, TIME, SEED, How::Thorough);
    assert!(hunted.executions > 0, "{} is not tried", target.name);
    if let Some(finding) = hunted.finding {
        hunt::report(target, &finding).unwrap();
        panic!("{}: {}", target.name, finding.why);
    }
}

fn targets(are_of_bytes: bool) -> impl Iterator<Item = &'static Target> {
    TARGETS
        .iter()
        .filter(move |target| matches!(target.source, Source::Bytes(_)) == are_of_bytes)
}

#[test]
fn no_bytes_are_an_exception() {
    thread::scope(|scope| {
        for target in targets(true) {
            scope.spawn(|| hunt(target));
        }
    });
}

#[test]
fn no_sequence_is_an_exception() {
    // One after the other: they share their ports.
    targets(false).for_each(hunt);
}

#[test]
fn a_target_has_a_name_of_its_own_and_a_corpus() {
    for (at, target) in TARGETS.iter().enumerate() {
        let same = TARGETS.iter().filter(|other| other.name == target.name);
        assert_eq!(same.count(), 1, "{}", target.name);
        let is_of_bytes = matches!(target.source, Source::Bytes(_));
        assert_eq!(
            target.seeds().is_empty(),
            !is_of_bytes,
            "{at}: {}",
            target.name
        );
    }
}
