//! Many at once: nobody gets what another has, nothing is lost, nobody waits for ever.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use pk_tests::process::eventually;
use pk_tests::{Ports, TestEnv};
use rustix::fs::{FlockOperation, flock};

/// 64 workers, each reserving and releasing 50 times, each step a process of its own.
#[test]
fn sixty_four_workers_never_share_a_port() {
    const WORKERS: usize = 64;
    const ROUNDS: usize = 50;
    let (env, ports) = (TestEnv::new(), Ports::claim(80));
    let ledger = Mutex::new(HashMap::<u16, Vec<(Instant, Instant)>>::new());
    let start = Barrier::new(WORKERS);
    let work = || {
        start.wait();
        for _ in 0..ROUNDS {
            let port = env
                .pk(format!(
                    "reserve --lock-timeout 2m --format port {}",
                    ports.range()
                ))
                .ok()
                .port();
            let granted = Instant::now();
            // Ours until the release begins.
            ledger
                .lock()
                .unwrap()
                .entry(port)
                .or_default()
                .push((granted, Instant::now()));
            env.pk(format!("release --lock-timeout 2m {port}")).ok();
        }
    };
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
    let mut ledger = ledger.into_inner().unwrap();
    assert_eq!(
        ledger.values().map(Vec::len).sum::<usize>(),
        WORKERS * ROUNDS
    );
    for (port, grants) in &mut ledger {
        grants.sort();
        for pair in grants.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "{port} was granted twice at a time");
        }
    }
    assert_eq!(env.reserved(), [0_u16; 0]);
}

/// Twice as many as there are ports, all at the same moment.
#[test]
fn a05_two_hundred_on_a_hundred_ports() {
    const CALLS: usize = 200;
    let (env, ports) = (TestEnv::new(), Ports::claim(100));
    let start = Barrier::new(CALLS);
    let call = || {
        start.wait();
        env.pk(format!("reserve --format port {}", ports.range()))
    };
    let answers = thread::scope(|scope| {
        let calls: Vec<_> = (0..CALLS).map(|_| scope.spawn(call)).collect();
        calls
            .into_iter()
            .map(|call| call.join().unwrap())
            .collect::<Vec<_>>()
    });
    let (granted, refused): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|answer| answer.code == Some(0));
    let mut granted: Vec<_> = granted.iter().map(pk_tests::Answer::port).collect();
    granted.sort_unstable();
    assert_eq!(granted, ports.all().collect::<Vec<_>>());
    assert_eq!(refused.len(), CALLS - granted.len());
    for answer in refused {
        answer.refused(3);
    }
    assert_eq!(env.reserved(), granted);
}

#[test]
fn f38_a_lock_that_stays_taken_is_exit_5_and_names_its_holder() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.pk(format!("reserve {}", ports.range())).ok();
    let lock = File::open(env.registry().with_extension("json.lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();

    let pid = std::process::id().to_string();
    let answer = env
        .pk(format!("release {} --lock-timeout 1s", ports.at(0)))
        .refused(5)
        .says(pid);
    let limit = Duration::from_secs(1)..Duration::from_secs(3);
    assert!(limit.contains(&answer.took), "{answer:?}");
    assert!(
        env.pk("status").ok().took < Duration::from_secs(1),
        "reading waits for nobody"
    );

    thread::scope(|scope| {
        let waiter = scope.spawn(|| env.pk(format!("release {}", ports.at(0))));
        eventually(
            Duration::from_secs(10),
            "the command waits for the lock",
            || waits_for_lock(&env),
        );
        drop(lock);
        waiter.join().unwrap().ok();
    });
}

/// Whether somebody is in the queue for the lock of the registry.
fn waits_for_lock(env: &TestEnv) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let lock = std::fs::metadata(env.registry().with_extension("json.lock")).unwrap();
    let inode = format!(":{} ", lock.ino());
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    locks
        .lines()
        .any(|line| line.contains(" -> ") && line.contains(&inode))
}
