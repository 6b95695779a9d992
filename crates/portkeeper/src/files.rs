//! Writing ports into people's files, all of them or none. Never parses one itself: pk-config does,
//! and keeps every byte that is not named.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use pk_config::dotenv::EnvFile;
use pk_config::{Create, Guards, InPlace, Keep, Rewrite, State, Transaction};
use pk_core::{Host, Port};
use pk_fs::replace::Target;

use crate::error::Error;
use crate::template::Template;

pub use pk_config::{Strategy, Written};

/// How files are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Whether what a file held is kept in the state folder.
    pub keep: Keep,
    /// Whether read-only files and dangerous keys are refused.
    pub guards: Guards,
    /// Whether a file may be overwritten where it is.
    pub in_place: InPlace,
}

/// Which files get a port, and where in them.
#[derive(Debug, Clone)]
pub(crate) struct Targets {
    pub(crate) env_path: PathBuf,
    pub(crate) env: Vec<EnvTarget>,
    pub(crate) json: Vec<JsonTarget>,
    pub(crate) options: WriteOptions,
}

/// A key of the `.env` file.
#[derive(Debug, Clone)]
pub(crate) struct EnvTarget {
    pub(crate) key: String,
    pub(crate) value: Template,
}

/// A value of a JSON file.
#[derive(Debug, Clone)]
pub(crate) struct JsonTarget {
    pub(crate) path: PathBuf,
    pub(crate) pointer: String,
}

impl Default for Targets {
    fn default() -> Targets {
        let options = WriteOptions::default();
        Targets {
            env_path: ".env".into(),
            env: Vec::new(),
            json: Vec::new(),
            options,
        }
    }
}

impl Targets {
    pub(crate) fn is_empty(&self) -> bool {
        self.env.is_empty() && self.json.is_empty()
    }

    /// Whether each of `count` ports has its place in each kind of file, or there is one for all.
    pub(crate) fn check(&self, count: usize) -> Result<(), Error> {
        for (places, what) in [(self.env.len(), "keys"), (self.json.len(), "pointers")] {
            if count != 1 && places != 0 && places != count {
                let why =
                    format!("{count} ports need {count} {what} to be written to, not {places}");
                return Err(Error::Request { why });
            }
        }
        // The second port would be written over the first.
        if count != 1 {
            let keys = self.env.iter().map(|it| (&*self.env_path, &it.key));
            let pointers = self.json.iter().map(|it| (&*it.path, &it.pointer));
            let mut places = HashSet::new();
            if let Some((path, place)) = keys.chain(pointers).find(|it| !places.insert(*it)) {
                let why = format!("{place} in {} can't have two ports", path.display());
                return Err(Error::Request { why });
            }
        }
        Ok(())
    }

    /// The port that the first key has already. A file that can't be read has none: when it is
    /// written, that is an error.
    pub(crate) fn present(&self) -> Option<Port> {
        let target = self.env.first().filter(|target| target.value.is_port())?;
        let file = EnvFile::parse(&read(&self.env_path).ok()?).ok()?;
        std::str::from_utf8(&file.get(&target.key)?)
            .ok()?
            .parse()
            .ok()
    }

    /// The changes that put `ports` in their places.
    pub(crate) fn transaction<'s>(
        &self,
        state: &'s State,
        ports: &[(Host, Port)],
    ) -> Transaction<'s> {
        let one = ports.len() == 1;
        let port = |at: usize| ports.get(if one { 0 } else { at }).copied();
        let mut transaction = Transaction::new(state);
        for (at, target) in self.env.iter().enumerate() {
            let Some((host, port)) = port(at) else {
                continue;
            };
            let rewrite =
                Rewrite::env(&self.env_path).set(&target.key, target.value.fill(host, port));
            transaction = transaction.add(self.options.apply(rewrite).create(Create::IfMissing));
        }
        for (at, target) in self.json.iter().enumerate() {
            let Some((_, port)) = port(at) else { continue };
            let rewrite = Rewrite::json(&target.path).set_port(&target.pointer, port.number());
            transaction = transaction.add(self.options.apply(rewrite).create(Create::IfMissing));
        }
        transaction
    }
}

/// The bytes of a file that may be edited: a regular one of at most 16 MiB.
///
/// # Errors
/// [`Error::Config`].
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let found = Target::resolve(path)
        .and_then(|target| target.read(pk_config::MAX_FILE_BYTES as u64))
        .map_err(pk_config::Error::from)?;
    match found {
        Some(original) => Ok(original.bytes().to_vec()),
        None => Err(pk_config::Error::Missing { path: path.into() }.into()),
    }
}

impl WriteOptions {
    /// The rewrite, done so.
    #[must_use]
    pub fn apply<E: pk_config::edit::Edits + 'static>(self, rewrite: Rewrite<E>) -> Rewrite<E> {
        rewrite
            .keep(self.keep)
            .guards(self.guards)
            .in_place(self.in_place)
    }
}

/// Which reservations a change of files belongs to, as the journal of that change keeps it: when the
/// change is taken back after a crash, they must go as well.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) registry: PathBuf,
    pub(crate) ids: Vec<String>,
}

impl Tag {
    /// The ids, each followed by a blank, then the registry's path. A path that is no text can't
    /// be kept; its reservations then end by their lease.
    pub(crate) fn write(&self) -> Option<String> {
        let ids: String = self.ids.iter().map(|id| format!("{id} ")).collect();
        Some(format!("{ids}{}", self.registry.to_str()?))
    }

    pub(crate) fn read(text: &str) -> Option<Tag> {
        let from = text.find('/')?;
        let (ids, registry) = text.split_at(from);
        let ids = ids.split_ascii_whitespace().map(str::to_owned).collect();
        Some(Tag {
            registry: Path::new(registry).into(),
            ids,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_read_back() {
        for ids in [
            vec![],
            vec!["a1".to_owned()],
            vec!["a1".to_owned(), "b2".to_owned()],
        ] {
            let tag = Tag {
                registry: "/home/ann x/r.json".into(),
                ids,
            };
            assert_eq!(Tag::read(&tag.write().unwrap()), Some(tag));
        }
        assert_eq!(Tag::read("something else"), None);
    }
}
