//! What must hold whatever happened to a command, and after the next ones. Panics where it does not;
//! never changes more of a world than a user's next commands would.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::errors;
use super::scene::{Does, Given, Whose};
use super::tamper::{PATIENCE, Tamper};
use super::world::{OLD, State, World};
use crate::process::{eventually, is_alive};
use crate::strace::Call;
use crate::{Answer, is_free, is_free_for_datagrams};

/// A command that takes back what was cut short, and wants a port.
pub(super) const NEXT: &str = "reserve {range} --write-env NEXT --env-path next.env";

/// What happened to a command.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mishap<'c> {
    /// This was done to a call of it.
    Call(&'c Call, Tamper),
    /// It, or a process that it started, was killed.
    Killed,
    /// Something that it wanted was refused.
    Refused,
}

/// What a command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was killed.
    Killed,
    /// It failed, and said so.
    Failed,
    /// It was done, and said so.
    Done,
    /// It was done, but what it said was garbled on the way.
    Unheard,
}

impl World {
    /// What became of it; that alone must be sane.
    #[track_caller]
    pub(super) fn fate(&self, answer: &Answer, mishap: Mishap<'_>) -> Fate {
        assert!(!answer.stderr.contains("panicked"), "{answer:#?}");
        let is_short = matches!(mishap, Mishap::Call(_, Tamper::Short));
        let Some(code) = answer.code else {
            let died = match mishap {
                Mishap::Killed | Mishap::Call(_, Tamper::Signal(_)) => true,
                // The standard library aborts when there is no memory, before anything else happens.
                Mishap::Call(call, _) => {
                    errors::is_memory(&call.name) && answer.stderr.contains("memory")
                }
                Mishap::Refused => false,
            };
            assert!(died, "a signal: {answer:#?}");
            return Fate::Killed;
        };
        if code == 0 {
            return match mishap {
                // What it had started.
                Mishap::Killed => Fate::Killed,
                _ if is_short && !self.is_understood(answer) => Fate::Unheard,
                _ => Fate::Done,
            };
        }
        if let Mishap::Call(call, Tamper::Fail("EINTR")) = mishap {
            let is_retried = ["read", "pread64", "write", "flock"].contains(&call.name.as_str());
            assert!(!is_retried, "not tried again: {answer:#?}");
        }
        assert!(self.is_documented(code, mishap), "{answer:#?}");
        let has = |head: &str| answer.stderr.lines().any(|line| line.starts_with(head));
        // The words of a garbled message are no lines of ours; a signal's victim has none.
        let is_told = has("error: ") && has("hint: ");
        assert!(is_told || is_short || code > 128, "{answer:#?}");
        Fate::Failed
    }

    /// Whether a command may end with this code when the system fails it.
    fn is_documented(&self, code: i32, mishap: Mishap<'_>) -> bool {
        let is_signal = matches!(mishap, Mishap::Call(_, Tamper::Signal(_)));
        match self.scene.does {
            // The program's own.
            Does::Run if is_signal && [128 + 2, 128 + 15].contains(&code) => true,
            Does::Run if [126, 127].contains(&code) => true,
            // Without a way to start itself again it can neither hold nor run.
            _ if self.scene.starts_processes() && code == 2 => true,
            _ => [3, 5, 7, 8].contains(&code),
        }
    }

    fn is_understood(&self, answer: &Answer) -> bool {
        self.scene.does == Does::Run || serde_json::from_str::<Value>(&answer.stdout).is_ok()
    }

    /// Looks at what there is right after the command, runs the next ones, and looks again.
    #[track_caller]
    pub(super) fn judge(&self, fate: Fate, answer: &Answer) {
        let after = self.look();
        self.check_kept(&after);
        match fate {
            Fate::Done => self.check_done(&after, answer),
            Fate::Failed => self.check_failed(&after, answer),
            Fate::Killed | Fate::Unheard => {}
        }
        let next = self.check_next(fate, &after);
        self.check_files(fate, next);
        self.check_litter();
    }

    /// What was acknowledged before, and is not what the command is about, is there.
    #[track_caller]
    fn check_kept(&self, now: &State) {
        for (port, entry) in &self.before.entries {
            let is_lost = *port != self.port() && now.entries.get(port) != Some(entry);
            assert!(!is_lost, "lost: {port}, {entry:?} of {now:#?}");
        }
    }

    /// What was answered is so.
    #[track_caller]
    fn check_done(&self, after: &State, answer: &Answer) {
        let (before, port) = (&self.before, self.port());
        let has_gone = !after.entries.contains_key(&port);
        match self.scene.does {
            Does::Reserve { kind, files } => {
                let port = answer.port();
                assert!(
                    !before.entries.contains_key(&port),
                    "promised twice: {port}"
                );
                let found = after.entries.get(&port).map(|entry| entry.kind.as_str());
                assert_eq!(found, Some(kind), "{answer:#?}");
                for file in files {
                    assert_eq!(after.port_in(file), port, "{file}: {answer:#?}");
                }
                if kind == "held" && self.scene.whose == Whose::Command {
                    assert_eq!(self.env.state(port).as_deref(), Some("held"), "{answer:#?}");
                    let is_free = is_free(port) && is_free_for_datagrams(port);
                    assert!(!is_free, "{answer:#?}");
                }
            }
            Does::Release => {
                assert!(has_gone, "{answer:#?}");
                eventually(Duration::from_secs(2), "the port is free", || is_free(port));
            }
            // What it can't know counts as alive.
            Does::Collect => {
                let removed = answer.json()["removed"].as_array().map_or(0, Vec::len);
                assert_eq!(removed, usize::from(has_gone), "{answer:#?}");
            }
            Does::Set => assert_eq!(after.port_in(".env"), 7, "{answer:#?}"),
            // What can't be taken back at once stays until it can, and keeps nobody else waiting.
            Does::Recover => assert!(self.env.path("other.env").exists(), "{answer:#?}"),
            Does::Run => {
                assert!(self.env.path("ran").exists(), "{answer:#?}");
                let left: Vec<_> = after.entries.keys().collect();
                assert!(
                    left.iter().all(|it| **it == self.kept()),
                    "{left:?} {answer:#?}"
                );
            }
        }
    }

    /// What failed has changed nothing, or has said what it changed.
    #[track_caller]
    fn check_failed(&self, after: &State, answer: &Answer) {
        let before = &self.before;
        for port in after.entries.keys() {
            let is_told = before.entries.contains_key(port)
                || answer.stderr.contains(&port.to_string())
                // One that everybody can see to have ended is in nobody's way.
                || self.env.state(*port).as_deref() == Some("stale");
            assert!(is_told, "reserved all the same: {port} {answer:#?}");
        }
        let is_told = ["written", "could not be put back"]
            .iter()
            .any(|word| answer.stderr.contains(word));
        let may_change = self.scene.does == Does::Recover || is_told;
        assert!(
            may_change || after.files == before.files,
            "changed all the same: {after:#?} {answer:#?}"
        );
    }

    /// The next command works at once, and gets what nobody else has. Returns its port.
    #[track_caller]
    fn check_next(&self, fate: Fate, after: &State) -> u16 {
        let next = self.env.pk(self.fill(NEXT));
        assert_eq!(next.code, Some(0), "the next command: {next:#?}");
        let port = next.port();
        // What nobody was told of may have been taken back, and what has no process has ended.
        let is_told = fate == Fate::Done || self.before.entries.contains_key(&port);
        let is_theirs = after.entries.get(&port).is_some_and(|entry| {
            let may_end = matches!(self.scene.given, Given::Litter | Given::Interrupted);
            is_told && entry.kind == "leased" && !(may_end && port == self.port())
        });
        assert!(!is_theirs, "promised twice: {port} {after:#?}");
        port
    }

    /// All files are old or all are new, and new ones name a port that is reserved.
    #[track_caller]
    fn check_files(&self, fate: Fate, next: u16) {
        let now = self.look();
        self.check_kept(&now);
        if self.scene.does == Does::Recover {
            let cut_short = self.before.entries.get(&self.port());
            assert_ne!(now.entries.get(&self.port()), cut_short, "{now:#?}");
        }
        let files = self.scene.files().iter();
        let named: Vec<u16> = files.map(|file| now.port_in(file)).collect();
        let is_old = |port: &&u16| **port == OLD;
        let old = named.iter().filter(is_old).count();
        assert!([0, named.len()].contains(&old), "some are old: {named:?}");
        for port in named.iter().filter(|port| !is_old(port)) {
            let is_set = self.scene.does == Does::Set && *port == 7;
            let is_reserved = now.entries.contains_key(port) && *port != next;
            assert!(
                is_set || is_reserved,
                "{port} is in a file and not reserved: {fate:?} {now:#?}"
            );
        }
    }

    /// One `gc`, and nothing is left that a reservation does not need.
    #[track_caller]
    fn check_litter(&self) {
        self.wait_for_orphans();
        let gc = self.env.pk("gc");
        assert_eq!(gc.code, Some(0), "{gc:#?}");
        let now = self.look();
        self.check_kept(&now);
        let ids: Vec<_> = now.entries.values().map(|entry| &entry.id).collect();
        let is_used = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            ids.iter().any(|id| name.starts_with(id.as_str()))
        };
        let mut left = self.env.leftovers();
        left.extend(names(&self.env.state_folder().join("registry.json.live")));
        left.extend(names(&self.env.root().join("run/portkeeper")));
        left.extend(unknown(&self.env.path(""), &PROJECT));
        left.extend(unknown(&self.env.state_folder(), &STATE));
        left.retain(|path| !is_used(path));
        assert!(left.is_empty(), "left over: {left:#?}");
    }

    /// A holder that was started and never told what to hold takes a moment to see that nobody is
    /// left to tell it, and a socket that is named after a process that lives is no litter.
    #[track_caller]
    fn wait_for_orphans(&self) {
        let now = self.look();
        let is_orphan = |name: &str| !now.entries.values().any(|it| name.starts_with(&it.id));
        for socket in names(&self.env.root().join("run/portkeeper")) {
            let name = socket.file_name().unwrap_or_default().to_string_lossy();
            let process = name
                .strip_suffix(".sock")
                .and_then(|name| name.rsplit_once('-'));
            let pid = process.and_then(|(_, pid)| pid.parse().ok());
            if let Some(pid) = pid.filter(|_| is_orphan(&name)) {
                eventually(PATIENCE, "who holds nothing ends", || !is_alive(pid));
            }
        }
    }
}

/// What may be in the folder of the project.
const PROJECT: [&str; 5] = [".env", "config.json", "next.env", "other.env", "ran"];

/// What may be in the state folder; the last is a beginning.
const STATE: [&str; 10] = [
    "registry.json",
    "registry.json.lock",
    "registry.json.live",
    "files.lock",
    "names.json",
    "names.lock",
    "recent",
    "backups",
    "txn",
    "registry.json.corrupt-",
];

fn names(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn unknown(folder: &Path, known: &[&str]) -> Vec<PathBuf> {
    let is_known = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        known
            .iter()
            .any(|known| name == *known || (known.ends_with('-') && name.starts_with(known)))
    };
    let mut all = names(folder);
    all.retain(|path| !is_known(path));
    all
}
