//! What a target is, and where its inputs lie. Never hunts.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::test_runner::TestRunner;

use crate::TARGETS;
use crate::bounds::Meter;
use crate::hunt::{Finding, Watch};

/// A property, with what helps to hunt for its exceptions.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: that of its module, of its folder in `corpus/`, and on the command line.
    pub name: &'static str,
    /// What holds, in a line.
    pub about: &'static str,
    /// Where its inputs come from.
    pub source: Source,
    /// The property. Panics at an exception.
    pub check: fn(&[u8]),
}

/// Where the inputs of a target come from.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// Any bytes will do; the best are put together from words that mean something to the code.
    Bytes(&'static [&'static str]),
    /// They are made at random, checked at once, and made small where they are exceptions.
    Cases(fn(&mut TestRunner, &Watch) -> Option<Finding>),
}

impl Target {
    /// The target of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Target> {
        TARGETS.iter().find(|target| target.name == name).copied()
    }

    /// Checks the property for an input, and that this took no more time and memory than an input
    /// of that size may.
    ///
    /// # Panics
    /// The input is an exception.
    pub fn run(&self, input: &[u8]) {
        if let Source::Cases(_) = self.source {
            return (self.check)(input);
        }
        let meter = Meter::start();
        (self.check)(input);
        meter.stop().check(input.len(), || (self.check)(input));
    }

    /// Where the inputs lie that are known to be interesting, one a file.
    #[must_use]
    pub fn corpus(&self) -> PathBuf {
        home().join("corpus").join(self.name)
    }

    /// Those inputs, in the order of their names.
    ///
    /// # Panics
    /// The folder can't be read.
    #[must_use]
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        let mut paths: Vec<PathBuf> = match fs::read_dir(self.corpus()) {
            Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
            Err(_) => Vec::new(),
        };
        paths.sort();
        paths.iter().map(|path| fs::read(path).unwrap()).collect()
    }
}

/// The folder of this package.
#[must_use]
pub fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
