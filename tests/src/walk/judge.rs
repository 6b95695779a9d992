//! What must hold whatever happened to a command, and after the next ones. Panics where it does not;
//! never changes more of a world than a user's next commands would.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::errors;
use super::scene::{Does, OLD, State, Whose, World};
use super::tamper::Tamper;
use crate::process::eventually;
use crate::strace::Call;
use crate::{Answer, is_free};

/// A command that takes back what was cut short, and wants a port.
pub(super) const NEXT: &str = "reserve {range} --write-env NEXT --env-path next.env";

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
    pub(super) fn fate(&self, answer: &Answer, call: &Call, tamper: Tamper) -> Fate {
        assert!(!answer.stderr.contains("panicked"), "{answer:#?}");
        match answer.code {
            Some(0) if tamper == Tamper::Short && !self.is_understood(answer) => Fate::Unheard,
            Some(0) => Fate::Done,
            None if tamper == Tamper::Kill => Fate::Killed,
            // The standard library aborts then, before anything else happens.
            None if errors::is_memory(&call.name) => {
                assert!(answer.stderr.contains("memory"), "{answer:#?}");
                Fate::Killed
            }
            Some(code) => {
                let documented: &[i32] = match self.scene.does {
                    Does::Run => &[3, 5, 7, 8, 126],
                    _ => &[3, 5, 7, 8],
                };
                assert!(documented.contains(&code), "{answer:#?}");
                let has = |head: &str| answer.stderr.lines().any(|line| line.starts_with(head));
                let is_told = has("error: ") && has("hint: ");
                assert!(is_told || tamper == Tamper::Short, "{answer:#?}");
                Fate::Failed
            }
            None => panic!("a signal: {answer:#?}"),
        }
    }

    fn is_understood(&self, answer: &Answer) -> bool {
        self.scene.does == Does::Run
            || serde_json::from_str::<serde_json::Value>(&answer.stdout).is_ok()
    }

    /// Looks at what there is right after the command, runs the next ones, and looks again.
    #[track_caller]
    pub(super) fn judge(&self, fate: Fate, answer: &Answer) {
        let after = self.look();
        self.check_kept(&after);
        let before = &self.before;
        match (fate, self.scene.does) {
            (Fate::Done, does) => self.check_done(does, &after, answer),
            (Fate::Failed, Does::Reserve { .. } | Does::Run | Does::Set) => {
                // One that everybody can see to have ended is in nobody's way.
                let new = after.entries.keys().filter(|port| {
                    !before.entries.contains_key(port)
                        && self.env.state(**port).as_deref() != Some("stale")
                });
                let untold: Vec<_> = new
                    .filter(|port| !answer.stderr.contains(&port.to_string()))
                    .collect();
                assert!(
                    untold.is_empty(),
                    "reserved all the same: {untold:?} {answer:#?}"
                );
                let untold: Vec<_> = before
                    .files
                    .iter()
                    .filter(|(name, text)| {
                        after.files.get(*name) != Some(text)
                            && !["written", "could not be put back"]
                                .iter()
                                .any(|word| answer.stderr.contains(word))
                    })
                    .collect();
                assert!(
                    untold.is_empty(),
                    "changed all the same: {untold:?} {answer:#?}"
                );
            }
            _ => {}
        }
        let port = self.check_next(fate, &after);
        self.check_files(fate, port);
        self.check_litter();
    }

    /// What was acknowledged before is there.
    #[track_caller]
    fn check_kept(&self, now: &State) {
        let kept = self.kept();
        assert_eq!(
            now.entries.get(&kept),
            self.before.entries.get(&kept),
            "lost: {kept}"
        );
    }

    /// What was answered is so.
    #[track_caller]
    fn check_done(&self, does: Does, after: &State, answer: &Answer) {
        let (before, port) = (&self.before, self.port());
        match does {
            Does::Reserve { held, files } => {
                let port = answer.port();
                assert!(
                    !before.entries.contains_key(&port),
                    "promised twice: {port}"
                );
                let kind = after.entries.get(&port).map(|entry| entry.kind.as_str());
                assert_eq!(
                    kind,
                    Some(if held { "held" } else { "leased" }),
                    "{answer:#?}"
                );
                for file in files {
                    assert_eq!(after.port_in(file), port, "{file}: {answer:#?}");
                }
                if held && self.scene.whose == Whose::Command {
                    assert_eq!(self.env.state(port).as_deref(), Some("held"), "{answer:#?}");
                    assert!(!is_free(port), "{answer:#?}");
                }
            }
            Does::Release => {
                assert!(!after.entries.contains_key(&port), "{answer:#?}");
                eventually(Duration::from_secs(2), "the port is free", || is_free(port));
            }
            Does::Collect => {
                // What it can't know counts as alive.
                let removed = answer.json()["removed"].as_array().map_or(0, Vec::len);
                let has_gone = !after.entries.contains_key(&port);
                assert_eq!(removed, usize::from(has_gone), "{answer:#?}");
            }
            Does::Set => assert_eq!(after.port_in(".env"), 7, "{answer:#?}"),
            Does::Run => {
                assert!(self.env.path("ran").exists(), "{answer:#?}");
                assert_eq!(after.entries, before.entries, "{answer:#?}");
            }
        }
    }

    /// The next command works at once, and gets what nobody else has. Returns its port.
    #[track_caller]
    fn check_next(&self, fate: Fate, after: &State) -> u16 {
        let next = self.env.pk(self.fill(NEXT));
        assert_eq!(next.code, Some(0), "the next command: {next:#?}");
        let port = next.port();
        // What nobody was told of may have been taken back.
        let is_told = fate == Fate::Done || self.before.entries.contains_key(&port);
        let entry = after.entries.get(&port).filter(|_| is_told);
        // One whose process is dead has ended.
        let has_ended =
            entry.is_none_or(|entry| entry.kind != "leased" || self.scene.does == Does::Collect);
        assert!(
            has_ended && port != self.kept(),
            "promised twice: {port} {after:#?}"
        );
        port
    }

    /// All files are old or all are new, and new ones name a port that is reserved.
    #[track_caller]
    fn check_files(&self, fate: Fate, next: u16) {
        let now = self.look();
        self.check_kept(&now);
        let named: Vec<u16> = match self.scene.does {
            Does::Reserve { files, .. } => files.iter().map(|file| now.port_in(file)).collect(),
            _ => Vec::new(),
        };
        let is_old = |port: &u16| *port == OLD;
        assert!(
            named.iter().all(is_old) || !named.iter().any(is_old),
            "some are old: {named:?}"
        );
        for port in named.iter().filter(|port| !is_old(port)) {
            assert!(
                now.entries.contains_key(port) && *port != next,
                "{port} is in a file and not reserved: {fate:?} {now:#?}"
            );
        }
        let set = now.port_in(".env");
        if self.scene.does == Does::Set {
            assert!([OLD, 7].contains(&set), "{set}");
        }
    }

    /// One `gc`, and nothing is left that a reservation does not need.
    #[track_caller]
    fn check_litter(&self) {
        let gc = self.env.pk("gc");
        assert_eq!(gc.code, Some(0), "{gc:#?}");
        let now = self.look();
        self.check_kept(&now);
        let ids: Vec<_> = now
            .entries
            .values()
            .map(|entry| entry.id.as_str())
            .collect();
        let is_used = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            ids.iter().any(|id| name.starts_with(id))
        };
        let mut left = self.env.leftovers();
        left.extend(names(&self.env.state_folder().join("registry.json.live")));
        left.extend(names(&self.env.root().join("run/portkeeper")));
        left.extend(unknown(&self.env.path(""), &PROJECT));
        left.extend(unknown(&self.env.state_folder(), &STATE));
        left.retain(|path| !is_used(path));
        assert!(left.is_empty(), "left over: {left:#?}");
    }
}

/// What may be in the folder of the project.
const PROJECT: [&str; 6] = [
    ".env",
    "config.json",
    "next.env",
    "other.env",
    "ran",
    "linked.json",
];

/// What may be in the state folder.
const STATE: [&str; 7] = [
    "registry.json",
    "registry.json.lock",
    "registry.json.live",
    "files.lock",
    "recent",
    "backups",
    "txn",
];

fn names(folder: &std::path::Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn unknown(folder: &std::path::Path, known: &[&str]) -> Vec<PathBuf> {
    let is_known = |path: &PathBuf| {
        known
            .iter()
            .any(|known| path.file_name().is_some_and(|name| name == *known))
    };
    names(folder)
        .into_iter()
        .filter(|path| !is_known(path))
        .collect()
}
