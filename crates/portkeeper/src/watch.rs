//! Watching a registry: when to look at it again. Never takes a lock, and reads nothing but one
//! stat(2) four times a second.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use pk_registry::registry::Stamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::error::Error;
use crate::keeper::PortKeeper;
use crate::signals::Signals;

/// How often the registry is asked whether it was changed.
const PACE: Duration = Duration::from_millis(250);
/// How often it is looked at all the same: a process that ends, or a lease, changes no file.
const AT_LEAST: Duration = Duration::from_secs(1);

/// Why somebody who watches goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The registry was changed, or a second has passed.
    Look,
    /// There is something to read, or nobody is there any more.
    Other,
    /// This signal came.
    Signal(i32),
}

/// Somebody who watches a registry. Made by [`PortKeeper::watch`].
#[derive(Debug)]
pub struct Watch<'k> {
    keeper: &'k PortKeeper,
    signals: Option<Signals>,
    /// Signals that have come and nobody has been told of.
    came: Vec<i32>,
    /// What the registry was like at the last look. None: it is not there, or can't be seen.
    stamp: Option<Stamp>,
    looked: Instant,
}

impl PortKeeper {
    /// Begins to watch. These signals, which no longer do what they do by themselves, are events.
    ///
    /// # Errors
    /// [`Error::Io`] when they can't be caught.
    ///
    /// # Panics
    /// One of them is KILL, STOP, ILL, FPE or SEGV.
    pub fn watch(&self, signals: &[i32]) -> Result<Watch<'_>, Error> {
        let caught = (!signals.is_empty()).then(|| Signals::new(signals));
        Ok(Watch {
            signals: caught.transpose().map_err(Error::io("catch signals"))?,
            came: Vec::new(),
            stamp: self.registry.stamp().ok().flatten(),
            keeper: self,
            looked: Instant::now(),
        })
    }
}

impl Watch<'_> {
    /// Waits for the next event: on `other`, that it can be read, or that its other end was closed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn next(&mut self, other: Option<BorrowedFd<'_>>) -> Result<Event, Error> {
        loop {
            let left = AT_LEAST.saturating_sub(self.looked.elapsed());
            match self.wait(other, left.min(PACE))? {
                Some(event) => return Ok(event),
                None => {
                    let stamp = self.keeper.registry.stamp().ok().flatten();
                    if stamp != self.stamp || self.looked.elapsed() >= AT_LEAST {
                        self.stamp = stamp;
                        self.looked = Instant::now();
                        return Ok(Event::Look);
                    }
                }
            }
        }
    }

    fn wait(
        &mut self,
        other: Option<BorrowedFd<'_>>,
        limit: Duration,
    ) -> Result<Option<Event>, Error> {
        self.came
            .extend(self.signals.iter_mut().flat_map(Signals::pending));
        if let Some(signal) = self.came.pop() {
            return Ok(Some(Event::Signal(signal)));
        }
        let signals = self.signals.as_ref().map(AsFd::as_fd);
        let watched = signals.into_iter().chain(other);
        // What is written to is watched for its end alone, which poll(2) always tells.
        let mut fds: Vec<_> = watched
            .map(|it| PollFd::from_borrowed_fd(it, PollFlags::IN))
            .collect();
        let limit = Timespec {
            tv_sec: limit.as_secs() as i64,
            tv_nsec: i64::from(limit.subsec_nanos()),
        };
        match poll(&mut fds, Some(&limit)) {
            Ok(0) | Err(Errno::INTR) => Ok(None),
            Ok(_) if other.is_some() && fds.last().is_some_and(|it| !it.revents().is_empty()) => {
                Ok(Some(Event::Other))
            }
            // The signal is fetched next time.
            Ok(_) => self.wait(other, Duration::ZERO),
            Err(error) => Err(Error::io("wait")(error.into())),
        }
    }
}
