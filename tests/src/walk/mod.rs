//! A walk over the system calls of the commands that matter: each of them is once the last one, and
//! once for each error that the kernel could give it one that fails. After each step the promises
//! are checked: nothing that was answered is lost, no port is promised twice, files are old or new
//! and whole, the next command works, and one `gc` leaves no litter. Never stops at the first
//! failure.
//!
//! It needs strace(1), and for the processes that a command starts the build with failpoints.

mod errors;
mod judge;
mod scene;
mod tamper;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::TestEnv;
use crate::strace::{self, Call};

pub use scene::{SCENES, Scene};

use judge::Fate;
use scene::{Whose, World};
use tamper::{Seen, Tamper};

/// Which steps are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Every kill, and each call with one of its errors.
    Quick,
    /// So many steps, spread evenly over those of [`Extent::Quick`].
    Sample(usize),
    /// Every kill, and each call with all of its errors.
    Full,
}

/// What is done to the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Killed before them.
    Kills,
    /// They fail.
    Faults,
    /// Killed before them, and then the next command at each of its own.
    Pairs,
}

/// What the walk over a scene came to.
#[derive(Debug)]
pub struct Report {
    /// The scene's name.
    pub name: &'static str,
    /// How many calls it makes.
    pub calls: usize,
    /// How many times it was killed.
    pub kills: usize,
    /// How many times a call failed.
    pub faults: usize,
    /// How many of these steps never came to the call that was meant.
    pub missed: usize,
    /// What was wrong, a step each.
    pub failures: Vec<String>,
    /// How long it took, on all threads together.
    pub took: Duration,
}

/// A call, and what is done to it.
type Step = (Call, Tamper);

/// Walks over a scene on so many threads; `None`, with a word about it, where that cannot be.
#[must_use]
pub fn walk(scene: &'static Scene, kind: Kind, extent: Extent, threads: usize) -> Option<Report> {
    if !strace::works() {
        return None;
    }
    let mut first = world(scene)?;
    let calls = first.calls();
    let steps = sampled(steps(&calls, kind, extent), extent);
    let mut report = Report {
        name: scene.name,
        calls: calls.len(),
        kills: 0,
        faults: 0,
        missed: 0,
        failures: Vec::new(),
        took: Duration::ZERO,
    };
    let (begun, queue) = (Instant::now(), Mutex::new(VecDeque::from(steps)));
    let done = Mutex::new(&mut report);
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| world(scene).map(|mut world| world.work(&queue, &done)));
        }
        first.work(&queue, &done);
    });
    report.took = begun.elapsed();
    Some(report)
}

fn world(scene: &'static Scene) -> Option<World> {
    let env = match scene.whose {
        Whose::Helper(_) => TestEnv::with_failpoints()?,
        Whose::Command | Whose::Holder => TestEnv::new(),
    };
    Some(World::new(scene, env))
}

/// What is to be done to each call.
fn steps(calls: &[Seen], kind: Kind, extent: Extent) -> Vec<Step> {
    let mut steps = Vec::new();
    // What the loader does before is not the program's to answer for.
    let begun = |Seen { call, .. }: &Seen| call.name == "sigaltstack" && call.number == 2;
    let begin = calls.iter().position(begun);
    let begin = begin.map_or(0, |at| at + 1);
    for (at, Seen { call, can_fail }) in calls.iter().enumerate() {
        let mut add = |tamper| steps.push((call.clone(), tamper));
        match kind {
            Kind::Kills | Kind::Pairs => add(Tamper::Kill),
            Kind::Faults if at < begin || !can_fail => {}
            Kind::Faults => {
                let errors = errors::of(&call.name);
                match extent {
                    Extent::Full => errors.iter().for_each(|error| add(Tamper::Fail(error))),
                    // Another one for the next call of this name.
                    _ => errors
                        .get(call.number % errors.len().max(1))
                        .into_iter()
                        .for_each(|error| add(Tamper::Fail(error))),
                }
                if errors::is_write(&call.name) {
                    add(Tamper::Short);
                }
            }
        }
    }
    steps
}

fn sampled(steps: Vec<Step>, extent: Extent) -> Vec<Step> {
    let Extent::Sample(most) = extent else {
        return steps;
    };
    let pace = steps.len().div_ceil(most.max(1)).max(1);
    steps.into_iter().step_by(pace).collect()
}

impl World {
    /// Takes steps until there are none.
    fn work(&mut self, queue: &Mutex<VecDeque<Step>>, report: &Mutex<&mut Report>) {
        loop {
            let step = lock(queue).pop_front();
            let Some((call, tamper)) = step else { return };
            let taken = catch_unwind(AssertUnwindSafe(|| self.step(&call, tamper)));
            let mut report = lock(report);
            match tamper {
                Tamper::Kill => report.kills += 1,
                Tamper::Fail(_) | Tamper::Short => report.faults += 1,
            }
            match taken {
                Ok(fate) => {
                    report.missed += usize::from(
                        tamper == Tamper::Kill
                            && fate != Fate::Killed
                            && self.scene.whose == Whose::Command,
                    );
                }
                Err(panic) => {
                    // What it left must not spoil the next step.
                    let _ = catch_unwind(AssertUnwindSafe(|| self.settle()));
                    let why = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                    report.failures.push(format!("{call}, {tamper:?}: {why}"));
                }
            }
        }
    }

    fn step(&mut self, call: &Call, tamper: Tamper) -> Fate {
        self.reset();
        let answer = self.play(call, tamper);
        let fate = self.fate(&answer, call, tamper);
        self.judge(fate, &answer);
        self.settle();
        fate
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
