//! A process that wants a port which is handed over to another. Never bids for more than 127.0.0.1,
//! which the server asks for, so that what it gets the server has lost.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use pk_tests::process::spawn;

/// The program that plays servers and rivals.
pub(crate) const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// How it bids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Reuse,
    Share,
    Plain,
    Ephemeral,
}

impl Kind {
    pub(crate) const ALL: [Kind; 4] = [Kind::Reuse, Kind::Share, Kind::Plain, Kind::Ephemeral];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Reuse => "SO_REUSEADDR",
            Kind::Share => "+ SO_REUSEPORT",
            Kind::Plain => "no option",
            Kind::Ephemeral => "bind(0) of 8",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Kind::Reuse => "reuse",
            Kind::Share => "share",
            Kind::Plain => "plain",
            Kind::Ephemeral => "ephemeral",
        }
    }
}

/// The process.
pub(crate) struct Rival {
    kind: Kind,
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Rival {
    pub(crate) fn new(kind: Kind) -> Rival {
        let mut command = Command::new(ACTOR);
        command
            .args(["rival", kind.word()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = spawn(&mut command).unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Rival { kind, child, said }
    }

    /// Makes it try to get `port` from now on.
    pub(crate) fn want(&mut self, port: u16) {
        if self.kind == Kind::Ephemeral {
            // The kernel gives out every second port first, beginning with the second.
            let few = format!("{} {}", port - 1, port + 6);
            write("/proc/sys/net/ipv4/ip_local_port_range", &few);
        }
        self.tell(port);
    }

    /// Makes it give up; whether it listened on the port.
    pub(crate) fn give_up(&mut self) -> bool {
        let came = self.tell(0);
        let listened = came.split_whitespace().nth(2);
        listened.expect("three numbers") != "0"
    }

    fn tell(&mut self, port: u16) -> String {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{port}").unwrap();
        let mut came = String::new();
        self.said.read_line(&mut came).unwrap();
        came
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a switch of the kernel's, no file"
)]
fn write(path: &str, text: &str) {
    std::fs::write(path, text).unwrap();
}
