//! The supervisor: a small process between the command and the program that it runs. It keeps the
//! port for the program's whole life, gives it to whoever of the program's processes asks, starts
//! the program again, and sees to it that nothing of it is left. Never writes the registry.
//!
//! Both it and the command are child subreapers. When the command is killed, the supervisor ends
//! the program; when the supervisor is killed, its processes become the command's, which ends them.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use pk_core::handoff::adopt::{Adopter, Event};
use pk_core::{Hold, Host, Machine, Port, ProcessState, Transport, machine};
use pk_fs::failpoint;
use pk_fs::live;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal};

use super::message::{Cause, Channel, Orders, Said, Status, Told};
use super::reap::{self};
use super::{Rung, ready};
mod ending;
mod starting;

use crate::error::Error;
use crate::holder::message::Answer;
use crate::holder::plea::{Asked, Plea};
use crate::holder::serve::{self, Received};
use crate::signals::Signals;

/// How long a program must have run for its next start not to be put off longer than the last.
const STEADY: Duration = Duration::from_secs(10);

/// The first pause before a start, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// How often it is looked whether the time is over.
const TICK: Duration = Duration::from_secs(1);

/// Runs this process as a supervisor of `program` until nothing is left of it.
pub(crate) fn serve(
    program: &[OsString],
    environment: Vec<(OsString, OsString)>,
) -> Result<(), Error> {
    failpoint!("supervising.begin");
    let signals = Signals::new(&[Signal::CHILD.as_raw()]).map_err(Error::io("catch signals"))?;
    reap::adopt_orphans().map_err(Error::io("adopt orphans"))?;
    let supervisor = Supervisor::take_over(program, environment, signals);
    match supervisor.map_err(Error::io("take over a port"))? {
        Some(mut supervisor) => supervisor.run().map_err(Error::io("supervise a program")),
        // Whoever started it has changed its mind.
        None => Ok(()),
    }
}

struct Supervisor {
    orders: Orders,
    program: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    ports: Vec<(Host, Port)>,
    machine: Machine,
    /// Until the command has gone.
    front: Option<Channel>,
    signals: Signals,
    control: UnixListener,
    streams: [OwnedFd; 3],
    terminal: Option<OwnedFd>,
    /// Ends with the process that the reservation is tied to.
    until: Option<OwnedFd>,
    /// Those who asked for a release, to be told when it is done.
    pleas: Vec<Plea>,
    grip: Grip,
    rung: Rung,
    phase: Phase,
    child: Option<Pid>,
    /// The process group of the last program that was started.
    group: Option<Pid>,
    /// The sockets that it inherits, open here too, so that clients wait while it starts again.
    listeners: Vec<(String, OwnedFd)>,
    status: Status,
    cause: Cause,
    /// Whether anybody wants it to end, so that it is not started again.
    is_wanted: bool,
    begun: Instant,
    starts: u32,
    pause: Duration,
    watch: Option<ready::Watch>,
    /// Their locks say that the reservations are alive.
    lives: Vec<OwnedFd>,
}

/// What keeps the ports.
enum Grip {
    Holds(Vec<Hold>),
    Adopter { adopter: Adopter, is_deserted: bool },
}

enum Phase {
    /// Until it is told to start.
    Waiting,
    Running,
    /// What is left of the program has been asked to end.
    Ending {
        begun: Instant,
        killed: Option<Instant>,
        then: Then,
    },
    Pausing {
        until: Instant,
    },
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Restart,
    Quit,
}

/// Who may have something to say.
#[derive(Clone, Copy)]
enum Source {
    Program,
    Children,
    Front,
    Client,
}

impl Supervisor {
    fn take_over(
        program: &[OsString],
        environment: Vec<(OsString, OsString)>,
        signals: Signals,
    ) -> io::Result<Option<Supervisor>> {
        let Some(received) = serve::receive::<Orders>()? else {
            return Ok(None);
        };
        let Received {
            orders,
            descriptors,
            starter,
        } = received;
        let mut descriptors = descriptors.into_iter();
        let mut next = || {
            descriptors
                .next()
                .ok_or(io::Error::from(io::ErrorKind::InvalidData))
        };
        let control = UnixListener::from(next()?);
        control.set_nonblocking(true)?;
        let streams = [next()?, next()?, next()?];
        let terminal = orders.terminal.then(&mut next).transpose()?;
        let lives = orders
            .ids
            .iter()
            .map(|_| next())
            .collect::<io::Result<_>>()?;
        let mut holds = Vec::with_capacity(orders.ports.len());
        let mut ports = Vec::with_capacity(orders.ports.len());
        for given in &orders.ports {
            let host: Host = given.host.parse().map_err(io::Error::other)?;
            let port = Port::new(given.port).ok_or(io::ErrorKind::InvalidData)?;
            let sockets = (0..given.sockets)
                .map(|_| next())
                .collect::<io::Result<_>>()?;
            holds.push(Hold::from_descriptors(host, port, sockets).map_err(io::Error::other)?);
            ports.push((host, port));
        }
        let machine = Machine::here();
        let until = orders
            .until
            .and_then(|process| process.id().descriptor(&machine).ok());
        let front = Channel::new(starter, Vec::new())?;
        failpoint!("supervising.ready");
        front.say(&Said::Ready);
        Ok(Some(Supervisor {
            orders,
            program: program.to_vec(),
            environment,
            ports,
            machine,
            front: Some(front),
            signals,
            control,
            streams,
            terminal,
            until,
            pleas: Vec::new(),
            grip: Grip::Holds(holds),
            rung: Rung::Closed,
            phase: Phase::Waiting,
            child: None,
            group: None,
            listeners: Vec::new(),
            status: Status::Exited(0),
            cause: Cause::Itself,
            is_wanted: true,
            begun: Instant::now(),
            starts: 0,
            pause: PAUSES.0,
            watch: None,
            lives,
        }))
    }

    fn run(&mut self) -> io::Result<()> {
        while !matches!(self.phase, Phase::Over) {
            for (source, said) in self.wait()? {
                match source {
                    Source::Program if said.contains(PollFlags::IN) => self.adopt()?,
                    Source::Program => self.desert(),
                    // What it is about is seen to below.
                    Source::Children => {}
                    Source::Front => self.obey()?,
                    Source::Client => self.hear_plea(),
                }
            }
            // Also when nobody has said so: where there is no memory just then, that news is lost.
            self.reap()?;
            self.look_at_the_clock()?;
        }
        failpoint!("supervising.over");
        for plea in self.pleas.drain(..) {
            plea.answer(&Answer::Released);
        }
        let path = OsString::from_vec(self.orders.control.clone());
        // Nothing can be done about a failure: it is a name in a folder of temporary things.
        let _ = std::fs::remove_file(path);
        failpoint!("supervising.end");
        let (status, cause) = (self.status, self.cause);
        self.say(&Said::Ended { status, cause });
        Ok(())
    }

    /// Waits until somebody has something to say, or time is up.
    fn wait(&self) -> io::Result<Vec<(Source, PollFlags)>> {
        let program = match &self.grip {
            Grip::Adopter {
                adopter,
                is_deserted: false,
            } => Some((Source::Program, adopter.as_fd())),
            _ => None,
        };
        let front = self
            .front
            .as_ref()
            .map(|front| (Source::Front, front.as_fd()));
        let (sources, mut watched): (Vec<Source>, Vec<PollFd<'_>>) = [
            (Source::Children, self.signals.as_fd()),
            (Source::Client, self.control.as_fd()),
        ]
        .into_iter()
        .chain(program)
        .chain(front)
        .map(|(source, descriptor)| (source, PollFd::from_borrowed_fd(descriptor, PollFlags::IN)))
        .unzip();
        let limit = Timespec::try_from(self.patience()).map_err(io::Error::other)?;
        match rustix::event::poll(&mut watched, Some(&limit)) {
            // At the latest after an hour.
            Ok(0) => self.lives.iter().for_each(live::freshen),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let said = sources.into_iter().zip(watched.iter().map(PollFd::revents));
        Ok(said.filter(|(_, said)| !said.is_empty()).collect())
    }

    /// How long nothing has to be done if nobody says anything.
    fn patience(&self) -> Duration {
        let now = Instant::now();
        let ends = self.orders.ends.map(|end| {
            Duration::from_millis(end.saturating_sub(machine::boot_clock_ms())).min(TICK)
        });
        let look = match &self.grip {
            Grip::Adopter { adopter, .. } => adopter.look_after(),
            Grip::Holds(_) => None,
        };
        let phase = match self.phase {
            Phase::Pausing { until } => Some(until.saturating_duration_since(now)),
            Phase::Ending {
                killed: Some(_), ..
            } => Some(reap::AGAIN),
            Phase::Ending { begun, .. } => {
                Some((begun + reap::GRACE).saturating_duration_since(now))
            }
            _ => None,
        };
        let watch = self.watch.as_ref().map(ready::Watch::pause);
        let until = self.orders.until.map(|_| TICK);
        [ends, look, phase, watch, until]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(TICK * 60)
    }

    /// What the command says; when it has gone, the program ends.
    fn obey(&mut self) -> io::Result<()> {
        while let Some(front) = &mut self.front {
            match front.hear() {
                // Its port may have been released by now.
                Ok(Some(Told::Start)) if matches!(self.phase, Phase::Waiting) => self.start()?,
                Ok(Some(Told::Start)) => {}
                Ok(Some(Told::Signal(number))) => self.pass_on(number),
                Ok(Some(Told::Resume)) => self.resume(),
                Ok(Some(Told::End)) => self.end(Cause::Asked),
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, "the command has gone");
                    self.front = None;
                    self.end(Cause::Asked);
                }
            }
        }
        Ok(())
    }

    fn say(&self, said: &Said) {
        if let Some(front) = &self.front {
            front.say(said);
        }
    }

    /// Answers one bind(2) or listen(2) of the program.
    fn adopt(&mut self) -> io::Result<()> {
        let Grip::Adopter { adopter, .. } = &mut self.grip else {
            return Ok(());
        };
        match adopter.serve()? {
            // What receives datagrams is as good as listening.
            Some(
                Event::Listening { pid, port, address }
                | Event::Bound {
                    pid,
                    port,
                    address,
                    transport: Transport::Udp,
                },
            ) => {
                self.watch = None;
                let port = port.number();
                self.say(&Said::Listening { port, address, pid });
            }
            Some(Event::Refused {
                port, address, why, ..
            }) => {
                let (port, why) = (port.number(), why.to_string());
                self.say(&Said::Refused { port, address, why });
            }
            Some(Event::Unreadable { pid, why }) => {
                let why = why.to_string();
                self.say(&Said::Unreadable { pid, why });
            }
            _ => {}
        }
        Ok(())
    }

    /// No process of the program is left that could ask.
    fn desert(&mut self) {
        if let Grip::Adopter { is_deserted, .. } = &mut self.grip {
            *is_deserted = true;
        }
    }

    fn hear_plea(&mut self) {
        if let Ok((client, _)) = self.control.accept()
            && let Some(plea) = Plea::hear(client, &self.orders.ids)
        {
            match plea.asks_for {
                Asked::Release => {
                    self.pleas.push(plea);
                    self.end(Cause::Released);
                }
                // A program has it.
                Asked::Take => plea.answer(&Answer::Refused),
            }
        }
    }

    fn look_at_the_clock(&mut self) -> io::Result<()> {
        if let Grip::Adopter { adopter, .. } = &mut self.grip {
            adopter.look();
        }
        if self
            .orders
            .ends
            .is_some_and(|end| end <= machine::boot_clock_ms())
            || self.is_tied_to_the_dead()
        {
            self.end(Cause::Over);
        }
        if let (Some(watch), Phase::Running) = (&mut self.watch, &self.phase)
            && let Some((port, address, pid)) = watch.look(&self.ports, &self.machine)
        {
            self.watch = None;
            self.say(&Said::Listening { port, address, pid });
        }
        match self.phase {
            Phase::Pausing { until } if until <= Instant::now() => self.start()?,
            Phase::Ending {
                begun,
                ref mut killed,
                ..
            } if begun.elapsed() >= reap::GRACE => {
                if killed.is_none_or(|last| last.elapsed() >= reap::AGAIN) {
                    *killed = Some(Instant::now());
                    reap::signal_all(&self.machine, Signal::KILL);
                }
                if reap::gives_up(begun) {
                    self.finish_program()?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn is_tied_to_the_dead(&self) -> bool {
        self.orders.until.is_some_and(|process| {
            self.until.is_none() || process.id().state(&self.machine) == ProcessState::Gone
        })
    }
}
