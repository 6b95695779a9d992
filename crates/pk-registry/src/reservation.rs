//! What a registry says about one port. Never how it is written down.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use pk_core::{Host, Port, ProcessId, Protocol};

/// Who has a port, for whom, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Its name: 26 random characters that no other reservation has.
    pub id: String,
    /// The port.
    pub port: Port,
    /// Where the server will listen.
    pub host: Host,
    /// The protocol.
    pub protocol: Protocol,
    /// The label that the user gave.
    pub owner: Option<String>,
    /// The name by which its project knows it.
    pub name: Option<String>,
    /// That project, in 16 hexadecimal digits.
    pub project: Option<String>,
    /// What the user wants to be found with it.
    pub notes: BTreeMap<String, String>,
    /// The user that made it.
    pub uid: u32,
    /// Larger than that of every earlier change of this registry, unless it was begun anew. Those
    /// that were made together share it.
    pub fence: u64,
    /// When it was made, by the wall clock: for people.
    pub created: SystemTime,
    /// What makes it last.
    pub kind: Kind,
    /// The network namespace whose port it is.
    pub network: u64,
    /// The time namespace that `lease` counts in.
    pub time: u64,
    /// When it ends by itself.
    pub lease: Lease,
    /// The process that has the guard or the hold.
    pub process: Option<ProcessId>,
    /// It ends when this process does.
    pub until: Option<ProcessId>,
    /// The holder's control socket.
    pub control: Option<PathBuf>,
}

/// What makes a reservation last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value in a process: it ends with the value, or with the process.
    Guarded,
    /// A holder process with the port's sockets: it ends with the holder.
    Held,
    /// Nothing but this entry: it ends by its lease, or with a process that was named.
    Leased,
}

/// When a reservation ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// Not before the next boot.
    Never,
    /// At this time, in milliseconds since boot, time asleep included.
    Until(u64),
}

/// A label for a reservation: at most 256 characters, none of which moves a cursor or changes the
/// direction of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(String);

/// A text is no owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OwnerError {
    /// It is too long.
    #[error("owner has {length} characters (at most {})", Owner::MOST)]
    Long {
        /// Its length in characters.
        length: usize,
    },
    /// It has a character that a terminal would act upon.
    #[error("owner has the character {} at position {position}", character.escape_unicode())]
    Unprintable {
        /// The character.
        character: char,
        /// Its position, from 1.
        position: usize,
    },
}

impl Owner {
    /// The most characters.
    pub const MOST: usize = 256;

    /// # Errors
    /// [`OwnerError`].
    pub fn new(text: impl Into<String>) -> Result<Owner, OwnerError> {
        let text = text.into();
        let length = text.chars().count();
        if length > Owner::MOST {
            return Err(OwnerError::Long { length });
        }
        match text.chars().position(is_unprintable) {
            None => Ok(Owner(text)),
            Some(at) => Err(OwnerError::Unprintable {
                character: text.chars().nth(at).unwrap_or_default(),
                position: at + 1,
            }),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Owner> for String {
    fn from(owner: Owner) -> String {
        owner.0
    }
}

/// Whether a terminal would act upon a character instead of showing it: controls (C0, C1, DEL), the
/// marks that change the direction of text (Unicode TR 9), line and paragraph separators.
#[must_use]
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_do_nothing_to_a_terminal() {
        for good in ["", "myapp", "shop/web", "Zoë's api 🚀", &"x".repeat(256)] {
            assert_eq!(Owner::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "\u{1b}[2J",
            "a\nb",
            "\u{9b}31m",
            "\u{202e}x",
            "\u{7f}",
            "a\tb",
        ] {
            let error = Owner::new(bad).unwrap_err();
            assert!(matches!(error, OwnerError::Unprintable { .. }), "{bad:?}");
            assert!(!error.to_string().chars().any(is_unprintable));
        }
        assert_eq!(
            Owner::new("x".repeat(257)),
            Err(OwnerError::Long { length: 257 })
        );
    }
}
