//! Whoever takes back what a killed command began can be killed as well. Never does so twice for
//! what looks the same.

use std::collections::HashSet;
use std::fs;

use super::Step;
use super::judge::{Fate, NEXT};
use super::tamper::KILL;
use super::world::World;
use crate::strace::{self, Call};

impl World {
    /// For each of the kills after which something else lies on the disk: the next command, killed
    /// before each of its own changes of the disk.
    pub(super) fn pairs(&mut self, kills: &[Step]) -> Vec<Step> {
        self.reset();
        let mut known = HashSet::from([self.looks()]);
        let mut pairs = Vec::new();
        for kill in kills {
            let Step::One(call, KILL) = kill else {
                continue;
            };
            let found = self.attempt(|world| {
                let _ = world.play(call, KILL);
                let looks = world.looks();
                known.insert(looks).then(|| world.changes_of_next())
            });
            let changes = found.ok().flatten().unwrap_or_default();
            let pair = |second| Step::Pair(call.clone(), second);
            pairs.extend(changes.into_iter().map(pair));
        }
        pairs
    }

    /// Plays the scene killed at one call, then the next command killed at another.
    pub(super) fn play_pair(&self, first: &Call, second: &Call) -> Fate {
        let answer = self.play(first, KILL);
        let next = self
            .env
            .tampered(second, "signal=SIGKILL", &self.fill(NEXT));
        self.judge(Fate::Killed, &answer);
        match next.code {
            None => Fate::Killed,
            Some(_) => Fate::Done,
        }
    }

    fn changes_of_next(&self) -> Vec<Call> {
        strace::changes(&self.env, &self.fill(NEXT)).unwrap_or_default()
    }

    /// All that lies on the disk, with what differs from one time to the next left out.
    fn looks(&self) -> String {
        let mut looks = String::new();
        for (path, _) in self.env.everything() {
            let bytes = fs::read(&path).unwrap_or_default();
            let text = format!("{}: {}\n", path.display(), bytes.escape_ascii());
            for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
                let is_number = word.contains(|c: char| c.is_ascii_digit());
                looks += if is_number { "# " } else { word };
            }
        }
        looks
    }
}
