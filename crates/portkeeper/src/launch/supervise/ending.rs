//! The end of a program: noticing it, bringing it about, and what comes after: the next start, or
//! nothing.

use std::io;
use std::time::Instant;

use pk_core::Hold;
use rustix::process::Signal;

use super::{Grip, PAUSES, Phase, STEADY, Supervisor, Then};
use crate::launch::Rung;
use crate::launch::message::{Cause, Said, Status};
use crate::launch::reap::{self, Change};

impl Supervisor {
    /// What has become of the processes below this one.
    pub(super) fn reap(&mut self) -> io::Result<()> {
        self.signals.pending();
        let mut is_over = false;
        loop {
            match reap::next()? {
                Change::Ended(pid, status) if Some(pid) == self.child => {
                    self.program_ended(status);
                    is_over = true;
                }
                Change::Stopped(pid, signal) if Some(pid) == self.child => {
                    self.say(&Said::Stopped(signal));
                }
                Change::Ended(..) | Change::Stopped(..) => {}
                Change::None => {
                    // The program has ended and something that it started has not.
                    if is_over {
                        reap::signal_all(&self.machine, Signal::TERM);
                    }
                    return Ok(());
                }
                Change::Childless => return self.finish_program(),
            }
        }
    }

    fn program_ended(&mut self, status: Status) {
        self.status = status;
        self.child = None;
        self.watch = None;
        let has_failed = status != Status::Exited(0);
        let restart = self.orders.restart && self.is_wanted && has_failed;
        if let Phase::Running = self.phase {
            let then = if restart { Then::Restart } else { Then::Quit };
            self.phase = Phase::Ending {
                begun: Instant::now(),
                killed: None,
                then,
            };
        }
    }

    /// Ends the program and all that it has started.
    pub(super) fn end(&mut self, cause: Cause) {
        self.is_wanted = false;
        match self.phase {
            Phase::Running => {
                self.cause = cause;
                let then = Then::Quit;
                self.phase = Phase::Ending {
                    begun: Instant::now(),
                    killed: None,
                    then,
                };
                reap::signal_all(&self.machine, Signal::TERM);
            }
            Phase::Waiting | Phase::Pausing { .. } => {
                if self.starts == 0 {
                    // As if it had been asked to end at its very first step.
                    self.status = Status::Signalled(Signal::TERM.as_raw());
                }
                self.cause = cause;
                self.phase = Phase::Over;
            }
            Phase::Ending { ref mut then, .. } => *then = Then::Quit,
            Phase::Over => {}
        }
    }

    /// Nothing of the program is left.
    pub(super) fn finish_program(&mut self) -> io::Result<()> {
        // The news of a child's end may come after it was seen to have ended.
        let Phase::Ending { then, .. } = self.phase else {
            return Ok(());
        };
        let holds = self.take_holds();
        if self.rung == Rung::Relaxed {
            holds
                .iter()
                .try_for_each(Hold::tighten)
                .map_err(io::Error::other)?;
        }
        self.grip = Grip::Holds(holds);
        if then == Then::Quit {
            self.phase = Phase::Over;
            return Ok(());
        }
        if self.begun.elapsed() >= STEADY {
            self.pause = PAUSES.0;
        }
        let (status, pause) = (self.status, self.pause.as_millis() as u64);
        self.say(&Said::Restarting { status, pause });
        self.phase = Phase::Pausing {
            until: Instant::now() + self.pause,
        };
        self.pause = (self.pause * 2).min(PAUSES.1);
        Ok(())
    }

    pub(super) fn take_holds(&mut self) -> Vec<Hold> {
        match std::mem::replace(&mut self.grip, Grip::Holds(Vec::new())) {
            Grip::Holds(holds) => holds,
            Grip::Adopter { adopter, .. } => adopter.into_holds(),
        }
    }
}
