//! The start of a program, in the best way that works, and what is passed on to it while it runs.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::Instant;

use pk_core::handoff::adopt::Adopter;
use pk_core::handoff::child::{Adoption, Answered, Setup};
use pk_core::{Hold, Protocol};
use pk_fs::failpoint;
use rustix::process::{Pid, Signal};

use super::{Grip, Phase, Supervisor};
use crate::launch::message::{Failure, Said, Status};
use crate::launch::{HandOver, Rung, ladder, ready, spawn};

impl Supervisor {
    pub(super) fn start(&mut self) -> io::Result<()> {
        let program = self.program.first().cloned().unwrap_or_default();
        let ladder::Plan {
            mut rung,
            mut because,
        } = ladder::choose(self.orders.hand_over, &program, self.search());
        let started = match self.spawn(rung) {
            Ok((pid, answered)) => {
                (self.child, self.group) = (Some(pid), Some(pid));
                match answered {
                    Answered::ByListener(listener) => {
                        let holds = self.take_holds();
                        let adopter = Adopter::new(listener, holds)?;
                        self.grip = Grip::Adopter {
                            adopter,
                            is_deserted: false,
                        };
                    }
                    Answered::Refused(error) => {
                        rung = Rung::Relaxed;
                        because = Some(error.to_string());
                    }
                    Answered::ByKernel => {}
                }
                true
            }
            Err((what, error)) => {
                let (errno, why) = (error.raw_os_error(), error.to_string());
                self.say(&Said::Failed { what, errno, why });
                false
            }
        };
        self.rung = rung;
        self.begun = Instant::now();
        if !started {
            self.phase = Phase::Over;
            return Ok(());
        }
        self.phase = Phase::Running;
        let pid = self.child.map_or(0, |pid| pid.as_raw_pid().unsigned_abs());
        // It is as true of the next start, and was told of the first.
        let because = because.filter(|_| self.starts == 0);
        self.starts += 1;
        self.say(&Said::Started { pid, rung, because });
        if self.orders.watch {
            self.watch = ready::Watch::new(rung);
        }
        Ok(())
    }

    fn spawn(&mut self, rung: Rung) -> Result<(Pid, Answered), (Failure, io::Error)> {
        let program = |error| (Failure::Program, error);
        let hand_over = |error| (Failure::HandOver, error);
        let sockets = match rung {
            Rung::Inherited => self.listeners().map_err(hand_over)?,
            _ => Vec::new(),
        };
        let terminal = self.terminal.as_ref().filter(|it| self.has_terminal(it));
        let terminal = terminal
            .map(OwnedFd::try_clone)
            .transpose()
            .map_err(program)?;
        let Grip::Holds(holds) = &mut self.grip else {
            return Err(hand_over(io::ErrorKind::InvalidInput.into()));
        };
        match rung {
            Rung::Relaxed => holds
                .iter()
                .try_for_each(Hold::relax)
                .map_err(|error| hand_over(io::Error::other(error)))?,
            Rung::Closed => holds.clear(),
            Rung::Inherited | Rung::Adopted => {}
        }
        let members = holds.iter().flat_map(Hold::descriptors).collect();
        let adoption = match (rung, self.orders.hand_over) {
            (Rung::Adopted, HandOver::Adopt) => Adoption::Must,
            (Rung::Adopted, _) => Adoption::OrRelaxed(members),
            _ => Adoption::No,
        };
        let mut words = self
            .program
            .iter()
            .map(|word| spawn::fill(word, &self.ports));
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        let setup = Setup {
            environment: spawn::environment(&self.environment, &self.orders.keys, &self.ports),
            sockets,
            telling: spawn::telling(&self.program),
            terminal: terminal.as_ref().map(AsFd::as_fd),
            adoption,
        };
        let [stdin, stdout, stderr] = self.streams.each_ref().map(OwnedFd::try_clone);
        command
            .stdin(Stdio::from(stdin.map_err(program)?))
            .stdout(Stdio::from(stdout.map_err(program)?))
            .stderr(Stdio::from(stderr.map_err(program)?));
        let started = setup.apply(&mut command).map_err(program)?;
        failpoint!("supervising.spawn", |error| return Err(program(error)));
        let child = command.spawn().map_err(program)?;
        failpoint!("supervising.spawned");
        drop(command);
        let answered = started.answered().map_err(hand_over)?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok((
            pid.ok_or((Failure::Program, io::ErrorKind::InvalidData.into()))?,
            answered,
        ))
    }

    /// Sockets of exactly the hosts' addresses, which listen: one for each port, and behind them a
    /// UDP socket for each port of both protocols.
    fn listeners(&mut self) -> io::Result<Vec<(String, OwnedFd)>> {
        if let (Grip::Holds(holds), true) = (&mut self.grip, self.listeners.is_empty()) {
            let mut behind = Vec::new();
            for (at, hold) in holds.iter_mut().enumerate() {
                let key = self.orders.keys.iter().find(|(_, port)| *port == at);
                let name = key.map_or_else(|| format!("port{at}"), |(key, _)| key.clone());
                let protocol = hold.protocol();
                if protocol != Protocol::Udp {
                    let listener = hold.listener().map_err(io::Error::other)?;
                    self.listeners.push((name.clone(), listener.into()));
                }
                if protocol != Protocol::Tcp {
                    let socket = hold.udp_socket().map_err(io::Error::other)?;
                    match protocol {
                        Protocol::Udp => self.listeners.push((name, socket.into())),
                        _ => behind.push((format!("{name}-udp"), socket.into())),
                    }
                }
            }
            self.listeners.append(&mut behind);
        }
        let copy = |(name, listener): &(String, OwnedFd)| Ok((name.clone(), listener.try_clone()?));
        self.listeners.iter().map(copy).collect()
    }

    /// The folders in which programs are looked for.
    fn search(&self) -> Option<&OsStr> {
        let path = self.environment.iter().find(|(name, _)| name == "PATH");
        path.map(|(_, value)| value.as_os_str())
    }

    /// Whether the terminal's keys go to the command or to the program, and not to another job.
    fn has_terminal(&self, terminal: &OwnedFd) -> bool {
        let Ok(group) = rustix::termios::tcgetpgrp(terminal) else {
            return false;
        };
        group.as_raw_pid() == self.orders.group || Some(group) == self.group
    }

    pub(super) fn pass_on(&mut self, number: i32) {
        let Some(signal) = Signal::from_named_raw(number) else {
            return;
        };
        let is_an_end = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT].contains(&signal);
        self.is_wanted &= !is_an_end;
        match self.phase {
            // A key on the terminal reaches all of its foreground; an order of another process
            // goes to the program alone, which passes it on as it likes.
            Phase::Running | Phase::Ending { .. } => {
                let Some(child) = self.child else { return };
                let to_all = [
                    Signal::INT,
                    Signal::QUIT,
                    Signal::TSTP,
                    Signal::CONT,
                    Signal::WINCH,
                ];
                let sent = match to_all.contains(&signal) {
                    true => rustix::process::kill_process_group(child, signal),
                    false => rustix::process::kill_process(child, signal),
                };
                tracing::debug!(?signal, ?sent, "passed on");
            }
            Phase::Waiting | Phase::Pausing { .. } if is_an_end => {
                self.status = Status::Signalled(number);
                self.phase = Phase::Over;
            }
            _ => {}
        }
    }

    pub(super) fn resume(&self) {
        if let (Some(child), Phase::Running) = (self.child, &self.phase) {
            let sent = rustix::process::kill_process_group(child, Signal::CONT);
            tracing::debug!(?sent, "resumed");
        }
    }
}
