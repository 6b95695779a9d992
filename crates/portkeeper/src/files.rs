//! Writing ports into people's files. Never parses one itself: pk-config does, and keeps every byte
//! that is not named.

use std::path::PathBuf;
use std::time::SystemTime;

use pk_config::dotenv::EnvFile;
use pk_config::{Create, Rewrite, State, Transaction};
use pk_core::{Host, Port};
use pk_fs::lock::Wait;

use crate::error::Error;
use crate::places;
use crate::settings::Settings;

pub use pk_config::{Strategy, Written};

/// Which keys of a `.env` file get a port.
#[derive(Debug, Clone)]
pub(crate) struct EnvKeys {
    pub(crate) path: PathBuf,
    pub(crate) keys: Vec<String>,
}

impl Default for EnvKeys {
    fn default() -> EnvKeys {
        EnvKeys { path: ".env".into(), keys: Vec::new() }
    }
}

impl EnvKeys {
    /// Whether each of `count` ports has a key, or all keys have the one port.
    pub(crate) fn check(&self, count: usize) -> Result<(), Error> {
        let keys = self.keys.len();
        if count == 1 || keys == 0 || keys == count {
            return Ok(());
        }
        let why = format!("{count} ports need {count} keys to be written to, not {keys}");
        Err(Error::Request { why })
    }

    /// The port that the first key has already. A file that can't be read has none: when it is
    /// written, that is an error.
    pub(crate) fn present(&self) -> Option<Port> {
        let key = self.keys.first()?;
        let found = std::fs::metadata(&self.path).ok()?;
        // Opening a FIFO would wait for somebody to write into it.
        if !found.is_file() || found.len() > pk_config::MAX_FILE_BYTES as u64 {
            return None;
        }
        let file = EnvFile::parse(&std::fs::read(&self.path).ok()?).ok()?;
        std::str::from_utf8(&file.get(key)?).ok()?.parse().ok()
    }

    /// Writes the ports, and answers for each key.
    pub(crate) fn write(
        &self,
        settings: &Settings,
        wait: Wait,
        now: SystemTime,
        ports: &[(Host, Port)],
    ) -> Result<Vec<Written>, Error> {
        if self.keys.is_empty() {
            return Ok(Vec::new());
        }
        let state = State::at(places::state_dir(settings)?);
        Ok(self.transaction(&state, ports).wait(wait).commit(now)?)
    }

    /// What [`EnvKeys::write`] would change, as unified diffs.
    pub(crate) fn preview(
        &self,
        settings: &Settings,
        ports: &[(Host, Port)],
    ) -> Result<Vec<String>, Error> {
        if self.keys.is_empty() {
            return Ok(Vec::new());
        }
        let state = State::at(places::state_dir(settings)?);
        let previews = self.transaction(&state, ports).preview()?;
        Ok(previews.into_iter().map(|preview| preview.diff).collect())
    }

    fn transaction<'s>(&self, state: &'s State, ports: &[(Host, Port)]) -> Transaction<'s> {
        let one = ports.len() == 1;
        let of = |at: usize| ports.get(if one { 0 } else { at });
        self.keys.iter().enumerate().filter_map(|(at, key)| Some((key, of(at)?))).fold(
            Transaction::new(state),
            |transaction, (key, (_, port))| {
                let rewrite = Rewrite::env(&self.path).set(key, port.to_string());
                transaction.add(rewrite.create(Create::IfMissing))
            },
        )
    }
}
