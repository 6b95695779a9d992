//! What a process leaves when it is killed.

use std::fs;

use pk_fs::lock::{self, Wait};
use pk_registry::{Error, Here, Kind, Reason, Registry, Verdict};
use tempfile::tempdir;

use crate::other::Other;
use crate::{LONG, reservation, verdicts};

#[test]
fn a_guard_ends_with_its_process() {
    let home = tempdir().unwrap();
    let registry = Registry::at(home.path().join("registry.json"));
    let mut other = Other::playing("guard", registry.path());
    other.says("guarded");
    assert_eq!(verdicts(&registry), [(8080, Verdict::Alive)]);
    other.kill();
    assert_eq!(
        verdicts(&registry),
        [(8080, Verdict::Stale(Reason::GuardGone))]
    );
    let swept = registry.update(Wait::Never, &Here::now(), |transaction| {
        transaction.sweep(|_| None);
        Ok::<_, Error>(transaction.ended().len())
    });
    assert_eq!(swept.unwrap().value, 1);
    assert!(!home.path().join("registry.json.live/id8080").exists());
}

#[test]
fn a_writer_killed_in_the_midst_leaves_everything_as_it_was() {
    let home = tempdir().unwrap();
    let registry = Registry::at(home.path().join("registry.json"));
    let here = Here::now();
    let insert = |number| {
        registry.update(Wait::Never, &here, |transaction| {
            transaction.insert(reservation(number, Kind::Leased, &here))
        })
    };
    insert(8080).unwrap();
    let before = fs::read(registry.path()).unwrap();
    let mut other = Other::playing("stays inside", registry.path());
    other.says("inside");
    // Readers take no lock.
    assert_eq!(verdicts(&registry), [(8080, Verdict::Alive)]);
    let answer = insert(8081);
    assert!(
        matches!(answer, Err(Error::Lock(lock::Error::Timeout { .. }))),
        "{answer:?}"
    );
    other.kill();
    assert_eq!(fs::read(registry.path()).unwrap(), before);
    insert(8081).unwrap();
    assert_eq!(
        verdicts(&registry),
        [(8080, Verdict::Alive), (8081, Verdict::Alive)]
    );
    assert_eq!(registry.sweep_leftovers(LONG, &here).unwrap(), 0);
}
