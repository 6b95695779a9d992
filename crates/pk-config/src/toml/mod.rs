//! A TOML file that is changed by splicing: every byte that an edit does not name stays as it is.
//! Never re-writes a document.

mod edit;

pub use crate::document::Error as SyntaxError;
use crate::document::{Form, Node};

/// Why a TOML file can't be edited as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is no TOML.
    #[error("not TOML: {} at {}", .0.what, .0.at)]
    Syntax(SyntaxError),
    /// A pointer is malformed.
    #[error("not a pointer: {pointer} ({what})")]
    Pointer {
        /// The pointer.
        pointer: String,
        /// Why not.
        what: &'static str,
    },
    /// The pointer leads through, or to, something of another type.
    #[error("{pointer} is {is}, not {wanted}")]
    Type {
        /// As far as it leads.
        pointer: String,
        /// What is there.
        is: &'static str,
        /// What would have to be there.
        wanted: &'static str,
    },
    /// The pointer leads to an element that an array does not have.
    #[error("there is no {pointer}")]
    Missing {
        /// As far as it leads.
        pointer: String,
    },
    /// The edit would have changed more than was asked for. The file is left as it is.
    #[error("{pointer} can't be set without changing more than that")]
    Unsound {
        /// The pointer.
        pointer: String,
    },
}

impl Error {
    /// Whether the request was wrong, and not the file.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Error::Pointer { .. })
    }
}

/// The bytes of a TOML file.
///
/// ```
/// use pk_config::toml::TomlFile;
/// let mut file = TomlFile::parse(b"[server]  # ours\nport = 80 # web\n")?;
/// file.set_port("/server/port", 8080)?.set("/server/host", "::1")?;
/// let expect = b"[server]  # ours\nport = 8080 # web\nhost = \"::1\"\n";
/// assert_eq!(file.to_bytes(), expect);
/// # Ok::<(), pk_config::toml::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TomlFile {
    text: String,
}

impl TomlFile {
    /// # Errors
    /// [`Error::Syntax`].
    pub fn parse(bytes: &[u8]) -> Result<TomlFile, Error> {
        Node::parse(bytes, Form::Toml).map_err(Error::Syntax)?;
        Ok(TomlFile {
            text: String::from_utf8_lossy(bytes).into_owned(),
        })
    }

    /// Puts a text at a pointer (RFC 6901). Tables on the way are made.
    ///
    /// # Errors
    /// [`Error`]; nothing is changed then.
    pub fn set(&mut self, pointer: &str, value: &str) -> Result<&mut TomlFile, Error> {
        self.text = edit::put(&self.text, pointer, &edit::New::Text(value.into()))?;
        Ok(self)
    }

    /// Puts a port number there, as a text where a text of digits is there.
    ///
    /// # Errors
    /// As [`TomlFile::set`].
    pub fn set_port(&mut self, pointer: &str, port: u16) -> Result<&mut TomlFile, Error> {
        self.text = edit::put(&self.text, pointer, &edit::New::Port(port))?;
        Ok(self)
    }

    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.text.clone().into_bytes()
    }
}
