//! The life of a holder: take over, detach, keep, let go or pass on; or keep in the process of
//! somebody else. Never accepts a connection on the port.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use pk_core::handoff::pass;
use pk_core::{Machine, ProcessId, ProcessState, machine, process};
use pk_fs::failpoint;
use pk_fs::live;
use pk_registry::registry::Stamp;
use pk_registry::{Here, Listed, Registry, Reservation};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::geteuid;
use serde::de::DeserializeOwned;

use super::message::{self, Answer, Orders};
use super::plea::{Asked, Plea};
use crate::draft::Kit;
use crate::error::Error;
use crate::signals::Signals;

/// How often a holder looks whether its time is over or its entry gone, in milliseconds. A release
/// and the end of a process are noticed at once.
const TICK_MS: u64 = 1000;

/// Runs this process as a holder until there is nothing to hold any more.
pub(super) fn serve() -> Result<(), Error> {
    failpoint!("holding.begin");
    process::detach().map_err(Error::io("detach"))?;
    let Some(holder) = Holder::take_over().map_err(Error::io("take over a port"))? else {
        // Whoever started it has changed its mind.
        return Ok(());
    };
    keep(vec![holder], None)
        .map(drop)
        .map_err(Error::io("wait"))
}

/// Keeps what the holders have until each has come to its end, or a signal to all. Returns the ids of
/// those that nobody has asked to let go: whoever asks sees to the entry.
pub(crate) fn keep(
    mut holders: Vec<Holder>,
    mut signals: Option<&mut Signals>,
) -> io::Result<Vec<String>> {
    let mut unasked = Vec::new();
    let is_told = |signals: &mut &mut Signals| !signals.pending().is_empty();
    loop {
        let now = machine::boot_clock_ms();
        let all_over = signals.as_mut().is_some_and(is_told);
        for over in holders.extract_if(.., |holder| all_over || holder.is_over(now)) {
            unasked.push(over.orders.id.clone());
        }
        if holders.is_empty() {
            return Ok(unasked);
        }
        wait(&holders, signals.as_deref(), now)?;
        let mut others = holders.len();
        holders.retain_mut(|holder| {
            let is_asked = holder.is_asked(others - 1);
            others -= usize::from(is_asked);
            !is_asked
        });
    }
}

/// Waits until a client knocks, a process ends that a reservation is tied to, a signal comes, or it
/// is time to look again.
fn wait(holders: &[Holder], signals: Option<&Signals>, now: u64) -> io::Result<()> {
    let left = |holder: &Holder| Some(holder.orders.ends?.saturating_sub(now));
    let limit = holders.iter().filter_map(left).fold(TICK_MS, u64::min);
    let limit = Duration::from_millis(limit);
    let limit = Timespec::try_from(limit).map_err(|_| io::ErrorKind::InvalidInput)?;
    let knocks = holders.iter().map(|holder| holder.control.as_fd());
    let ends = holders.iter().filter_map(|holder| holder.until.as_ref());
    let mut watched: Vec<_> = knocks
        .chain(ends.map(AsFd::as_fd))
        .chain(signals.map(AsFd::as_fd))
        .map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN))
        .collect();
    match rustix::event::poll(&mut watched, Some(&limit)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What keeps one port. Dropped, it lets go of it.
#[derive(Debug)]
pub(crate) struct Holder {
    orders: Orders,
    registry: Registry,
    control: UnixListener,
    machine: Machine,
    /// What the registry was like when it was last read.
    seen: Option<Stamp>,
    /// Ends with the process that the reservation is tied to.
    until: Option<OwnedFd>,
    /// The bound sockets. The port is free when this is empty.
    sockets: Vec<OwnedFd>,
    /// Its lock says that the reservation is alive.
    live: OwnedFd,
}

impl Holder {
    fn take_over() -> io::Result<Option<Holder>> {
        let Some(Received {
            orders,
            descriptors,
            starter,
        }) = receive::<Orders>()?
        else {
            return Ok(None);
        };
        let mut descriptors = descriptors.into_iter();
        let missing = || io::Error::from(io::ErrorKind::InvalidData);
        let live = descriptors.next().ok_or_else(missing)?;
        let control = UnixListener::from(descriptors.next().ok_or_else(missing)?);
        let sockets = descriptors.collect();
        let holder = Holder::new(orders, control, live, sockets, Machine::here())?;
        failpoint!("holding.ready", |error| return Err(error));
        message::say(&starter, &Answer::Ready)?;
        failpoint!("holding.up");
        Ok(Some(holder))
    }

    /// One in this very process.
    pub(crate) fn here(
        record: &Reservation,
        registry: &Path,
        machine: &Machine,
        kit: Kit,
    ) -> io::Result<Holder> {
        let Kit {
            control,
            live,
            hold,
        } = kit;
        let orders = Orders::new(record, registry, control.path());
        let control = control.into_listener().ok_or(io::ErrorKind::NotConnected)?;
        let (live, sockets) = (live.into_descriptor(), hold.into_descriptors());
        Holder::new(orders, control, live, sockets, machine.clone())
    }

    fn new(
        orders: Orders,
        control: UnixListener,
        live: OwnedFd,
        sockets: Vec<OwnedFd>,
        machine: Machine,
    ) -> io::Result<Holder> {
        control.set_nonblocking(true)?;
        // Without a descriptor to wait for, and where it has ended already, it is looked at.
        let until = orders
            .until()
            .and_then(|process| process.descriptor(&machine).ok());
        Ok(Holder {
            registry: Registry::at(orders.registry()),
            orders,
            control,
            machine,
            seen: None,
            until,
            sockets,
            live,
        })
    }

    fn is_over(&mut self, now: u64) -> bool {
        live::freshen(&self.live);
        // Looked at first: it may have been given more time.
        let is_registered = self.is_registered();
        let is_gone = |process: ProcessId| process.state(&self.machine) == ProcessState::Gone;
        !is_registered
            || self.orders.ends.is_some_and(|end| end <= now)
            || self.orders.until().is_some_and(is_gone)
    }

    /// Whether the entry is still there and this process'; its end is taken from it. The registry is
    /// only read when it was replaced.
    fn is_registered(&mut self) -> bool {
        let stamp = match self.registry.stamp_of(geteuid().as_raw()) {
            Ok(Some(stamp)) => stamp,
            Ok(None) => return false,
            // It can't be seen now; when it can, it will tell.
            Err(_) => return true,
        };
        if self.seen == Some(stamp) {
            return true;
        }
        let here = Here::now();
        let Ok(snapshot) = self.registry.read(&here) else {
            // Nor read.
            return true;
        };
        // With another control socket it is that of whoever has taken the port, and died before this
        // process heard of it.
        let control = self.orders.control();
        let mine = snapshot.entries.iter().find_map(|entry| match entry {
            Listed::Sound { reservation, .. }
                if reservation.id == self.orders.id
                    && reservation.control.as_ref() == Some(&control) =>
            {
                Some(reservation)
            }
            _ => None,
        });
        if let Some(reservation) = mine {
            self.orders.ends = message::end_of(reservation.lease);
        }
        let found = mine.is_some() || !snapshot.warnings.is_empty();
        self.seen = Some(stamp).filter(|stamp| found && stamp.is_settled(here.wall));
        found
    }

    /// Whether a client has asked to let go, and it was done. This process keeps `others` as well.
    fn is_asked(&mut self, others: usize) -> bool {
        match self.control.accept() {
            // A client that can't speak for itself changes nothing.
            Ok((client, _)) => self.answer(client, others).unwrap_or(false),
            Err(_) => false,
        }
    }

    /// Whether the port is no longer this process' to keep.
    fn answer(&mut self, client: UnixStream, others: usize) -> io::Result<bool> {
        let Some(plea) = Plea::hear(client, std::slice::from_ref(&self.orders.id)) else {
            return Ok(false);
        };
        if plea.asks_for == Asked::Take {
            let descriptors: Vec<_> = [self.live.as_fd()]
                .into_iter()
                .chain(self.sockets.iter().map(AsFd::as_fd))
                .collect();
            // Until the other side has it in the registry as its own, this process keeps it too.
            plea.give(&descriptors)?;
            failpoint!("holding.given");
        }
        failpoint!("holding.asked");
        self.let_go();
        failpoint!("holding.let-go");
        // It is so whether or not the client still listens.
        plea.answer(&match others {
            0 => Answer::Released,
            _ => Answer::Freed,
        });
        Ok(true)
    }

    fn let_go(&mut self) {
        self.sockets.clear();
        // Nothing can be done about a failure: it is a name in a folder of temporary things.
        let _ = std::fs::remove_file(self.orders.control());
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// What came over standard input.
pub(crate) struct Received<T> {
    pub(crate) orders: T,
    pub(crate) descriptors: Vec<OwnedFd>,
    /// The process that sent it.
    pub(crate) starter: UnixStream,
}

/// Waits for the orders; `None` when whoever started this process has gone without giving any.
pub(crate) fn receive<T: DeserializeOwned>() -> io::Result<Option<Received<T>>> {
    let starter = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let starter = UnixStream::from(starter);
    let mut buffer = vec![0; message::MOST];
    failpoint!("holding.receive", |error| return Err(error));
    let (mut length, descriptors) = pass::receive(&starter, &mut buffer)?;
    failpoint!("holding.received");
    while length > 0 && buffer[length - 1] != b'\n' {
        match pass::receive(&starter, &mut buffer[length..])? {
            (0, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
            (more, _) => length += more,
        }
    }
    if length == 0 {
        return Ok(None);
    }
    // Nothing ties this process to the one that started it when that one goes on.
    let nothing = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    Ok(Some(Received {
        orders: message::decode(&buffer[..length])?,
        descriptors,
        starter,
    }))
}
