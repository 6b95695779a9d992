//! What to change in a file, whatever its format. Never touches files: bytes in, bytes out.

use std::fmt::Debug;

use crate::{dotenv, json, toml};

/// Why the bytes of a file can't be edited as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A `.env` file.
    #[error(transparent)]
    Env(#[from] dotenv::Error),
    /// A JSON file.
    #[error(transparent)]
    Json(#[from] json::Error),
    /// A TOML file.
    #[error(transparent)]
    Toml(#[from] toml::Error),
    /// A variable that changes which programs run, or what code they load.
    #[error("{key} changes which programs run")]
    Dangerous {
        /// The variable.
        key: String,
    },
}

/// The outcome of edits.
#[derive(Debug)]
pub struct Edited {
    /// The new bytes.
    pub bytes: Vec<u8>,
    /// The keys or pointers that were named, in the order of the request.
    pub keys: Vec<String>,
    /// How many further assignments of the same keys there are, all of them changed.
    pub duplicates: usize,
    /// What some readers will stumble over.
    pub warnings: Vec<dotenv::Warning>,
}

/// Whether the guards that `--force` overrides hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Guards {
    /// Read-only files and dangerous keys are refused.
    #[default]
    Up,
    /// They are changed like any other.
    Down,
}

/// Edits of one file, in one format. The formats of this crate are [`Env`], [`Json`],
/// [`Toml`] and [`Content`]; there are no others.
pub trait Edits: Debug + sealed::Sealed {
    /// Does the edits. A file that does not exist is empty.
    ///
    /// # Errors
    /// What the format says.
    fn apply(&self, before: &[u8], guards: Guards) -> Result<Edited, Error>;
}

/// Edits of a `.env` file.
#[derive(Debug, Clone, Default)]
pub struct Env(pub(crate) Vec<EnvEdit>);

#[derive(Clone)]
pub(crate) enum EnvEdit {
    Set { key: String, value: String },
    Unset { key: String },
}

/// Edits of a JSON file.
#[derive(Debug, Clone, Default)]
pub struct Json(pub(crate) Vec<JsonEdit>);

#[derive(Clone)]
pub(crate) enum JsonEdit {
    Set { pointer: String, value: json::Value },
    SetPort { pointer: String, port: u16 },
    Merge { value: json::Value },
}

/// Edits of a TOML file.
#[derive(Debug, Clone, Default)]
pub struct Toml(pub(crate) Vec<TomlEdit>);

#[derive(Clone)]
pub(crate) enum TomlEdit {
    Set { pointer: String, value: String },
    SetPort { pointer: String, port: u16 },
}

/// The whole content of a file, of any format: what a restored backup is.
#[derive(Clone)]
pub struct Content(pub(crate) Vec<u8>);

impl Edits for Env {
    fn apply(&self, before: &[u8], guards: Guards) -> Result<Edited, Error> {
        let mut file = dotenv::EnvFile::parse(before)?;
        let mut keys: Vec<String> = Vec::new();
        for edit in &self.0 {
            let key = match edit {
                EnvEdit::Set { key, .. } if guards == Guards::Up && is_dangerous(key) => {
                    return Err(Error::Dangerous { key: key.clone() });
                }
                EnvEdit::Set { key, value } => file.set(key, value).map(|_| key)?,
                EnvEdit::Unset { key } => file.unset(key).map(|_| key)?,
            };
            keys.push(key.clone());
        }
        let further = |key: &String| file.occurrences(key).saturating_sub(1);
        let duplicates = keys.iter().map(further).sum();
        let mut warnings: Vec<_> = keys.iter().flat_map(|key| file.warnings(key)).collect();
        warnings.sort();
        warnings.dedup();
        Ok(Edited {
            bytes: file.to_bytes(),
            keys,
            duplicates,
            warnings,
        })
    }
}

impl Edits for Json {
    fn apply(&self, before: &[u8], _guards: Guards) -> Result<Edited, Error> {
        let mut file = json::JsonFile::parse(before)?;
        let mut keys = Vec::new();
        for edit in &self.0 {
            match edit {
                JsonEdit::Set { pointer, value } => {
                    file.set(pointer, value.clone())?;
                    keys.push(pointer.clone());
                }
                JsonEdit::SetPort { pointer, port } => {
                    file.set_port(pointer, *port)?;
                    keys.push(pointer.clone());
                }
                JsonEdit::Merge { value } => keys.extend(file.merge(value.clone())?),
            }
        }
        Ok(Edited {
            bytes: file.to_bytes(),
            keys,
            duplicates: 0,
            warnings: Vec::new(),
        })
    }
}

impl Edits for Toml {
    fn apply(&self, before: &[u8], _guards: Guards) -> Result<Edited, Error> {
        let mut file = toml::TomlFile::parse(before)?;
        let mut keys = Vec::new();
        for edit in &self.0 {
            match edit {
                TomlEdit::Set { pointer, value } => {
                    file.set(pointer, value)?;
                    keys.push(pointer.clone());
                }
                TomlEdit::SetPort { pointer, port } => {
                    file.set_port(pointer, *port)?;
                    keys.push(pointer.clone());
                }
            }
        }
        Ok(Edited {
            bytes: file.to_bytes(),
            keys,
            duplicates: 0,
            warnings: Vec::new(),
        })
    }
}

impl Edits for Box<dyn Edits> {
    fn apply(&self, before: &[u8], guards: Guards) -> Result<Edited, Error> {
        self.as_ref().apply(before, guards)
    }
}

impl Edits for Content {
    fn apply(&self, _before: &[u8], _guards: Guards) -> Result<Edited, Error> {
        let bytes = self.0.clone();
        Ok(Edited {
            bytes,
            keys: Vec::new(),
            duplicates: 0,
            warnings: Vec::new(),
        })
    }
}

/// Whether it is a variable by which whoever loads it would run code, or other code than before.
#[must_use]
pub fn is_dangerous(key: &str) -> bool {
    const KEYS: &[&str] = &[
        "BASHOPTS",
        "BASH_ENV",
        "CDPATH",
        "ENV",
        "GIT_EXTERNAL_DIFF",
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GLOBIGNORE",
        "HOME",
        "IFS",
        "JAVA_TOOL_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "NODE_OPTIONS",
        "NODE_PATH",
        "PATH",
        "PERL5DB",
        "PERL5LIB",
        "PERL5OPT",
        "PROMPT_COMMAND",
        "PS4",
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "RUBYLIB",
        "RUBYOPT",
        "SHELL",
        "SHELLOPTS",
        "_JAVA_OPTIONS",
    ];
    let is_loader = key.starts_with("LD_") || key.starts_with("DYLD_");
    is_loader || KEYS.contains(&key)
}

// Values may be secrets: what is printed names the places only.

impl Debug for EnvEdit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            EnvEdit::Set { key, .. } => write!(f, "set {key}"),
            EnvEdit::Unset { key } => write!(f, "unset {key}"),
        }
    }
}

impl Debug for JsonEdit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            JsonEdit::Set { pointer, .. } => write!(f, "set {pointer}"),
            JsonEdit::SetPort { pointer, port } => write!(f, "set {pointer} to port {port}"),
            JsonEdit::Merge { .. } => write!(f, "merge"),
        }
    }
}

impl Debug for TomlEdit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TomlEdit::Set { pointer, .. } => write!(f, "set {pointer}"),
            TomlEdit::SetPort { pointer, port } => write!(f, "set {pointer} to port {port}"),
        }
    }
}

impl Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

pub(crate) mod sealed {
    /// Keeps other crates from adding formats.
    pub trait Sealed {}
    impl Sealed for super::Env {}
    impl Sealed for super::Json {}
    impl Sealed for super::Toml {}
    impl Sealed for super::Content {}
    impl Sealed for Box<dyn super::Edits> {}
}
