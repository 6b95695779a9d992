//! One system call of a command, seen and tampered with. Never more than one at a time.

use std::collections::HashSet;
use std::fs;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::scene::Whose;
use super::world::World;
use crate::process::{self, eventually, is_alive, signal};
use crate::strace::Call;
use crate::{Answer, Running};

/// A call that was seen.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) call: Call,
    /// What it is about.
    pub(super) on: On,
    /// Whether the program had begun. What the loader does before is not its to answer for.
    pub(super) has_begun: bool,
}

/// What a call is about, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    /// An open folder.
    Folder,
    /// Standard output.
    Stdout,
    Else,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tamper {
    /// The process gets this signal before it.
    Signal(&'static str),
    /// It fails with this error.
    Fail(&'static str),
    /// It says that it has written one byte, and has written none.
    Short,
}

/// The signal that no process can do anything about.
pub(super) const KILL: Tamper = Tamper::Signal("SIGKILL");

impl Tamper {
    fn how(self) -> String {
        match self {
            Tamper::Signal(signal) => format!("signal={signal}"),
            Tamper::Fail(error) => format!("error={error}"),
            Tamper::Short => "retval=1".to_owned(),
        }
    }
}

/// How long anything may take that is waited for here.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

impl World {
    /// The calls that the scene makes when nothing is in its way.
    pub(super) fn calls(&mut self) -> Vec<Seen> {
        self.reset();
        let log = self.env.root().join("calls");
        let path = log.to_str().expect("a path that is text");
        self.traced(&["-o", path]).ok();
        self.settle();
        seen(&fs::read_to_string(log).expect("strace writes where it is told to"))
    }

    /// Plays the scene with one call tampered with.
    pub(super) fn play(&self, call: &Call, tamper: Tamper) -> Answer {
        let Call { name, number } = call;
        let trace = format!("trace={name}");
        let inject = format!("inject={name}:{}:when={number}", tamper.how());
        self.traced(&["-o", "/dev/null", "-e", &trace, "-e", &inject])
    }

    /// Runs the scene's command under strace, or the process that is meant.
    fn traced(&self, options: &[&str]) -> Answer {
        match self.scene.whose {
            Whose::Command => {
                let mut command = self.env.command("strace");
                command.arg("-qq").args(options).arg("--");
                command.args(self.words());
                self.env.run(command)
            }
            Whose::Helper(failpoint) => {
                let mut command = self.command();
                command.env("PORTKEEPER_FAILPOINTS", format!("{failpoint}=stop"));
                let running = self.env.start(command);
                let helper = stopped_child(&running);
                let _tracer = self.attach(helper, options);
                signal(helper, Signal::CONT);
                running.end()
            }
            Whose::Holder => {
                let _tracer = self.attach(self.holder(), options);
                self.env.run(self.command())
            }
        }
    }

    /// The scene's own command.
    pub(super) fn command(&self) -> std::process::Command {
        let words = self.words();
        let mut command = self.env.command(&words[0]);
        command.args(&words[1..]);
        command
    }

    /// Watches a process from its next call on.
    fn attach(&self, pid: u32, options: &[&str]) -> Tracer {
        let mut command = self.env.command("strace");
        command.arg("-qq").args(options);
        command.args(["-p", &pid.to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let tracer = Tracer(process::spawn(&mut command).expect("it worked before"));
        eventually(PATIENCE, "strace watches", || is_traced(pid));
        tracer
    }

    /// The process that holds the scene's port.
    fn holder(&self) -> u32 {
        let all = self.env.reservations();
        let mine = all.iter().find(|it| it["port"] == self.port());
        let pid = mine.and_then(|it| it["holder_pid"].as_u64());
        pid.and_then(|pid| u32::try_from(pid).ok())
            .expect("a holder")
    }

    /// Releases all, and waits until nobody is left.
    pub(super) fn settle(&self) {
        self.env.pk("release --mine").ok();
        if self.scene.starts_processes() {
            eventually(PATIENCE, "nobody is left", || {
                self.env.processes().is_empty()
            });
        }
    }
}

/// Lets go of what it watches, which then goes on, when this is dropped.
struct Tracer(Child);

impl Drop for Tracer {
    fn drop(&mut self) {
        signal(self.0.id(), Signal::TERM);
        // It has ended, or is about to.
        let _ = self.0.wait();
    }
}

/// The child of a command, when it has stopped.
fn stopped_child(command: &Running) -> u32 {
    let pid = command.pid();
    let children = format!("/proc/{pid}/task/{pid}/children");
    let mut child = None;
    eventually(PATIENCE, "a child that stops", || {
        let children = fs::read_to_string(&children).unwrap_or_default();
        child = children.split_whitespace().find_map(|pid| pid.parse().ok());
        child.is_some_and(|child| process::state(child) == Some('T'))
    });
    child.expect("there is one")
}

fn is_traced(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let tracer = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0") || !is_alive(pid)
}

/// The calls in a log of one process.
fn seen(log: &str) -> Vec<Seen> {
    let mut calls: Vec<Seen> = Vec::new();
    let mut folders = HashSet::new();
    // One that was there before began long ago.
    let mut has_begun = !log.starts_with("execve(");
    for line in log.lines() {
        let Some((name, rest)) = line.split_once('(') else {
            continue;
        };
        let of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        // `+++ exited with 0 +++` and the like.
        if !name.bytes().all(of_name) {
            continue;
        }
        let argument = rest.split([',', ')']).next().unwrap_or_default();
        let answer = line.rsplit_once(" = ").map_or("", |(_, answer)| answer);
        let on = match name {
            "write" if argument == "1" => On::Stdout,
            _ if folders.contains(argument) => On::Folder,
            _ => On::Else,
        };
        match name {
            "openat" if rest.contains("O_DIRECTORY") => drop(folders.insert(answer.to_owned())),
            "openat" => drop(folders.remove(answer)),
            // Both are folders, however they were opened.
            "renameat" | "renameat2" => {
                folders.extend(rest.split(", ").step_by(2).take(2).map(str::to_owned));
            }
            "close" => drop(folders.remove(argument)),
            _ => {}
        }
        let number = calls.iter().filter(|seen| seen.call.name == name).count() + 1;
        let name = name.to_owned();
        // The last thing that the runtime of the language does before `main`.
        let begins = name == "sigaltstack" && number == 2;
        let call = Call { name, number };
        calls.push(Seen {
            call,
            on,
            has_begun,
        });
        has_begun |= begins;
    }
    calls
}
