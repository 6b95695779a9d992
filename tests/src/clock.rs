//! Commands that go by another wall clock than the machine's. Never sets a clock, and shifts no other
//! one.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::process::spawn;
use crate::{TestEnv, skipped};

/// A wall clock that commands can be given.
#[derive(Debug)]
pub struct WallClock {
    /// What is loaded into them before the C library.
    library: PathBuf,
}

impl WallClock {
    /// Makes one for a world; `None`, with a word about it, where there is no way to.
    ///
    /// # Panics
    /// `date` cannot be run.
    #[must_use]
    pub fn of(env: &TestEnv) -> Option<WallClock> {
        let library = env.root().join("clock.so");
        let mut compile = Command::new("cc");
        compile
            .args(["-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/clock.c"))
            .arg("-ldl")
            .stderr(Stdio::null());
        let compiled = spawn(&mut compile).and_then(|mut child| child.wait());
        if !compiled.is_ok_and(|status| status.success()) {
            skipped("another wall clock: no C compiler");
            return None;
        }
        let clock = WallClock { library };
        let mut date = env.command("date");
        clock.shift(date.arg("+%Y"), -1_000_000_000);
        if env.run(date).stdout.trim() > "2010" {
            skipped("another wall clock: nothing is loaded into programs here");
            return None;
        }
        Some(clock)
    }

    /// The program, at a time so many seconds from now.
    #[must_use]
    pub fn shifted(&self, env: &TestEnv, seconds: i64, line: impl AsRef<str>) -> Command {
        let mut command = env.portkeeper(line);
        self.shift(&mut command, seconds);
        command
    }

    fn shift(&self, command: &mut Command, seconds: i64) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("SHIFT", seconds.to_string());
    }
}
