//! What is said between the command that runs a program and its supervisor: one JSON value a line.
//! Never sent to anything but a process of the same version, so the shape may change.

use std::io::{self, Read};
use std::net::{IpAddr, Shutdown};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::SendFlags;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::holder::message::{self, Process};

/// What a supervisor is to do. With it come, in this order: the control socket, the three standard
/// streams of the program, the terminal if there is one, the locked liveness files, and the bound
/// sockets.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) ids: Vec<String>,
    pub(crate) control: Vec<u8>,
    pub(crate) ports: Vec<Given>,
    /// The variables that get a port, and which one.
    pub(crate) keys: Vec<(String, usize)>,
    /// Milliseconds since boot.
    pub(crate) ends: Option<u64>,
    pub(crate) until: Option<Process>,
    pub(crate) hand_over: HandOver,
    pub(crate) restart: bool,
    /// Whether to tell when the program listens, even where that has to be looked for.
    pub(crate) watch: bool,
    pub(crate) terminal: bool,
    /// The process group of the command.
    pub(crate) group: i32,
}

/// A port, and how many of the sockets are its hold.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Given {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) sockets: usize,
}

/// What the supervisor is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Told {
    /// Start the program.
    Start,
    /// Pass this signal on.
    Signal(i32),
    /// Go on after a stop.
    Resume,
    /// End the program and all that it started.
    End,
}

/// What the supervisor says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Said {
    /// It has taken over.
    Ready,
    /// The program runs.
    Started {
        pid: u32,
        rung: Rung,
        /// Why it is not a better one.
        because: Option<String>,
    },
    /// The program could not be started.
    Failed {
        what: Failure,
        errno: Option<i32>,
        why: String,
    },
    /// A process of the program listens on a port.
    Listening {
        port: u16,
        address: IpAddr,
        pid: u32,
    },
    /// A process of the program could not be given a port that it asked for.
    Refused {
        port: u16,
        address: IpAddr,
        why: String,
    },
    /// A process of the program can't be looked into, so it can't be given a port.
    Unreadable { pid: u32, why: String },
    /// The program was stopped by this signal.
    Stopped(i32),
    /// The program has ended and is started again after so many milliseconds.
    Restarting { status: Status, pause: u64 },
    /// The program and all that it started have ended.
    Ended { status: Status, cause: Cause },
}

/// What failed at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Failure {
    /// The program itself.
    Program,
    /// Giving it the port in the way that was asked for.
    HandOver,
}

/// How a program is to get its port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HandOver {
    /// The best way that works: [`Rung::Adopted`], else [`Rung::Relaxed`].
    #[default]
    Auto,
    /// As inherited sockets.
    Fd,
    /// By answering its bind(2), or not at all.
    Adopt,
    /// By sharing the port with whoever sets `SO_REUSEADDR`.
    Relaxed,
    /// By letting go of it.
    Close,
}

/// The ways in which a program gets its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rung {
    /// It inherited a listening socket as descriptor 3, and `LISTEN_FDS` says so unless an argument
    /// does (`{fd}`).
    Inherited,
    /// Its bind(2) is answered by the supervisor: an unmodified program gets its address from behind
    /// the hold, which stays.
    Adopted,
    /// `SO_REUSEADDR` is set on the held sockets: any server that sets it too can bind beside them.
    /// Keeps out everybody else, but not another server that wants this very port.
    Relaxed,
    /// The port was let go of just before the start.
    Closed,
}

impl HandOver {
    /// Its name: `auto`, `fd`, `adopt`, `relaxed`, `close`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            HandOver::Auto => "auto",
            HandOver::Fd => "fd",
            HandOver::Adopt => "adopt",
            HandOver::Relaxed => "relaxed",
            HandOver::Close => "close",
        }
    }
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// With this code, 0 to 255.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
}

/// Why a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// By itself, or by a signal that it was sent.
    Itself,
    /// Its port was released.
    Released,
    /// The lease of its port, or the process that it was tied to, ended.
    Over,
    /// This was asked for.
    Asked,
}

/// A stream of messages. Reading never waits.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: UnixStream,
    bytes: Vec<u8>,
}

impl Channel {
    pub(crate) fn new(stream: UnixStream, bytes: Vec<u8>) -> io::Result<Channel> {
        stream.set_nonblocking(true)?;
        Ok(Channel { stream, bytes })
    }

    /// The next message that has arrived as a whole.
    ///
    /// # Errors
    /// `UnexpectedEof` when the other end is closed.
    pub(crate) fn hear<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                return message::decode(&line).map(Some);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) if self.bytes.len() > message::MOST => {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                Ok(length) => self.bytes.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Says it, whether or not the other end still listens: its end is noticed when it is heard.
    ///
    /// One who is stopped may miss news, and hears of the end all the same. But what is lost because
    /// the system failed would leave both ends waiting for each other, so the channel ends with it.
    pub(crate) fn say(&self, message: &impl Serialize) {
        let bytes = message::encode(message);
        let flags = SendFlags::NOSIGNAL;
        let sent = retry_on_intr(|| rustix::net::send(&self.stream, &bytes, flags));
        if sent == Ok(bytes.len()) {
            return;
        }
        tracing::debug!(?sent, "nobody listens");
        if sent != Err(Errno::AGAIN) {
            let ended = self.stream.shutdown(Shutdown::Both);
            tracing::debug!(?ended, "the channel");
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_way_is_called_as_it_is_written() {
        use HandOver::{Adopt, Auto, Close, Fd, Relaxed};

        let ways = [Auto, Fd, Adopt, Relaxed, Close];
        let names = ways.map(HandOver::name);
        assert_eq!(names, ["auto", "fd", "adopt", "relaxed", "close"]);
        let written = ways.map(|way| serde_json::to_value(way).unwrap());
        assert_eq!(written, names);
    }

    #[test]
    fn what_is_no_message_is_not_waited_for() {
        let (here, mut there) = UnixStream::pair().unwrap();
        let mut channel = Channel::new(here, Vec::new()).unwrap();
        there.write_all(b"\"stop it\"\n").unwrap();
        let error = channel.hear::<Told>().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let (here, mut there) = UnixStream::pair().unwrap();
        let mut channel = Channel::new(here, vec![b' '; message::MOST + 1]).unwrap();
        there.write_all(b"  ").unwrap();
        let error = channel.hear::<Told>().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        // Whoever speaks to nobody is not kept waiting, and hears that nobody is left.
        drop(there);
        channel.say(&Told::Start);
        assert!(channel.hear::<Told>().is_err());
    }

    #[test]
    fn messages_are_heard_one_by_one_when_they_are_whole() {
        let (here, mut there) = UnixStream::pair().unwrap();
        let mut channel = Channel::new(here, Vec::new()).unwrap();
        assert_eq!(channel.hear::<Told>().unwrap(), None);
        there
            .write_all(b"\"start\"\n{\"signal\":15}\n\"res")
            .unwrap();
        assert_eq!(channel.hear().unwrap(), Some(Told::Start));
        assert_eq!(channel.hear().unwrap(), Some(Told::Signal(15)));
        assert_eq!(channel.hear::<Told>().unwrap(), None);
        there.write_all(b"ume\"\n").unwrap();
        assert_eq!(channel.hear().unwrap(), Some(Told::Resume));
        drop(there);
        assert_eq!(
            channel.hear::<Told>().unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
