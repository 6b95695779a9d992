//! Other processes: this very program, told to play a role. It hears its orders, one a line, on
//! standard input, which is a socket, and answers there; nobody sleeps.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What the path of this program is for itself, whoever may read the folders that lead to it.
pub(crate) const MYSELF: &str = "/proc/self/exe";

/// The arguments with which it plays a role.
pub(crate) const ARGUMENTS: [&str; 3] = ["--exact", "process::plays_its_role", "--nocapture"];

/// The variable that names the role.
pub(crate) const ROLE: &str = "PK_ROLE";

/// Longer than anything here takes, short enough to end what went wrong.
const LONG: Duration = Duration::from_secs(60);

/// This end of what a process hears and says.
pub(crate) struct Line(BufReader<UnixStream>);

impl Line {
    pub(crate) fn pair() -> (Line, OwnedFd) {
        let (here, there) = UnixStream::pair().unwrap();
        (Line::of(here), there.into())
    }

    pub(crate) fn of(here: UnixStream) -> Line {
        here.set_read_timeout(Some(LONG)).unwrap();
        Line(BufReader::new(here))
    }

    pub(crate) fn say(&mut self, order: &str) {
        writeln!(self.0.get_mut(), "{order}").unwrap();
    }

    /// Waits for an answer; empty when the process has ended.
    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

/// Another process; killed when this is dropped.
pub(crate) struct Other {
    child: Child,
    line: Line,
}

impl Other {
    pub(crate) fn playing(role: &str) -> Other {
        let (line, there) = Line::pair();
        let child = Command::new(MYSELF)
            .args(ARGUMENTS)
            .env(ROLE, role)
            .stdin(Stdio::from(there))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Other { child, line }
    }

    pub(crate) fn ask(&mut self, order: &str) -> String {
        self.line.say(order);
        self.line.hear()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What this process hears while it plays a role.
pub(crate) fn orders() -> impl Iterator<Item = String> {
    io::stdin().lines().map_while(Result::ok)
}

/// Answers an order.
pub(crate) fn answer(what: &str) {
    let copy = io::stdin().as_fd().try_clone_to_owned().unwrap();
    // If nobody listens any more, this process is about to be killed.
    let _ = writeln!(UnixStream::from(copy), "{what}");
}

/// Nothing in a plain run; the whole life of another process.
#[test]
fn plays_its_role() {
    match std::env::var(ROLE).as_deref() {
        Ok("program") => crate::program::obey(),
        Ok("competitor") => crate::competitor::compete(),
        Ok(other) => panic!("no such role: {other}"),
        Err(_) => {}
    }
}
