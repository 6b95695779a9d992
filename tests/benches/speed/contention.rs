//! Many processes that reserve at once: how much they get done together, how long each of them
//! waits, and whether two ever have the same port. Beside them a server that gives out ports.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::{Child, Command, Stdio};

use portkeeper::{PortKeeper, Settings};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::figures::{self, Machine};
use crate::peers::Portserver;
use crate::scene::{Place, Scene};
use crate::tools::Tools;

/// So many processes, each with so many operations.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) way: String,
    pub(crate) processes: usize,
    pub(crate) operations: usize,
    /// Operations a second, of all together.
    pub(crate) throughput: f64,
    /// Milliseconds that one takes: in the middle, of the slowest hundredth, at most.
    pub(crate) middle: f64,
    pub(crate) slow: f64,
    pub(crate) most: f64,
    /// How often a port was given out while somebody else had it.
    pub(crate) duplicates: usize,
}

/// How ports are got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By the library, and given back.
    Library,
    /// By `reserve`, and given back by `release`.
    Command,
    /// From portpicker's server, by a client that is nothing but one; given back when it ends.
    Server,
}

impl Way {
    const ALL: [Way; 3] = [Way::Library, Way::Command, Way::Server];

    fn name(self) -> &'static str {
        match self {
            Way::Library => "library",
            Way::Command => "command",
            Way::Server => "portserver",
        }
    }

    fn named(name: &str) -> Option<Way> {
        Way::ALL.into_iter().find(|way| way.name() == name)
    }
}

const PROCESSES: [usize; 3] = [1, 8, 64];

/// The argument that makes this program one of the processes.
pub(crate) const WORKER: &str = "--worker";

/// Measures, prints and keeps.
pub(crate) fn measure(tools: &Tools, operations: usize) {
    let Some(scene) = Scene::new(Place::Tmpfs, &tools.program) else {
        return;
    };
    let machine = Machine::before();
    let server = Portserver::start();
    println!("\nreserve and release, or pick, by several processes at once\n");
    println!(
        "{:14}{:>10}{:>8}{:>12}{:>10}{:>10}{:>10}{:>12}",
        "", "processes", "times", "a second", "p50 ms", "p99 ms", "max ms", "duplicates"
    );
    let mut all = Vec::new();
    for way in Way::ALL {
        let what = match (way, &server) {
            (Way::Library, _) => "-",
            (Way::Command, _) => &tools.program,
            (Way::Server, Some(server)) => &server.address,
            (Way::Server, None) => continue,
        };
        for processes in PROCESSES {
            scene.reset(&scene.template(100));
            // Few are done too soon to be measured.
            let operations = operations * (16 / processes).max(1);
            let figure = crowd(&scene, way, what, processes, operations);
            println!(
                "{:14}{processes:>10}{operations:>8}{:>12.0}{:>10.2}{:>10.2}{:>10.2}{:>12}",
                figure.way,
                figure.throughput,
                figure.middle,
                figure.slow,
                figure.most,
                figure.duplicates
            );
            all.push(figure);
        }
    }
    figures::keep("contention", machine, all);
}

/// An operation, in nanoseconds of the clock that all processes share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Operation {
    port: u16,
    /// Between these the port was nobody else's.
    from: u64,
    to: u64,
    begun: u64,
    done: u64,
}

fn crowd(scene: &Scene, way: Way, what: &str, processes: usize, operations: usize) -> Figure {
    let mut workers: Vec<Child> = (0..processes)
        .map(|_| {
            let mut command = scene.command(std::env::current_exe().unwrap());
            command
                .args([WORKER, way.name(), what, &operations.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    let mut answers: Vec<_> = workers
        .iter_mut()
        .map(|worker| BufReader::new(worker.stdout.take().unwrap()).lines())
        .collect();
    for lines in &mut answers {
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
    }
    // They begin at once, not one after the other.
    let begun = now() + 50_000_000;
    let orders: Vec<_> = workers
        .iter_mut()
        .map(|worker| {
            let mut orders = worker.stdin.take().unwrap();
            writeln!(orders, "{begun}").unwrap();
            orders
        })
        .collect();
    let mut had = Vec::new();
    for lines in &mut answers {
        // Whoever has ended may have given its ports back: none ends before all have answered.
        let line = lines.next().unwrap().unwrap();
        had.extend(line.split_whitespace().map(read));
    }
    drop(orders);
    for mut worker in workers {
        assert!(worker.wait().unwrap().success());
    }
    let end = had.iter().map(|it| it.done).max().unwrap_or(begun);
    let waits = had.iter().map(|it| (it.done - it.begun) as f64 / 1e6);
    let mut waits: Vec<f64> = waits.collect();
    waits.sort_by(f64::total_cmp);
    Figure {
        way: way.name().to_owned(),
        processes,
        operations,
        throughput: had.len() as f64 / ((end - begun) as f64 / 1e9),
        middle: waits[waits.len() / 2],
        slow: waits[waits.len() * 99 / 100],
        most: waits[waits.len() - 1],
        duplicates: duplicates(had),
    }
}

/// How many were given out before the last who had the same port had given it back.
fn duplicates(mut had: Vec<Operation>) -> usize {
    had.sort_unstable();
    let again = |pair: &&[Operation]| pair[0].port == pair[1].port && pair[1].from < pair[0].to;
    had.windows(2).filter(again).count()
}

fn read(text: &str) -> Operation {
    let numbers: Vec<u64> = text.split(',').map(|it| it.parse().unwrap()).collect();
    Operation {
        port: u16::try_from(numbers[0]).unwrap(),
        from: numbers[1],
        to: numbers[2],
        begun: numbers[3],
        done: numbers[4],
    }
}

/// One of the processes: its work, and then what it had.
pub(crate) fn work(words: &[String]) {
    let way = Way::named(&words[0]).expect("a way");
    let (what, operations) = (words[1].as_str(), words[2].parse().unwrap());
    let settings = Settings {
        registry: std::env::var_os("PORTKEEPER_REGISTRY").map(Into::into),
        state_dir: std::env::var_os("PORTKEEPER_STATE_DIR").map(Into::into),
        ..Settings::default()
    };
    let keeper = PortKeeper::open(settings).unwrap();
    println!("ready");
    let mut line = String::new();
    io::stdin().read_line(&mut line).unwrap();
    let begin: u64 = line.trim().parse().unwrap();
    while now() < begin {
        std::hint::spin_loop();
    }
    let all: Vec<_> = (0..operations).map(|_| once(way, what, &keeper)).collect();
    let mut text = String::new();
    for Operation {
        port,
        from,
        to,
        begun,
        done,
    } in all
    {
        // Writing to a string can't fail.
        let _ = write!(text, "{port},{from},{to},{begun},{done} ");
    }
    println!("{text}");
    // Until all are done.
    io::stdin().read_line(&mut line).unwrap();
}

fn once(way: Way, what: &str, keeper: &PortKeeper) -> Operation {
    let begun = now();
    let (port, from, to) = match way {
        Way::Library => {
            let reservation = keeper.request().reserve().unwrap();
            let had = (reservation.port().number(), now(), now());
            drop(reservation);
            had
        }
        Way::Command => {
            let mut reserve = Command::new(what);
            let output = reserve
                .args(["reserve", "--format", "port"])
                .output()
                .unwrap();
            let port = String::from_utf8(output.stdout).unwrap();
            let port: u16 = port.trim().parse().expect("a port");
            let had = (port, now(), now());
            let mut release = Command::new(what);
            release
                .args(["release", &port.to_string()])
                .stdout(Stdio::null());
            assert!(release.status().unwrap().success());
            had
        }
        Way::Server => (pick(what).unwrap(), now(), u64::MAX),
    };
    Operation {
        port,
        from,
        to,
        begun,
        done: now(),
    }
}

/// What portpicker's client does: says its pid, and reads a port.
pub(crate) fn pick(address: &str) -> io::Result<u16> {
    let name = address.trim_start_matches('@').as_bytes();
    let mut stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?;
    writeln!(stream, "{}", std::process::id())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    answer.trim().parse().map_err(io::Error::other)
}

/// A clock that all processes read alike.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec * 1_000_000_000 + now.tv_nsec).expect("time goes on")
}
