//! Writers at the same moment, and a neighbour who does not ask for the lock.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use pk_registry::{Error, Here, Kind, Registry, Verdict, Warning};
use tempfile::tempdir;

use crate::other::Other;
use crate::{LONG, reservation, verdicts};

#[test]
fn nobody_is_lost_when_two_processes_make_the_registry() {
    let home = tempdir().unwrap();
    let mut others: [Other; 2] =
        std::array::from_fn(|_| Other::playing("writes first", home.path()));
    others.iter_mut().for_each(|other| other.says("ready"));
    for round in 0..50 {
        // In a folder that is not there either.
        for (other, port) in others.iter_mut().zip(8080..) {
            other.hears(&format!("{round}/registry.json {port}"));
        }
        others.iter_mut().for_each(|other| other.says("written"));
        let registry = Registry::at(home.path().join(format!("{round}/registry.json")));
        assert_eq!(
            verdicts(&registry),
            [(8080, Verdict::Alive), (8081, Verdict::Alive)]
        );
    }
}

#[test]
fn threads_of_one_process_lose_nothing() {
    let home = tempdir().unwrap();
    let registry = Registry::at(home.path().join("registry.json"));
    let here = Here::now();
    let add = |first: u16| {
        for number in first..first + 20 {
            let port = reservation(number, Kind::Leased, &here);
            registry
                .update(LONG, &here, |it| it.insert(port.clone()))
                .unwrap();
        }
    };
    thread::scope(|scope| {
        for first in [8000, 8020, 8040, 8060] {
            scope.spawn(move || add(first));
        }
    });
    let expect: Vec<_> = (8000..8080).map(|port| (port, Verdict::Alive)).collect();
    assert_eq!(verdicts(&registry), expect);
}

#[test]
fn an_update_starts_over_when_the_registry_was_renamed_over_and_gives_up_in_the_end() {
    let home = tempdir().unwrap();
    let registry = Registry::at(home.path().join("registry.json"));
    let here = Here::now();
    let [first, second] = [8000, 8001].map(|port| reservation(port, Kind::Leased, &here));
    registry
        .update(LONG, &here, |it| it.insert(first.clone()))
        .unwrap();
    // The neighbour writes the same again, up to this many times.
    let update_beside = |most: usize| {
        let mut calls = 0;
        let updated = registry.update(LONG, &here, |transaction| {
            calls += 1;
            if calls <= most {
                let temp = home.path().join("neighbour");
                fs::copy(registry.path(), &temp).unwrap();
                fs::rename(&temp, registry.path()).unwrap();
            }
            transaction.insert(second.clone())
        });
        (updated.map(drop), calls)
    };
    let before = fs::read(registry.path()).unwrap();
    let (updated, calls) = update_beside(usize::MAX);
    assert!(
        matches!(updated, Err(Error::Contended { .. })),
        "{updated:?}"
    );
    assert!(calls > 10);
    assert_eq!(fs::read(registry.path()).unwrap(), before);
    let (updated, calls) = update_beside(3);
    assert_eq!((updated.is_ok(), calls), (true, 4));
    assert_eq!(
        verdicts(&registry),
        [(8000, Verdict::Alive), (8001, Verdict::Alive)]
    );
}

#[test]
fn an_update_starts_over_when_its_lock_file_was_deleted() {
    let home = tempdir().unwrap();
    let registry = Registry::at(home.path().join("registry.json"));
    let here = Here::now();
    for port in [8000, 8001] {
        let mut calls = 0;
        let updated = registry.update(LONG, &here, |transaction| {
            calls += 1;
            if calls == 1 {
                fs::remove_file(home.path().join("registry.json.lock")).unwrap();
            }
            transaction.insert(reservation(port, Kind::Leased, &here))
        });
        assert_eq!((updated.unwrap().value.port.number(), calls), (port, 2));
    }
    assert_eq!(
        verdicts(&registry),
        [(8000, Verdict::Alive), (8001, Verdict::Alive)]
    );
}

/// It may undo what others did, but it can't break the registry or let two writers in at once.
#[test]
fn a_neighbour_who_renames_over_the_registry_gets_in_nobody_s_way_for_long() {
    let home = tempdir().unwrap();
    let registry = Registry::at(home.path().join("registry.json"));
    let here = Here::now();
    let first = reservation(8000, Kind::Leased, &here);
    registry
        .update(LONG, &here, |it| it.insert(first.clone()))
        .unwrap();
    let bytes = fs::read(registry.path()).unwrap();
    let (done, inside) = (AtomicBool::new(false), AtomicBool::new(false));
    let [written, contended, renamed] = [const { AtomicU32::new(0) }; 3];
    let write = |port: u16| {
        let port = reservation(port, Kind::Leased, &here);
        for _ in 0..10 {
            let updated = registry.update(LONG, &here, |transaction| {
                assert!(!inside.swap(true, Ordering::SeqCst), "two at a time");
                thread::yield_now();
                transaction.remove(port.port, &port.id);
                let inserted = transaction.insert(port.clone());
                inside.store(false, Ordering::SeqCst);
                inserted
            });
            match updated {
                Ok(updated) => {
                    let mut warnings = updated.warnings.iter();
                    let is_expected = warnings.all(|it| matches!(it, Warning::Older { .. }));
                    assert!(is_expected, "{:?}", updated.warnings);
                    written.fetch_add(1, Ordering::SeqCst);
                }
                Err(Error::Contended { .. }) => _ = contended.fetch_add(1, Ordering::SeqCst),
                Err(error) => panic!("{error}"),
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let temp = home.path().join("neighbour");
            while !done.load(Ordering::SeqCst) {
                fs::write(&temp, &bytes).unwrap();
                fs::rename(&temp, registry.path()).unwrap();
                renamed.fetch_add(1, Ordering::SeqCst);
                // Often enough to be in the way, seldom enough to be got past.
                (0..100).for_each(|_| thread::yield_now());
            }
        });
        let writers = [8001, 8002, 8003].map(|port| scope.spawn(move || write(port)));
        let ended = writers.map(thread::ScopedJoinHandle::join);
        done.store(true, Ordering::SeqCst);
        assert!(ended.iter().all(Result::is_ok));
    });
    let [written, contended, renamed] = [written, contended, renamed].map(AtomicU32::into_inner);
    assert_eq!(written + contended, 30);
    assert!(renamed > 0);
    let last = reservation(8004, Kind::Leased, &here);
    registry
        .update(LONG, &here, |it| it.insert(last.clone()))
        .unwrap();
    let ports: Vec<u16> = verdicts(&registry)
        .into_iter()
        .map(|(port, _)| port)
        .collect();
    assert!(
        ports.starts_with(&[8000]) && ports.ends_with(&[8004]),
        "{ports:?}"
    );
    assert_eq!(registry.sweep_leftovers(LONG, &here).unwrap(), 0);
}
