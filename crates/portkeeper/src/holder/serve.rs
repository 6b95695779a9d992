//! The life of a holder: take over, detach, keep, let go. Never accepts a connection on the port.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use pk_core::handoff::pass;
use pk_core::{Machine, ProcessId, ProcessState, machine, process};
use pk_registry::{Here, Listed, Registry};
use rustix::event::{PollFd, PollFlags, Timespec};

use super::message::{self, Answer, Ask, Orders};
use crate::error::Error;

/// How often a holder looks whether its time is over or its entry gone, in milliseconds. A release
/// and the end of a process are noticed at once.
const TICK_MS: u64 = 1000;

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs this process as a holder until there is nothing to hold any more. To be called as the first
/// thing in a process that was started by a [`super::HolderCommand`].
///
/// # Errors
/// [`Error::Io`] when what comes over standard input makes no sense.
pub fn serve() -> Result<(), Error> {
    process::detach().map_err(Error::io("detach"))?;
    let Some(mut holder) = Holder::take_over().map_err(Error::io("take over a port"))? else {
        // Whoever started it has changed its mind.
        return Ok(());
    };
    holder.keep().map_err(Error::io("wait"))
}

struct Holder {
    orders: Orders,
    registry: Registry,
    control: UnixListener,
    machine: Machine,
    /// Which file the registry was when it was last read.
    seen: Option<(u64, u64)>,
    /// Ends with the process that the reservation is tied to.
    until: Option<OwnedFd>,
    /// The bound sockets. The port is free when this is empty.
    sockets: Vec<OwnedFd>,
    /// Its lock says that the reservation is alive.
    _live: OwnedFd,
}

impl Holder {
    fn take_over() -> io::Result<Option<Holder>> {
        let starter = UnixStream::from(rustix::io::dup(rustix::stdio::stdin())?);
        let mut buffer = vec![0; message::MOST];
        let (mut length, descriptors) = pass::receive(&starter, &mut buffer)?;
        while length > 0 && buffer[length - 1] != b'\n' {
            match pass::receive(&starter, &mut buffer[length..])? {
                (0, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
                (more, _) => length += more,
            }
        }
        if length == 0 {
            return Ok(None);
        }
        let orders: Orders = message::decode(&buffer[..length])?;
        let mut descriptors = descriptors.into_iter();
        let missing = || io::Error::from(io::ErrorKind::InvalidData);
        let live = descriptors.next().ok_or_else(missing)?;
        let control = UnixListener::from(descriptors.next().ok_or_else(missing)?);
        control.set_nonblocking(true)?;
        let machine = Machine::here();
        let until = match orders.until() {
            Some(process) => match process.descriptor(&machine) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                // Without a descriptor to wait for it is looked at every tick.
                descriptor => descriptor.ok(),
            },
            None => None,
        };
        // Nothing ties this process to the one that started it when that one goes on.
        let nothing = std::fs::File::open("/dev/null")?;
        rustix::stdio::dup2_stdin(&nothing)?;
        message::say(&starter, &Answer::Ready)?;
        Ok(Some(Holder {
            registry: Registry::at(orders.registry()),
            orders,
            control,
            machine,
            seen: None,
            until,
            sockets: descriptors.collect(),
            _live: live,
        }))
    }

    fn keep(&mut self) -> io::Result<()> {
        loop {
            let now = machine::boot_clock_ms();
            if self.is_over(now) {
                self.let_go();
                return Ok(());
            }
            let left = self
                .orders
                .ends
                .map_or(TICK_MS, |end| end.saturating_sub(now));
            if self.is_asked(Duration::from_millis(left.min(TICK_MS)))?
                && let Ok((client, _)) = self.control.accept()
            {
                // A client that can't speak for itself changes nothing.
                let released = self.answer(&client).unwrap_or(false);
                if released {
                    return Ok(());
                }
            }
        }
    }

    fn is_over(&mut self, now: u64) -> bool {
        let is_gone = |process: ProcessId| process.state(&self.machine) == ProcessState::Gone;
        self.orders.ends.is_some_and(|end| end <= now)
            || self.orders.until().is_some_and(is_gone)
            || !self.is_registered()
    }

    /// Whether the entry is still there. The registry is only read when it was replaced.
    fn is_registered(&mut self) -> bool {
        let Ok(file) = std::fs::symlink_metadata(self.registry.path()) else {
            return false;
        };
        let file = (file.dev(), file.ino());
        if self.seen == Some(file) {
            return true;
        }
        let Ok(snapshot) = self.registry.read(&Here::now()) else {
            // It can't be read now; when it can, it will tell.
            return true;
        };
        let is_mine = |entry: &Listed| match entry {
            Listed::Sound { reservation, .. } => reservation.id == self.orders.id,
            Listed::Damaged { .. } => false,
        };
        let found = snapshot.entries.iter().any(is_mine) || !snapshot.warnings.is_empty();
        self.seen = found.then_some(file);
        found
    }

    /// Waits until a client knocks, the process ends that the reservation is tied to, or time is up.
    fn is_asked(&self, limit: Duration) -> io::Result<bool> {
        let mut watched = vec![PollFd::new(&self.control, PollFlags::IN)];
        watched.extend(
            self.until
                .as_ref()
                .map(|until| PollFd::new(until, PollFlags::IN)),
        );
        let limit = Timespec::try_from(limit).map_err(|_| io::ErrorKind::InvalidInput)?;
        match rustix::event::poll(&mut watched, Some(&limit)) {
            Err(rustix::io::Errno::INTR) => Ok(false),
            answer => answer
                .map(|_| !watched[0].revents().is_empty())
                .map_err(io::Error::from),
        }
    }

    /// Whether the port was let go of.
    fn answer(&mut self, client: &UnixStream) -> io::Result<bool> {
        client.set_nonblocking(false)?;
        client.set_read_timeout(Some(PATIENCE))?;
        client.set_write_timeout(Some(PATIENCE))?;
        let Ask::Release { id } = message::hear(client)?;
        if id != self.orders.id || !is_trusted(client) {
            message::say(client, &Answer::Refused)?;
            return Ok(false);
        }
        self.let_go();
        // The port is free whether or not the client still listens.
        let _ = message::say(client, &Answer::Released);
        Ok(true)
    }

    fn let_go(&mut self) {
        self.sockets.clear();
        let path: PathBuf = self.orders.control();
        // Nothing can be done about a failure: it is a name in a folder of temporary things.
        let _ = std::fs::remove_file(path);
    }
}

/// Whether the other end belongs to this user or to root (`SO_PEERCRED`, unix(7)).
fn is_trusted(client: &UnixStream) -> bool {
    let me = rustix::process::geteuid();
    #[cfg(target_os = "linux")]
    let peer = rustix::net::sockopt::socket_peercred(client.as_fd()).map(|peer| peer.uid);
    // Elsewhere the folder of the socket, which only this user can enter, has to do.
    #[cfg(not(target_os = "linux"))]
    let peer = Ok::<_, rustix::io::Errno>((client.as_fd(), me).1);
    peer.is_ok_and(|uid| uid == me || uid.is_root())
}
