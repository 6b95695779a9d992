//! Where inputs come from: those of the corpus, changed at random, and words at random; and how a
//! failing one is made small. Never knows what an input means.

use proptest::prelude::*;
use proptest::strategy::{NewTree, ValueTree};
use proptest::test_runner::{TestRng, TestRunner};

/// Bytes that mean something in most texts.
const MARKS: &[u8] = b"\"'`\\$#=:,;/@-+.0123456789AZaz_ \t\r\n[]{}()\0\x7f\x1b\x80\xc3\xe2\xff";
/// One input in so many is long.
const LONG: u32 = 4096;
/// How long that is, in bytes.
const LENGTHS: std::ops::Range<usize> = 4 << 10..256 << 10;

/// The inputs of a target.
#[derive(Debug)]
pub struct Inputs {
    seeds: Vec<Vec<u8>>,
    words: &'static [&'static str],
}

impl Inputs {
    /// Those that resemble `seeds` and are made of `words`.
    #[must_use]
    pub fn new(seeds: Vec<Vec<u8>>, words: &'static [&'static str]) -> Inputs {
        Inputs { seeds, words }
    }

    fn make(&self, rng: &mut TestRng) -> Vec<u8> {
        let mut input = match self.seed(rng) {
            Some(seed) if rng.random_ratio(3, 4) => seed.to_vec(),
            _ => Vec::new(),
        };
        let changes = 1 + rng.random_range(0..8_u32) * rng.random_range(0..3_u32);
        for _ in 0..changes {
            self.change(&mut input, rng);
        }
        if rng.random_ratio(1, LONG) {
            lengthen(&mut input, rng);
        }
        input
    }

    fn seed(&self, rng: &mut TestRng) -> Option<&[u8]> {
        let at = rng.random_range(0..self.seeds.len().max(1));
        self.seeds.get(at).map(Vec::as_slice)
    }

    /// Does one thing to it.
    fn change(&self, input: &mut Vec<u8>, rng: &mut TestRng) {
        let at = rng.random_range(0..=input.len());
        let piece = at..input.len().min(at + rng.random_range(0..=16));
        match rng.random_range(0..8) {
            0 => {
                input.drain(piece);
            }
            1 => {
                let copy = input[piece].to_vec();
                insert(input, rng.random_range(0..=at), &copy);
            }
            2 => {
                if let Some(other) = self.seed(rng) {
                    let from = rng.random_range(0..=other.len());
                    let length = rng.random_range(0..=other.len() - from);
                    insert(input, at, &other[from..from + length.min(64)]);
                }
            }
            3 => input.splice(piece, [any_byte(rng)]).for_each(drop),
            4 => insert(input, at, &[any_byte(rng)]),
            _ if self.words.is_empty() => insert(input, at, &[any_byte(rng)]),
            5 => {
                let word = self.word(rng);
                input.splice(piece, word.bytes()).for_each(drop);
            }
            _ => insert(input, at, self.word(rng).as_bytes()),
        }
    }

    fn word(&self, rng: &mut TestRng) -> &'static str {
        self.words[rng.random_range(0..self.words.len())]
    }
}

fn any_byte(rng: &mut TestRng) -> u8 {
    match rng.random_ratio(3, 4) {
        true => MARKS[rng.random_range(0..MARKS.len())],
        false => rng.random(),
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied()).for_each(drop);
}

/// Repeats a piece of it thousands of times: what costs more than its length shows so.
fn lengthen(input: &mut Vec<u8>, rng: &mut TestRng) {
    let at = rng.random_range(0..=input.len());
    let end = input.len().min(at + rng.random_range(1..=48));
    let piece = match &input[at..end] {
        [] => b"a\n".to_vec(),
        piece => piece.to_vec(),
    };
    let times = rng.random_range(LENGTHS) / piece.len();
    insert(input, at, &piece.repeat(times));
}

impl Strategy for Inputs {
    type Tree = Smaller;
    type Value = Vec<u8>;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        Ok(Smaller::new(self.make(runner.rng())))
    }
}

/// A failing input on its way to a small one: pieces are cut out, then the bytes that are left are
/// made plain.
#[derive(Debug)]
pub struct Smaller {
    /// The smallest that is known to fail.
    failing: Vec<u8>,
    tried: Option<Vec<u8>>,
    phase: Phase,
    /// Where the next change is tried.
    at: usize,
    /// Whether this round has made it smaller.
    better: bool,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Pieces of this length are cut out.
    Cut(usize),
    /// Bytes become `a` or `0`.
    Plain(u8),
    Done,
}

impl Smaller {
    /// From `input` down.
    #[must_use]
    pub fn new(input: Vec<u8>) -> Smaller {
        let phase = Phase::Cut(input.len().div_ceil(2).max(1));
        Smaller {
            failing: input,
            tried: None,
            phase,
            at: 0,
            better: false,
        }
    }

    /// Tries the next change; `false` when there is none left.
    fn propose(&mut self) -> bool {
        loop {
            let mut input = self.failing.clone();
            match self.phase {
                Phase::Done => return false,
                Phase::Cut(length) if self.at < input.len() => {
                    input.drain(self.at..input.len().min(self.at + length));
                }
                Phase::Plain(byte) if self.at < input.len() => {
                    if input[self.at].is_ascii_alphanumeric() {
                        self.at += 1;
                        continue;
                    }
                    input[self.at] = byte;
                }
                _ => {
                    self.next_phase();
                    continue;
                }
            }
            self.tried = Some(input);
            return true;
        }
    }

    fn next_phase(&mut self) {
        self.phase = match self.phase {
            Phase::Cut(1) if self.better => Phase::Cut(1),
            Phase::Cut(1) => Phase::Plain(b'a'),
            Phase::Cut(length) => Phase::Cut(length / 2),
            Phase::Plain(b'a') => Phase::Plain(b'0'),
            Phase::Plain(_) | Phase::Done => Phase::Done,
        };
        (self.at, self.better) = (0, false);
    }
}

impl ValueTree for Smaller {
    type Value = Vec<u8>;

    fn current(&self) -> Vec<u8> {
        self.tried.as_ref().unwrap_or(&self.failing).clone()
    }

    fn simplify(&mut self) -> bool {
        if let Some(tried) = self.tried.take() {
            if matches!(self.phase, Phase::Plain(_)) {
                self.at += 1;
            }
            (self.failing, self.better) = (tried, true);
        }
        self.propose()
    }

    fn complicate(&mut self) -> bool {
        self.tried = None;
        self.at += match self.phase {
            Phase::Cut(length) => length,
            _ => 1,
        };
        self.propose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What proptest does with a failing case.
    fn smallest(input: &[u8], fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut tree = Smaller::new(input.to_vec());
        let mut best = input.to_vec();
        let mut goes_on = tree.simplify();
        while goes_on {
            goes_on = match fails(&tree.current()) {
                true => {
                    best = tree.current();
                    tree.simplify()
                }
                false => tree.complicate(),
            };
        }
        best
    }

    #[test]
    fn what_fails_is_made_small_and_plain() {
        let check = |input: &str, needs: &[&str], expect: &str| {
            let fails = |input: &[u8]| {
                let text = String::from_utf8_lossy(input);
                needs.iter().all(|need| text.contains(need))
            };
            let small = smallest(input.as_bytes(), fails);
            assert_eq!(String::from_utf8_lossy(&small), expect, "{input}");
        };
        check("a long line with a bug in it", &["bug"], "bug");
        check("x", &[], "");
        check("one { and } two", &["{", "}"], "{}");
        assert_eq!(smallest(b"\xff\xfe#!", |it| it.len() > 2), b"aaa");
    }
}
