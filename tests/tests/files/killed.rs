//! `kill -9` before each single change of the disk while a port is written into several files: the
//! next command finds all of them old or all of them new, and the port in keeping with them.

use std::fs;

use pk_tests::strace::{Call, changes};
use pk_tests::{Ports, TestEnv};

/// A port that is written into files.
struct Change {
    places: &'static str,
    files: &'static [File],
}

/// A file before (`None`: not there) and, with `{port}`, after it.
struct File {
    name: &'static str,
    old: Option<&'static str>,
    new: &'static str,
}

const TWO: Change = Change {
    places: "--write-env A --write-env URL=http://{host}:{port} --write-json config.json#/port",
    files: &[
        File {
            name: ".env",
            old: Some("# c\nA=1\n"),
            new: "# c\nA={port}\nURL=http://127.0.0.1:{port}\n",
        },
        File {
            name: "config.json",
            old: Some("{\"port\": \"1\"}"),
            new: "{\"port\": \"{port}\"}",
        },
    ],
};

/// One is written in place, since it has a second name, and one is new.
const THREE: Change = Change {
    places: "--write-env A --write-json linked.json#/port --write-json new.json#/port",
    files: &[
        File {
            name: ".env",
            old: Some("A='1'\n"),
            new: "A='{port}'\n",
        },
        File {
            name: "linked.json",
            old: Some("{\"port\": 1, \"b\": \"some more\"}"),
            new: "{\"port\": {port}, \"b\": \"some more\"}",
        },
        File {
            name: "new.json",
            old: None,
            new: "{\n  \"port\": {port}\n}\n",
        },
    ],
};

/// The command that comes next.
const NEXT: &str = "env set OTHER=1 --file other.env --create";

#[test]
fn two_files() {
    kill_everywhere(&TWO);
}

#[test]
fn three_files() {
    kill_everywhere(&THREE);
}

/// What takes a change back can be killed as well; the one after it takes up where it was.
#[test]
fn the_next_command() {
    let ports = Ports::claim(1);
    let Some(calls) = changes(&TWO.world(), &TWO.line(&ports)) else {
        return;
    };
    let kill = |call: &Call| {
        let env = TWO.world();
        let _ = env.tampered(call, "signal=SIGKILL", &TWO.line(&ports));
        env
    };
    let is_between = |env: &TestEnv| {
        let states = TWO.files.iter().map(|file| file.is_old(env));
        states.eq([false, true])
    };
    let renames = calls.iter().filter(|call| call.name.starts_with("rename"));
    let between = renames.rev().find(|call| is_between(&kill(call)));
    let between = between.expect("one file is renamed before the other");
    let recovery = changes(&kill(between), NEXT).expect("strace worked before");
    assert!(recovery.len() > 10, "{recovery:?}");
    for call in &recovery {
        let env = kill(between);
        let _ = env.tampered(call, "signal=SIGKILL", NEXT);
        TWO.check(
            &env,
            &ports,
            End::Amid,
            &format!("the next one killed before {call}"),
        );
    }
}

fn kill_everywhere(change: &Change) {
    let ports = Ports::claim(1);
    let line = change.line(&ports);
    let Some(calls) = changes(&change.world(), &line) else {
        return;
    };
    let mut ends = Vec::new();
    for call in &calls {
        let env = change.world();
        let answer = env.tampered(call, "signal=SIGKILL", &line);
        assert_eq!(answer.code, None, "killed before {call}: {answer:#?}");
        let end = change.end(&env, &ports);
        change.check(&env, &ports, end, &format!("killed before {call}"));
        ends.push(end);
    }
    assert!(ends.is_sorted(), "{ends:?}");
    for end in [End::Before, End::Amid, End::After] {
        assert!(ends.contains(&end), "{end:?} in {ends:?}");
    }
}

/// What a killed command had come to.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum End {
    /// No file was promised anything yet: the reservation, if there is one, is a lease like others.
    Before,
    /// It was about to change the files, or had changed some.
    Amid,
    /// All files are as they were to be.
    After,
}

impl Change {
    fn world(&self) -> TestEnv {
        let env = TestEnv::new();
        for File { name, old, .. } in self.files {
            old.iter().for_each(|old| env.write(name, old));
            if *name == "linked.json" {
                fs::hard_link(env.path(name), env.path("same.json")).unwrap();
            }
        }
        env
    }

    fn line(&self, ports: &Ports) -> String {
        format!("reserve {} {}", ports.range(), self.places)
    }

    fn end(&self, env: &TestEnv, ports: &Ports) -> End {
        let journals = fs::read_dir(env.state_folder().join("txn"));
        let mut names = journals
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().file_name());
        let is_announced = names.any(|name| name.to_string_lossy().ends_with(".json"));
        if self.files.iter().all(|file| file.is_new(env, ports)) {
            End::After
        } else if is_announced || !self.files.iter().all(|file| file.is_old(env)) {
            End::Amid
        } else {
            End::Before
        }
    }

    /// Runs a command that writes files, and one that sweeps, and checks what is there then.
    #[track_caller]
    fn check(&self, env: &TestEnv, ports: &Ports, end: End, what: &str) {
        let next = env.pk(NEXT);
        assert_eq!(next.code, Some(0), "{what}: {next:#?}");
        let (reserved, port) = (env.reserved(), ports.at(0));
        let files: Vec<_> = self.files.iter().map(|file| env.read(file.name)).collect();
        let what = format!("{what}: {end:?} {reserved:?} {files:#?}");
        if end == End::After {
            assert!(
                self.files.iter().all(|file| file.is_new(env, ports)),
                "{what}"
            );
            assert_eq!(reserved, [port], "{what}");
            for file in self.files.iter().filter(|file| file.old.is_some()) {
                env.pk(format!("backup restore {}", file.name)).ok();
                assert!(file.is_old(env), "{what}");
            }
        } else {
            assert!(self.files.iter().all(|file| file.is_old(env)), "{what}");
            let may_stay = end == End::Before && reserved == [port];
            assert!(reserved.is_empty() || may_stay, "{what}");
        }
        env.pk("gc").ok();
        let left = env.leftovers();
        assert!(left.is_empty(), "{what}: {left:#?}");
    }
}

impl File {
    fn is_old(&self, env: &TestEnv) -> bool {
        env.read(self.name).as_deref() == self.old
    }

    fn is_new(&self, env: &TestEnv, ports: &Ports) -> bool {
        let new = self.new.replace("{port}", &ports.at(0).to_string());
        env.read(self.name) == Some(new)
    }
}
