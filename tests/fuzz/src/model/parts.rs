//! What the model is made of: reservations, what keeps them, and files. Never decides anything.

use portkeeper::Protocol;

/// No port that anybody asks for.
const FIRST: u8 = u8::MAX;

/// A reservation in the registry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its port.
    pub port: u8,
    /// Whose it is.
    pub user: u8,
    /// For what.
    pub protocol: Protocol,
    /// The guard that keeps it; none where it is a lease.
    pub guard: Option<u32>,
    /// When, if ever.
    pub ends: Option<u64>,
    /// The process that it is tied to.
    pub until: Option<u32>,
    /// Of an earlier boot.
    pub past: bool,
}

/// What keeps a reservation.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Its number.
    pub id: u32,
    /// Its port.
    pub port: u8,
    /// For what.
    pub protocol: Protocol,
    /// Whether it has bound the port.
    pub holds: bool,
}

/// A file that a port is written into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The port in it.
    pub port: u8,
    /// How many lines people have added.
    pub notes: u8,
    /// What it was, the newest last.
    pub backups: Vec<(u8, u8)>,
}

impl Default for File {
    fn default() -> File {
        File {
            port: FIRST,
            notes: 0,
            backups: Vec::new(),
        }
    }
}

impl File {
    /// The port's number, as it stands in the file.
    #[must_use]
    pub fn number(&self, number: impl Fn(u8) -> u16) -> u16 {
        if self.port == FIRST {
            3000
        } else {
            number(self.port)
        }
    }

    /// It holds something else from now on.
    pub fn change(&mut self, port: u8, notes: u8) {
        let now = (self.port, self.notes);
        if now == (port, notes) {
            return;
        }
        if self.backups.last() != Some(&now) {
            self.backups.push(now);
        }
        (self.port, self.notes) = (port, notes);
    }
}
