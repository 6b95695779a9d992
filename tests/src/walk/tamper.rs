//! One system call of a command, seen and tampered with. Never more than one at a time.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::scene::{Whose, World};
use crate::process::{self, eventually, is_alive, signal};
use crate::strace::Call;
use crate::{Answer, Running};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tamper {
    /// The process is killed before it.
    Kill,
    /// It fails with this error.
    Fail(&'static str),
    /// It says that it has written one byte, and has written none.
    Short,
}

impl Tamper {
    fn how(self) -> String {
        match self {
            Tamper::Kill => "signal=SIGKILL".to_owned(),
            Tamper::Fail(error) => format!("error={error}"),
            Tamper::Short => "retval=1".to_owned(),
        }
    }
}

/// A call that was seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) call: Call,
    /// Closing a folder never fails, and the standard library relies on it.
    pub(super) can_fail: bool,
}

/// How long anything may take that is waited for here.
const PATIENCE: Duration = Duration::from_secs(20);

impl World {
    /// The calls that the scene makes when nothing is in its way.
    pub(super) fn calls(&mut self) -> Vec<Seen> {
        self.reset();
        let log = self.env.root().join("calls");
        let path = log.to_str().expect("a path that is text");
        self.traced(&["-o", path]).ok();
        // A holder goes on until the port is released, and the tracer with it.
        self.settle();
        let log = fs::read_to_string(log).expect("strace writes where it is told to");
        seen(&log)
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
                command.arg("-qq").args(options).args(["--", "portkeeper"]);
                command.args(self.line().split_whitespace());
                self.env.run(command)
            }
            Whose::Helper(failpoint) => {
                let mut command = self.env.portkeeper(self.line());
                command.env("PORTKEEPER_FAILPOINTS", format!("{failpoint}=stop"));
                let running = self.env.start(command);
                let helper = stopped_child(&running);
                let _tracer = self.attach(helper, options);
                signal(helper, Signal::CONT);
                running.end()
            }
            Whose::Holder => {
                let holder = self.holder();
                let _tracer = self.attach(holder, options);
                self.env.pk(self.line())
            }
        }
    }

    /// Watches a process from its next call on.
    fn attach(&self, pid: u32, options: &[&str]) -> Tracer {
        let mut command = self.env.command("strace");
        command
            .arg("-qq")
            .args(options)
            .args(["-p", &pid.to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let tracer = process::spawn(&mut command).expect("it worked before");
        eventually(PATIENCE, "strace watches", || is_traced(pid));
        Tracer(tracer)
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
        if self.may_leave_processes() {
            eventually(PATIENCE, "nobody is left", || {
                self.env.processes().is_empty()
            });
        }
    }

    fn may_leave_processes(&self) -> bool {
        ["hold", "run"].iter().any(|word| {
            let lines = [Some(self.scene.line), self.scene.first];
            lines.into_iter().flatten().any(|line| line.contains(word))
        })
    }
}

/// Ends with what it watches, or with this value.
struct Tracer(Child);

impl Drop for Tracer {
    fn drop(&mut self) {
        // It lets go of what it watches, which goes on.
        signal(self.0.id(), Signal::TERM);
        let _: io::Result<_> = self.0.wait();
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
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"));
    let status = status.unwrap_or_default();
    let tracer = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0") || !is_alive(pid)
}

/// The calls in a log of one process.
fn seen(log: &str) -> Vec<Seen> {
    let mut calls: Vec<Seen> = Vec::new();
    let mut folders = HashSet::new();
    for line in log.lines() {
        let Some((name, rest)) = line.split_once('(') else {
            continue;
        };
        // `+++ exited with 0 +++` and the like.
        if !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            continue;
        }
        let opened = line.rsplit_once(" = ").map_or("", |(_, answer)| answer);
        let is_folder = match name {
            "openat" if rest.contains("O_DIRECTORY") => !folders.insert(opened.to_owned()),
            "openat" => folders.remove(opened),
            "close" => rest
                .split_once(')')
                .is_some_and(|(it, _)| folders.remove(it)),
            _ => false,
        };
        let number = calls.iter().filter(|seen| seen.call.name == name).count() + 1;
        let name = name.to_owned();
        calls.push(Seen {
            call: Call { name, number },
            can_fail: !is_folder,
        });
    }
    calls
}
