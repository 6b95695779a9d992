//! A walk over the system calls of the commands that matter: each of them is once the last one, and
//! once for each error that the kernel could give it one that fails. After each step the promises
//! are checked: nothing that was answered is lost, no port is promised twice, files are old or new
//! and whole, the next command works, and one `gc` leaves no litter. Never stops at the first
//! failure.
//!
//! It needs strace(1), and for the processes that a command starts the build with failpoints.

mod errors;
mod judge;
mod pairs;
mod row;
mod scene;
mod stumble;
mod tamper;
mod world;

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::strace::{self, Call};

pub use row::{Extent, ROWS, Row};
pub use scene::{SCENES, Scene};
pub use stumble::{Passed, stumble};

use judge::{Fate, Mishap};
use tamper::{Seen, Tamper};
use world::World;

/// What a walk over a scene came to.
#[derive(Debug)]
pub struct Report {
    /// The scene's name.
    pub scene: &'static str,
    /// How many calls it makes.
    pub calls: usize,
    /// How many times it was killed, or told to end.
    pub kills: usize,
    /// How many times a call failed.
    pub faults: usize,
    /// How many of these the command outlived, and was done: those of a process that it had started,
    /// and errors of what it can do without.
    pub outlived: usize,
    /// What was wrong, a step each.
    pub failures: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// What is done to which call.
#[derive(Clone, Debug)]
enum Step {
    One(Call, Tamper),
    /// Killed at the first call; then the next command, at the second.
    Pair(Call, Call),
}

/// Walks over a scene for a row, on so many threads; `None`, with a word about it, where that cannot
/// be.
#[must_use]
pub fn walk(
    row: &'static Row,
    scene: &'static Scene,
    extent: Extent,
    threads: usize,
) -> Option<Report> {
    let begun = Instant::now();
    if !strace::works() {
        return None;
    }
    let mut first = World::new(scene)?;
    let calls = first.calls();
    let mut report = Report::new(scene, calls.len());
    let mut steps = steps(row, scene, &calls, extent);
    if row.has_pairs(extent) {
        steps.extend(first.pairs(&steps));
    }
    let queue = Mutex::new(VecDeque::from(steps));
    let done = Mutex::new(&mut report);
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| World::new(scene).map(|mut world| world.work(&queue, &done)));
        }
        first.work(&queue, &done);
    });
    report.took = begun.elapsed();
    Some(report)
}

/// What is to be done to each call.
fn steps(row: &Row, scene: &Scene, calls: &[Seen], extent: Extent) -> Vec<Step> {
    let steps = calls.iter().flat_map(|seen| {
        let tampers = row.tampers(scene, seen, extent);
        let step = |tamper| Step::One(seen.call.clone(), tamper);
        tampers.into_iter().map(step)
    });
    let steps: Vec<_> = steps.collect();
    let pace = match extent {
        Extent::Sample(most) => steps.len().div_ceil(most.max(1)).max(1),
        Extent::Usual | Extent::Full => 1,
    };
    steps.into_iter().step_by(pace).collect()
}

impl World {
    /// Takes steps until there are none.
    fn work(&mut self, queue: &Mutex<VecDeque<Step>>, report: &Mutex<&mut Report>) {
        loop {
            let step = lock(queue).pop_front();
            let Some(step) = step else { return };
            let taken = self.attempt(|world| world.take(&step));
            let mut report = lock(report);
            match &step {
                Step::One(_, Tamper::Signal(_)) | Step::Pair(..) => report.kills += 1,
                Step::One(..) => report.faults += 1,
            }
            match taken {
                Ok(Fate::Done) if step.is_kill() => report.outlived += 1,
                Ok(_) => {}
                Err(why) => report.failures.push(format!("{step}: {why}")),
            }
        }
    }

    /// Does something from a fresh start; why it failed, if it did.
    fn attempt<T>(&mut self, work: impl FnOnce(&mut World) -> T) -> Result<T, String> {
        let done = catch_unwind(AssertUnwindSafe(|| {
            self.reset();
            work(self)
        }));
        // What a failed step left must not spoil the next one.
        let settled = catch_unwind(AssertUnwindSafe(|| self.settle()));
        let why = |panic: Box<dyn std::any::Any + Send>| match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => panic
                .downcast::<&str>()
                .map_or("?".into(), |text| (*text).into()),
        };
        done.and_then(|value| settled.map(|()| value)).map_err(why)
    }

    fn take(&self, step: &Step) -> Fate {
        match step {
            Step::One(call, tamper) => {
                let answer = self.play(call, *tamper);
                let fate = self.fate(&answer, Mishap::Call(call, *tamper));
                self.judge(fate, &answer);
                fate
            }
            Step::Pair(first, second) => self.play_pair(first, second),
        }
    }
}

impl Report {
    fn new(scene: &Scene, calls: usize) -> Report {
        Report {
            scene: scene.name,
            calls,
            kills: 0,
            faults: 0,
            outlived: 0,
            failures: Vec::new(),
            took: Duration::ZERO,
        }
    }
}

/// One line.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<28}{:>5} calls{:>7} kills{:>7} faults{:>4} outlived{:>4} failures{:>8.1} s",
            self.scene,
            self.calls,
            self.kills,
            self.faults,
            self.outlived,
            self.failures.len(),
            self.took.as_secs_f32()
        )
    }
}

impl Step {
    fn is_kill(&self) -> bool {
        matches!(self, Step::One(_, Tamper::Signal(_)) | Step::Pair(..))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::One(call, Tamper::Signal(signal)) => write!(f, "{signal} at {call}"),
            Step::One(call, Tamper::Fail(error)) => write!(f, "{error} from {call}"),
            Step::One(call, Tamper::Short) => write!(f, "a short {call}"),
            Step::Pair(first, second) => write!(f, "killed at {first}, the next one at {second}"),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
