//! Doors for the properties in tests/fuzz. Never compiled into what ships.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use pk_config::Position;
use pk_registry::Here;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::files::Tag;
use crate::holder::message as holder;
use crate::keeper::PortKeeper;
use crate::launch::message as launch;
use crate::project::{self, Definition};

/// Another time, another boot and another user than those of this process.
#[derive(Debug, Clone)]
pub struct Elsewhere {
    /// The user.
    pub uid: u32,
    /// Shared by all that are there.
    pub clock: Arc<Mutex<Clock>>,
}

/// What time it is.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Which boot.
    pub boot_id: String,
    /// Milliseconds since then.
    pub boot_ms: u64,
    /// What people think.
    pub wall: SystemTime,
}

impl Elsewhere {
    pub(crate) fn here(&self) -> Here {
        let clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let mut here = Here::now();
        here.machine.boot_id.clone_from(&clock.boot_id);
        (here.boot_ms, here.wall, here.uid) = (clock.boot_ms, clock.wall, self.uid);
        here
    }
}

/// A keeper that believes to be elsewhere.
#[must_use]
pub fn elsewhere(keeper: PortKeeper, elsewhere: Elsewhere) -> PortKeeper {
    PortKeeper {
        elsewhere: Some(elsewhere),
        ..keeper
    }
}

/// The kinds of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// What a holder is to do.
    HolderOrders,
    /// What is asked over a control socket.
    Ask,
    /// What is answered there.
    Answer,
    /// What a supervisor is to do.
    LaunchOrders,
    /// What the command tells its supervisor.
    Told,
    /// What a supervisor says.
    Said,
}

/// Reads a message from its bytes and writes it again. `None` where it is none.
#[must_use]
pub fn again(kind: Message, bytes: &[u8]) -> Option<Vec<u8>> {
    fn of<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Option<Vec<u8>> {
        holder::decode::<T>(bytes)
            .ok()
            .map(|it| holder::encode(&it))
    }
    match kind {
        Message::HolderOrders => of::<holder::Orders>(bytes),
        Message::Ask => of::<holder::Ask>(bytes),
        Message::Answer => of::<holder::Answer>(bytes),
        Message::LaunchOrders => of::<launch::Orders>(bytes),
        Message::Told => of::<launch::Told>(bytes),
        Message::Said => of::<launch::Said>(bytes),
    }
}

/// What a holder hears of what is sent to its control socket until the sender hangs up, written
/// again.
///
/// # Errors
/// What the holder makes of it.
pub fn heard_ask(from: &UnixStream) -> io::Result<Vec<u8>> {
    holder::hear::<holder::Ask>(from).map(|ask| holder::encode(&ask))
}

/// What a supervisor hears until the sender hangs up, each message written again, and why it
/// stopped to listen.
///
/// # Errors
/// The channel could not be set up.
pub fn heard_told(from: UnixStream) -> io::Result<(Vec<Vec<u8>>, Option<io::Error>)> {
    let mut channel = launch::Channel::new(from, Vec::new())?;
    let mut heard = Vec::new();
    loop {
        match channel.hear::<launch::Told>() {
            Ok(Some(told)) => heard.push(holder::encode(&told)),
            Ok(None) => return Ok((heard, None)),
            Err(error) => return Ok((heard, Some(error))),
        }
    }
}

/// Reads the note that a change of files carries about its reservations, and writes it again.
#[must_use]
pub fn tag_again(text: &str) -> Option<String> {
    Tag::read(text)?.write()
}

/// What a project's file of this name says, without where; or what is wrong with it, and where.
///
/// # Errors
/// What a person is told. There is no place where what is asked for is wrong, and not the file.
pub fn project(
    bytes: &[u8],
    file: &str,
    profile: Option<&str>,
) -> Result<String, (Option<Position>, String)> {
    let definition =
        Definition::parse(bytes, Path::new(file), profile).map_err(|error| match error {
            project::Error::Meaningless { at, what, .. } => (Some(at), what),
            other => (None, other.to_string()),
        })?;
    let mut said = String::new();
    for port in &definition.ports {
        let keys = &port.keys;
        let (first, ranges, host) = (keys.preferred, &keys.ranges, keys.host);
        let how = (keys.protocol, keys.hold);
        said += &format!("{} {} {}", port.name, port.label, port.env);
        said += &format!(" {first:?} {ranges:?} {host:?} {how:?}\n");
    }
    for var in &definition.vars {
        said += &format!("{} {:?}\n", var.name, var.text.text);
    }
    for output in &definition.outputs {
        let map = output.map.iter().flatten();
        let map: Vec<_> = map.map(|(key, text)| (&key.name, &text.text)).collect();
        let what = (map, &output.template, &output.variable);
        said += &format!("{} {what:?}\n", output.label());
    }
    Ok(said)
}
