//! The commands that are walked over, and the world in which each is done again and again. Never
//! judges what they come to.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Ports, TestEnv};

/// A command, and whose system calls are counted.
#[derive(Debug)]
pub struct Scene {
    /// What it is called in reports.
    pub name: &'static str,
    /// Its arguments; `{range}` and `{port}` are filled in.
    pub(super) line: &'static str,
    /// A command that is done anew before it.
    pub(super) first: Option<&'static str>,
    /// What comes of it.
    pub(super) does: Does,
    /// Whose system calls are meant.
    pub(super) whose: Whose,
}

/// What a command does when nothing is in its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// One more entry, and its port in these files.
    Reserve {
        held: bool,
        files: &'static [&'static str],
    },
    /// The entry of `{port}` goes.
    Release,
    /// The entry that has ended goes, with all that lies about.
    Collect,
    /// `.env` changes.
    Set,
    /// A program runs and leaves a file; then all is as before.
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

const HELD: Does = Does::Reserve {
    held: true,
    files: &[],
};

/// All of them.
pub const SCENES: &[Scene] = &[
    scene("reserve", "reserve {range}", reserve(&[])),
    scene(
        "reserve --write-env",
        "reserve {range} --write-env PORT",
        reserve(&[".env"]),
    ),
    scene(
        "reserve --write-json",
        "reserve {range} --write-json config.json#/port",
        reserve(&["config.json"]),
    ),
    scene(
        "reserve, two files",
        "reserve {range} --write-env PORT --write-json config.json#/port",
        reserve(&[".env", "config.json"]),
    ),
    scene(
        "reserve, in place",
        "reserve {range} --write-env PORT --in-place",
        reserve(&[".env"]),
    ),
    scene("reserve --hold", "reserve {range} --hold", HELD),
    Scene {
        whose: Whose::Helper("holding.begin"),
        ..scene("reserve --hold, its holder", "reserve {range} --hold", HELD)
    },
    scene("release", "release {port}", Does::Release),
    Scene {
        first: Some("reserve {range} --preferred {port} --strict --hold"),
        ..scene("release, held", "release {port}", Does::Release)
    },
    Scene {
        first: Some("reserve {range} --preferred {port} --strict --hold"),
        whose: Whose::Holder,
        ..scene("release, held, its holder", "release {port}", Does::Release)
    },
    scene("gc", "gc", Does::Collect),
    scene("env set", "env set PORT=7", Does::Set),
    scene("run", "run {range} -- touch ran", Does::Run),
    Scene {
        whose: Whose::Helper("supervising.begin"),
        ..scene("run, its supervisor", "run {range} -- touch ran", Does::Run)
    },
];

const fn scene(name: &'static str, line: &'static str, does: Does) -> Scene {
    Scene {
        name,
        line,
        first: None,
        does,
        whose: Whose::Command,
    }
}

const fn reserve(files: &'static [&'static str]) -> Does {
    Does::Reserve { held: false, files }
}

/// What `.env` and `config.json` hold before, with a word for the port.
pub(super) const FILES: [(&str, &str); 2] = [
    (".env", "# c\nPORT={port}\nA=1\n"),
    ("config.json", "{\"port\": {port}, \"b\": [1]}\n"),
];

/// The port that they name before.
pub(super) const OLD: u16 = 1;

/// A place in which a scene is played, and put back for the next time.
#[derive(Debug)]
pub(super) struct World {
    pub(super) env: TestEnv,
    pub(super) ports: Ports,
    pub(super) scene: &'static Scene,
    picture: Vec<(PathBuf, Option<Vec<u8>>)>,
    /// What the registry says before the scene.
    pub(super) before: State,
}

/// What can be seen of a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// The entries, by port.
    pub(super) entries: BTreeMap<u16, Entry>,
    /// What the files hold.
    pub(super) files: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) kind: String,
}

impl World {
    pub(super) fn new(scene: &'static Scene, env: TestEnv) -> World {
        let mut world = World {
            env,
            ports: Ports::claim(6),
            scene,
            picture: Vec::new(),
            before: State {
                entries: BTreeMap::new(),
                files: BTreeMap::new(),
            },
        };
        world.furnish();
        world
    }

    /// Sets the scene for the first time.
    fn furnish(&mut self) {
        for (name, text) in FILES {
            self.env
                .write(name, text.replace("{port}", &OLD.to_string()));
        }
        let line = self.fill("reserve {range} --preferred {kept} --strict");
        self.env.pk(line).ok();
        match self.scene.does {
            Does::Release if self.scene.first.is_none() => {
                let line = self.fill("reserve {range} --preferred {port} --strict");
                self.env.pk(line).ok();
            }
            Does::Collect => self.litter(),
            _ => {}
        }
        for folder in ["home", "project"] {
            self.picture.extend(pictured(&self.env.root().join(folder)));
        }
    }

    /// What `gc` finds to do: an entry that has ended, and what killed commands left.
    fn litter(&self) {
        let mut child = self.env.bystander();
        let line = self.fill("reserve {range} --preferred {port} --strict --pid ");
        self.env.pk(format!("{line}{}", child.id())).ok();
        self.env.pk("env set A=1 --file other.env --create").ok();
        child.kill().expect("our own child");
        child.wait().expect("our own child");
        let state = self.env.state_folder();
        fs::write(state.join("registry.json.tmp-1-0"), "{").unwrap();
        fs::create_dir_all(state.join("registry.json.live")).unwrap();
        fs::write(state.join("registry.json.live/0000"), "").unwrap();
        let stage = self.env.path(".portkeeper-tmp-1-1-0");
        fs::create_dir(&stage).unwrap();
        fs::write(stage.join("lock"), "").unwrap();
        fs::write(stage.join("new"), "A=").unwrap();
    }

    /// Makes all as it was.
    pub(super) fn reset(&mut self) {
        for folder in ["home", "project", "run"] {
            for entry in fs::read_dir(self.env.root().join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    fs::remove_dir_all(path).unwrap();
                } else {
                    fs::remove_file(path).unwrap();
                }
            }
        }
        for (path, bytes) in &self.picture {
            let mode = match bytes {
                Some(bytes) => {
                    fs::write(path, bytes).unwrap();
                    0o600
                }
                None => {
                    fs::create_dir(path).unwrap();
                    0o700
                }
            };
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        if let Some(first) = self.scene.first {
            self.env.pk(self.fill(first)).ok();
        }
        self.before = self.look();
    }

    /// The entry that was there before, and has to stay whatever happens.
    pub(super) fn kept(&self) -> u16 {
        self.ports.at(0)
    }

    /// The one that a scene is about.
    pub(super) fn port(&self) -> u16 {
        self.ports.at(1)
    }

    pub(super) fn fill(&self, line: &str) -> String {
        line.replace("{range}", &self.ports.range())
            .replace("{kept}", &self.kept().to_string())
            .replace("{port}", &self.port().to_string())
    }

    /// The scene's own command.
    pub(super) fn line(&self) -> String {
        self.fill(self.scene.line)
    }

    /// What can be seen now, without the program's help.
    ///
    /// # Panics
    /// The registry is not whole.
    #[track_caller]
    pub(super) fn look(&self) -> State {
        let text = fs::read(self.env.registry()).unwrap_or_default();
        let registry: Value = serde_json::from_slice(&text)
            .unwrap_or_else(|error| panic!("the registry is damaged: {error}"));
        let entries = registry["entries"].as_object().expect("entries");
        let entries = entries.values().map(|entry| {
            let text = |name: &str| entry[name].as_str().expect("a text").to_owned();
            let port = entry["port"].as_u64().expect("a port");
            let entry = Entry {
                id: text("id"),
                kind: text("kind"),
            };
            (u16::try_from(port).expect("a port"), entry)
        });
        let files = FILES
            .into_iter()
            .filter_map(|(name, _)| Some((name.to_owned(), self.env.read(name)?)));
        State {
            entries: entries.collect(),
            files: files.collect(),
        }
    }
}

impl State {
    /// The port that a file names, if it is whole.
    ///
    /// # Panics
    /// It is not.
    #[track_caller]
    pub(super) fn port_in(&self, name: &str) -> u16 {
        let text = self.files.get(name).map_or("", String::as_str);
        let (_, template) = FILES
            .iter()
            .find(|(known, _)| *known == name)
            .expect("known");
        let (head, tail) = template.split_once("{port}").expect("a port in it");
        let port = text
            .strip_prefix(head)
            .and_then(|rest| rest.strip_suffix(tail));
        port.and_then(|port| port.parse().ok())
            .unwrap_or_else(|| panic!("{name} is not whole: {text:?}"))
    }
}

/// All that is in a folder, folders before what is in them.
fn pictured(folder: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut picture = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            picture.push((path.clone(), None));
            picture.extend(pictured(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            picture.push((path, Some(bytes)));
        }
    }
    picture
}
