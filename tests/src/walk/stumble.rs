//! A walk over the failpoints of a command: killed at each of them, and refused by each that can
//! answer with an error. Never knows their names beforehand.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::time::Instant;

use super::Report;
use super::judge::{Fate, Mishap};
use super::scene::Scene;
use super::world::World;

/// What a walk over failpoints came to.
#[derive(Debug)]
pub struct Passed {
    /// The steps. Its `calls` are the failpoints that were passed when nothing was in the way.
    pub report: Report,
    /// The names of all that were ever passed.
    pub names: BTreeSet<String>,
}

/// A failpoint that was passed: its name, and for the how many-th time in its process.
type Place = (String, usize);

/// Walks over the failpoints of a scene, but for those of these names; `None`, with a word about it,
/// where that cannot be.
#[must_use]
pub fn stumble(scene: &'static Scene, but: &BTreeSet<String>) -> Option<Passed> {
    let begun = Instant::now();
    let mut world = World::stumbling(scene)?;
    world.holder_rules = world.rules("");
    world.reset();
    let (answer, places) = world.trace("");
    let answer = answer.ok();
    world.settle();
    let mut report = Report::new(scene, places.len());
    let mut names: BTreeSet<String> = places.keys().map(|(name, _)| name.clone()).collect();
    drop(answer);
    let meant = places.iter().filter(|((name, _), _)| !but.contains(name));
    for ((name, number), can_answer) in meant {
        let mut mishaps = vec![("kill", Mishap::Killed)];
        if *can_answer {
            mishaps.push(("return(EIO)", Mishap::Refused));
            mishaps.push(("return(ENOSPC)", Mishap::Refused));
        }
        for (action, mishap) in mishaps {
            let rule = format!("{name}@{number}={action}");
            let is_holders = name.starts_with("holding.") && scene.first.is_some();
            let (before, rule_now) = match is_holders {
                true => (&*rule, ""),
                false => ("", &*rule),
            };
            world.holder_rules = world.rules(before);
            let taken = world.attempt(|world| {
                let (answer, places) = world.trace(rule_now);
                names.extend(places.into_keys().map(|(name, _)| name));
                let fate = world.fate(&answer, mishap);
                world.judge(fate, &answer);
                fate
            });
            match mishap {
                Mishap::Refused => report.faults += 1,
                _ => report.kills += 1,
            }
            match taken {
                Ok(Fate::Done) if mishap == Mishap::Refused => report.outlived += 1,
                Ok(_) => {}
                Err(why) => report.failures.push(format!("{rule}: {why}")),
            }
        }
    }
    report.took = begun.elapsed();
    Some(Passed { report, names })
}

impl World {
    /// Plays the scene with a rule; which failpoints it passes, and whether each can answer with an
    /// error.
    fn trace(&self, rule: &str) -> (crate::Answer, BTreeMap<Place, bool>) {
        let log = self.env.root().join("passed");
        // There is none the first time.
        let _ = fs::remove_file(&log);
        let mut command = self.command();
        command.env("PORTKEEPER_FAILPOINTS", self.rules(rule));
        let answer = self.env.run(command);
        (answer, passed(&fs::read_to_string(log).unwrap_or_default()))
    }

    /// A rule, and a log of what is passed.
    fn rules(&self, rule: &str) -> String {
        format!(
            "*=trace({});{rule}",
            self.env.root().join("passed").display()
        )
    }
}

/// The failpoints in a log.
fn passed(log: &str) -> BTreeMap<Place, bool> {
    let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
    let mut places = BTreeMap::new();
    for line in log.lines() {
        let mut words = line.split(' ');
        let (Some(process), Some(name)) = (words.next(), words.next()) else {
            continue;
        };
        let count = counts.entry((process, name)).or_default();
        *count += 1;
        let can_answer = words.next() == Some("answers");
        places.insert((name.to_owned(), *count), can_answer);
    }
    places
}
