//! What a client asks for over a control socket. Never trusts one of another user, but root.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use pk_core::handoff::pass;

use super::message::{self, Answer, Ask};

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a client may take to write down that a port is its own now. It may have to wait for the
/// registry.
const WRITING: Duration = Duration::from_secs(60);

/// A client that waits for an answer.
#[derive(Debug)]
pub(crate) struct Plea {
    client: UnixStream,
    pub(crate) asks_for: Asked,
}

/// What it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// That the port is free.
    Release,
    /// The port itself.
    Take,
}

impl Plea {
    /// Hears a client; one that may not ask, or asks for a reservation that is not one of these, is
    /// refused.
    pub(crate) fn hear(client: UnixStream, ids: &[String]) -> Option<Plea> {
        client.set_nonblocking(false).ok()?;
        client.set_read_timeout(Some(PATIENCE)).ok()?;
        client.set_write_timeout(Some(PATIENCE)).ok()?;
        let ask = match is_trusted(&client) {
            true => message::hear(&client).ok()?,
            false => None,
        };
        let asked = match &ask {
            Some(Ask::Release { id }) if ids.contains(id) => Some(Asked::Release),
            Some(Ask::Take { id }) if ids.contains(id) => Some(Asked::Take),
            _ => None,
        };
        let Some(asks_for) = asked else {
            let answer = match ask {
                Some(Ask::Ping) => Answer::Ready,
                _ => Answer::Refused,
            };
            // Whether it hears that is its own affair.
            let _ = message::say(&client, &answer);
            return None;
        };
        Some(Plea { client, asks_for })
    }

    /// Gives copies of what keeps the port, and waits until the client has it for its own.
    pub(super) fn give(&self, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        pass::send(&self.client, &message::encode(&Answer::Given), descriptors)?;
        self.client.set_read_timeout(Some(WRITING))?;
        match message::hear(&self.client)? {
            Ask::LetGo => Ok(()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Says how it went, whether or not the client still listens.
    pub(crate) fn answer(&self, answer: &Answer) {
        let _ = message::say(&self.client, answer);
    }
}

/// Whether the other end belongs to this user or to root.
fn is_trusted(client: &UnixStream) -> bool {
    match pass::peer_uid(client) {
        Ok(uid) => uid == 0 || uid == rustix::process::geteuid().as_raw(),
        // Where the system does not tell, the folder of the socket, which only this user can enter,
        // has to do.
        Err(error) => cfg!(not(target_os = "linux")) && error.kind() == io::ErrorKind::Unsupported,
    }
}
