//! What is asked of the rows: which, how much of them, and from which seed. Never runs one.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::dice::Dice;

/// No part of a quick row that repeats itself goes on for longer.
const QUICK: Duration = Duration::from_secs(6);

/// How often a row repeats what it tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// For each change: a few seconds a row.
    Quick,
    /// Some minutes in all.
    Usual,
    /// For a release: as long as it takes.
    Full,
}

/// What was asked for on the command line.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) scale: Scale,
    /// Instead of a number of repetitions: how long each row repeats itself.
    pub(crate) time: Option<Duration>,
    pub(crate) seed: u64,
    /// The rows by name; all if there is none.
    pub(crate) rows: Vec<String>,
    /// Whether this is the process of the one row that is named.
    pub(crate) is_row: bool,
}

/// How often something is done. Threads may share it.
#[derive(Debug)]
pub(crate) struct Rounds {
    begun: AtomicU64,
    most: u64,
    end: Option<Instant>,
}

impl Options {
    /// Reads `[--quick|--full] [--seconds N] [--seed N] [ROW…]`.
    pub(crate) fn parse(words: &[&str]) -> Result<Options, String> {
        let mut options = Options {
            scale: Scale::Usual,
            time: None,
            seed: RandomState::new().build_hasher().finish() % 1_000_000,
            rows: Vec::new(),
            is_row: false,
        };
        let mut words = words.iter();
        let number = |word: Option<&&str>| -> Result<u64, String> {
            let word = word.ok_or("a number is missing at the end")?;
            word.parse().map_err(|_| format!("{word} is no number"))
        };
        while let Some(word) = words.next() {
            match *word {
                "--quick" => options.scale = Scale::Quick,
                "--full" => options.scale = Scale::Full,
                "--seconds" => options.time = Some(Duration::from_secs(number(words.next())?)),
                "--seed" => options.seed = number(words.next())?,
                "--in-row" => options.is_row = true,
                row if row.starts_with('-') => return Err(format!("{row} is no option")),
                row => options.rows.push(row.to_owned()),
            }
        }
        Ok(options)
    }

    /// The words that ask for `row` alone, and otherwise the same.
    pub(crate) fn words_for(&self, row: &str) -> Vec<String> {
        let mut words = match self.scale {
            Scale::Quick => vec!["--quick".to_owned()],
            Scale::Usual => Vec::new(),
            Scale::Full => vec!["--full".to_owned()],
        };
        if let Some(time) = self.time {
            words.extend(["--seconds".to_owned(), time.as_secs().to_string()]);
        }
        words.extend(["--seed".to_owned(), self.seed.to_string(), row.to_owned()]);
        words
    }

    /// One of three numbers, by the scale.
    pub(crate) fn choose<T: Copy>(&self, [quick, usual, full]: [T; 3]) -> T {
        match self.scale {
            Scale::Quick => quick,
            Scale::Usual => usual,
            Scale::Full => full,
        }
    }

    /// So many rounds by the scale; where a time is given, as many as it takes.
    pub(crate) fn rounds(&self, counts: [u64; 3]) -> Rounds {
        let quick = (self.scale == Scale::Quick).then_some(QUICK);
        Rounds {
            begun: AtomicU64::new(0),
            most: self.time.map_or(self.choose(counts), |_| u64::MAX),
            end: self.time.or(quick).map(|time| Instant::now() + time),
        }
    }

    /// Dice for one of several players, who each throw differently, but the same from the same seed.
    pub(crate) fn dice(&self, player: u64) -> Dice {
        Dice::new(self.seed.wrapping_mul(0x1_0000).wrapping_add(player))
    }
}

impl Rounds {
    /// The number of the next round, from 0; `None` when it is enough. The first is always played.
    pub(crate) fn next(&self) -> Option<u64> {
        let is_late = self.end.is_some_and(|end| Instant::now() >= end);
        let round = self.begun.fetch_add(1, Ordering::Relaxed);
        let plays = round < self.most && (round == 0 || !is_late);
        if !plays {
            self.begun.fetch_sub(1, Ordering::Relaxed);
        }
        plays.then_some(round)
    }

    /// How many were begun.
    pub(crate) fn done(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// How many are left, and how much time for them.
    pub(crate) fn left(&self) -> (u64, Option<Duration>) {
        let time = self
            .end
            .map(|end| end.saturating_duration_since(Instant::now()));
        (self.most - self.done(), time)
    }
}
