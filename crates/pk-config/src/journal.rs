//! What a change of several files is about to do, on the disk before it does it, so that whoever
//! comes after a crash can take it back. Never decides whether to.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use pk_fs::folder::Folder;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::{Error, State, Strategy};

/// The version of the format that is written. Other versions are left alone.
const VERSION: u32 = 1;

/// The folder of all journals, in the state folder.
const FOLDER: &str = "txn";

/// A journal on the disk. It stays there until it is closed.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: Folder,
    name: OsString,
    pub(crate) page: Page,
}

/// What a journal says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Page {
    version: u32,
    pub(crate) state: Phase,
    pub(crate) tag: Option<String>,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// Files may be old or new.
    Prepared,
    /// All files are new.
    Committed,
    /// All files are old again; kept for its tag alone.
    RolledBack,
}

/// One file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    folder: Text,
    /// Device and inode of the folder, so that another one in its place is noticed.
    pub(crate) folder_identity: (u64, u64),
    name: Text,
    strategy: How,
    /// Hash of what the file held, and where that is kept; nothing where there was no file.
    pub(crate) old: Option<Old>,
    /// Hash of what it is to hold.
    pub(crate) new_sha256: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Old {
    pub(crate) sha256: String,
    copy: Text,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum How {
    Rename,
    InPlace,
}

/// A name that need not be UTF-8.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Text {
    Utf8(String),
    Bytes(Vec<u8>),
}

impl Journal {
    /// Opens the journal `name` with its entries, in phase [`Phase::Prepared`], on the disk.
    pub(crate) fn open(
        state: &State,
        name: &str,
        tag: Option<&str>,
        entries: Vec<Entry>,
    ) -> Result<Journal, Error> {
        let folder = state.folder(FOLDER)?;
        let page = Page {
            version: VERSION,
            state: Phase::Prepared,
            tag: tag.map(Into::into),
            entries,
        };
        let mut journal = Journal {
            folder,
            name: format!("{name}.json").into(),
            page,
        };
        journal.mark(Phase::Prepared)?;
        Ok(journal)
    }

    /// All journals that are there. What is no journal of this version is left alone.
    pub(crate) fn all(state: &State) -> Result<Vec<Journal>, Error> {
        let Some(folder) = state.existing(FOLDER)? else {
            return Ok(Vec::new());
        };
        let path = folder.path();
        let failed = |source| State::failed("read", path, source);
        let mut journals = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if !name.as_bytes().ends_with(b".json") {
                continue;
            }
            let Some(bytes) = State::read(&path.join(&name))? else {
                continue;
            };
            match serde_json::from_slice::<Page>(&bytes) {
                Ok(page) if page.version == VERSION => {
                    journals.push(Journal {
                        folder: state.folder(FOLDER)?,
                        name,
                        page,
                    });
                }
                Ok(page) => warn!(
                    ?name,
                    page.version, "a journal of another version is left alone"
                ),
                Err(error) => warn!(?name, %error, "a journal that can't be read is left alone"),
            }
        }
        Ok(journals)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    /// Changes its phase.
    pub(crate) fn mark(&mut self, state: Phase) -> Result<(), Error> {
        self.page.state = state;
        let bytes = serde_json::to_vec(&self.page).expect("strings and numbers are JSON");
        State::write(&self.folder, &self.name, &bytes)
    }

    /// Removes it, and then the copies that were kept for it alone, without which nobody could do what
    /// it says; all may be gone already.
    pub(crate) fn close(&self) -> Result<(), Error> {
        let path = self.path();
        remove(&path)?;
        let entries = self.page.entries.iter();
        let copies = entries.filter_map(|entry| Some(entry.old.as_ref()?.copy()));
        copies
            .filter(|copy| copy.parent() == path.parent())
            .try_for_each(|copy| remove(&copy))
    }
}

/// Keeps a copy of what a file held for the life of the journal `name`.
pub(crate) fn keep(
    state: &State,
    name: &str,
    count: usize,
    bytes: &[u8],
) -> Result<PathBuf, Error> {
    let folder = state.folder(FOLDER)?;
    let name = format!("{name}.{count}.old");
    State::write(&folder, OsStr::new(&name), bytes)?;
    Ok(folder.path().join(name))
}

/// Removes copies whose journal is gone, or was never opened.
pub(crate) fn sweep(state: &State) -> Result<(), Error> {
    let Some(folder) = state.existing(FOLDER)? else {
        return Ok(());
    };
    let path = folder.path();
    let Ok(entries) = fs::read_dir(path) else {
        return Ok(());
    };
    for name in entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name())
    {
        let copy = name
            .to_str()
            .and_then(|name| name.strip_suffix(".old")?.rsplit_once('.'));
        if let Some((journal, _)) = copy
            && !path.join(format!("{journal}.json")).exists()
        {
            remove(&path.join(&name))?;
        }
    }
    Ok(())
}

/// Removes a file of the journals' folder; one that is gone is fine.
fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(State::failed("remove", path, error))
        }
        _ => Ok(()),
    }
}

impl Entry {
    pub(crate) fn new(
        real: &Path,
        folder_identity: (u64, u64),
        strategy: Strategy,
        old: Option<Old>,
        new_sha256: String,
    ) -> Entry {
        let folder = Text::of(real.parent().unwrap_or(Path::new("/")).as_os_str());
        let name = Text::of(real.file_name().unwrap_or_default());
        let strategy = match strategy {
            Strategy::Rename => How::Rename,
            Strategy::InPlace => How::InPlace,
        };
        Entry {
            folder,
            folder_identity,
            name,
            strategy,
            old,
            new_sha256,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        Path::new(&self.folder.to_os()).join(self.name.to_os())
    }

    pub(crate) fn strategy(&self) -> Strategy {
        match self.strategy {
            How::Rename => Strategy::Rename,
            How::InPlace => Strategy::InPlace,
        }
    }
}

impl Old {
    pub(crate) fn new(sha256: String, copy: &Path) -> Old {
        Old {
            sha256,
            copy: Text::of(copy.as_os_str()),
        }
    }

    pub(crate) fn copy(&self) -> PathBuf {
        self.copy.to_os().into()
    }
}

impl Text {
    fn of(name: &OsStr) -> Text {
        match name.to_str() {
            Some(text) => Text::Utf8(text.into()),
            None => Text::Bytes(name.as_bytes().into()),
        }
    }

    fn to_os(&self) -> OsString {
        match self {
            Text::Utf8(text) => text.into(),
            Text::Bytes(bytes) => OsString::from_vec(bytes.clone()),
        }
    }
}
