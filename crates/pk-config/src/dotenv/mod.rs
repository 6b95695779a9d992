//! Values in a `.env` file, changed in place. Never touches a byte that no edit names, and never
//! writes what some reader of such files would misread.
//!
//! ```
//! use pk_config::dotenv::EnvFile;
//!
//! let before = b"# the shop\nexport PORT=3000 # public\nSECRET='s3cr3t'\n";
//! let after = EnvFile::parse(before)?.set("PORT", "8080")?.set("HOST", "127.0.0.1")?.to_bytes();
//! assert_eq!(after, b"# the shop\nexport PORT=8080 # public\nSECRET='s3cr3t'\nHOST=127.0.0.1\n");
//! # Ok::<(), pk_config::dotenv::Error>(())
//! ```

mod edit;
mod emit;
mod parse;

use std::borrow::Cow;
use std::fmt;

use crate::position::{BOM, Position};
use parse::{Assignment, Kind, Statement};

/// The largest file that is read, in bytes.
const MAX_BYTES: usize = crate::MAX_FILE_BYTES;

/// Why a `.env` file can't be read, or not be edited as asked. The file is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name is not one that all readers read.
    #[error("{key:?} is no name for a variable: letters, digits and _ only, and no digit first")]
    InvalidKey {
        /// The name.
        key: String,
    },
    /// The value holds a character that can't be written.
    #[error("the value of {key} holds {character:?}, which no .env file can hold")]
    InvalidValue {
        /// The name.
        key: String,
        /// The character.
        character: char,
    },
    /// There is no way to write the value that every reader reads the same.
    #[error("the value of {key} holds {}, which {} would misread", Listed(characters), readers.join(", "))]
    NotPortable {
        /// The name.
        key: String,
        /// What in the value has no portable form.
        characters: Vec<char>,
        /// Programs that would read another value.
        readers: Vec<&'static str>,
    },
    /// Readers disagree so wildly about the file that any edit could harm it.
    #[error("{at}: {what}")]
    Syntax {
        /// Where.
        at: Position,
        /// What is wrong there.
        what: &'static str,
    },
    /// Readers disagree about where this value ends.
    #[error("line {line}: the end of the value of {key} is ambiguous: {why}")]
    Ambiguous {
        /// The name.
        key: String,
        /// The line of the value.
        line: usize,
        /// What makes it so.
        why: &'static str,
    },
    /// The file is not in an encoding that ASCII is a part of.
    #[error("not a text of ASCII characters or an encoding that includes them: {found}")]
    Encoding {
        /// What it looks like.
        found: &'static str,
    },
    /// The file is larger than 16 MiB.
    #[error("{bytes} bytes are too many for a .env file: at most {MAX_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// What some readers will stumble over. The edit was done all the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Warning {
    /// The file has Windows line ends.
    CarriageReturns,
    /// The file begins with a byte-order mark.
    ByteOrderMark,
    /// There are blanks round the `=`.
    BlanksAroundEquals {
        /// The name.
        key: String,
    },
    /// The value holds a `$` that some readers expand even in single quotes.
    DollarNotPortable {
        /// The name.
        key: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::CarriageReturns => {
                write!(
                    f,
                    "the file has CRLF line ends: sh reads a carriage return into each value"
                )
            }
            Warning::ByteOrderMark => {
                write!(
                    f,
                    "the file begins with a byte-order mark: sh, dotenvy and godotenv reject it"
                )
            }
            Warning::BlanksAroundEquals { key } => {
                write!(f, "{key} has blanks round its =: sh and docker reject it")
            }
            Warning::DollarNotPortable { key } => {
                write!(
                    f,
                    "the value of {key} holds a $: Vite, Next.js and Bun expand it"
                )
            }
        }
    }
}

/// A `.env` file: its bytes, and what they say.
///
/// An edit that fails leaves the value as it was before that edit.
#[derive(Debug, Clone)]
pub struct EnvFile {
    bytes: Vec<u8>,
    statements: Vec<Statement>,
}

impl EnvFile {
    /// Reads the bytes of a file. An empty file is fine; so are lines that are not understood,
    /// which stay as they are.
    ///
    /// # Errors
    /// [`Error::Syntax`] where a quote is never closed, [`Error::Encoding`] for UTF-16 and UTF-32,
    /// [`Error::TooLarge`] above 16 MiB.
    pub fn parse(bytes: &[u8]) -> Result<EnvFile, Error> {
        let statements = parse::statements(bytes)?;
        Ok(EnvFile {
            bytes: bytes.into(),
            statements,
        })
    }

    /// The value of `key`, as most readers read it: of several assignments the last, without
    /// quotes, without its comment, nothing expanded. `None` where the key has no value.
    ///
    /// ```
    /// # use pk_config::dotenv::EnvFile;
    /// let file = EnvFile::parse(b"PORT=3000\nPORT='8080' # the new one\n")?;
    /// assert_eq!(file.get("PORT").as_deref(), Some(&b"8080"[..]));
    /// # Ok::<(), pk_config::dotenv::Error>(())
    /// ```
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Cow<'_, [u8]>> {
        let last = self.assignments(key).last()?;
        Some(self.reading(last).text)
    }

    /// How often `key` is given a value. Readers differ about which of several counts, so
    /// [`EnvFile::set`] changes them all.
    #[must_use]
    pub fn occurrences(&self, key: &str) -> usize {
        self.assignments(key).count()
    }

    /// The names that are given a value, in the order of the file, repeated where it repeats them.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.statements
            .iter()
            .filter_map(|statement| match statement.kind {
                Kind::Assignment(_) => std::str::from_utf8(statement.key(&self.bytes)?).ok(),
                _ => None,
            })
    }

    /// What some readers will stumble over in this file and in the line of `key`.
    #[must_use]
    pub fn warnings(&self, key: &str) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if self.bytes.windows(2).any(|pair| pair == b"\r\n") {
            warnings.push(Warning::CarriageReturns);
        }
        if self.bytes.starts_with(BOM) {
            warnings.push(Warning::ByteOrderMark);
        }
        if self
            .assignments(key)
            .any(|found| found.value.start() - found.key.end() > 1)
        {
            warnings.push(Warning::BlanksAroundEquals { key: key.into() });
        }
        if self
            .assignments(key)
            .any(|found| self.reading(found).text.contains(&b'$'))
        {
            warnings.push(Warning::DollarNotPortable { key: key.into() });
        }
        warnings
    }

    /// Gives `key` a value: wherever it has one, else in the line that only names it, else in a
    /// new line at the end. Where it has the value already, nothing changes.
    ///
    /// # Errors
    /// [`Error::InvalidKey`], [`Error::InvalidValue`] and [`Error::NotPortable`] for what is asked,
    /// [`Error::Ambiguous`] for what is there.
    pub fn set(&mut self, key: &str, value: &str) -> Result<&mut Self, Error> {
        emit::check_key(key)?;
        emit::check_value(key, value)?;
        if let Some(edited) = edit::set(self, key, value)? {
            *self = edited;
        }
        Ok(self)
    }

    /// Removes every line (or lines, of a quoted value) that gives `key` a value or only names it.
    /// A key that is not there is fine.
    ///
    /// # Errors
    /// [`Error::InvalidKey`] for what is asked, [`Error::Ambiguous`] for what is there.
    pub fn unset(&mut self, key: &str) -> Result<&mut Self, Error> {
        emit::check_key(key)?;
        if let Some(edited) = edit::unset(self, key)? {
            *self = edited;
        }
        Ok(self)
    }

    /// The bytes of the file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes of the file, to keep.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    fn assignments(&self, key: &str) -> impl Iterator<Item = &Assignment> {
        self.statements
            .iter()
            .filter_map(move |statement| match &statement.kind {
                Kind::Assignment(found) if found.key.of(&self.bytes) == key.as_bytes() => {
                    Some(found)
                }
                _ => None,
            })
    }

    fn reading(&self, found: &Assignment) -> emit::Reading<'_> {
        emit::read(found.value.of(&self.bytes), found.quote)
    }
}

/// Characters as a person writes a list of them.
struct Listed<'c>(&'c [char]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, character) in self.0.iter().enumerate() {
            let gap = if index == 0 { "" } else { " " };
            match character {
                '\n' => write!(f, "{gap}a line end")?,
                character => write!(f, "{gap}{character}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
