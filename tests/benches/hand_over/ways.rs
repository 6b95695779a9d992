//! The ways of handing a port over to a server that is started. Each begins with a hold and a rival
//! that wants the port, and ends when the server listens, or can't.

use std::io::{BufRead as _, BufReader};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread;

use pk_core::handoff::adopt::{Adopter, Event};
use pk_core::handoff::child::{Adoption, Answered, Setup};
use pk_core::handoff::pass;
use pk_core::{Coverage, Hold, Host, Origin, Port, Protocol};
use pk_tests::process::{spawn, undisturbed};
use pk_tests::{Ports, Running, TestEnv};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::rival::{ACTOR, Rival};

/// A way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Closing the hold, then starting the server: what scripts do.
    Naive,
    Relaxed,
    Descriptor,
    Take,
    Adoption,
    Run,
    RunTake,
}

/// A server that was started.
struct Server(Child);

impl Way {
    pub(crate) const ALL: [Way; 7] = [
        Way::Naive,
        Way::Relaxed,
        Way::Descriptor,
        Way::Take,
        Way::Adoption,
        Way::Run,
        Way::RunTake,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Way::Naive => "close, then start",
            Way::Relaxed => "relaxed (SO_REUSEADDR)",
            Way::Descriptor => "inherited socket",
            Way::Take => "passed on, then inherited",
            Way::Adoption => "adopted",
            Way::Run => "portkeeper run",
            Way::RunTake => "portkeeper reserve --hold, take",
        }
    }

    pub(crate) fn keeps_the_port(self) -> bool {
        !matches!(self, Way::Naive | Way::Relaxed)
    }

    /// Whole commands take longer, so there are fewer of them.
    pub(crate) fn rounds(self, rounds: u32) -> u32 {
        match self {
            Way::Run | Way::RunTake => rounds.div_ceil(20),
            _ => rounds,
        }
    }

    /// Hands a port over once.
    pub(crate) fn is_lost(self, rival: &mut Rival) -> bool {
        let ports = Ports::claim(8);
        match self {
            Way::Run => return run(ports.at(1), rival),
            Way::RunTake => return take(ports.at(1), rival),
            _ => {}
        }
        let port = Port::new(ports.at(1)).unwrap();
        let hold = undisturbed(|| {
            Hold::acquire(
                Host::default(),
                port,
                Protocol::Tcp,
                Coverage::Everywhere,
                Origin::Range,
            )
        });
        let hold = hold.unwrap();
        rival.want(port.number());
        let (is_up, server) = self.start(hold);
        let is_taken = rival.give_up();
        drop(server);
        is_taken || !is_up
    }

    /// Whether the server came up. What keeps the port lives as long as the server.
    fn start(self, hold: Hold) -> (bool, (Server, Option<Keeper>)) {
        let port = hold.port();
        let mut command = server(port);
        let (mut server, keeper) = match self {
            Way::Naive => {
                drop(hold);
                (Server(spawn(&mut command).unwrap()), None)
            }
            Way::Relaxed => {
                hold.relax().unwrap();
                let server = Server(spawn(&mut command).unwrap());
                (server, Some(Keeper::Hold { _hold: hold }))
            }
            Way::Take => (inherit(command, pass_on(hold)), None),
            Way::Adoption => return adopt(command, hold),
            _ => (inherit(command, hold), None),
        };
        (server.is_up(), (server, keeper))
    }
}

/// What goes on keeping the port.
enum Keeper {
    Hold { _hold: Hold },
    Adopter { _adopter: Adopter },
}

fn server(port: Port) -> Command {
    let mut command = Command::new(ACTOR);
    command
        .args(["serve", "127.0.0.1", &port.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

fn inherit(mut command: Command, hold: Hold) -> Server {
    let listener: OwnedFd = hold.into_listener().unwrap().into();
    let setup = Setup {
        sockets: vec![("web".to_owned(), listener)],
        ..Setup::default()
    };
    let _started = setup.apply(&mut command).unwrap();
    Server(spawn(&mut command).unwrap())
}

/// To a holder's successor, which has nothing but the sockets that come through the stream.
fn pass_on(hold: Hold) -> Hold {
    let (host, port) = (hold.host(), hold.port());
    let (here, there) = UnixStream::pair().unwrap();
    let holder = thread::spawn(move || pass::send(&there, b"x", &hold.descriptors()).unwrap());
    let (_, descriptors) = pass::receive(&here, &mut [0]).unwrap();
    holder.join().unwrap();
    Hold::from_descriptors(host, port, descriptors).unwrap()
}

fn adopt(mut command: Command, hold: Hold) -> (bool, (Server, Option<Keeper>)) {
    let setup = Setup {
        adoption: Adoption::Must,
        ..Setup::default()
    };
    let started = setup.apply(&mut command).unwrap();
    let mut server = Server(spawn(&mut command).unwrap());
    drop(command);
    let Answered::ByListener(listener) = started.answered().unwrap() else {
        panic!("nobody answers");
    };
    let mut adopter = Adopter::new(listener, vec![hold]).unwrap();
    let limit = Timespec {
        tv_sec: 20,
        tv_nsec: 0,
    };
    let is_up = loop {
        let mut waiting = [PollFd::from_borrowed_fd(adopter.as_fd(), PollFlags::IN)];
        poll(&mut waiting, Some(&limit)).unwrap();
        if !waiting[0].revents().contains(PollFlags::IN) {
            break false;
        }
        match adopter.serve().unwrap() {
            Some(Event::Listening { .. }) => break server.is_up(),
            Some(Event::Refused { .. }) => break false,
            _ => {}
        }
    };
    (is_up, (server, Some(Keeper::Adopter { _adopter: adopter })))
}

fn run(port: u16, rival: &mut Rival) -> bool {
    let env = TestEnv::new();
    let range = format!("{port}-{port}");
    let options = ["run", "--hand-over=adopt", "--range", &range, "--"];
    let program = [ACTOR, "wait-serve", "127.0.0.1", "{port}"];
    let mut run = env.start_run(&[&options[..], &program].concat());
    assert_eq!(run.line(), "waiting");
    rival.want(port);
    run.send("\n");
    is_lost(run, rival)
}

fn take(port: u16, rival: &mut Rival) -> bool {
    let env = TestEnv::new();
    env.pk(format!("reserve --hold --range {port}-{port}")).ok();
    rival.want(port);
    let take = ["take", &port.to_string(), "--hand-over=adopt", "--"];
    let program = [ACTOR, "serve", "127.0.0.1", "{port}"];
    is_lost(env.start_run(&[&take[..], &program].concat()), rival)
}

fn is_lost(mut run: Running, rival: &mut Rival) -> bool {
    let is_up = run.next_line().is_some_and(|line| line.trim() == "up");
    let is_taken = rival.give_up();
    run.signal(Signal::TERM);
    let _ = run.end();
    is_taken || !is_up
}

impl Server {
    fn is_up(&mut self) -> bool {
        let mut line = String::new();
        let stdout = self.0.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        line.trim() == "up"
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
