//! One file to be changed: where, what, and what may be done to get there. Never writes: a
//! [`Transaction`] of one or of many does.

use std::path::PathBuf;

use pk_fs::replace::InPlaceReason;

use crate::edit::{Content, Edits, Env, EnvEdit, Guards, Json, JsonEdit, Toml, TomlEdit};
use crate::{Error, State, Transaction, Written, dotenv};

/// Whether a file that is not there is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Create {
    /// No: a wrong path is an error.
    #[default]
    Never,
    /// Yes, for its owner only (mode 0600).
    Private,
    /// Yes, as any new file (mode 0666 less the umask), so that the program that it is for can read
    /// it.
    IfMissing,
}

/// Whether what the file held is kept in the state folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Keep {
    /// No: the change can't be undone.
    Nothing,
    /// Yes, and if that fails nothing is changed.
    #[default]
    Backup,
}

/// Whether the bytes of a file may be overwritten where they are. That is not atomic, but the only
/// way to change a file that has several names, is mounted, or would change its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum InPlace {
    /// Where there is no other way.
    #[default]
    IfNeeded,
    /// Always: for a file that is mounted into a running container, which keeps the old file when
    /// it is replaced.
    Always,
    /// Never: such files are refused.
    Never,
}

/// How new bytes got into a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// A new file took the place of the old one, all or nothing.
    Rename,
    /// The bytes of the old one were overwritten. A program that read at that moment could see a
    /// half of each.
    InPlace,
}

/// Edits of one file.
///
/// ```
/// use pk_config::{Create, Rewrite, State};
/// # let temp = tempfile::tempdir()?;
/// # let (state, path) = (State::at(temp.path().join("state")), temp.path().join(".env"));
/// let rewrite = Rewrite::env(&path).set("PORT", "8080").create(Create::IfMissing);
/// let written = rewrite.commit(&state, std::time::SystemTime::now())?;
/// assert!(written.changed);
/// assert_eq!(std::fs::read(&path)?, b"PORT=8080\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Rewrite<E> {
    pub(crate) path: PathBuf,
    pub(crate) edits: E,
    pub(crate) policy: Policy,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Policy {
    pub(crate) create: Create,
    pub(crate) keep: Keep,
    pub(crate) guards: Guards,
    pub(crate) in_place: InPlace,
}

impl Rewrite<Env> {
    /// Edits of the `.env` file at `path`.
    #[must_use]
    pub fn env(path: impl Into<PathBuf>) -> Self {
        Rewrite::of(path, Env::default())
    }

    /// Gives `key` a value; see [`dotenv::EnvFile::set`].
    #[must_use]
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.edits.0.push(EnvEdit::Set {
            key: key.into(),
            value: value.into(),
        });
        self
    }

    /// Removes `key`; see [`dotenv::EnvFile::unset`].
    #[must_use]
    pub fn unset(mut self, key: impl Into<String>) -> Self {
        self.edits.0.push(EnvEdit::Unset { key: key.into() });
        self
    }
}

impl Rewrite<Json> {
    /// Edits of the JSON file at `path`.
    #[must_use]
    pub fn json(path: impl Into<PathBuf>) -> Self {
        Rewrite::of(path, Json::default())
    }

    /// Puts a value at an RFC 6901 pointer; see [`crate::json::JsonFile::set`].
    #[must_use]
    pub fn set(mut self, pointer: impl Into<String>, value: impl Into<crate::json::Value>) -> Self {
        self.edits.0.push(JsonEdit::Set {
            pointer: pointer.into(),
            value: value.into(),
        });
        self
    }

    /// Puts a port number there, as a string where a string of digits is there; see
    /// [`crate::json::JsonFile::set_port`].
    #[must_use]
    pub fn set_port(mut self, pointer: impl Into<String>, port: u16) -> Self {
        self.edits.0.push(JsonEdit::SetPort {
            pointer: pointer.into(),
            port,
        });
        self
    }

    /// Merges an object deep into the file; see [`crate::json::JsonFile::merge`].
    #[must_use]
    pub fn merge(mut self, value: impl Into<crate::json::Value>) -> Self {
        self.edits.0.push(JsonEdit::Merge {
            value: value.into(),
        });
        self
    }
}

impl Rewrite<Toml> {
    /// Edits of the TOML file at `path`.
    #[must_use]
    pub fn toml(path: impl Into<PathBuf>) -> Self {
        Rewrite::of(path, Toml::default())
    }

    /// Puts a text at an RFC 6901 pointer; see [`crate::toml::TomlFile::set`].
    #[must_use]
    pub fn set(mut self, pointer: impl Into<String>, value: impl Into<String>) -> Self {
        self.edits.0.push(TomlEdit::Set {
            pointer: pointer.into(),
            value: value.into(),
        });
        self
    }

    /// Puts a port number there, as a text where a text of digits is there; see
    /// [`crate::toml::TomlFile::set_port`].
    #[must_use]
    pub fn set_port(mut self, pointer: impl Into<String>, port: u16) -> Self {
        self.edits.0.push(TomlEdit::SetPort {
            pointer: pointer.into(),
            port,
        });
        self
    }
}

impl Rewrite<Content> {
    /// The whole file at `path`.
    #[must_use]
    pub fn content(path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        Rewrite::of(path, Content(bytes.into()))
    }
}

impl<E: Edits + 'static> Rewrite<E> {
    fn of(path: impl Into<PathBuf>, edits: E) -> Self {
        Rewrite {
            path: path.into(),
            edits,
            policy: Policy::default(),
        }
    }

    /// Whether the file is made where it is not there.
    #[must_use]
    pub fn create(mut self, create: Create) -> Self {
        self.policy.create = create;
        self
    }

    /// Whether what it held is kept.
    #[must_use]
    pub fn keep(mut self, keep: Keep) -> Self {
        self.policy.keep = keep;
        self
    }

    /// Whether read-only files and dangerous keys are refused.
    #[must_use]
    pub fn guards(mut self, guards: Guards) -> Self {
        self.policy.guards = guards;
        self
    }

    /// Whether it may be overwritten where it is.
    #[must_use]
    pub fn in_place(mut self, in_place: InPlace) -> Self {
        self.policy.in_place = in_place;
        self
    }

    /// Changes the file: a [`Transaction`] of one. `now` names the backup.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub fn commit(self, state: &State, now: std::time::SystemTime) -> Result<Written, Error> {
        let mut written = Transaction::new(state).add(self).commit(now)?;
        Ok(written
            .pop()
            .expect("a transaction answers each of its rewrites"))
    }
}

/// What a rewrite would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The file, as it was named.
    pub path: PathBuf,
    /// The file itself, where that is a link.
    pub real_path: PathBuf,
    /// The keys or pointers that were named.
    pub keys: Vec<String>,
    /// A unified diff; empty where nothing would change. It shows changed lines only: those around
    /// them may be secrets.
    pub diff: String,
    /// How many further assignments of the same keys would change.
    pub duplicates: usize,
    /// What some readers will stumble over.
    pub warnings: Vec<dotenv::Warning>,
    /// What stands against replacing the file by a rename.
    pub in_place: Option<InPlaceReason>,
}

impl Policy {
    /// The stricter of two, for edits of one file.
    pub(crate) fn and(self, other: Policy) -> Policy {
        Policy {
            create: self.create.min(other.create),
            keep: self.keep.max(other.keep),
            guards: if self.guards == Guards::Up {
                self.guards
            } else {
                other.guards
            },
            in_place: self.in_place.max(other.in_place),
        }
    }

    /// Whether a file of this mode may not be changed without force. `is_protected` tells whether
    /// its mode or its attributes keep this user from writing to it.
    pub(crate) fn forbids(self, mode: u32, is_protected: impl FnOnce() -> bool) -> bool {
        self.guards == Guards::Up && (mode & 0o222 == 0 || is_protected())
    }
}
