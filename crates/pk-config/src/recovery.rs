//! Takes back the changes of processes that were killed half-way. Never guesses: a file that holds
//! neither what it did before nor what it was to hold is somebody's work and stays.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pk_fs::failpoint;
use pk_fs::lock::Wait;
use pk_fs::replace::{DurableError, Target};
use tracing::{debug, warn};

use crate::digest::Digest;
use crate::journal::{self, Entry, Journal, Old, Phase};
use crate::undo::{Holds, look, put_back};
use crate::{Error, State, Strategy, backup};

/// What was found and done about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The tags of the changes that were taken back. They are told again until
    /// [`acknowledge`] says that they were heard.
    pub rolled_back: Vec<String>,
    /// Files that somebody else has changed since, and that were left as they are.
    pub left: Vec<PathBuf>,
    /// Files that can't be put back, and are not written to before that is settled.
    pub stuck: Vec<Stuck>,
    /// The journals that keep the tags.
    pub(crate) told: Vec<PathBuf>,
}

/// A file whose interrupted change can't be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// The file.
    pub path: PathBuf,
    /// Where its old bytes were kept; none where there was no file.
    pub copy: Option<PathBuf>,
    /// The journal that tells of the change; removing it gives the file up as it is.
    pub journal: PathBuf,
}

/// A change of files that has begun and not come to its end: its process was killed, or is at it at
/// this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The journal that tells of it.
    pub journal: PathBuf,
    /// The files.
    pub files: Vec<PathBuf>,
}

/// What [`recover`] would look into. Takes no lock and changes nothing.
///
/// # Errors
/// Failures of the system.
pub fn pending(state: &State) -> Result<Vec<Pending>, Error> {
    let pending = |journal: Journal| Pending {
        journal: journal.path(),
        files: journal.page.entries.iter().map(Entry::path).collect(),
    };
    Ok(Journal::all(state)?.into_iter().map(pending).collect())
}

/// Takes back what killed processes began, and tells whose reservations (or whatever else the tags
/// mean) are void. To be called at the start of every command that writes files.
///
/// # Errors
/// [`Error::Lock`], and failures of the system.
pub fn recover(state: &State, wait: Wait, now: SystemTime) -> Result<Recovered, Error> {
    if Journal::all(state)?.is_empty() {
        return Ok(Recovered::default());
    }
    state.exclusively(wait, || {
        let mut recovered = roll_back(state, now)?;
        for journal in Journal::all(state)? {
            if journal.page.state == Phase::RolledBack {
                recovered.told.push(journal.path());
                recovered.rolled_back.extend(journal.page.tag);
            }
        }
        Ok(recovered)
    })?
}

/// Says that what the tags stand for is undone as well. Who is killed before this is told them again.
///
/// # Errors
/// As [`recover`].
pub fn acknowledge(state: &State, wait: Wait, recovered: &Recovered) -> Result<(), Error> {
    if recovered.told.is_empty() {
        return Ok(());
    }
    state.exclusively(wait, || {
        for journal in Journal::all(state)? {
            let is_told = recovered.told.contains(&journal.path());
            if is_told && journal.page.state == Phase::RolledBack {
                journal.close()?;
            }
        }
        Ok(())
    })?
}

/// Takes back everything but keeps the tags for [`recover`]. The caller holds the lock, so that
/// every journal is that of a dead process.
pub(crate) fn roll_back(state: &State, now: SystemTime) -> Result<Recovered, Error> {
    let mut recovered = Recovered::default();
    for journal in Journal::all(state)? {
        journal.page.entries.iter().for_each(sweep);
        match journal.page.state {
            Phase::RolledBack => {}
            Phase::Committed => journal.close()?,
            Phase::Prepared => settle(journal, state, now, &mut recovered)?,
        }
    }
    journal::sweep(state)?;
    Ok(recovered)
}

/// Finishes or takes back one change. Where a file can't be put back, the journal stays.
fn settle(
    mut journal: Journal,
    state: &State,
    now: SystemTime,
    recovered: &mut Recovered,
) -> Result<(), Error> {
    let found = journal.page.entries.iter().map(File::find);
    let files: Vec<Result<File<'_>, Error>> = found.collect();
    if files
        .iter()
        .flatten()
        .filter(|file| file.holds == Holds::New)
        .count()
        == files.len()
    {
        debug!(journal = %journal.path().display(), "all files are new: finished");
        return journal.close();
    }
    // Before the first is put back: rather none than some.
    let mut stuck: Vec<Stuck> = Vec::new();
    for (entry, file) in journal.page.entries.iter().zip(&files) {
        match file {
            Ok(file) if !file.is_stuck() => {}
            Ok(_) => stuck.push(Stuck::of(entry, &journal)),
            Err(error) => {
                warn!(path = %entry.path().display(), %error, "can't be put back");
                stuck.push(Stuck::of(entry, &journal));
            }
        }
    }
    if stuck.is_empty() {
        for file in files.iter().flatten() {
            match file.take_back(state, now) {
                Ok(left) => recovered.left.extend(left),
                Err(error) => {
                    warn!(path = %file.entry.path().display(), %error, "can't be put back");
                    stuck.push(Stuck::of(file.entry, &journal));
                }
            }
            failpoint!("config.taken-back");
        }
    }
    if !stuck.is_empty() {
        recovered.stuck.extend(stuck);
        return Ok(());
    }
    match journal.page.tag {
        Some(_) => journal.mark(Phase::RolledBack),
        None => journal.close(),
    }
}

/// Refuses to write to a file whose interrupted change could not be taken back.
pub(crate) fn check_settled(stuck: &[Stuck], real: &Path) -> Result<(), Error> {
    match stuck.iter().find(|stuck| stuck.path == real) {
        None => Ok(()),
        Some(stuck) => Err(Error::Unrecovered(stuck.clone())),
    }
}

impl Stuck {
    fn of(entry: &Entry, journal: &Journal) -> Stuck {
        let copy = entry.old.as_ref().map(Old::copy);
        Stuck {
            path: entry.path(),
            copy,
            journal: journal.path(),
        }
    }
}

/// A file that a journal names, as it is now.
struct File<'j> {
    entry: &'j Entry,
    /// Nothing where its folder is gone, or a link now.
    target: Option<Target>,
    holds: Holds,
    /// The old bytes, if they are what they were. Read once: were they asked for again, a disk that
    /// fails in between would look as if there had been no file.
    old: Option<Vec<u8>>,
}

impl File<'_> {
    fn find(entry: &Entry) -> Result<File<'_>, Error> {
        let gone = File {
            entry,
            target: None,
            holds: Holds::Neither,
            old: None,
        };
        let target = match Target::resolve(&entry.path()) {
            Ok(target) if target.real() == entry.path() => target,
            Err(DurableError::Io {
                action,
                path,
                source,
            }) => {
                return Err(DurableError::Io {
                    action,
                    path,
                    source,
                }
                .into());
            }
            Ok(_) | Err(_) => return Ok(gone),
        };
        let holds = match look(&target, entry.old_digest(), entry.new_digest()) {
            Err(Error::File(DurableError::NotRegular { .. })) => return Ok(gone),
            answer => answer?.1,
        };
        Ok(File {
            entry,
            target: Some(target),
            holds,
            old: entry.old_bytes(),
        })
    }

    /// Whether it has to be put back.
    fn is_changed(&self) -> bool {
        let Some(target) = &self.target else {
            return false;
        };
        // What holds neither is ours only if it is still the folder that it was.
        let is_torn = || {
            let folder = target.folder_identity().ok();
            self.entry.strategy() == Strategy::InPlace && folder == Some(self.entry.folder_identity)
        };
        self.holds == Holds::New || (self.holds == Holds::Neither && is_torn())
    }

    /// Whether it has to be put back, and the copy is not what it was.
    fn is_stuck(&self) -> bool {
        self.is_changed() && self.entry.old.is_some() && self.old.is_none()
    }

    /// Puts it back, or tells that it is left as it is.
    fn take_back(&self, state: &State, now: SystemTime) -> Result<Option<PathBuf>, Error> {
        let Some(target) = self.target.as_ref().filter(|_| self.is_changed()) else {
            let is_left = self.holds == Holds::Neither;
            return Ok(is_left.then(|| self.entry.path()));
        };
        let (current, holds) = look(target, self.entry.old_digest(), self.entry.new_digest())?;
        let Some(current) = current else {
            return Ok(Some(self.entry.path()));
        };
        if holds == Holds::Neither {
            // Half of each, or edited by hand: either way somebody may want to see it.
            backup::keep(state, target.real(), &current, now)?;
        }
        put_back(target, &current, self.old.as_deref(), self.entry.strategy())?;
        Ok(None)
    }
}

impl Entry {
    fn old_digest(&self) -> Option<Digest> {
        self.old.as_ref().and_then(|old| old.sha256.parse().ok())
    }

    fn old_bytes(&self) -> Option<Vec<u8>> {
        let bytes = State::read(&self.old.as_ref()?.copy()).ok()??;
        (Some(Digest::of(&bytes)) == self.old_digest()).then_some(bytes)
    }

    fn new_digest(&self) -> Digest {
        // A journal that was tampered with matches no file.
        self.new_sha256
            .parse()
            .unwrap_or(Digest::of(self.new_sha256.as_bytes()))
    }
}

/// Removes the stages of dead processes beside a file.
fn sweep(entry: &Entry) {
    let path = entry.path();
    let swept = Target::resolve(&path).map(|target| target.sweep());
    debug!(path = %path.display(), ?swept, "swept beside a file of an interrupted change");
}
