//! The hunt: input after input until the time is over or an exception is found, which is then made
//! small. Never stops for an input that hangs: a second thread sees it and ends the process.

use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use proptest::strategy::{Strategy as _, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::findings;
use crate::inputs::{Inputs, Smaller};
use crate::target::{Source, Target};

/// An input that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// The exit code of a process with an input that hangs.
const HANGS: i32 = 3;

/// How many operations of sequences and histories were done in this process.
static STEPS: AtomicU64 = AtomicU64::new(0);

/// And how many commands were run for them.
static COMMANDS: AtomicU64 = AtomicU64::new(0);

/// One more operation is done.
pub fn step() {
    STEPS.fetch_add(1, Ordering::Relaxed);
}

/// One more command is run.
pub fn command() {
    COMMANDS.fetch_add(1, Ordering::Relaxed);
}

/// What came of a hunt.
#[derive(Debug)]
pub struct Hunted {
    /// How many operations they were made of, where they were.
    pub steps: u64,
    /// How many commands were run for that.
    pub commands: u64,
    /// How many inputs were checked.
    pub executions: u64,
    /// How long it took.
    pub took: Duration,
    /// The exception, if there is one.
    pub finding: Option<Finding>,
}

/// An exception.
#[derive(Debug)]
pub struct Finding {
    /// The smallest input that is known to be one.
    pub input: Vec<u8>,
    /// What the property says.
    pub why: String,
}

/// How a hunt is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// What is found is made small.
    Thorough,
    /// It is not.
    Brief,
    /// The next input is on the disk before it is checked, in the place of a finding, so that it is
    /// known even where it ends the process: that costs more than most checks.
    Traced,
}

/// Hunts for `time`. The same seed hunts the same inputs.
///
/// # Panics
/// proptest gives up on a strategy that never does.
#[must_use]
pub fn hunt(target: &Target, time: Duration, seed: u64, how: How) -> Hunted {
    let watch = Watch::start(*target);
    let mut runner = runner(seed, how);
    let (started, mut executions) = (Instant::now(), 0);
    let mut seeds = target.seeds().into_iter();
    let inputs = match target.source {
        Source::Bytes(words) => Some(Inputs::new(target.seeds(), words)),
        Source::Cases(_) => None,
    };
    let mut next = || match (&inputs, target.source) {
        (Some(inputs), _) => {
            // Those of the corpus as they are, then others like them.
            let tree = match seeds.next() {
                Some(seed) => Smaller::new(seed),
                None => inputs.new_tree(&mut runner).unwrap(),
            };
            let traced = match how {
                How::Thorough | How::Brief => None,
                How::Traced => Some(findings::keep(target, &tree.current()).unwrap()),
            };
            let finding = exception(target, tree, &mut runner, &watch);
            traced
                .into_iter()
                .for_each(|path| std::fs::remove_file(path).unwrap());
            finding
        }
        (None, Source::Cases(case)) => case(&mut runner, &watch),
        (None, Source::Bytes(_)) => unreachable!("bytes have inputs"),
    };
    let mut finding = None;
    while finding.is_none() && started.elapsed() < time {
        executions += 1;
        finding = next();
    }
    Hunted {
        steps: STEPS.load(Ordering::Relaxed),
        commands: COMMANDS.load(Ordering::Relaxed),
        executions,
        took: started.elapsed(),
        finding,
    }
}

/// Makes an exception small; `None` where the input is none.
#[must_use]
pub fn minimise(target: &Target, input: Vec<u8>) -> Option<Finding> {
    let watch = Watch::start(*target);
    exception(
        target,
        Smaller::new(input),
        &mut runner(0, How::Thorough),
        &watch,
    )
}

fn runner(seed: u64, how: How) -> TestRunner {
    let config = Config {
        failure_persistence: None,
        max_shrink_iters: if how == How::Brief { 0 } else { 20_000 },
        max_shrink_time: 60_000,
        ..Config::default()
    };
    let mut bytes = [0x5a; 16];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::XorShift, &bytes);
    TestRunner::new_with_rng(config, rng)
}

fn exception(
    target: &Target,
    tree: Smaller,
    runner: &mut TestRunner,
    watch: &Watch,
) -> Option<Finding> {
    let first = tree.current();
    let is_one = |input: &[u8]| watch.over(input, || target.run(input));
    // Most inputs are none; those need no copy.
    is_one(&first).err()?;
    let failed = runner.run_one(tree, |input| {
        is_one(&input).map_err(proptest::test_runner::TestCaseError::fail)
    });
    match failed {
        Err(TestError::Fail(why, input)) => Some(Finding {
            input,
            why: why.message().into(),
        }),
        // It was one a moment ago: to be looked at as it is.
        _ => Some(Finding {
            input: first,
            why: "it is an exception at times".into(),
        }),
    }
}

/// What a panic says, instead of the panic.
fn quietly(work: impl FnOnce()) -> Result<(), String> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|said| {
        said.downcast_ref::<String>()
            .cloned()
            .or_else(|| said.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "it panics".into())
    })
}

/// Keeps an exception and tells of it.
///
/// # Errors
/// It could not be kept.
pub fn report(target: &Target, finding: &Finding) -> io::Result<()> {
    let path = findings::keep(target, &finding.input)?;
    tell(target, &finding.why, &path)
}

fn tell(target: &Target, why: &str, path: &Path) -> io::Result<()> {
    let replay = findings::replay(path);
    writeln!(io::stderr(), "{}: {why}\nreplay: {replay}", target.name)
}

/// What is being checked at this moment, and since when.
#[derive(Debug)]
pub struct Watch(Arc<Mutex<Current>>);

type Current = Option<(Vec<u8>, Instant)>;

impl Watch {
    fn start(target: Target) -> Watch {
        let current: Arc<Mutex<Current>> = Arc::default();
        let seen = Arc::downgrade(&current);
        thread::spawn(move || {
            // Ends with the hunt.
            while let Some(current) = seen.upgrade() {
                if let Ok(current) = current.lock()
                    && let Some((input, since)) = &*current
                    && since.elapsed() > PATIENCE
                {
                    if let Ok(path) = findings::keep(&target, input) {
                        let _ = tell(&target, "it hangs", &path);
                    }
                    std::process::exit(HANGS);
                }
                drop(current);
                thread::sleep(Duration::from_millis(500));
            }
        });
        Watch(current)
    }

    /// Runs a check; gives back what it says when it panics.
    ///
    /// # Errors
    /// What the panic says.
    pub fn over(&self, input: &[u8], check: impl FnOnce()) -> Result<(), String> {
        self.begins(input);
        let outcome = quietly(check);
        self.ends();
        outcome
    }

    fn begins(&self, input: &[u8]) {
        if let Ok(mut current) = self.0.lock() {
            let mut bytes = current.take().map_or_else(Vec::new, |(bytes, _)| bytes);
            bytes.clear();
            bytes.extend_from_slice(input);
            *current = Some((bytes, Instant::now()));
        }
    }

    fn ends(&self) {
        if let Ok(mut current) = self.0.lock() {
            *current = None;
        }
    }
}
