//! A second process for a test: this very program, told to play a role. It says what it has done on
//! standard error and takes its orders, one a line, from standard input; nobody sleeps.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};

use pk_core::Port;
use pk_registry::{Error, Here, Kind, Registry};
use rustix::fs::Mode;

use crate::{LONG, reservation};

/// The other process; killed when this is dropped.
pub(crate) struct Other {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStderr>,
}

impl Other {
    /// Starts it with a role and the path of the registry.
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

    /// Waits until it says so.
    #[track_caller]
    pub(crate) fn says(&mut self, expect: &str) {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), expect);
    }

    /// Gives it an order.
    pub(crate) fn hears(&mut self, order: &str) {
        writeln!(self.input, "{order}").unwrap();
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
        "guard" => guard(&Registry::at(path)),
        "guard, umask 0000" => {
            rustix::process::umask(Mode::empty());
            guard(&Registry::at(path));
        }
        "guard, umask 0777" => {
            rustix::process::umask(Mode::from_raw_mode(0o777));
            guard(&Registry::at(path));
        }
        "stays inside" => stay_inside(&Registry::at(path)),
        "writes first" => write_first(&path),
        other => panic!("no such role: {other}"),
    }
}

/// Reserves 8080 for as long as this process lives.
fn guard(registry: &Registry) {
    let here = Here::now();
    let guarded = registry.update(LONG, &here, |transaction| {
        transaction.insert(reservation(8080, Kind::Guarded, &here))?;
        transaction.keep_alive("id8080")
    });
    let live = guarded.unwrap();
    say("guarded");
    listen();
    drop(live);
}

/// Begins an update and does not come to its end.
fn stay_inside(registry: &Registry) {
    let here = Here::now();
    let update = registry.update(LONG, &here, |transaction| {
        transaction.remove(Port::new(8080).expect("a port"), "id8080");
        say("inside");
        listen();
        Ok::<_, Error>(())
    });
    update.unwrap();
}

/// Adds a port to the registry `N` in the folder `home` whenever it hears `N PORT`.
fn write_first(home: &Path) {
    say("ready");
    while let Some((name, port)) = listen().split_once(' ') {
        let (registry, here) = (Registry::at(home.join(name)), Here::now());
        let port = reservation(port.parse().unwrap(), Kind::Leased, &here);
        let inserted = registry.update(LONG, &here, |it| it.insert(port.clone()));
        assert_eq!(inserted.unwrap().warnings, []);
        say("written");
    }
}

fn say(what: &str) {
    // If nobody listens any more, this process is about to be killed.
    let _ = writeln!(io::stderr(), "{what}");
}

fn listen() -> String {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}
