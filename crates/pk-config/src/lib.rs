//! Changes a few values in `.env` and JSON files that people own, and keeps every other byte. Never
//! opens a socket, never looks for a home directory, and knows nothing of ports but that they are
//! numbers.
//!
//! Tools that rewrite such files tend to lose what the owner cares about: comments and order, the
//! quotes, `1.0` and 20-digit numbers, CRLF and byte-order marks, mode 0600, the symlink into the
//! dotfiles. This crate splices the new value into the old bytes, checks that the result says what
//! was asked and nothing else, and puts the file in place all at once.
//!
//! # The bytes
//! [`dotenv::EnvFile`] and [`json::JsonFile`] know no files. They are all that is needed where the
//! bytes come from elsewhere:
//!
//! ```
//! use pk_config::dotenv::EnvFile;
//! use pk_config::json::JsonFile;
//!
//! let env = b"export PORT=3000 # public\r\nTOKEN='s3cr3t'\r\n";
//! let env = EnvFile::parse(env)?.set("PORT", "8080")?.to_bytes();
//! assert_eq!(env, b"export PORT=8080 # public\r\nTOKEN='s3cr3t'\r\n");
//!
//! let json = br#"{"rate": 1.0, "server": {"port": 3000, }, } // all of it"#;
//! let json = JsonFile::parse(json)?.set("/server/port", 8080)?.to_bytes();
//! assert_eq!(json, br#"{"rate": 1.0, "server": {"port": 8080, }, } // all of it"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The files
//! A [`Rewrite`] names a file, its edits, and what may be done to it; a [`Transaction`] does one or
//! several, all or none. What the files held is kept in a [`State`] folder that the caller chooses,
//! and [`backup::restore`] brings it back.
//!
//! ```
//! use std::time::SystemTime;
//! use pk_config::{Create, Rewrite, State, Transaction, backup};
//!
//! # let temp = tempfile::tempdir()?;
//! # let folder = temp.path().to_path_buf();
//! let state = State::at(folder.join("state"));
//! let env = folder.join(".env");
//! let edits = |port: &str| Rewrite::env(&env).set("PORT", port).create(Create::IfMissing);
//!
//! let preview = Transaction::new(&state).add(edits("8080")).preview()?;
//! assert!(preview[0].diff.ends_with("+PORT=8080\n"));
//! assert!(!env.exists());
//!
//! edits("8080").commit(&state, SystemTime::now())?;
//! let written = edits("9090").commit(&state, SystemTime::now())?;
//! assert!(written.changed && written.backup.is_some());
//!
//! backup::restore(&state, &env, None, SystemTime::now())?;
//! assert_eq!(std::fs::read(&env)?, b"PORT=8080\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is kept, and what is refused
//! A symlink stays and its target is changed; mode, owner, extended attributes and ACLs stay; a
//! file with several names, or one that is mounted, is written in place after a backup. A value that
//! not every reader would read the same is refused, and the error names the readers
//! ([`dotenv::Error::NotPortable`]). So is what can't be edited without guessing: a quote that is
//! never closed, a JSON member that is there twice, a pointer through a string. A file that is
//! refused keeps its bytes and its timestamp, and so do all others of the same transaction.
//!
//! # After a crash
//! A process that is killed in the middle of several files leaves a journal in the state folder. The
//! next change takes that back first; [`recovery::recover`] does so too, and tells the tags of what
//! it took back, so that whatever else belonged to it can be undone.
//!
//! # Limitations
//! Files of up to 16 MiB. A change of several files is all or nothing across crashes, but a reader
//! can see the first new and the second old for a moment. Two state folders do not know of each
//! other. Readers must not be in the middle of a file that is written in place.
#![forbid(unsafe_code)]

mod attempt;
pub mod backup;
mod diff;
mod digest;
pub mod document;
pub mod dotenv;
mod draft;
pub mod edit;
mod error;
mod journal;
pub mod json;
mod position;
pub mod recovery;
mod rewrite;
mod state;
pub mod toml;
mod transaction;
mod undo;

pub use edit::Guards;
pub use error::{Error, ErrorKind};
pub use position::Position;
pub use rewrite::{Create, InPlace, Keep, Preview, Rewrite, Strategy};
pub use state::State;
pub use transaction::{Transaction, Written};

/// The largest file that is read, in bytes: 16 MiB.
pub const MAX_FILE_BYTES: usize = 16 << 20;

#[cfg(test)]
mod crash_tests;
