//! Doors for the properties in tests/fuzz. Never compiled into what ships.

use pk_core::Port;

use crate::format::{Document, Entry, Known, Purpose, Unreadable};
use crate::reservation::Reservation;

/// What a registry file says.
#[derive(Debug)]
pub struct Content {
    /// How often it was changed.
    pub generation: u64,
    /// The boot during which it was written.
    pub boot_id: String,
    /// Its entries, in the order of the file.
    pub entries: Vec<Item>,
    /// The bytes that a writer writes who changes nothing.
    pub again: Vec<u8>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its key.
    pub key: String,
    /// The port that it takes, if that much can be read.
    pub port: Option<Port>,
    /// What it says, or what is wrong with it.
    pub reservation: Result<Reservation, String>,
}

/// Why a file was refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// Another program's, or a newer version's.
    Foreign(String),
    /// Too many entries.
    TooMany,
    /// Broken.
    Corrupt(String),
}

/// Reads a file as one who is about to write it.
///
/// # Errors
/// [`Refused`].
pub fn read(bytes: &[u8]) -> Result<Content, Refused> {
    open(bytes, Purpose::Write)
}

/// Reads a file as one who only wants to know.
///
/// # Errors
/// [`Refused`].
pub fn look(bytes: &[u8]) -> Result<Content, Refused> {
    open(bytes, Purpose::Read)
}

/// The file that has these reservations.
#[must_use]
pub fn write(generation: u64, boot_id: &str, reservations: &[Reservation]) -> Vec<u8> {
    let mut document = Document::default();
    document.generation = generation;
    document.boot_id = boot_id.into();
    document.entries = reservations.iter().map(Entry::new).collect();
    document.render()
}

fn open(bytes: &[u8], purpose: Purpose) -> Result<Content, Refused> {
    let document =
        Document::parse(bytes, purpose, &mut Known::default()).map_err(|why| match why {
            Unreadable::Foreign(what) => Refused::Foreign(what),
            Unreadable::TooMany => Refused::TooMany,
            Unreadable::Corrupt(why) => Refused::Corrupt(why),
        })?;
    let entry = |entry: &Entry<'_>| Item {
        key: entry.key.to_string(),
        port: entry.port(),
        reservation: entry.reservation(),
    };
    Ok(Content {
        generation: document.generation,
        boot_id: document.boot_id.to_string(),
        entries: document.entries.iter().map(entry).collect(),
        again: document.render(),
    })
}
