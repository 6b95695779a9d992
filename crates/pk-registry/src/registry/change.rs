//! One attempt at a change, under the locks: read, let somebody work on it, and write what has
//! changed. Never decides what is changed.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use pk_fs::failpoint;
use pk_fs::replace::{self, Onto};
use pk_fs::utc;
use tracing::debug;

use super::page::{Found, MOST_BYTES_OF_ONE, Page};
use super::shard::Shard;
use super::site::{Locks, Site};
use super::{Here, Updated, page};
use crate::error::Error;
use crate::format::{MOST_BYTES, Purpose};
use crate::generation::Memory;
use crate::liveness::Witness;
use crate::snapshot::{Sharing, Warning};
use crate::transaction::Transaction;

/// How many unreadable registries are kept.
const KEPT_ASIDE: usize = 5;

/// One attempt.
pub(super) struct Change<'c> {
    pub(super) site: &'c Site<'c>,
    pub(super) here: &'c Here,
    pub(super) locks: Locks<'c>,
}

impl Change<'_> {
    /// `None` when somebody interfered: start over.
    pub(super) fn make<T, E: From<Error>>(
        &self,
        work: &mut impl FnMut(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<Option<Updated<T>>, E> {
        failpoint!("registry.locked");
        failpoint!("registry.read", |error| return Err(Error::io(
            "read",
            self.site.registry.path().to_owned()
        )(error)
        .into()));
        let (pages, mut warnings) = self.pages()?;
        let (mut shards, more) = Shard::parse_all(self.site, &pages, self.here, Purpose::Write)?;
        warnings.extend(more);
        let memory = self.site.memory(|| Memory::of(self.locks.file_of_lock()));
        warnings.extend(self.go_on(memory, &mut shards[0], &pages));
        warnings.extend(self.site.warning()?);
        let own = &pages[shards[0].page];
        if own.is_empty() {
            let path = self.site.path_of(&own.name);
            warnings.push(Warning::Empty { path });
        }
        let witness = Witness::new(Some(self.site), &self.here.machine);
        let mut transaction = Transaction::new(shards, self.here, &witness, self.site.registry);
        failpoint!("registry.work");
        let value = work(&mut transaction)?;
        failpoint!("registry.worked");
        let (shards, spent) = transaction.finish();
        let own_is_written = shards[0].is_to_be_written();
        failpoint!("registry.commit", |error| return Err(Error::io(
            "replace",
            self.site.registry.path().to_owned()
        )(error)
        .into()));
        // This user's own last: when one of the others is lost all of this is done again, and what
        // was added must not be added twice.
        for shard in shards.iter().rev().filter(|it| it.is_to_be_written()) {
            match self.write(shard, &pages[shard.page]) {
                Ok(told) => warnings.extend(told),
                Err(Error::Replace(replace::Error::Lost { .. })) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        failpoint!("registry.committed");
        if own_is_written {
            memory.remember(self.locks.file_of_lock(), shards[0].document.generation);
        }
        for id in spent {
            failpoint!("registry.spend");
            if let Err(error) = witness.remove(&id) {
                debug!(id, %error, "a liveness file stays");
            }
        }
        Ok(Some(Updated { value, warnings }))
    }

    /// Fences go on from the last one, also where the file is new or an older copy. An older one is
    /// written whatever happens, so that it is said once.
    fn go_on(&self, memory: Memory, own: &mut Shard<'_>, pages: &[Page]) -> Option<Warning> {
        let generation = own.document.generation;
        own.document.generation = memory.newer_than(generation)?;
        if own.broken.is_some() || !pages[own.page].has_bytes() {
            return None;
        }
        own.changed = true;
        memory.is_ahead_of(generation, &self.site.path_of(&pages[own.page].name))
    }

    fn pages(&self) -> Result<(Vec<Page>, Vec<Warning>), Error> {
        let (site, me) = (self.site, self.here.uid);
        let Some(name) = site.file() else {
            return page::of_all_users(site, me);
        };
        let page = match self.locks.file {
            Some(file) => Page::of_file(site, name, file.file())?,
            None => Page::missing(name),
        };
        Ok((vec![page], Vec::new()))
    }

    fn write(&self, shard: &Shard<'_>, page: &Page) -> Result<Option<Warning>, Error> {
        let (bytes, path) = (shard.document.render(), self.site.path_of(&page.name));
        let most = match self.site.sharing {
            Sharing::Machine => MOST_BYTES_OF_ONE,
            _ => MOST_BYTES,
        };
        if bytes.len() as u64 > most {
            // Written, it would lock everybody out.
            return Err(Error::too_large(path, bytes.len() as u64, most));
        }
        match &shard.broken {
            None => self.commit(&bytes, shard, page).map(|()| None),
            Some(reason) => {
                let kept = self.begin_anew(&bytes, &page.name)?;
                let reason = reason.clone();
                Ok(Some(Warning::SetAside { path, reason, kept }))
            }
        }
    }

    fn commit(&self, bytes: &[u8], shard: &Shard<'_>, page: &Page) -> Result<(), Error> {
        let access = self.site.access();
        let is_another_users = page.of.is_some_and(|uid| uid != self.here.uid);
        let (onto, spare) = match (&page.found, self.site.sharing) {
            // Whoever wrote it last: in a group all may.
            (Found::File(_), Sharing::Group) => (Onto::Any(access), None),
            (Found::File(_), Sharing::Machine) if !is_another_users => (Onto::Any(access), None),
            (Found::File(stat), _) => (Onto::File(stat), None),
            (Found::Nothing, _) => (Onto::Nothing(access), None),
            (Found::Squatter, _) => (Onto::Nothing(access), spare_name(shard, page)),
        };
        let name = spare.as_deref().unwrap_or(&page.name);
        let is_current = || self.locks.is_current();
        Ok(replace::volatile(
            &self.site.folder,
            name,
            bytes,
            onto,
            is_current,
        )?)
    }

    /// Replaces a file that can't be read and keeps it under another name, which is returned.
    fn begin_anew(&self, bytes: &[u8], name: &OsStr) -> Result<PathBuf, Error> {
        let folder = &self.site.folder;
        let stamp = format!("{}-{}", utc::stamp(self.here.wall), std::process::id());
        let onto = Onto::Nothing(self.site.access());
        let mut kept = PathBuf::new();
        replace::volatile(folder, name, bytes, onto, || {
            if !self.locks.is_current()? {
                return Ok(false);
            }
            // The last moment: a full disk has been noticed by now, and left everything in place.
            kept = replace::set_aside(folder, name, "corrupt", &stamp, KEPT_ASIDE)?.into();
            Ok(true)
        })?;
        Ok(folder.path().join(kept))
    }
}

/// Where the usual name is not to be had: one that nobody could foresee, and be in the way of, too.
fn spare_name(shard: &Shard<'_>, page: &Page) -> Option<OsString> {
    let first = shard.document.entries.first()?.reservation().ok()?;
    let unforeseen: String = first.id.chars().take(8).collect();
    Some(format!("{}-{unforeseen}.json", page.of?).into())
}
