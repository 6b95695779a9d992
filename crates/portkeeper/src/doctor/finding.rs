//! What can be found, and what helps. A face says the latter in commands. Never looks at anything.

use std::path::PathBuf;
use std::time::Duration;

use pk_core::{Port, PortRange};

/// Something that is so, good or bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is about: `file-system`, `lock`. Never changes.
    pub name: &'static str,
    /// What it is.
    pub value: String,
    /// What that means for reservations; empty where it speaks for itself.
    pub meaning: &'static str,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Something fails, or will.
    Problem,
    /// Nothing fails, but somebody should know.
    Note,
}

impl Severity {
    /// Its name: `problem`, `note`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Severity::Problem => "problem",
            Severity::Note => "note",
        }
    }
}

/// Something that should not be so.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Its name, in words with hyphens. Never changes.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is so, in one line that may quote files and processes.
    pub what: String,
    /// The file or folder that it is about.
    pub path: Option<PathBuf>,
    /// The port that it is about, where it is one.
    pub port: Option<Port>,
    /// What helps.
    pub remedy: Option<Remedy>,
    /// Whether it was mended just now.
    pub fixed: bool,
    pub(super) cure: Option<Cure>,
}

/// What helps. A face says it as a command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Let this mend it.
    Mend,
    /// Drop what has ended.
    Collect,
    /// Drop leases that are older than this and that nobody uses.
    CollectUnused(Duration),
    /// Release a port whose holder does not answer.
    ReleaseByForce(Port),
    /// Let a process go on that was stopped.
    Wake(u32),
    /// End a process.
    End(u32),
    /// Give a file to this user.
    Own {
        /// The file.
        path: PathBuf,
        /// This user.
        uid: u32,
    },
    /// Set a mode.
    Mode {
        /// The file or folder.
        path: PathBuf,
        /// The mode.
        mode: u32,
    },
    /// Put something out of the way, and keep it.
    MoveAway(PathBuf),
    /// Remove files that nobody needs any more.
    Remove(Vec<PathBuf>),
    /// Give a file that has other names a copy of its own.
    OwnCopy(PathBuf),
    /// Mend a file by hand.
    Edit(PathBuf),
    /// Take HOME from the list of users.
    SetHome(u32),
    /// Keep the registry on this machine.
    LocalRegistry,
    /// Take a value out of the environment.
    Unset(String),
    /// Give sockets of this user a private folder.
    ControlFolder,
    /// Go to a folder that is there.
    Leave,
    /// Let the kernel give these ports to nobody who does not ask for them.
    KeepFromKernel(Vec<PortRange>),
    /// Set something of the kernel's.
    Sysctl {
        /// Its name.
        name: &'static str,
        /// What it should be.
        value: &'static str,
    },
}

/// What this user's own doctor may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cure {
    /// Drop what has ended, and sweep.
    Collect,
    /// Take back changes of files that were cut short.
    Recover,
    /// Set the mode of an own file.
    Mode { path: PathBuf, mode: u32 },
}

impl Finding {
    pub(super) fn problem(code: &'static str, what: impl Into<String>) -> Finding {
        Finding {
            code,
            severity: Severity::Problem,
            what: what.into(),
            path: None,
            port: None,
            remedy: None,
            fixed: false,
            cure: None,
        }
    }

    pub(super) fn note(code: &'static str, what: impl Into<String>) -> Finding {
        Finding {
            severity: Severity::Note,
            ..Finding::problem(code, what)
        }
    }

    pub(super) fn at(self, path: impl Into<PathBuf>) -> Finding {
        Finding {
            path: Some(path.into()),
            ..self
        }
    }

    pub(super) fn on(self, port: Option<Port>) -> Finding {
        Finding { port, ..self }
    }

    pub(super) fn helped_by(self, remedy: Remedy) -> Finding {
        Finding {
            remedy: Some(remedy),
            ..self
        }
    }

    pub(super) fn cured_by(self, cure: Cure) -> Finding {
        Finding {
            cure: Some(cure),
            ..self.helped_by(Remedy::Mend)
        }
    }

    /// Whether the other is the same, seen at another time.
    pub(super) fn is_about(&self, other: &Finding) -> bool {
        (self.code, &self.path, self.port) == (other.code, &other.path, other.port)
    }
}
