//! The real program, in a world of its own, on this machine's clock: where a sequence needs another
//! time or boot, the registry is edited to look as it would then. Never runs what is not one of its
//! own commands.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::process::Child;
use std::time::Duration;

use pk_tests::{TestEnv, process};
use rustix::process::Signal;
use serde_json::Value;

use super::check::{self, Shown, Status};
use super::library::number;
use super::machine::{Mode, World};
use super::{Answer, Breakage, Model, Op, Wish, words};
use crate::{hunt, worlds};

/// The program in a world of its own.
#[derive(Debug)]
pub struct Command {
    env: TestEnv,
    /// The process of each holder.
    holders: BTreeMap<u32, u32>,
    servers: BTreeMap<u8, TcpListener>,
    process: Option<Child>,
}

impl World for Command {
    const MODE: Mode = Mode::Command;

    fn new() -> Command {
        let env = worlds::new();
        let first = Model::default();
        env.write(".env", check::env(&first.env, number));
        env.write("config.json", check::config(&first.json, number));
        // What edits the registry needs its folder, which a first release makes.
        drop(env.pk(format!("release {}", number(0))).refused(4));
        Command {
            env,
            holders: BTreeMap::new(),
            servers: BTreeMap::new(),
            process: None,
        }
    }

    fn act(&mut self, op: &Op, after: &Model) -> Answer {
        match op {
            Op::Reserve(wish) => return self.reserve(wish, after),
            Op::Release { port, .. } => return self.release(*port, after),
            Op::Renew { port, ttl, .. } => {
                let renewed = self.pk(words::renew(*port, *ttl)).sane();
                assert!(matches!(renewed.code, Some(0 | 4)), "{renewed:?}");
                return match renewed.code {
                    Some(0) => Answer::Done,
                    _ => Answer::Refused,
                };
            }
            Op::Collect => drop(self.pk("gc").ok()),
            Op::Kill(id) => self.kill(*id),
            Op::Pass(_) => self.pass(after),
            Op::Reboot => self.reboot(),
            Op::End => self.end_process(),
            Op::Serve(port) => {
                let server = TcpListener::bind(("127.0.0.1", number(*port))).unwrap();
                self.servers.insert(*port, server);
            }
            Op::Close(port) => drop(self.servers.remove(port)),
            Op::Break(how) => self.break_registry(*how),
            Op::Damage(port) => self.damage(*port),
            Op::Newer => self.newer(),
            Op::Note => {
                for (name, note) in [(".env", "# a note\n"), ("config.json", "// a note\n")] {
                    self.env.write(name, self.env.read(name).unwrap() + note);
                }
            }
            Op::Restore => {
                let restored = self.pk("backup restore .env").sane();
                return if restored.code == Some(0) {
                    Answer::Done
                } else {
                    Answer::Refused
                };
            }
            Op::LetGo(_) | Op::Keep(_) | Op::SetClock(_) => unreachable!("not in this mode"),
        }
        Answer::Done
    }

    fn check(&self, model: &Model) {
        check::registry(self.status(), model, &[]);
        check::sockets(number, model);
        check::files(&self.env.path(""), number, model);
        assert!(
            self.env.leftovers().is_empty(),
            "{:?}",
            self.env.leftovers()
        );
    }
}

impl Command {
    fn pk(&self, line: impl AsRef<str>) -> pk_tests::Answer {
        hunt::command();
        self.env.pk(line)
    }

    fn reserve(&mut self, wish: &Wish, after: &Model) -> Answer {
        let process = wish.tied.then(|| self.process());
        let answer = self.pk(words::reserve(wish, process));
        let Some(granted) = words::granted(answer) else {
            return Answer::Refused;
        };
        let first = after.count + 1 - u32::try_from(granted.len()).unwrap();
        for (id, one) in (first..).zip(&granted) {
            if let Some(pid) = one["holder_pid"].as_u64() {
                self.holders.insert(id, u32::try_from(pid).unwrap());
            }
        }
        Answer::Granted(granted.iter().map(words::port_of).collect())
    }

    fn release(&mut self, port: u8, after: &Model) -> Answer {
        let mine = words::released(self.pk(words::release(port)));
        self.holders
            .retain(|id, _| after.guards.iter().any(|guard| guard.id == *id));
        Answer::Released {
            mine,
            theirs: false,
            ended: false,
        }
    }

    fn kill(&mut self, id: u32) {
        let pid = self.holders.remove(&id).expect("the model has it");
        process::signal(pid, Signal::KILL);
        process::gone(PATIENCE, pid);
    }

    fn reboot(&mut self) {
        for id in self.holders.keys().copied().collect::<Vec<_>>() {
            self.kill(id);
        }
        let path = self.env.registry();
        if let Some(mut registry) = self.registry() {
            // Nothing can be told any more of what was damaged.
            registry["boot_id"] = "another boot".into();
            fs::write(path, registry.to_string()).unwrap();
            self.pk("gc").ok();
        }
    }

    fn process(&mut self) -> u32 {
        let env = &self.env;
        self.process.get_or_insert_with(|| env.bystander()).id()
    }

    fn end_process(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// The registry's file, if it can be read.
    fn registry(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.env.registry()).ok()?).ok()
    }

    /// Leases that are over for the model are so for the program.
    fn pass(&self, after: &Model) {
        let Some(mut registry) = self.registry() else {
            return;
        };
        let over = |entry: &&super::Entry| entry.ends.is_some_and(|end| end <= after.now);
        let over: Vec<_> = after.entries.iter().filter(over).collect();
        for entry in registry["entries"].as_object_mut().unwrap().values_mut() {
            let is_over = over.iter().any(|over| {
                entry["port"] == number(over.port) && entry["proto"] == over.protocol.name()
            });
            let is_newer = after.entries.iter().any(|other| {
                let is_same =
                    entry["port"] == number(other.port) && entry["proto"] == other.protocol.name();
                is_same && after.is_alive(other)
            });
            if is_over && !is_newer {
                entry["expires_boot_ms"] = 1.into();
            }
        }
        fs::write(self.env.registry(), registry.to_string()).unwrap();
    }

    fn break_registry(&self, how: Breakage) {
        let path = self.env.registry();
        let now = fs::read(&path).unwrap_or_default();
        match how {
            Breakage::Missing => drop(fs::remove_file(path)),
            Breakage::Empty => fs::write(path, "").unwrap(),
            Breakage::Torn if now.len() > 20 => fs::write(path, &now[..now.len() / 2]).unwrap(),
            Breakage::Torn | Breakage::Garbage => fs::write(path, b"\0\0<html>\xff").unwrap(),
        }
    }

    fn damage(&self, port: u8) {
        let here = portkeeper::Here::now().machine;
        let fresh = || check::fresh(&self.env.registry(), &here.boot_id);
        let mut registry = self.registry().unwrap_or_else(|| fresh().parse().unwrap());
        registry["boot_id"] = here.boot_id.as_str().into();
        let port = number(port);
        let key = format!("tcp/127.0.0.1:{port}@{}", here.network);
        let entries = registry["entries"].as_object_mut().unwrap();
        entries.insert(key, serde_json::json!({ "port": port }));
        fs::write(self.env.registry(), registry.to_string()).unwrap();
    }

    fn newer(&self) {
        let path = self.env.registry();
        let now = fs::read(&path).ok();
        let newer = r#"{"schema":"portkeeper/registry","version":2,"min_reader":2,"entries":[]}"#;
        fs::write(&path, newer).unwrap();
        for line in ["status", "gc", "reserve", "release 1", "release --mine"] {
            drop(self.pk(line).refused(9));
        }
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            newer,
            "a newer version's is left alone"
        );
        match now {
            Some(now) => fs::write(path, now).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
    }

    fn status(&self) -> Status {
        let answer = self.pk("status --format json").ok();
        let mut status = Status {
            warns: answer.stderr.contains("warning"),
            ..Status::default()
        };
        for entry in answer.json()["reservations"].as_array().unwrap() {
            let state = entry["state"].as_str().unwrap();
            if state == "damaged" {
                status.damaged.push(words::port_of(entry));
                continue;
            }
            let shown = Shown {
                port: words::port_of(entry),
                protocol: ["tcp", "udp", "both"]
                    .into_iter()
                    .find(|name| entry["proto"] == *name)
                    .expect("one of three"),
                user: 0,
                kept: entry["holder_pid"].is_u64(),
            };
            match state {
                "leased" | "held" => status.alive.push(shown),
                _ => status.ended.push(shown),
            }
        }
        status
    }
}

/// What a holder may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

impl Drop for Command {
    fn drop(&mut self) {
        self.end_process();
        for id in self.holders.keys().copied().collect::<Vec<_>>() {
            self.kill(id);
        }
    }
}
