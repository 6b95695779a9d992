//! The commands that are walked over: what there is before, what comes of each, and whose system
//! calls are meant. Never runs one.

/// A command, and whose system calls are counted.
#[derive(Debug)]
pub struct Scene {
    /// What it is called in reports.
    pub name: &'static str,
    /// What there is before.
    pub(super) given: Given,
    /// A command that is done anew before it.
    pub(super) first: Option<&'static str>,
    /// Its arguments; `{range}` and `{port}` are filled in.
    pub(super) line: &'static str,
    /// What comes of it.
    pub(super) does: Does,
    /// Whose system calls are meant.
    pub(super) whose: Whose,
    /// Whether it is done as by a user without privileges.
    pub(super) rights: Rights,
}

/// What there is before a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// A lease of `{kept}`, and two files that name a port.
    Usual,
    /// Besides, a lease of `{port}`.
    Leased,
    /// Besides, an entry of `{port}` that has ended, and what killed commands left lying about.
    Litter,
    /// Besides, a change of two files that was cut short after the first, with a lease of `{port}`.
    Interrupted,
    /// The two files, and a registry that can't be read.
    Damaged,
    /// The two files.
    Nothing,
}

/// What a command does when nothing is in its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// One more entry of this kind, and its port in these files.
    Reserve {
        kind: &'static str,
        files: &'static [&'static str],
    },
    /// The entry of `{port}` goes.
    Release,
    /// The entry that has ended goes, with all that lies about.
    Collect,
    /// `.env` changes.
    Set,
    /// What was cut short is taken back.
    Recover,
    /// A program runs and leaves a file; then nothing is left of the port that it had.
    Run,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Those of the process that was started.
    Command,
    /// Those of the process that it starts, stopped at this failpoint until they are watched.
    Helper(&'static str),
    /// Those of the holder that was there before.
    Holder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    /// Those of whoever runs the tests.
    Own,
    /// Root without its capabilities, who must hold ports in the way of all others.
    Plain,
}

const FILES: [&[&str]; 4] = [&[], &[".env"], &["config.json"], &[".env", "config.json"]];
const HELD: Does = Does::Reserve {
    kind: "held",
    files: FILES[0],
};
const HOLD: &str = "reserve {range} --preferred {port} --strict --hold";

/// All of them.
pub const SCENES: &[Scene] = &[
    scene("reserve", "reserve {range}", leased(0)),
    Scene {
        given: Given::Nothing,
        ..scene("reserve, the first time", "reserve {range}", leased(0))
    },
    Scene {
        given: Given::Damaged,
        ..scene("reserve, damaged registry", "reserve {range}", leased(0))
    },
    scene(
        "reserve --write-env",
        "reserve {range} --write-env PORT",
        leased(1),
    ),
    scene(
        "reserve --write-json",
        "reserve {range} --write-json config.json#/port",
        leased(2),
    ),
    scene(
        "reserve, two files",
        "reserve {range} --write-env PORT --write-json config.json#/port",
        leased(3),
    ),
    scene(
        "reserve --name, two files",
        "reserve {range} --name web --write-env PORT --write-json config.json#/port",
        leased(3),
    ),
    scene(
        "reserve, in place",
        "reserve {range} --write-env PORT --in-place",
        leased(1),
    ),
    scene("reserve --hold", "reserve {range} --hold", HELD),
    Scene {
        whose: Whose::Helper("holding.begin"),
        ..scene("reserve --hold, its holder", "reserve {range} --hold", HELD)
    },
    Scene {
        rights: Rights::Plain,
        ..scene(
            "reserve --hold, no privilege",
            "reserve {range} --hold",
            HELD,
        )
    },
    scene(
        "reserve --hold, and UDP",
        "reserve {range} --hold --proto both",
        HELD,
    ),
    Scene {
        given: Given::Leased,
        ..scene("release", "release {port}", Does::Release)
    },
    Scene {
        first: Some(HOLD),
        ..scene("release, held", "release {port}", Does::Release)
    },
    Scene {
        first: Some(HOLD),
        whose: Whose::Holder,
        ..scene("release, held, its holder", "release {port}", Does::Release)
    },
    Scene {
        given: Given::Litter,
        ..scene("gc", "gc", Does::Collect)
    },
    scene("env set", "env set PORT=7", Does::Set),
    Scene {
        given: Given::Interrupted,
        ..scene(
            "recovery",
            "env set B=1 --file other.env --create",
            Does::Recover,
        )
    },
    scene("run", "run {range} -- touch ran", Does::Run),
    Scene {
        whose: Whose::Helper("supervising.begin"),
        ..scene("run, its supervisor", "run {range} -- touch ran", Does::Run)
    },
    Scene {
        first: Some(HOLD),
        ..scene("take", "take {port} -- touch ran", Does::Run)
    },
];

const fn scene(name: &'static str, line: &'static str, does: Does) -> Scene {
    Scene {
        name,
        given: Given::Usual,
        first: None,
        line,
        does,
        whose: Whose::Command,
        rights: Rights::Own,
    }
}

const fn leased(files: usize) -> Does {
    Does::Reserve {
        kind: "leased",
        files: FILES[files],
    }
}

impl Scene {
    /// Whether the command, or the one before it, leaves processes behind that end later.
    pub(super) fn starts_processes(&self) -> bool {
        let lines = [Some(self.line), self.first].into_iter().flatten();
        let mut words = lines.flat_map(str::split_whitespace);
        words.any(|word| ["--hold", "run", "take"].contains(&word))
    }

    /// Whether it can only be played with the build that has failpoints.
    pub(super) fn needs_failpoints(&self) -> bool {
        matches!(self.whose, Whose::Helper(_)) || self.given == Given::Interrupted
    }

    /// The files that it changes.
    pub(super) fn files(&self) -> &'static [&'static str] {
        match self.does {
            Does::Reserve { files, .. } => files,
            Does::Set => FILES[1],
            Does::Recover => FILES[3],
            Does::Release | Does::Collect | Does::Run => FILES[0],
        }
    }
}
