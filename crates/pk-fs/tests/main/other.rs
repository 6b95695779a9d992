//! A second process for a test: this very program, told to play a role. It says what it has done on
//! standard error and waits for a line (or the end) of standard input; nobody sleeps.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::time::Duration;

use pk_fs::lock::LockFile;
use rustix::fs::Mode;

use crate::stress;

/// Longer than anything here takes, short enough to end what went wrong.
pub(crate) const LONG: pk_fs::lock::Wait = pk_fs::lock::Wait::UpTo(Duration::from_secs(20));

/// Says, whatever the test runner captures, that a part of a test could not run here.
pub(crate) fn skipped(why: &str) {
    let _ = writeln!(io::stderr(), "skipped: {why}");
}

/// The other process; killed when this is dropped.
pub(crate) struct Other {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStderr>,
}

impl Other {
    /// Starts it with a role and the path that the role is about.
    pub(crate) fn playing(role: &str, path: &Path) -> Other {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "other::plays_its_role", "--nocapture"])
            .env("PK_ROLE", role)
            .env("PK_PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stderr.take().unwrap());
        Other {
            child,
            input,
            output,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says so.
    #[track_caller]
    pub(crate) fn says(&mut self, expect: &str) {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), expect);
    }

    /// Tells it to go on.
    pub(crate) fn go_on(&mut self) {
        writeln!(self.input, "go on").unwrap();
    }

    /// SIGKILL; returns when it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nothing in a plain run; the whole life of an [`Other`].
#[test]
fn plays_its_role() {
    let Ok(role) = env::var("PK_ROLE") else {
        return;
    };
    let path = PathBuf::from(env::var_os("PK_PATH").unwrap());
    match role.as_str() {
        "holder" => hold(&path),
        "holder without any rights from the umask" => {
            rustix::process::umask(Mode::from_raw_mode(0o777));
            hold(&path);
        }
        "counter" => {
            say("ready");
            listen();
            stress::count(&path);
            say("done");
        }
        other => panic!("no such role: {other}"),
    }
}

fn hold(path: &Path) {
    let held = LockFile::sidecar(path).exclusive(LONG, |_| {
        say("locked");
        listen();
    });
    held.unwrap();
    say("free");
    listen();
}

fn say(what: &str) {
    // If nobody listens any more, this process is about to be killed.
    let _ = writeln!(io::stderr(), "{what}");
}

fn listen() {
    io::stdin().lock().read_line(&mut String::new()).unwrap();
}
