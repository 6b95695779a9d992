//! Where there is no Linux: nothing is adopted.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::Event;
use crate::Hold;

/// Answers the bind(2) and listen(2) calls of a tree of processes, on Linux.
#[derive(Debug)]
pub struct Adopter {
    never: Infallible,
}

/// Whether this kernel can do it at all.
///
/// # Errors
/// `Unsupported`.
pub fn probe() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Adopter {
    /// Answers through `listener`, for these holds.
    ///
    /// # Errors
    /// `Unsupported`.
    pub fn new(_listener: OwnedFd, _holds: Vec<Hold>) -> io::Result<Adopter> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Answers a call that waits.
    ///
    /// # Errors
    /// None: there is no such value.
    pub fn serve(&mut self) -> io::Result<Option<Event>> {
        match self.never {}
    }

    /// How long until [`Adopter::look`] should be called.
    #[must_use]
    pub fn look_after(&self) -> Option<Duration> {
        match self.never {}
    }

    /// Takes back the held sockets that nobody of the tree has any more.
    pub fn look(&mut self) {
        match self.never {}
    }

    /// The holds, when the tree has ended.
    #[must_use]
    pub fn into_holds(self) -> Vec<Hold> {
        match self.never {}
    }
}

impl AsFd for Adopter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.never {}
    }
}
