//! The numbers that names had, so that they get them again: a file in the state folder that outlives
//! reboots. Never decides what a name gets, and never stands in its way: what can't be read there
//! is nothing.

mod format;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use pk_core::Port;
use pk_fs::folder::{Folder, Trust};
use pk_fs::lock::{LockFile, Wait};
use pk_fs::replace::{DurableError, Target, durable};
use pk_fs::{folder, lock};
use tracing::debug;

/// Its name in the state folder.
const FILE: &str = "names.json";
/// The name of what writers lock.
const LOCK: &str = "names.lock";
/// The largest file, in bytes.
const MOST_BYTES: u64 = 8 << 20;
/// The most names. Of more, those that were asked for longest ago are forgotten.
pub const MOST: usize = 4096;
/// How old the day may be that is remembered with a name before the file is written for it alone.
const WEEK: u64 = 7;

/// The file of names in a state folder. Nothing is opened before it is read or changed.
#[derive(Debug, Clone)]
pub struct Names {
    folder: PathBuf,
}

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// The one that was asked for last is the last.
    places: Vec<Place>,
    /// It was written by a newer version, and is left alone.
    is_newer: bool,
}

/// A name and the number that it had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The folder of its project, as text.
    pub project: String,
    /// The name.
    pub name: String,
    /// The number.
    pub port: Port,
    /// The number that was asked for then.
    pub preferred: Option<Port>,
    /// When it was asked for, give or take a week: days since 1970.
    pub day: u64,
}

/// Why names could not be remembered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody else writes there and does not come to an end.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// The state folder can't be opened or made.
    #[error(transparent)]
    Folder(#[from] folder::Error),
    /// The file can't be read or replaced.
    #[error(transparent)]
    File(#[from] DurableError),
    /// Others may write in the state folder.
    #[error("the state folder {} is not yours alone", folder.display())]
    Shared {
        /// The folder.
        folder: PathBuf,
    },
}

impl Names {
    /// Those of a state folder.
    #[must_use]
    pub fn of_state(folder: impl Into<PathBuf>) -> Names {
        Names {
            folder: folder.into(),
        }
    }

    /// What is remembered; nothing where there is no such file, or one that makes no sense. Takes
    /// no lock: the file is replaced by rename.
    #[must_use]
    pub fn read(&self) -> Memory {
        let path = self.folder.join(FILE);
        let read = Target::resolve(&path).and_then(|target| target.read(MOST_BYTES));
        match read {
            Ok(Some(original)) => format::parse(original.bytes(), &path),
            Ok(None) => Memory::default(),
            Err(error) => {
                debug!(%error, "no names are remembered");
                Memory::default()
            }
        }
    }

    /// Remembers these, on the disk. Writes nothing where all is known.
    ///
    /// # Errors
    /// [`Error`]. What was remembered before still is.
    pub fn remember(&self, wait: Wait, places: &[Place]) -> Result<(), Error> {
        let has_news = |memory: &Memory| !memory.is_newer && !memory.knows_all(places);
        if !has_news(&self.read()) {
            return Ok(());
        }
        let folder = Folder::ensure(&self.folder)?;
        if folder.trust() != Trust::Private {
            let folder = self.folder.clone();
            return Err(Error::Shared { folder });
        }
        LockFile::sidecar_in(&folder, LOCK).exclusive(wait, |_| {
            let mut memory = self.read();
            if has_news(&memory) {
                memory.add(places);
                durable(&folder, FILE.as_ref(), &format::render(&memory))?;
            }
            Ok(())
        })?
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Memory {
    /// What is known about a name of a project.
    #[must_use]
    pub fn place(&self, project: &str, name: &str) -> Option<&Place> {
        let mut places = self.places.iter();
        places.rfind(|place| place.name == name && place.project == project)
    }

    /// All names of all projects.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    fn knows_all(&self, places: &[Place]) -> bool {
        let knows = |new: &Place| {
            self.place(&new.project, &new.name).is_some_and(|old| {
                (old.port, old.preferred) == (new.port, new.preferred)
                    && new.day.saturating_sub(old.day) < WEEK
            })
        };
        places.iter().all(knows)
    }

    fn add(&mut self, new: &[Place]) {
        let fresh: HashMap<_, _> = new
            .iter()
            .map(|place| ((&*place.project, &*place.name), place))
            .collect();
        self.places
            .retain(|old| !fresh.contains_key(&(&*old.project, &*old.name)));
        self.places.extend(fresh.values().copied().cloned());
        self.places
            .sort_by(|a, b| (a.day, &a.project, &a.name).cmp(&(b.day, &b.project, &b.name)));
        let too_many = self.places.len().saturating_sub(MOST);
        self.places.drain(..too_many);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    fn place(project: &str, name: &str, port: u16, day: u64) -> Place {
        Place {
            project: project.into(),
            name: name.into(),
            port: Port::new(port).unwrap(),
            preferred: None,
            day,
        }
    }

    const WAIT: Wait = Wait::UpTo(Duration::from_secs(10));

    #[test]
    fn numbers_are_remembered_until_they_change() {
        let temp = tempfile::tempdir().unwrap();
        let names = Names::of_state(temp.path().join("state"));
        assert_eq!(names.read(), Memory::default());
        assert!(!names.folder().exists(), "reading creates nothing");
        names
            .remember(
                WAIT,
                &[
                    place("/a", "web", 20_000, 100),
                    place("/b", "web", 20_001, 100),
                ],
            )
            .unwrap();
        let port = |project| {
            names
                .read()
                .place(project, "web")
                .map(|it| it.port.number())
        };
        assert_eq!(
            (port("/a"), port("/b"), port("/c")),
            (Some(20_000), Some(20_001), None)
        );
        names
            .remember(WAIT, &[place("/a", "web", 20_002, 101)])
            .unwrap();
        assert_eq!((port("/a"), port("/b")), (Some(20_002), Some(20_001)));
        assert_eq!(names.read().places().len(), 2);
    }

    #[test]
    fn what_is_known_is_not_written_again_before_a_week_is_over() {
        let temp = tempfile::tempdir().unwrap();
        let names = Names::of_state(temp.path().join("state"));
        let inode = || {
            use std::os::unix::fs::MetadataExt;
            fs::metadata(temp.path().join("state/names.json"))
                .unwrap()
                .ino()
        };
        names
            .remember(WAIT, &[place("/a", "web", 20_000, 100)])
            .unwrap();
        let first = inode();
        names
            .remember(WAIT, &[place("/a", "web", 20_000, 106)])
            .unwrap();
        assert_eq!(inode(), first);
        names
            .remember(WAIT, &[place("/a", "web", 20_000, 107)])
            .unwrap();
        assert_ne!(inode(), first);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut memory = Memory::default();
        let all: Vec<_> = (0..MOST)
            .map(|at| place("/a", &format!("n{at}"), 20_000, 100 + at as u64))
            .collect();
        memory.add(&all);
        memory.add(&[place("/b", "new", 20_000, 50_000)]);
        assert_eq!(memory.places().len(), MOST);
        assert!(memory.place("/a", "n0").is_none() && memory.place("/a", "n1").is_some());
        assert!(memory.place("/b", "new").is_some());
    }

    #[test]
    fn what_makes_no_sense_is_nothing_and_what_is_newer_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let names = Names::of_state(temp.path());
        let path = temp.path().join(FILE);
        let one = [place("/a", "web", 20_000, 100)];
        for broken in ["", "{", "[]", "\0\0\0", r#"{"schema":"x"}"#] {
            pk_write(&path, broken);
            assert_eq!(names.read(), Memory::default(), "{broken}");
            names.remember(WAIT, &one).unwrap();
            assert!(names.read().place("/a", "web").is_some(), "{broken}");
        }
        let newer = r#"{"schema":"portkeeper/names","version":2,"names":{}}"#;
        pk_write(&path, newer);
        names.remember(WAIT, &one).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), newer);
    }

    #[test]
    fn thirty_at_once_lose_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let names = Names::of_state(temp.path().join("state"));
        std::thread::scope(|scope| {
            for at in 0..30_u16 {
                let names = &names;
                scope.spawn(move || {
                    let place = place(&format!("/tree{at}"), "web", 20_000 + at, 1);
                    names.remember(WAIT, &[place]).unwrap();
                });
            }
        });
        assert_eq!(names.read().places().len(), 30);
    }

    #[allow(clippy::disallowed_methods, reason = "a file that somebody else broke")]
    fn pk_write(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
    }
}
