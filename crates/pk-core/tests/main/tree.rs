//! A program that was started under an [`Adopter`], and all that is below it.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Child, Command, Stdio};

use pk_core::Hold;
use pk_core::handoff::adopt::{Adopter, Event};
use pk_core::handoff::child::{Adoption, Answered, Setup};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::process::{ARGUMENTS, Line, MYSELF, ROLE};

/// The tree; killed when this is dropped.
pub(crate) struct Tree {
    /// Until the tree has ended.
    adopter: Option<Adopter>,
    child: Child,
    line: Line,
    /// The line of a process that the program has started.
    second: Option<Line>,
    /// What happened to the calls that held ports were meant by.
    pub(crate) events: Vec<Event>,
}

impl Tree {
    /// Starts this program in the role of a server.
    pub(crate) fn below(holds: Vec<Hold>) -> Tree {
        let mut command = Command::new(MYSELF);
        command.args(ARGUMENTS);
        Tree::of(command, &[(ROLE, "program")], holds)
    }

    /// Starts any program.
    pub(crate) fn of(mut command: Command, variables: &[(&str, &str)], holds: Vec<Hold>) -> Tree {
        let environment = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let setup = Setup {
            environment,
            adoption: Adoption::Must,
            ..Setup::default()
        };
        let (line, its_input) = Line::pair();
        command.stdin(Stdio::from(its_input)).stdout(Stdio::null());
        let started = setup.apply(&mut command).unwrap();
        let child = command.spawn().unwrap();
        drop(command);
        let Answered::ByListener(listener) = started.answered().unwrap() else {
            panic!("the kernel refused the filter");
        };
        Tree {
            adopter: Some(Adopter::new(listener, holds).unwrap()),
            child,
            line,
            second: None,
            events: Vec::new(),
        }
    }

    /// The program's answer to an order.
    pub(crate) fn ask(&mut self, order: &str) -> String {
        self.line.say(order);
        self.serve_until_said()
    }

    /// Lets the program start another process.
    pub(crate) fn breed(&mut self) {
        let name = format!("pk-core-{}", self.child.id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        assert_eq!(self.ask(&format!("breed {name}")), "done");
        self.second = Some(Line::of(listener.accept().unwrap().0));
    }

    /// The answer of the process that the program has started.
    pub(crate) fn ask_second(&mut self, order: &str) -> String {
        let second = self.second.take().expect("there is a second process");
        let first = std::mem::replace(&mut self.line, second);
        let answer = self.ask(order);
        self.second = Some(std::mem::replace(&mut self.line, first));
        answer
    }

    /// Serves until the program has said something, or has ended.
    pub(crate) fn serve_until_said(&mut self) -> String {
        let limit = Timespec {
            tv_sec: 60,
            tv_nsec: 0,
        };
        loop {
            let adopter = self.adopter.as_mut().expect("the tree has not ended");
            let mut watched = [
                PollFd::new(&self.line, PollFlags::IN),
                PollFd::new(&*adopter, PollFlags::IN),
            ];
            assert!(rustix::event::poll(&mut watched, Some(&limit)).unwrap() > 0);
            let [said, called] = watched.map(|it| it.revents());
            if called.contains(PollFlags::IN) {
                match adopter.serve().unwrap() {
                    None | Some(Event::Passed) => {}
                    Some(event) => self.events.push(event),
                }
            } else if !said.is_empty() {
                return self.line.hear();
            }
        }
    }

    pub(crate) fn adopter(&mut self) -> &mut Adopter {
        self.adopter.as_mut().expect("the tree has not ended")
    }

    /// Kills the program and waits until the kernel says that nobody of the tree lives.
    pub(crate) fn end(mut self) -> Vec<Hold> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let adopter = self.adopter.take().expect("the tree has not ended");
        let mut watched = [PollFd::new(&adopter, PollFlags::empty())];
        let limit = Timespec {
            tv_sec: 60,
            tv_nsec: 0,
        };
        assert_eq!(rustix::event::poll(&mut watched, Some(&limit)).unwrap(), 1);
        assert!(watched[0].revents().contains(PollFlags::HUP));
        adopter.into_holds()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
