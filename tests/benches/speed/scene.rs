//! A registry with so many entries, and the folder that commands start in. Never the user's own.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pk_tests::{Ports, skipped};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::stopwatch::Plan;
use crate::tools;

/// Where files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// In memory, as in `$XDG_RUNTIME_DIR`.
    Tmpfs,
    /// Where the workspace is built.
    Disk,
}

/// Folders for one series of measurements.
#[derive(Debug)]
pub(crate) struct Scene {
    root: TempDir,
    /// One entry as the program writes it, and what stands before the entries.
    head: String,
    entry: String,
    /// Where the program begins to look for a port.
    first: u16,
    /// Ports that have no entry at any size.
    pub(crate) free: Ports,
}

impl Scene {
    /// `None`, with a word about it, where there is no such place.
    pub(crate) fn new(place: Place, program: &str) -> Option<Scene> {
        let parent = match place {
            Place::Tmpfs => PathBuf::from("/dev/shm"),
            Place::Disk => tools::folder(),
        };
        let Ok(root) = tempfile::Builder::new().prefix("pk-").tempdir_in(parent) else {
            skipped(format_args!("{place}: no such folder"));
            return None;
        };
        for folder in ["registry", "state", "project", "run"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        fs::write(root.path().join("blank"), "").unwrap();
        let mut scene = Scene {
            root,
            head: String::new(),
            entry: String::new(),
            first: 0,
            free: Ports::claim(2),
        };
        let reserve = scene.command(program).arg("reserve").output().unwrap();
        assert!(reserve.status.success(), "{reserve:?}");
        let text = fs::read_to_string(scene.registry()).unwrap();
        let (head, rest) = text.split_once("\"entries\":{\n").expect("entries");
        let (key, _) = rest.split_once('@').expect("a key");
        let (_, port) = key.rsplit_once(':').expect("an address");
        scene.first = port.parse().expect("a port");
        scene.entry = rest.strip_suffix("}}\n").expect("the end").to_owned();
        scene.head = format!("{head}\"entries\":{{");
        Some(scene)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Of the commands, a word.
    pub(crate) fn word(&self, name: &str) -> String {
        self.path(name).into_os_string().into_string().unwrap()
    }

    pub(crate) fn registry(&self) -> PathBuf {
        self.path("registry/registry.json")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// A command that knows of these folders and of nothing else.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.root.path())
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("PORTKEEPER_REGISTRY", self.registry())
            .env("PORTKEEPER_STATE_DIR", self.state())
            .current_dir(self.path("project"));
        command
    }

    /// A registry with `count` entries that nothing changes, as if so many ports had been reserved
    /// from here; the last ports are all others, since there must be some left to reserve.
    pub(crate) fn template(&self, count: u32) -> PathBuf {
        let path = self.path(&format!("{count}.json"));
        if !path.exists() {
            fs::write(&path, self.document(count)).unwrap();
        }
        path
    }

    /// The ports of the entries, in their order.
    pub(crate) fn ports(&self) -> impl Iterator<Item = u16> {
        let default = (0..6_000).map(|at| 20_000 + (self.first - 20_000 + at) % 10_000);
        let all = default.chain(1_024..20_000).chain(30_000..=u16::MAX);
        all.filter(|port| !self.free.all().contains(port))
    }

    fn document(&self, count: u32) -> String {
        let entries = self.ports().take(count as usize).enumerate();
        let entries: Vec<_> = entries.map(|(at, port)| self.entry(at, port)).collect();
        assert_eq!(entries.len(), count as usize, "there are no more ports");
        let separator = if entries.is_empty() { "" } else { "\n" };
        format!("{}{separator}{}}}}}\n", self.head, entries.join(",\n"))
    }

    fn entry(&self, at: usize, port: u16) -> String {
        let first = self.first;
        let (start, rest) = self.entry.split_once("\"id\":\"").expect("an id");
        let key = start.replace(&format!(":{first}@"), &format!(":{port}@"));
        let rest = rest.replace(&format!("\"port\":{first},"), &format!("\"port\":{port},"));
        format!("{key}\"id\":\"{at:026}{}", &rest[26..])
    }

    /// Puts a copy of `template` in the registry's place, whose lock remembers nothing newer.
    pub(crate) fn reset(&self, template: &Path) {
        fs::copy(template, self.registry()).unwrap();
        fs::write(self.lock(), "").unwrap();
    }

    /// Plans the same for every run of the next program.
    pub(crate) fn renew(&self, plan: &mut Plan, template: &Path) {
        plan.copy(template, &self.registry());
        plan.copy(&self.path("blank"), &self.lock());
    }

    fn lock(&self) -> PathBuf {
        self.path("registry/registry.json.lock")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Tmpfs => "tmpfs",
            Place::Disk => "disk",
        })
    }
}
