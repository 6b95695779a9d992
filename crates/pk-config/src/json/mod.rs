//! Values in a JSON file, changed in place. Never re-writes what no edit names: numbers, escapes,
//! order, comments and layout stay as they are.
//!
//! JSON means RFC 8259, with `//` and `/* */` comments and trailing commas where the file has them.
//! No edit brings in either.
//!
//! ```
//! use pk_config::json::JsonFile;
//!
//! let before = br#"{
//!   // the public one
//!   "port": 3000,
//!   "rate": 1.0
//! }
//! "#;
//! let after = JsonFile::parse(before)?.set("/port", 8080)?.set("/log/level", "info")?.to_bytes();
//! assert_eq!(std::str::from_utf8(&after).unwrap(), r#"{
//!   // the public one
//!   "port": 8080,
//!   "rate": 1.0,
//!   "log": {
//!     "level": "info"
//!   }
//! }
//! "#);
//! # Ok::<(), pk_config::json::Error>(())
//! ```

mod edit;
mod layout;
mod parse;
pub(crate) mod pointer;
mod value;

use crate::position::{BOM, Position};
use value::Tree;

pub use pointer::parts;
pub use value::Value;

/// Why a JSON file can't be read, or not be edited as asked. The file is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is no JSON pointer.
    #[error("{pointer:?} is no JSON pointer: {what}")]
    Pointer {
        /// What was given.
        pointer: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Only an object can be merged into a document.
    #[error("what is merged must be an object")]
    MergeNeedsObject,
    /// The file is not well-formed.
    #[error("{at}: {what}")]
    Syntax {
        /// Where.
        at: Position,
        /// What is wrong there.
        what: String,
    },
    /// The file is not UTF-8.
    #[error("{at}: not UTF-8")]
    Encoding {
        /// Where.
        at: Position,
    },
    /// Arrays and objects are nested too deep.
    #[error("{at}: nested too deep")]
    Depth {
        /// Where.
        at: Position,
    },
    /// The file is larger than 16 MiB.
    #[error(
        "{bytes} bytes are too many for a JSON file: at most {}",
        crate::MAX_FILE_BYTES
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The pointer leads through something that has no members.
    #[error("{at}: {pointer:?} is {found}, which has no members")]
    Type {
        /// The pointer to what is there.
        pointer: String,
        /// "a string", "null", …
        found: &'static str,
        /// Where it is.
        at: Position,
    },
    /// There is more than one such member, and programs differ about which of them counts.
    #[error("{pointer:?} is there twice, at {first} and {second}")]
    Duplicate {
        /// The pointer to the member.
        pointer: String,
        /// The first.
        first: Position,
        /// The second.
        second: Position,
    },
    /// It is no index of that array.
    #[error("{index:?} is no index of the array {pointer:?}, which has {length} elements")]
    Range {
        /// The pointer to the array.
        pointer: String,
        /// The index.
        index: String,
        /// The number of elements.
        length: usize,
    },
    /// What is missing could be an object or an array.
    #[error("{pointer:?} is missing, and could be an object or an array")]
    AmbiguousContainer {
        /// The pointer to what is missing.
        pointer: String,
    },
    /// The edited text does not say what it should. This is a bug, and nothing was changed.
    #[error("the edit of {pointer:?} came out wrong")]
    Unsound {
        /// What was edited.
        pointer: String,
    },
}

impl Error {
    /// Whether what was asked is wrong, rather than what is in the file.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Error::Pointer { .. } | Error::MergeNeedsObject)
    }
}

/// A JSON file: its text, and what may stand before it.
///
/// An edit that fails leaves it as it was before that edit.
#[derive(Debug, Clone)]
pub struct JsonFile {
    mark: &'static [u8],
    text: String,
}

impl JsonFile {
    /// Reads the bytes of a file. One that holds nothing, or only blanks and comments, is fine.
    ///
    /// # Errors
    /// [`Error::Syntax`], [`Error::Encoding`], [`Error::Depth`], [`Error::TooLarge`].
    pub fn parse(bytes: &[u8]) -> Result<JsonFile, Error> {
        if bytes.len() > crate::MAX_FILE_BYTES {
            return Err(Error::TooLarge { bytes: bytes.len() });
        }
        let mark: &[u8] = if bytes.starts_with(BOM) { BOM } else { b"" };
        let text = std::str::from_utf8(&bytes[mark.len()..]).map_err(|error| Error::Encoding {
            at: Position::of(bytes, mark.len() + error.valid_up_to()),
        })?;
        parse::document(text)?;
        Ok(JsonFile {
            mark,
            text: text.into(),
        })
    }

    /// The text of the value at an RFC 6901 pointer, as it is in the file: `8080`, `"8080"`,
    /// `{"a": 1}`. `None` where there is none.
    ///
    /// ```
    /// # use pk_config::json::JsonFile;
    /// let file = JsonFile::parse(br#"{"server": {"port": 8080}}"#)?;
    /// assert_eq!(file.get("/server/port")?, Some("8080"));
    /// assert_eq!(file.get("/server/host")?, None);
    /// # Ok::<(), pk_config::json::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Pointer`], [`Error::Duplicate`].
    pub fn get(&self, pointer: &str) -> Result<Option<&str>, Error> {
        edit::find(&self.text, &pointer::parse(pointer)?)
    }

    /// Puts a value at a pointer. Missing objects on the way are made; an index after the last
    /// element of an array, or `-`, appends to it. Where there is the same value already, nothing
    /// changes.
    ///
    /// # Errors
    /// [`Error::Type`] where the way leads through a scalar, [`Error::Duplicate`], [`Error::Range`],
    /// [`Error::AmbiguousContainer`], [`Error::Pointer`].
    pub fn set(&mut self, pointer: &str, value: impl Into<Value>) -> Result<&mut Self, Error> {
        self.put(&pointer::parse(pointer)?, &value.into().0)
    }

    /// Puts a port number at a pointer: as a string where there is a string, else as a number.
    ///
    /// # Errors
    /// As [`JsonFile::set`].
    pub fn set_port(&mut self, pointer: &str, port: u16) -> Result<&mut Self, Error> {
        let parts = pointer::parse(pointer)?;
        let is_string = edit::find(&self.text, &parts)?.is_some_and(|text| text.starts_with('"'));
        let port = port.to_string();
        self.put(
            &parts,
            &if is_string {
                Tree::String(port)
            } else {
                Tree::Plain(port)
            },
        )
    }

    /// Merges an object deep into the document: its members are put where they belong, one by one;
    /// those of other objects stay. Arrays are replaced whole, and `null` is a value like others
    /// (RFC 7396 would delete). Returns the pointers to what was put.
    ///
    /// # Errors
    /// As [`JsonFile::set`]; nothing is changed then.
    pub fn merge(&mut self, value: impl Into<Value>) -> Result<Vec<String>, Error> {
        let Value(tree) = value.into();
        if !matches!(tree, Tree::Object(_)) {
            return Err(Error::MergeNeedsObject);
        }
        let mut leaves = Vec::new();
        flatten(&mut Vec::new(), &tree, &mut leaves);
        let mut merged = self.clone();
        for (parts, leaf) in &leaves {
            let is_empty = **leaf == Tree::Object(Vec::new());
            if !is_empty || !edit::has_object(&merged.text, parts)? {
                merged.put(parts, leaf)?;
            }
        }
        *self = merged;
        Ok(leaves.iter().map(|(parts, _)| pointer::of(parts)).collect())
    }

    /// The bytes of the file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.mark, self.text.as_bytes()].concat()
    }

    fn put(&mut self, parts: &[String], tree: &Tree) -> Result<&mut Self, Error> {
        if let Some(text) = edit::put(&self.text, parts, tree)? {
            self.text = text;
        }
        Ok(self)
    }
}

/// The members of an object that are not objects themselves, with the ways to them. An empty object
/// is kept: it is made where there is none.
fn flatten<'t>(at: &mut Vec<String>, tree: &'t Tree, leaves: &mut Vec<(Vec<String>, &'t Tree)>) {
    match tree {
        Tree::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                at.push(name.clone());
                flatten(at, member, leaves);
                at.pop();
            }
        }
        tree => leaves.push((at.clone(), tree)),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
