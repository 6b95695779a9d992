//! One of many: a process that reserves and releases, and writes down what it got and how long each
//! step took. Never looks at what the others do.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pk_tests::process::spawn;
use pk_tests::vandal::vandalize;
use portkeeper::fs::lock::Wait;
use portkeeper::registry::{Registry, Transaction};
use portkeeper::{Force, Here, PortKeeper, PortRange, Reservation, Selection};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::crowd::Face;
use crate::dice::Dice;
use crate::ledger::Ledger;

/// No client has more ports than this at a time.
const MOST: usize = 3;

/// Plays the client that `words` describe.
pub(crate) fn play(words: &[&str]) {
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    if let [name, registry] = words
        && let Some(hostage) = Hostage::named(name)
    {
        return hostage.take(Path::new(registry));
    }
    if let ["vandal", folder, precious] = words {
        return spoil(Path::new(folder), Path::new(precious));
    }
    let [
        face,
        registry,
        ledgers,
        program,
        first,
        last,
        steps,
        time,
        index,
        seed,
    ] = words
    else {
        panic!("no such client: {words:?}");
    };
    let number = |word: &str| word.parse::<u64>().expect("a number");
    let port = |word: &str| word.parse::<u16>().expect("a port");
    let face = Face::named(face).expect("a face");
    let mut client = Client {
        ports: port(first)..=port(last),
        ledger: Ledger::begin(Path::new(ledgers), index),
        dice: Dice::new(number(seed)),
        asker: match face {
            Face::Library => Asker::library(Path::new(registry)),
            Face::Command => Asker::Command(PathBuf::from(program)),
        },
        mine: VecDeque::new(),
    };
    println!("ready");
    io::stdin().read_line(&mut String::new()).unwrap();
    let took = client.work(number(steps), Duration::from_millis(number(time)));
    client.leave();
    for wait in took {
        println!("{}", wait.as_micros());
    }
}

/// How the lock of a registry is taken by one who does not give it back before a line is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hostage {
    /// As the library takes it.
    Registry,
    /// By flock(2) on a descriptor for reading.
    Shared,
    /// The same, not to be shared.
    Exclusive,
}

impl Hostage {
    const NAMES: [(Hostage, &str); 3] = [
        (Hostage::Registry, "lock"),
        (Hostage::Shared, "lock-shared"),
        (Hostage::Exclusive, "lock-exclusive"),
    ];

    pub(crate) fn name(self) -> &'static str {
        Hostage::NAMES
            .iter()
            .find(|it| it.0 == self)
            .expect("all are named")
            .1
    }

    fn named(name: &str) -> Option<Hostage> {
        Hostage::NAMES.iter().find(|it| it.1 == name).map(|it| it.0)
    }

    fn take(self, registry: &Path) {
        let wait = || {
            println!("locked");
            io::stdin().read_line(&mut String::new()).unwrap();
        };
        let operation = match self {
            Hostage::Shared => FlockOperation::LockShared,
            Hostage::Exclusive => FlockOperation::LockExclusive,
            Hostage::Registry => {
                let work = |_: &mut Transaction<'_>| {
                    wait();
                    Ok::<_, portkeeper::registry::Error>(())
                };
                let time = Wait::UpTo(Duration::from_secs(30));
                Registry::at(registry)
                    .update(time, &Here::now(), work)
                    .expect("the lock");
                return;
            }
        };
        let file = File::open(registry.with_extension("json.lock")).expect("a lock file");
        flock(&file, operation).expect("the lock");
        wait();
    }
}

/// Is in the way of whoever works in a folder until standard input ends; then tells how often.
fn spoil(folder: &Path, precious: &Path) {
    let is_over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_over);
    thread::spawn(move || {
        let _ = io::stdin().read_line(&mut String::new());
        told.store(true, Ordering::Relaxed);
    });
    println!("up");
    println!(
        "{}",
        vandalize(folder, precious, || is_over.load(Ordering::Relaxed))
    );
}

/// Who reserves and releases, and keeps a ledger of it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) ports: RangeInclusive<u16>,
    pub(crate) ledger: Ledger,
    pub(crate) dice: Dice,
    pub(crate) asker: Asker,
    pub(crate) mine: VecDeque<Mine>,
}

/// How ports are asked for.
#[derive(Debug)]
pub(crate) enum Asker {
    Library(Box<PortKeeper>),
    /// The path of the program.
    Command(PathBuf),
}

/// A port that was granted.
#[derive(Debug)]
pub(crate) enum Mine {
    Guarded(Box<Reservation>),
    Leased(u16),
}

impl Asker {
    pub(crate) fn library(registry: &Path) -> Asker {
        Asker::Library(Box::new(
            PortKeeper::at(registry).expect("an absolute path"),
        ))
    }
}

impl Client {
    /// Does so many steps, or fewer if the time is over; how long each took.
    ///
    /// # Panics
    /// A step is refused: there are ports enough, and time enough for every lock.
    pub(crate) fn work(&mut self, steps: u64, time: Duration) -> Vec<Duration> {
        let (begun, mut took) = (Instant::now(), Vec::new());
        while (took.len() as u64) < steps && begun.elapsed() < time {
            let step = Instant::now();
            if self.mine.len() == MOST || !self.mine.is_empty() && self.dice.percent(50) {
                self.release();
            } else {
                self.reserve();
            }
            took.push(step.elapsed());
        }
        took
    }

    /// Releases what would end with this process; leases stay.
    pub(crate) fn leave(&mut self) {
        while let Some(at) = self
            .mine
            .iter()
            .position(|it| matches!(it, Mine::Guarded(_)))
        {
            self.mine.rotate_left(at);
            self.release();
        }
    }

    fn reserve(&mut self) {
        let range = PortRange::new(port(*self.ports.start()), port(*self.ports.end()));
        let range = range.expect("in order");
        let (mine, number, fence) = match &self.asker {
            Asker::Library(keeper) => {
                let request = keeper.request().range(range);
                if self.dice.percent(50) {
                    let guard = request.reserve().expect("a port");
                    let (number, fence) = (guard.port().number(), guard.record().fence);
                    (Mine::Guarded(Box::new(guard)), number, fence)
                } else {
                    let kept = request.keep().expect("a port");
                    let record = &kept.reservations[0];
                    let number = record.port.number();
                    (Mine::Leased(number), number, record.fence)
                }
            }
            Asker::Command(program) => {
                let range = range.to_string();
                let said = run(program, &["reserve", "--format", "port", "--range", &range]);
                let number = said.trim().parse().expect("a port");
                (Mine::Leased(number), number, 0)
            }
        };
        self.ledger.granted(number, fence);
        self.mine.push_back(mine);
    }

    fn release(&mut self) {
        let mine = self
            .mine
            .pop_front()
            .expect("asked only where there is one");
        match &mine {
            Mine::Guarded(guard) => self.ledger.lets_go(guard.port().number()),
            Mine::Leased(port) => self.ledger.releases(*port),
        }
        match (mine, &self.asker) {
            (Mine::Guarded(guard), _) => guard.release().expect("released"),
            (Mine::Leased(number), Asker::Library(keeper)) => {
                let selection = Selection {
                    ports: vec![port(number)],
                    ..Selection::default()
                };
                let released = keeper.release(&selection, Force::No).expect("released");
                assert!(released.failed.is_empty(), "{released:?}");
            }
            (Mine::Leased(number), Asker::Command(program)) => {
                run(program, &["release", &number.to_string()]);
            }
        }
    }
}

fn port(number: u16) -> portkeeper::Port {
    portkeeper::Port::new(number).expect("a port")
}

/// Runs a command that must be done; what it says.
fn run(program: &Path, words: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(words);
    let child = command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let output = spawn(child)
        .and_then(std::process::Child::wait_with_output)
        .expect("the program");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{words:?}: {} {error}",
        output.status
    );
    String::from_utf8(output.stdout).expect("text")
}
