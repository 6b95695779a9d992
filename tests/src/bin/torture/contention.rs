//! Many at once: nobody gets what another has, nothing is lost, nobody waits for ever. Never one
//! process alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use pk_tests::{Answer, Ports, TestEnv};
use serde_json::Value;

use crate::client::{Asker, Client};
use crate::crowd::{Crowd, Face};
use crate::figures::Spread;
use crate::ledger::{self, History, Ledger};
use crate::options::{Options, Scale};
use crate::row::{Needs, Outcome, Row};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "d4",
        about: "64 processes at once, library and commands: no port twice, no update lost",
        needs: Needs::Nothing,
        run: contention,
    },
    Row {
        name: "d5",
        about: "64 processes wait for one lock, 100 reservations beside: nobody starves",
        needs: Needs::Nothing,
        run: fairness,
    },
    Row {
        name: "d6",
        about: "the lock file is deleted all the time: no port twice, no update lost",
        needs: Needs::Nothing,
        run: deleter,
    },
    Row {
        name: "f43",
        about: "32 threads of one process: no port twice, no update lost",
        needs: Needs::Nothing,
        run: threads,
    },
    Row {
        name: "a05",
        about: "200 commands at the same moment: 200 ports, no lock timeout",
        needs: Needs::Nothing,
        run: herd,
    },
];

fn contention(options: &Options) -> Outcome {
    // Of each crowd: how many, and how often they do something together.
    let crowds: &[(usize, [u64; 3])] = match options.scale {
        Scale::Full => &[(64, [64 * 10_000; 3]), (256, [256 * 400; 3])],
        _ => &[(64, [3_000, 64 * 200, 0])],
    };
    let mut told = Vec::new();
    for (count, counts) in crowds {
        let rounds = options.rounds(*counts);
        // Nobody has more than three, and one is to be left for each that asks.
        let (env, ports) = (TestEnv::new(), Ports::claim(*count as u16 * 4));
        let before = Before::of(&env);
        let crowd = Crowd {
            env: &env,
            ports: ports.all(),
            faces: Face::mixed(*count),
        };
        let toll = crowd.work(options, &rounds);
        let said = before.settle(&env, &toll.ledgers);
        told.push(format!("{count}: {said}; a step {}", toll.waits));
    }
    Ok(told.join("; "))
}

fn fairness(options: &Options) -> Outcome {
    let rounds = options.rounds([6_400, 64 * 500, 64 * 20_000]);
    let (env, others, ports) = (TestEnv::new(), Ports::claim(100), Ports::claim(256));
    env.pk(format!("reserve --count 100 {}", others.range()))
        .ok();
    let before = Before::of(&env);
    let crowd = Crowd {
        env: &env,
        ports: ports.all(),
        faces: vec![Face::Library; 64],
    };
    let toll = crowd.work(options, &rounds);
    let said = before.settle(&env, &toll.ledgers);
    // Where the machine has others to serve, everybody waits longer: then nobody may wait much
    // longer than everybody does.
    let mean = toll.waits.mean();
    for (what, wait, limit, share) in [
        (
            "99 % of all",
            toll.waits.percentile(99),
            Duration::from_millis(500),
            20,
        ),
        ("the longest", toll.waits.max(), Duration::from_secs(2), 80),
    ] {
        assert!(
            wait <= limit.max(mean * share),
            "{what}: {wait:?}, {limit:?} allowed, mean {mean:?}"
        );
    }
    Ok(format!("{said}; a step {}", toll.waits))
}

/// How long the lock file is left alone.
const PACE: Duration = Duration::from_micros(500);

fn deleter(options: &Options) -> Outcome {
    let rounds = options.rounds([3_000, 20_000, 1_000_000]);
    let (env, ports) = (TestEnv::new(), Ports::claim(128));
    env.pk(format!("reserve {}", ports.range())).ok();
    env.pk("release --mine").ok();
    let (is_over, deleted) = (AtomicBool::new(false), AtomicU64::new(0));
    let lock = env.registry().with_extension("json.lock");
    let delete = || {
        while !is_over.load(Ordering::Relaxed) {
            deleted.fetch_add(u64::from(fs::remove_file(&lock).is_ok()), Ordering::Relaxed);
            // In an endless loop on a processor of its own nobody gets anywhere, and is told so.
            thread::sleep(PACE);
        }
    };
    let before = Before::of(&env);
    let crowd = Crowd {
        env: &env,
        ports: ports.all(),
        faces: Face::mixed(16),
    };
    let toll = thread::scope(|scope| {
        scope.spawn(delete);
        let toll = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            crowd.work(options, &rounds)
        }));
        is_over.store(true, Ordering::Relaxed);
        toll
    });
    let toll = toll.unwrap_or_else(|cause| std::panic::resume_unwind(cause));
    let said = before.settle(&env, &toll.ledgers);
    Ok(format!("{said}; deleted {} times", deleted.into_inner()))
}

fn threads(options: &Options) -> Outcome {
    const THREADS: u64 = 32;
    let rounds = options.rounds([3_000, 32 * 500, 32 * 20_000]);
    let (env, ports) = (TestEnv::new(), Ports::claim(128));
    let ledgers = env.root().join("ledgers");
    fs::create_dir(&ledgers).unwrap();
    let before = Before::of(&env);
    let (steps, time) = rounds.left();
    let start = Barrier::new(THREADS as usize);
    let work = |index: u64| {
        let mut client = Client {
            ports: ports.all(),
            ledger: Ledger::begin(&ledgers, &index.to_string()),
            dice: options.dice(index),
            asker: Asker::library(&env.registry()),
            mine: Default::default(),
        };
        start.wait();
        let took = client.work(steps.div_ceil(THREADS), time.unwrap_or(Duration::MAX));
        client.leave();
        took
    };
    let took = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|index| scope.spawn(move || work(index)))
            .collect();
        threads
            .into_iter()
            .flat_map(|it| it.join().expect("a thread"))
            .collect()
    });
    let said = before.settle(&env, &ledgers);
    Ok(format!("{said}; a step {}", Spread::of(took)))
}

fn herd(options: &Options) -> Outcome {
    const CALLS: u16 = 200;
    let rounds = options.rounds([2, 10, 200]);
    let mut took = Vec::new();
    while rounds.next().is_some() {
        let (env, ports) = (TestEnv::new(), Ports::claim(CALLS));
        let start = Barrier::new(usize::from(CALLS));
        let call = || {
            start.wait();
            env.pk(format!("reserve --format port {}", ports.range()))
                .ok()
        };
        let answers: Vec<Answer> = thread::scope(|scope| {
            let calls: Vec<_> = (0..CALLS).map(|_| scope.spawn(call)).collect();
            calls
                .into_iter()
                .map(|it| it.join().expect("an answer"))
                .collect()
        });
        let granted: BTreeSet<u16> = answers.iter().map(Answer::port).collect();
        assert_eq!(granted, ports.all().collect(), "each once");
        assert_eq!(env.reserved(), ports.all().collect::<Vec<_>>());
        took.extend(answers.iter().map(|it| it.took));
    }
    Ok(format!(
        "{} times; a command {}",
        rounds.done(),
        Spread::of(took)
    ))
}

/// A registry before many changed it.
struct Before {
    reserved: BTreeSet<u16>,
    generation: u64,
}

impl Before {
    fn of(env: &TestEnv) -> Before {
        let reserved = env.reserved().into_iter().collect();
        Before {
            reserved,
            generation: generation(env),
        }
    }

    /// Checks the ledgers, and the registry against them: what is open is there and nothing else, and
    /// it was written as often as they say.
    fn settle(self, env: &TestEnv, ledgers: &Path) -> String {
        let History {
            grants,
            releases,
            let_go,
            open,
        } = ledger::check(ledgers);
        let expect: BTreeSet<u16> = self.reserved.union(&open).copied().collect();
        let reserved: BTreeSet<u16> = env.reserved().into_iter().collect();
        assert_eq!(reserved, expect, "the registry, and what the ledgers say");
        let (written, least) = (generation(env) - self.generation, grants + releases);
        assert!(
            (least..=least + let_go).contains(&written),
            "{written} updates, not {least} and up to {let_go}"
        );
        let releases = releases + let_go;
        format!("{grants} grants, {releases} releases, 0 twice, 0 lost")
    }
}

/// How often the registry was written.
fn generation(env: &TestEnv) -> u64 {
    let Ok(registry) = fs::read(env.registry()) else {
        return 0;
    };
    let registry: Value = serde_json::from_slice(&registry).unwrap();
    registry["generation"].as_u64().expect("a number")
}
