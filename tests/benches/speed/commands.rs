//! Every command as a whole process, beside the floor and a program that does nothing, at several
//! sizes of the registry. Never compares what was not run in turns.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::figures::{self, Machine};
use crate::scene::{Place, Scene};
use crate::stopwatch::{Plan, Timed};
use crate::tools::Tools;

/// The sizes of the registry, in entries.
pub(crate) const SIZES: [u32; 5] = [0, 100, 1_000, 10_000, 60_000];

/// One command at one size.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) command: String,
    pub(crate) place: Place,
    pub(crate) entries: u32,
    pub(crate) runs: usize,
    pub(crate) micros: f64,
    /// KiB.
    pub(crate) memory: u64,
    pub(crate) faults: u64,
}

pub(crate) const NOTHING: &str = "/bin/true";
pub(crate) const FLOOR: &str = "the floor";

/// Measures, prints and keeps.
pub(crate) fn measure(tools: &Tools, rounds: u32) {
    let machine = Machine::before();
    let mut all = Vec::new();
    for place in [Place::Tmpfs, Place::Disk] {
        let Some(scene) = Scene::new(place, &tools.program) else {
            continue;
        };
        for entries in SIZES {
            // What takes longer varies less.
            let rounds = match entries {
                0..10_000 => rounds,
                10_000..60_000 => rounds.div_ceil(4),
                _ => rounds.div_ceil(10),
            };
            let (timed, is_first) =
                plan(&scene, tools, entries).run(scene.command(&tools.stopwatch), rounds);
            let order = if is_first {
                ""
            } else {
                ", among other processes"
            };
            println!("\n{entries} entries on {place}, {rounds} rounds{order}\n");
            print(&timed);
            all.extend(timed.into_iter().map(|it| Figure {
                command: it.name,
                place,
                entries,
                runs: it.runs,
                micros: it.micros,
                memory: it.memory,
                faults: it.faults,
            }));
        }
    }
    figures::keep("commands", machine, all);
}

fn plan(scene: &Scene, tools: &Tools, entries: u32) -> Plan {
    let (template, registry) = (scene.template(entries), scene.registry());
    let [port, other] = [0, 1].map(|at| scene.free.at(at).to_string());
    let ours = tools.program.as_str();
    let mut plan = Plan::default();
    plan.time(NOTHING, &["/bin/true"]);
    plan.time("--version", &[ours, "--version"]);
    let mut with = |template: &Path, name: &str, words: &[&str]| {
        scene.renew(&mut plan, template);
        plan.time(name, words);
    };
    let word = registry.to_str().unwrap();
    with(&template, FLOOR, &[&tools.floor, word, &port]);
    with(&template, "reserve", &[ours, "reserve"]);
    with(&template, "status", &[ours, "status"]);
    with(&template, "gc", &[ours, "gc"]);
    with(&template, "why", &[ours, "why", &port]);
    with(&template, "wait --free", &[ours, "wait", &port, "--free"]);
    with(&template, "run -- true", &[ours, "run", "--", "/bin/true"]);
    // There must be something to release.
    let last = scene.ports().take(entries.max(1) as usize).last().unwrap();
    let release = [ours, "release", &last.to_string()];
    with(&scene.template(entries.max(1)), "release", &release);
    let hold = [ours, "reserve", "--hold", "--strict", "--preferred", &other];
    with(&template, "reserve --hold", &hold);
    plan.then(&[ours, "release", &other]);
    files(&mut plan, scene, ours);
    plan
}

/// Changes of files, which have nothing to do with the registry.
fn files(plan: &mut Plan, scene: &Scene, ours: &str) {
    let lines = (0..20).map(|at| format!("NAME_{at}=value of {at}\n"));
    let env = lines.collect::<String>() + "PORT=3000\n";
    let json = "{\n  \"name\": \"shop\",\n  \"server\": { \"port\": 3000 }\n}\n";
    let commands: [(&str, &str, &str, &[&str]); 2] = [
        (".env", &env, "env set", &["env", "set", "PORT=8080"]),
        (
            "config.json",
            json,
            "json set",
            &["json", "set", "/server/port=8080"],
        ),
    ];
    for (file, text, name, words) in commands {
        let (template, target) = (scene.path(file), scene.path("project").join(file));
        fs::write(&template, text).unwrap();
        plan.copy(&template, &target);
        plan.time(name, &[&[ours], words].concat());
    }
}

/// A line for each program, with what it took against the floor and against nothing.
pub(crate) fn print(timed: &[Timed]) {
    let of = |name: &str| timed.iter().find(|it| it.name == name).map(|it| it.micros);
    let [floor, nothing] = [FLOOR, NOTHING].map(|name| of(name).unwrap_or(f64::NAN));
    println!(
        "{:34}{:>12}{:>9}{:>9}{:>10}{:>8}{:>6}",
        "", "µs", "× floor", "× true", "KiB", "faults", "runs"
    );
    for it in timed {
        println!(
            "{:34}{:>12.0}{:>9.2}{:>9.2}{:>10}{:>8}{:>6}",
            it.name,
            it.micros,
            it.micros / floor,
            it.micros / nothing,
            it.memory,
            it.faults,
            it.runs
        );
        if it.failed > 0 {
            println!("  FAILED: {} of {} runs", it.failed, it.runs);
        }
    }
}
