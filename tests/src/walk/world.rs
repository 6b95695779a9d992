//! The world in which a scene is played again and again, and what can be seen of it. Never judges.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::scene::{Given, Rights, Scene};
use crate::{Ports, TestEnv, has, skipped};

/// What `.env` and `config.json` hold before, with a word for the port.
pub(super) const FILES: [(&str, &str); 2] = [
    (".env", "# c\nPORT={port}\nA=1\n"),
    ("config.json", "{\"port\": {port}, \"b\": [1]}\n"),
];

/// The port that they name before.
pub(super) const OLD: u16 = 1;

/// A registry that nobody can read.
pub(super) const DAMAGED: &str = "{\"schema\":";

/// A place in which a scene is played, and put back for the next time.
#[derive(Debug)]
pub(super) struct World {
    pub(super) env: TestEnv,
    pub(super) ports: Ports,
    pub(super) scene: &'static Scene,
    picture: Vec<(PathBuf, Option<Vec<u8>>)>,
    /// What there is before the scene.
    pub(super) before: State,
    /// Where a holder stumbles that is there before the scene.
    pub(super) holder_rules: String,
}

/// What can be seen of a world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// `None`, with a word about it, where the scene can't be played.
    pub(super) fn new(scene: &'static Scene) -> Option<World> {
        if scene.rights == Rights::Plain && !has("setpriv") {
            skipped("a scene without privileges: no setpriv");
            return None;
        }
        let env = match scene.needs_failpoints() {
            true => TestEnv::with_failpoints()?,
            false => TestEnv::new(),
        };
        Some(World::in_env(scene, env))
    }

    /// The same in the build with failpoints.
    pub(super) fn stumbling(scene: &'static Scene) -> Option<World> {
        World::new(scene)?;
        Some(World::in_env(scene, TestEnv::with_failpoints()?))
    }

    fn in_env(scene: &'static Scene, env: TestEnv) -> World {
        let mut world = World {
            env,
            ports: Ports::claim(6),
            scene,
            picture: Vec::new(),
            before: State::default(),
            holder_rules: String::new(),
        };
        world.furnish();
        for folder in ["home", "project"] {
            let folder = world.env.root().join(folder);
            world.picture.extend(pictured(&folder));
        }
        world
    }

    fn furnish(&self) {
        for (name, text) in FILES {
            self.env
                .write(name, text.replace("{port}", &OLD.to_string()));
        }
        let registry = self.env.registry();
        match self.scene.given {
            Given::Nothing => return,
            Given::Damaged => {
                fs::create_dir_all(self.env.state_folder()).unwrap();
                fs::set_permissions(self.env.state_folder(), Permissions::from_mode(0o700))
                    .unwrap();
                return fs::write(registry, DAMAGED).unwrap();
            }
            _ => {}
        }
        let reserve = |port: u16, more: &str| {
            let line = format!("reserve {{range}} --preferred {port} --strict {more}");
            self.env.pk(self.fill(&line))
        };
        reserve(self.kept(), "").ok();
        match self.scene.given {
            Given::Leased => drop(reserve(self.port(), "").ok()),
            Given::Litter => self.litter(),
            Given::Interrupted => {
                let places = "--write-env PORT --write-json config.json#/port";
                let line = format!("reserve --preferred {} --strict {places}", self.port());
                let mut command = self.env.portkeeper(line);
                command.env("PORTKEEPER_FAILPOINTS", "config.replaced=kill");
                assert_eq!(self.env.run(command).code, None);
            }
            _ => {}
        }
    }

    /// What `gc` finds to do.
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
            let mut command = self.env.portkeeper(self.fill(first));
            command.env("PORTKEEPER_FAILPOINTS", &self.holder_rules);
            self.env.run(command).ok();
        }
        self.before = self.look();
    }

    /// An entry that was there before, and has to stay whatever happens.
    pub(super) fn kept(&self) -> u16 {
        self.ports.at(0)
    }

    /// The one that a scene is about.
    pub(super) fn port(&self) -> u16 {
        self.ports.at(1)
    }

    pub(super) fn fill(&self, line: &str) -> String {
        line.replace("{range}", &self.ports.range())
            .replace("{port}", &self.port().to_string())
    }

    /// The scene's own command, with what gives up privileges.
    pub(super) fn words(&self) -> Vec<String> {
        let plain = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--"];
        let before: &[&str] = match self.scene.rights {
            Rights::Own => &[],
            Rights::Plain => &plain,
        };
        let line = format!("portkeeper {}", self.fill(self.scene.line));
        let words = before.iter().copied().chain(line.split_whitespace());
        words.map(str::to_owned).collect()
    }

    /// What can be seen now, without the program's help.
    ///
    /// # Panics
    /// The registry is not whole.
    #[track_caller]
    pub(super) fn look(&self) -> State {
        let text = fs::read_to_string(self.env.registry()).unwrap_or_default();
        let entries = match text.as_str() {
            "" | DAMAGED => BTreeMap::new(),
            text => entries(text),
        };
        let files = FILES
            .into_iter()
            .filter_map(|(name, _)| Some((name.to_owned(), self.env.read(name)?)));
        State {
            entries,
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
        let template = FILES.iter().find(|(known, _)| *known == name);
        let (head, tail) = template
            .and_then(|(_, text)| text.split_once("{port}"))
            .expect("one of ours");
        let port = text
            .strip_prefix(head)
            .and_then(|rest| rest.strip_suffix(tail));
        port.and_then(|port| port.parse().ok())
            .unwrap_or_else(|| panic!("{name} is not whole: {text:?}"))
    }
}

#[track_caller]
fn entries(registry: &str) -> BTreeMap<u16, Entry> {
    let registry: Value = serde_json::from_str(registry)
        .unwrap_or_else(|error| panic!("the registry is damaged: {error}"));
    let entries = registry["entries"].as_object().expect("entries");
    let entry = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().expect("a text").to_owned();
        let port = entry["port"].as_u64().expect("a port");
        let (id, kind) = (text("id"), text("kind"));
        (u16::try_from(port).expect("a port"), Entry { id, kind })
    };
    entries.values().map(entry).collect()
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
