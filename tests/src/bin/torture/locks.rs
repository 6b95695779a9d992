//! A lock that its holder does not give back: a stopped process, a hung one, one that only reads.
//! Never a holder that works.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use pk_tests::process::{eventually, signal};
use pk_tests::{Answer, Ports, Running, TestEnv};
use rustix::process::Signal;

use crate::client::Hostage;
use crate::figures::ms;
use crate::options::Options;
use crate::row::{Needs, Outcome, Row};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "d16",
        about: "a stopped holder of the lock: exit 5 in time, status at once, SIGTERM at once",
        needs: Needs::Nothing,
        run: stopped,
    },
    Row {
        name: "f38",
        about: "the holder of the lock dies: all who wait go on at once",
        needs: Needs::Nothing,
        run: dies,
    },
    Row {
        name: "a04",
        about: "the lock is taken hostage by one who may only read it: exit 5 names the process",
        needs: Needs::Nothing,
        run: hostage,
    },
];

/// How often a time is taken before it counts as too long: others may keep the machine busy, but
/// not at every try.
const TRIES: usize = 5;

fn stopped(options: &Options) -> Outcome {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    env.pk(format!("reserve --preferred {}", ports.at(0))).ok();
    let holder = taken(&env, Hostage::Registry);
    holder.signal(Signal::STOP);

    let timeouts = options.choose([
        &[300_u64, 1_000][..],
        &[500, 1_000, 3_000],
        &[500, 1_000, 3_000, 10_000],
    ]);
    let mut latest = Duration::ZERO;
    for timeout in timeouts.iter().copied().map(Duration::from_millis) {
        let line = format!(
            "reserve {} --lock-timeout {}ms",
            ports.range(),
            timeout.as_millis()
        );
        let late = quickest(
            || {
                let answer = refused(&env, &line, &holder);
                answer
                    .took
                    .checked_sub(timeout)
                    .unwrap_or_else(|| panic!("too early: {answer:?}"))
            },
            (timeout / 10).max(Duration::from_millis(100)),
        );
        latest = latest.max(late);
    }
    let status = quickest(|| env.pk("status").ok().took, Duration::from_millis(50));
    let ended = quickest(|| ended(&env, &ports), Duration::from_millis(100));
    Ok(format!(
        "exit 5 up to {} late, status {}, SIGTERM {}",
        ms(latest),
        ms(status),
        ms(ended)
    ))
}

/// How long a command that waits for the lock takes to end when it is told to.
fn ended(env: &TestEnv, ports: &Ports) -> Duration {
    let waiter = env.start(env.portkeeper(format!("release {} --lock-timeout 50s", ports.at(0))));
    eventually(Duration::from_secs(20), "it waits", || waiting(env) == 1);
    let told = Instant::now();
    waiter.signal(Signal::TERM);
    assert_eq!(waiter.end().code, None, "ended by the signal");
    told.elapsed()
}

fn dies(options: &Options) -> Outcome {
    const WAITERS: u16 = 8;
    let rounds = options.rounds([3, 20, 500]);
    let mut longest = Duration::ZERO;
    while rounds.next().is_some() {
        let (env, ports) = (TestEnv::new(), Ports::claim(WAITERS));
        let took = quickest(
            || {
                let holder = taken(&env, Hostage::Registry);
                holder.signal(Signal::STOP);
                let line = format!("reserve --lock-timeout 50s {}", ports.range());
                let waiters: Vec<_> = (0..WAITERS)
                    .map(|_| env.start(env.portkeeper(&line)))
                    .collect();
                eventually(Duration::from_secs(30), "all wait", || {
                    waiting(&env) == usize::from(WAITERS)
                });
                let killed = Instant::now();
                signal(holder.pid(), Signal::KILL);
                for waiter in waiters {
                    waiter.end().ok();
                }
                let took = killed.elapsed();
                assert_eq!(env.reserved(), ports.all().collect::<Vec<_>>());
                env.pk("release --mine").ok();
                took
            },
            Duration::from_secs(1),
        );
        longest = longest.max(took);
    }
    Ok(format!(
        "{} times, {WAITERS} waiters served within {}",
        rounds.done(),
        ms(longest)
    ))
}

fn hostage(_: &Options) -> Outcome {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    env.pk(format!("reserve --preferred {}", ports.at(0))).ok();
    for by in [Hostage::Shared, Hostage::Exclusive] {
        for stop in [false, true] {
            let holder = taken(&env, by);
            if stop {
                holder.signal(Signal::STOP);
            }
            for line in ["reserve", "release --mine", "gc"] {
                refused(&env, &format!("{line} --lock-timeout 100ms"), &holder);
            }
            assert_eq!(env.reserved(), [ports.at(0)]);
            signal(holder.pid(), Signal::CONT);
        }
    }
    env.pk("release --mine --lock-timeout 1s").ok();
    Ok("12 commands refused, status answered each time".to_owned())
}

/// A process that has the lock.
fn taken(env: &TestEnv, by: Hostage) -> Running {
    let mut command = env.command(std::env::current_exe().unwrap());
    command.args(["client", by.name()]).arg(env.registry());
    command.stdin(std::process::Stdio::piped());
    let mut holder = env.start(command);
    assert_eq!(holder.line(), "locked");
    holder
}

/// Runs a command that does not get the lock, and says who has it.
fn refused(env: &TestEnv, line: &str, holder: &Running) -> Answer {
    env.pk(line)
        .refused(5)
        .says(format!("process {} (torture)", holder.pid()))
}

/// How many are in the queue for the lock of the registry.
fn waiting(env: &TestEnv) -> usize {
    let inode = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.ino());
    let lock = format!(":{} ", inode(&env.registry().with_extension("json.lock")));
    let locks = fs::read_to_string("/proc/locks").unwrap();
    locks
        .lines()
        .filter(|line| line.contains(" -> ") && line.contains(&lock))
        .count()
}

/// The shortest of the times that something takes, tried until one is within the limit.
#[track_caller]
fn quickest(mut took: impl FnMut() -> Duration, limit: Duration) -> Duration {
    let mut all = Vec::new();
    while all.len() < TRIES {
        all.push(took());
        if all.last() <= Some(&limit) {
            break;
        }
    }
    let least = all.iter().min().copied().unwrap_or_default();
    assert!(least <= limit, "{all:?}, {limit:?} allowed");
    least
}
