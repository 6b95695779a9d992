//! Commands under strace(1): which calls they make, and what becomes of it when one of them is the
//! last or fails. Never needs it: where it is missing or not allowed, the test says so.

use std::fmt;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::{Answer, TestEnv, has, process, skipped};

/// The calls that change what is on a disk. Of `openat` only some do, which cannot be told apart: a
/// file that was just created shows itself before the next of these.
pub const CHANGES: &str = "rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,\
    rmdir,mkdir,mkdirat,write,pwrite64,writev,ftruncate,truncate,fallocate,fsync,fdatasync,\
    chmod,fchmod,fchmodat,chown,fchown,fchownat,fsetxattr";

/// One call of a command: the `number`th (from 1) with this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it is called.
    pub name: String,
    /// Which of those.
    pub number: usize,
}

impl TestEnv {
    /// Runs the program with the arguments in `line` and tampers with one call of it: `how` is
    /// `signal=SIGKILL`, which ends it just before that call, or `error=ENOSPC`, which the call then
    /// gives back.
    ///
    /// # Panics
    /// strace does not work, which [`changes`] would have told.
    #[track_caller]
    #[must_use]
    pub fn tampered(&self, call: &Call, how: &str, line: &str) -> Answer {
        let Call { name, number } = call;
        let trace = format!("trace={name}");
        let inject = format!("inject={name}:{how}:when={number}");
        let options = ["-o", "/dev/null", "-e", &trace, "-e", &inject];
        self.run(self.strace(&options, line).expect("it worked before"))
    }

    /// The program with the arguments in `line`, cut at blanks, under strace with these options;
    /// `None`, with a word about it, where that cannot be.
    #[must_use]
    pub fn strace(&self, options: &[&str], line: &str) -> Option<Command> {
        if !works() {
            return None;
        }
        let mut command = self.command("strace");
        command
            .args(["-f", "-qq"])
            .args(options)
            .args(["--", "portkeeper"])
            .args(line.split_whitespace());
        Some(command)
    }
}

/// The calls among [`CHANGES`] that the program makes with the arguments in `line`, in their order;
/// `None`, with a word about it, where strace does not work.
///
/// # Panics
/// The command fails.
#[must_use]
pub fn changes(env: &TestEnv, line: &str) -> Option<Vec<Call>> {
    let log = env.root().join("changes");
    let options = ["-o", log.to_str()?, "-e", &format!("trace={CHANGES}")];
    env.run(env.strace(&options, line)?).ok();
    let log = fs::read_to_string(log).expect("strace writes where it is told to");
    let mut calls: Vec<Call> = Vec::new();
    for line in log.lines() {
        // After the number of the process.
        let call = line.split_once(' ').map(|(_, call)| call.trim_start());
        let Some((name, _)) = call.and_then(|call| call.split_once('(')) else {
            continue;
        };
        let number = calls.iter().filter(|call| call.name == name).count() + 1;
        let name = name.to_owned();
        calls.push(Call { name, number });
    }
    Some(calls)
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} number {}", self.name, self.number)
    }
}

/// Whether strace is installed, and the kernel lets it work.
pub(crate) fn works() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| {
        if !has("strace") {
            skipped("system calls: no strace");
            return false;
        }
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "true"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let traced = process::spawn(&mut command).and_then(|mut child| child.wait());
        let works = traced.is_ok_and(|status| status.success());
        if !works {
            skipped("system calls: strace is not allowed to trace here");
        }
        works
    })
}
