//! What is said to a holder and by it: one JSON value a message. Never sent to anything but a
//! holder of the same version, so the shape may change.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use pk_core::ProcessId;
use pk_registry::{Lease, Reservation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What a holder is to do. With it come, in this order, the locked liveness file, the control
/// socket, and the bound sockets.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) id: String,
    /// The registry and the control socket, as bytes: a path need not be UTF-8.
    registry: Vec<u8>,
    control: Vec<u8>,
    /// Milliseconds since boot.
    pub(crate) ends: Option<u64>,
    until: Option<Process>,
}

/// A [`ProcessId`].
#[derive(Debug, Serialize, Deserialize, Clone, Copy)]
pub(crate) struct Process {
    pid: u32,
    start: u64,
    namespace: u64,
}

impl From<ProcessId> for Process {
    fn from(process: ProcessId) -> Process {
        let ProcessId {
            pid,
            start,
            namespace,
        } = process;
        Process {
            pid,
            start,
            namespace,
        }
    }
}

impl Process {
    pub(crate) fn id(self) -> ProcessId {
        let Process {
            pid,
            start,
            namespace,
        } = self;
        ProcessId {
            pid,
            start,
            namespace,
        }
    }
}

/// What is asked of a holder over its control socket.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "lowercase")]
pub(crate) enum Ask {
    /// Let go of the port and end.
    Release { id: String },
    /// Give the port to me and end.
    Take { id: String },
    /// What was given is in the registry as mine.
    LetGo,
    /// Say that you are there.
    Ping,
}

/// What a holder answers.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Answer {
    /// It is up and keeps what it was given.
    Ready,
    /// It has nothing to do with the port any more, and ends.
    Released,
    /// The port is free; the process goes on, because it holds others.
    Freed,
    /// With it comes what keeps the port: the locked liveness file and the bound sockets.
    Given,
    /// It was asked for something that is not its own.
    Refused,
}

/// In milliseconds since boot.
pub(super) fn end_of(lease: Lease) -> Option<u64> {
    match lease {
        Lease::Never => None,
        Lease::Until(end) => Some(end),
    }
}

impl Orders {
    pub(crate) fn new(reservation: &Reservation, registry: &Path, control: &Path) -> Orders {
        Orders {
            id: reservation.id.clone(),
            registry: registry.as_os_str().as_bytes().to_vec(),
            control: control.as_os_str().as_bytes().to_vec(),
            ends: end_of(reservation.lease),
            until: reservation.until.map(Into::into),
        }
    }

    pub(crate) fn registry(&self) -> PathBuf {
        OsString::from_vec(self.registry.clone()).into()
    }

    pub(crate) fn control(&self) -> PathBuf {
        OsString::from_vec(self.control.clone()).into()
    }

    pub(crate) fn until(&self) -> Option<ProcessId> {
        self.until.map(Process::id)
    }
}

/// The longest message, in bytes.
pub(crate) const MOST: usize = 64 * 1024;

/// The bytes of a message: JSON and a line feed.
pub(crate) fn encode(message: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(message).expect("our own structs can be written to memory");
    bytes.push(b'\n');
    bytes
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    serde_json::from_slice(bytes).map_err(io::Error::from)
}

pub(crate) fn say(mut stream: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    stream.write_all(&encode(message))
}

/// Reads one message; an end before its line feed is an error.
pub(crate) fn hear<T: DeserializeOwned>(mut stream: &UnixStream) -> io::Result<T> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1024];
    while bytes.last() != Some(&b'\n') {
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if bytes.len() > MOST => return Err(io::ErrorKind::InvalidData.into()),
            length => bytes.extend_from_slice(&buffer[..length]),
        }
    }
    decode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_as_they_were_sent() {
        let (here, there) = UnixStream::pair().unwrap();
        say(&here, &Ask::Release { id: "k3v9".into() }).unwrap();
        assert!(matches!(hear(&there).unwrap(), Ask::Release { id } if id == "k3v9"));
        say(&there, &Answer::Released).unwrap();
        assert_eq!(hear::<Answer>(&here).unwrap(), Answer::Released);
    }

    #[test]
    fn what_is_no_message_is_an_error_and_an_endless_one_too() {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(b"{\"ask\":\"fly\"}\n").unwrap();
        assert_eq!(
            hear::<Ask>(&there).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        here.write_all(b"half").unwrap();
        drop(here);
        assert_eq!(
            hear::<Ask>(&there).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        let (mut here, there) = UnixStream::pair().unwrap();
        let writer = std::thread::spawn(move || {
            // Ends when the other end is closed.
            while here.write_all(&[b'x'; 1024]).is_ok() {}
        });
        assert_eq!(
            hear::<Ask>(&there).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        drop(there);
        writer.join().unwrap();
    }
}
