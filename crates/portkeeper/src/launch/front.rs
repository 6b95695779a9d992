//! The command's side while its program runs: passing on signals, being stopped and going on with
//! it, and clearing up behind a supervisor that was killed. Never holds a port.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::process::Child;
use std::time::{Duration, Instant};

use pk_core::Machine;
use pk_core::handoff::child::{own_group, to_foreground};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal};

use super::crew::Crew;
use super::message::{Failure, Said, Told};
use super::{Ending, Launch, Notice, reap};
use crate::error::Error;
use crate::signals::{self, Signals};

/// What is passed on to the program.
const PASSED_ON: [Signal; 9] = [
    Signal::INT,
    Signal::TERM,
    Signal::HUP,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
    Signal::WINCH,
    Signal::TSTP,
    Signal::CONT,
];

/// Catches the signals that are passed on. To be called before the program can run.
pub(super) fn catch() -> Result<Signals, Error> {
    let numbers = PASSED_ON.map(Signal::as_raw).into_iter();
    // What this process was told to ignore (nohup, `&` in a script) the program ignores too.
    let caught: Vec<i32> = numbers.filter(|it| !signals::is_ignored(*it)).collect();
    Signals::new(&caught).map_err(Error::io("catch signals"))
}

/// A program that runs, as the command sees it.
pub(super) struct Front<'f> {
    crew: Crew,
    signals: Signals,
    program: &'f Launch,
    notice: &'f mut dyn FnMut(Notice),
    child: Option<u32>,
    /// Until when the program has to listen.
    deadline: Option<Instant>,
    begun: Instant,
    ending: Option<Result<Ending, Error>>,
}

impl<'f> Front<'f> {
    pub(super) fn new(
        crew: Crew,
        signals: Signals,
        program: &'f Launch,
        notice: &'f mut dyn FnMut(Notice),
    ) -> Front<'f> {
        let begun = Instant::now();
        Front {
            crew,
            signals,
            program,
            notice,
            child: None,
            deadline: program.ready.map(|limit| begun + limit),
            begun,
            ending: None,
        }
    }

    /// Starts the program, and returns when nothing is left of it; with it, the supervisor, which
    /// is about to end.
    pub(super) fn run(mut self, machine: &Machine) -> (Result<Ending, Error>, Child) {
        self.crew.channel.say(&Told::Start);
        let heard = self.follow();
        self.take_terminal();
        if let Err(Error::Supervisor { .. }) = heard
            && let Err(error) = reap::end_all(machine)
        {
            tracing::debug!(%error, "something of the program is left");
        }
        (heard, self.crew.child)
    }

    fn follow(&mut self) -> Result<Ending, Error> {
        loop {
            self.wait().map_err(Error::io("wait"))?;
            for signal in self.signals.pending() {
                match signal == Signal::CONT.as_raw() {
                    true => self.resume(),
                    false => self.crew.channel.say(&Told::Signal(signal)),
                }
            }
            if self
                .deadline
                .is_some_and(|deadline| deadline <= Instant::now())
            {
                self.deadline = None;
                let limit = self.program.ready.unwrap_or_default();
                self.ending = Some(Err(Error::NotReady { limit }));
                self.crew.channel.say(&Told::End);
            }
            loop {
                match self.crew.channel.hear() {
                    Ok(Some(Said::Ended { status, cause })) => {
                        let ended = Ending { status, cause };
                        return self.ending.take().unwrap_or(Ok(ended));
                    }
                    Ok(Some(said)) => self.hear(said),
                    Ok(None) => break,
                    Err(source) => return Err(Error::Supervisor { source }),
                }
            }
        }
    }

    fn wait(&self) -> io::Result<()> {
        let mut watched = [
            PollFd::new(&self.crew.channel, PollFlags::IN),
            PollFd::new(&self.signals, PollFlags::IN),
        ];
        let left = self.deadline.map_or(Duration::from_secs(3600), |it| {
            it.saturating_duration_since(Instant::now())
        });
        let limit = Timespec::try_from(left).map_err(io::Error::other)?;
        match rustix::event::poll(&mut watched, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::Started { pid, rung, because } => {
                self.child = Some(pid);
                (self.notice)(Notice::Started { pid, rung, because });
            }
            Said::Failed { what, errno, why } => {
                let source = match errno {
                    Some(errno) => io::Error::from_raw_os_error(errno),
                    None => io::Error::other(why),
                };
                self.ending = Some(Err(match what {
                    Failure::Program => Error::Program {
                        program: self.program.name(),
                        source,
                    },
                    Failure::HandOver => Error::HandOver {
                        way: self.program.way(),
                        source,
                    },
                }));
            }
            Said::Listening { port, address, pid } => {
                self.deadline = None;
                let after = self.begun.elapsed();
                (self.notice)(Notice::Listening {
                    port,
                    address,
                    pid,
                    after,
                });
            }
            Said::Refused { port, address, why } => {
                (self.notice)(Notice::Refused { port, address, why });
            }
            Said::Unreadable { pid, why } => (self.notice)(Notice::Unreadable { pid, why }),
            Said::Stopped(signal) => self.stop(signal),
            Said::Restarting { status, pause } => {
                let pause = Duration::from_millis(pause);
                (self.notice)(Notice::Restarting { status, pause });
            }
            Said::Ready | Said::Ended { .. } => {}
        }
    }

    /// Stops with the program, so that a shell sees the job stopped. Not when somebody stopped the
    /// program alone: whoever did will let it go on.
    fn stop(&mut self, signal: i32) {
        let by_keys = [Signal::TSTP, Signal::TTIN, Signal::TTOU].map(Signal::as_raw);
        if !by_keys.contains(&signal) {
            return;
        }
        self.take_terminal();
        let stopped = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
        tracing::debug!(?stopped, "gone on");
        self.resume();
    }

    fn resume(&mut self) {
        let is_own = |group: Pid| Some(group.as_raw_pid().unsigned_abs()) == own_group();
        if let (Some(terminal), Some(child)) = (&self.crew.terminal, self.child)
            && rustix::termios::tcgetpgrp(terminal).is_ok_and(is_own)
        {
            let given = to_foreground(terminal.as_fd(), child);
            tracing::debug!(
                ?given,
                terminal = terminal.as_raw_fd(),
                "the program's again"
            );
        }
        self.crew.channel.say(&Told::Resume);
    }

    /// Makes the terminal's keys this process' again, if they were the program's.
    fn take_terminal(&self) {
        let Some(terminal) = &self.crew.terminal else {
            return;
        };
        let child = self.child.and_then(|pid| Pid::from_raw(pid.cast_signed()));
        if let Some(own) = own_group()
            && child.is_some()
            && rustix::termios::tcgetpgrp(terminal).ok() == child
        {
            let taken = to_foreground(terminal.as_fd(), own);
            tracing::debug!(?taken, "the command's again");
        }
    }
}
