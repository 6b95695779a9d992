//! What the environment may say, from name and value pairs that a face passes in. Pure: nothing here
//! reads the environment or a file.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use pk_core::{Host, PortRange};

use crate::error::Error;
use crate::ttl::{self, Ttl};

/// What is set beforehand for every call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The registry file; where there is none, the machine-wide registry if there is one, else
    /// `registry.json` in the state folder.
    pub registry: Option<PathBuf>,
    /// The folder of the machine-wide registry; where nothing is said,
    /// [`MACHINE_WIDE`](crate::places::MACHINE_WIDE).
    pub machine_dir: Option<PathBuf>,
    /// The state folder; where there is none, `portkeeper` in the XDG state folder.
    pub state_dir: Option<PathBuf>,
    /// The host of a request that names none.
    pub host: Option<Host>,
    /// The range of a request that names none.
    pub range: Option<PortRange>,
    /// The lease of a request that names none.
    pub ttl: Option<Ttl>,
    /// How long to wait for a lock that somebody else holds; 10 seconds where nothing is said.
    pub lock_timeout: Option<Duration>,
}

impl Settings {
    /// The variables that are looked at, each with what it sets.
    pub const VARIABLES: [(&'static str, &'static str); 7] = [
        ("PORTKEEPER_REGISTRY", "the registry file"),
        (
            "PORTKEEPER_STATE_DIR",
            "the folder for the registry, backups and locks",
        ),
        (
            "PORTKEEPER_MACHINE_DIR",
            "the folder of the machine-wide registry",
        ),
        ("PORTKEEPER_HOST", "the host to reserve for"),
        ("PORTKEEPER_RANGE", "where to look for a port, START-END"),
        (
            "PORTKEEPER_TTL",
            "how long a reservation lasts, such as 24h or never",
        ),
        (
            "PORTKEEPER_LOCK_TIMEOUT",
            "how long to wait for the registry's lock, such as 10s",
        ),
    ];

    /// Takes what concerns PortKeeper from name and value pairs. An empty value counts as unset.
    ///
    /// # Errors
    /// [`Error::Variable`], which names the variable.
    pub fn from_pairs(
        pairs: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Settings, Error> {
        let (settings, refused) = Settings::lenient(pairs);
        match refused.into_iter().next() {
            None => Ok(settings),
            Some(error) => Err(error),
        }
    }

    /// The same, without those that mean nothing: they are told beside.
    pub fn lenient(
        pairs: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> (Settings, Vec<Error>) {
        let (mut settings, mut refused) = (Settings::default(), Vec::new());
        for (name, value) in pairs {
            if !value.is_empty() {
                refused.extend(settings.take(&name, &value).err());
            }
        }
        (settings, refused)
    }

    fn take(&mut self, name: &OsStr, value: &OsStr) -> Result<(), Error> {
        match name.to_str() {
            Some("PORTKEEPER_REGISTRY") => self.registry = Some(value.into()),
            Some("PORTKEEPER_MACHINE_DIR") => self.machine_dir = Some(value.into()),
            Some("PORTKEEPER_STATE_DIR") => self.state_dir = Some(value.into()),
            Some("PORTKEEPER_HOST") => self.host = Some(read(name, value)?),
            Some("PORTKEEPER_RANGE") => self.range = Some(read(name, value)?),
            Some("PORTKEEPER_TTL") => self.ttl = Some(read(name, value)?),
            Some("PORTKEEPER_LOCK_TIMEOUT") => {
                let text = value.to_str().ok_or_else(|| refuse(name, &NOT_TEXT))?;
                let time = ttl::duration(text).map_err(|error| refuse(name, &error))?;
                self.lock_timeout = Some(time);
            }
            _ => {}
        }
        Ok(())
    }
}

const NOT_TEXT: &str = "not UTF-8";

fn read<T: FromStr<Err: std::fmt::Display>>(name: &OsStr, value: &OsStr) -> Result<T, Error> {
    let text = value.to_str().ok_or_else(|| refuse(name, &NOT_TEXT))?;
    text.parse().map_err(|error| refuse(name, &error))
}

fn refuse(name: &OsStr, why: &dyn std::fmt::Display) -> Error {
    Error::Variable {
        name: name.to_string_lossy().into_owned(),
        why: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Result<Settings, Error> {
        Settings::from_pairs(
            pairs
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        )
    }

    #[test]
    fn variables_are_read_and_empty_ones_are_not_there() {
        let read = settings(&[
            ("PORTKEEPER_REGISTRY", ""),
            ("PORTKEEPER_STATE_DIR", "/s"),
            ("PORTKEEPER_MACHINE_DIR", "/m"),
            ("PORTKEEPER_HOST", "localhost"),
            ("PORTKEEPER_RANGE", "8000-8100"),
            ("PORTKEEPER_TTL", "never"),
            ("PORTKEEPER_LOCK_TIMEOUT", "2s"),
            ("PATH", "/bin"),
        ])
        .unwrap();
        let expect = Settings {
            registry: None,
            machine_dir: Some("/m".into()),
            state_dir: Some("/s".into()),
            host: Some(Host::Localhost),
            range: "8000-8100".parse().ok(),
            ttl: Some(Ttl::Never),
            lock_timeout: Some(Duration::from_secs(2)),
        };
        assert_eq!(read, expect);
    }

    #[test]
    fn a_bad_value_is_named() {
        for (name, value) in [
            ("PORTKEEPER_HOST", "example.org"),
            ("PORTKEEPER_RANGE", "9-1"),
            ("PORTKEEPER_TTL", "soon"),
            ("PORTKEEPER_LOCK_TIMEOUT", "never"),
        ] {
            let error = settings(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }
}
