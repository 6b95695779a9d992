//! The plan for the program that measures others, and what it found. Never times anything itself.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// What is to be run in turns.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    text: String,
    names: Vec<String>,
}

/// What the runs of one program came to: medians.
#[derive(Debug, Clone)]
pub(crate) struct Timed {
    pub(crate) name: String,
    pub(crate) runs: usize,
    /// How many of them ended with another code than 0.
    pub(crate) failed: usize,
    pub(crate) micros: f64,
    /// The most memory that it had, in KiB.
    pub(crate) memory: u64,
    /// Page faults.
    pub(crate) faults: u64,
}

impl Plan {
    /// Before every run of the next program a copy of `from` takes the place of `to`.
    pub(crate) fn copy(&mut self, from: &Path, to: &Path) {
        let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
        self.step("copy", &[from, to]);
    }

    /// A program that is measured.
    pub(crate) fn time(&mut self, name: impl Into<String>, words: &[&str]) {
        self.names.push(name.into());
        self.step("time", words);
    }

    /// What is run after each run of the last one, and not measured.
    pub(crate) fn then(&mut self, words: &[&str]) {
        self.step("then", words);
    }

    fn step(&mut self, kind: &str, words: &[&str]) {
        // Writing to a string can't fail.
        let _ = writeln!(self.text, "{kind}\t{}", words.join("\t"));
    }

    /// Runs all of it so often, as children of `stopwatch`, and gives back what was found and
    /// whether the machine let them go first.
    pub(crate) fn run(self, mut stopwatch: Command, rounds: u32) -> (Vec<Timed>, bool) {
        stopwatch.arg(rounds.to_string());
        let mut child = stopwatch
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut plan = child.stdin.take().unwrap();
        plan.write_all(self.text.as_bytes()).unwrap();
        drop(plan);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let (order, runs) = text.split_once('\n').unwrap();
        let runs: Vec<Vec<u64>> = runs
            .lines()
            .map(|line| line.split('\t').map(|it| it.parse().unwrap()).collect())
            .collect();
        let timed = self.names.into_iter().zip(0..).map(|(name, index)| {
            let of = |field: usize| -> Vec<f64> {
                let runs = runs.iter().filter(|run| run[0] == index);
                runs.map(|run| run[field] as f64).collect()
            };
            let codes = of(5);
            Timed {
                name,
                runs: codes.len(),
                failed: codes.iter().filter(|code| **code != 0.0).count(),
                micros: median(of(1)) / 1e3,
                memory: median(of(2)) as u64,
                faults: (median(of(3)) + median(of(4))) as u64,
            }
        });
        (timed.collect(), order == "first")
    }
}

/// The one in the middle.
pub(crate) fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}
