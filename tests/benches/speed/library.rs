//! What a reservation costs a program that uses the library, beside the bare system calls of the
//! same, made by a process of their own in slices between ours.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Instant;

use portkeeper::{Force, PortKeeper, Selection, Settings};
use serde::{Deserialize, Serialize};

use crate::figures::{self, Machine};
use crate::scene::{Place, Scene};
use crate::stopwatch::median;
use crate::tools::Tools;

/// Reserving and releasing once, at one size.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) kind: String,
    pub(crate) entries: u32,
    pub(crate) slices: u32,
    /// Microseconds: ours, the system calls that it takes at least, and those that ours makes.
    pub(crate) ours: f64,
    pub(crate) least: f64,
    pub(crate) same: f64,
}

/// What is reserved.
#[derive(Clone, Copy)]
enum Kind {
    /// For as long as a value lives.
    Guarded,
    /// Until it is released.
    Leased,
}

const SIZES: [u32; 3] = [0, 100, 1_000];
/// How often it is done before the other has its turn.
const SLICE: u32 = 20;

/// Measures, prints and keeps.
pub(crate) fn measure(tools: &Tools, slices: u32) {
    let Some(scene) = Scene::new(Place::Tmpfs, &tools.program) else {
        return;
    };
    let machine = Machine::before();
    let keeper = keeper(&scene);
    let mut all = Vec::new();
    println!("\nreserve and release in the library, µs for both, {slices} slices of {SLICE}\n");
    println!(
        "{:22}{:>10}{:>10}{:>14}{:>8}{:>14}{:>8}",
        "", "entries", "library", "least calls", "ratio", "same calls", "ratio"
    );
    for kind in [Kind::Guarded, Kind::Leased] {
        for entries in SIZES {
            let figure = pair(tools, &scene, &keeper, kind, entries, slices);
            let Figure {
                kind,
                ours,
                least,
                same,
                ..
            } = &figure;
            println!(
                "{kind:22}{entries:>10}{ours:>10.1}{least:>14.1}{:>8.2}{same:>14.1}{:>8.2}",
                ours / least,
                ours / same
            );
            all.push(figure);
        }
    }
    figures::keep("library", machine, all);
}

/// A keeper of the registry of a scene.
pub(crate) fn keeper(scene: &Scene) -> PortKeeper {
    let settings = Settings {
        registry: Some(scene.registry()),
        state_dir: Some(scene.state()),
        ..Settings::default()
    };
    PortKeeper::open(settings).unwrap()
}

fn pair(
    tools: &Tools,
    scene: &Scene,
    keeper: &PortKeeper,
    kind: Kind,
    entries: u32,
    slices: u32,
) -> Figure {
    // The system calls have a registry of their own, which never grows either.
    let other = scene.path("bare.json");
    // There must be an entry, and one file for each that lives.
    fs::copy(scene.template(entries.max(1)), &other).unwrap();
    fs::create_dir_all(scene.path("bare.json.live")).unwrap();
    scene.reset(&scene.template(entries));
    let name = match kind {
        Kind::Guarded => "guarded",
        Kind::Leased => "leased",
    };
    let port = scene.free.at(0).to_string();
    let words = [other.to_str().unwrap(), &port, name, "all"];
    let mut least = Bare::start(tools, &words[..3]);
    let mut same = Bare::start(tools, &words);
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..slices {
        let begun = Instant::now();
        (0..SLICE).for_each(|_| once(keeper, kind));
        times[0].push(begun.elapsed().as_secs_f64() * 1e6 / f64::from(SLICE));
        times[1].push(least.slice());
        times[2].push(same.slice());
    }
    least.end();
    same.end();
    let [ours, least, same] = times.map(median);
    Figure {
        kind: name.to_owned(),
        entries,
        slices,
        ours,
        least,
        same,
    }
}

fn once(keeper: &PortKeeper, kind: Kind) {
    match kind {
        Kind::Guarded => drop(keeper.request().reserve().unwrap()),
        Kind::Leased => {
            let kept = keeper.request().keep().unwrap();
            let selection = Selection {
                ports: vec![kept.reservations[0].port],
                ..Selection::default()
            };
            keeper.release(&selection, Force::No).unwrap();
        }
    }
}

/// The process that makes the bare system calls.
struct Bare {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Bare {
    fn start(tools: &Tools, words: &[&str]) -> Bare {
        let mut child = std::process::Command::new(&tools.floor)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Bare {
            orders: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// Microseconds of one.
    fn slice(&mut self) -> f64 {
        writeln!(self.orders, "{SLICE}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let nanoseconds: f64 = line.trim().parse().unwrap();
        nanoseconds / 1e3 / f64::from(SLICE)
    }

    fn end(mut self) {
        drop(self.orders);
        assert!(self.child.wait().unwrap().success());
    }
}
