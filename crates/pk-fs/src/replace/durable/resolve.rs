//! Follows a path, link by link, to the file that it means. Never follows a link that somebody else
//! could have put there, and never opens that file.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::DurableError;
use crate::sys::accounts;

/// As many links as the kernel follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// The directory that a path ends in, held open, and the name there.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) real: PathBuf,
    pub(super) folder: OwnedFd,
    pub(super) name: OsString,
}

/// Walks `path` from directory to directory, each held open while it is looked at, so that nobody
/// can exchange one for a link in between.
pub(super) fn resolve(path: &Path) -> Result<Place, DurableError> {
    let mut walk = Walk::start(path)?;
    let mut rest: VecDeque<OsString> = parts(path).collect();
    let mut links = 0;
    while let Some(part) = rest.pop_front() {
        if part == ".." || part == "/" {
            walk.enter(&part)?;
            continue;
        }
        let stat = match rustix::fs::statat(&walk.folder, &part, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) if links > 0 => {
                return Err(DurableError::Dangling {
                    path: path.into(),
                    leads_to: walk.real.join(part),
                });
            }
            Err(Errno::NOENT) if rest.is_empty() => return Ok(walk.end(part)),
            Err(Errno::NOENT) => {
                return Err(DurableError::MissingFolder {
                    path: walk.real.join(part),
                });
            }
            Err(error) => return Err(walk.failed("examine", &part, error)),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink if links == MAX_LINKS => {
                return Err(DurableError::Loop { path: path.into() });
            }
            FileType::Symlink => {
                links += 1;
                walk.follow(&part, &stat)?;
                let target = rustix::fs::readlinkat(&walk.folder, &part, Vec::new())
                    .map_err(|error| walk.failed("read the link", &part, error))?;
                let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                for part in parts(&target).rev() {
                    rest.push_front(part);
                }
            }
            _ if rest.is_empty() => return Ok(walk.end(part)),
            _ => walk.enter(&part)?,
        }
    }
    // The path is `/`, or ends in `..`.
    Err(DurableError::NotRegular {
        path: path.into(),
        what: "a directory",
    })
}

/// The names in a path; `/` for a root, no `.`.
fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| part.as_os_str().into())
}

/// A walk down a path: where it is, and whether what it has seen can be trusted.
struct Walk {
    real: PathBuf,
    folder: OwnedFd,
    stat: Stat,
    me: u32,
    /// The first directory on the way in which somebody else may exchange what is in it.
    exposed: Option<PathBuf>,
    /// Whether only root could have arranged the way so far. Links there belong to the system's
    /// own layout, such as `/var/run`, and say nothing about the file.
    system: System,
    links: Links,
}

#[derive(PartialEq, Eq)]
enum System {
    Only,
    Left,
}

#[derive(PartialEq, Eq)]
enum Links {
    Unfollowed,
    Followed,
}

impl Walk {
    fn start(path: &Path) -> Result<Walk, DurableError> {
        let failed = |source: std::io::Error| DurableError::Io {
            action: "open the current directory for",
            path: path.into(),
            source,
        };
        let here = if path.is_absolute() {
            PathBuf::from("/")
        } else {
            std::env::current_dir().map_err(failed)?
        };
        let start = if path.is_absolute() {
            OsStr::new("/")
        } else {
            OsStr::new(".")
        };
        let folder = rustix::fs::openat(CWD, start, folder_flags(), Mode::empty())
            .map_err(|error| failed(error.into()))?;
        let stat = rustix::fs::fstat(&folder).map_err(|error| failed(error.into()))?;
        let me = geteuid().as_raw();
        let (system, links) = (System::Only, Links::Unfollowed);
        let mut walk = Walk {
            real: here,
            folder,
            stat,
            me,
            exposed: None,
            system,
            links,
        };
        walk.judge()?;
        Ok(walk)
    }

    fn enter(&mut self, part: &OsStr) -> Result<(), DurableError> {
        let opened = rustix::fs::openat(&self.folder, part, folder_flags(), Mode::empty())
            .and_then(|folder| Ok((rustix::fs::fstat(&folder)?, folder)));
        let (stat, folder) = opened.map_err(|error| self.failed("enter", part, error))?;
        (self.stat, self.folder) = (stat, folder);
        match part.as_bytes() {
            b".." => drop(self.real.pop()),
            _ => self.real.push(part),
        }
        self.judge()
    }

    /// Judges the directory that was just entered.
    fn judge(&mut self) -> Result<(), DurableError> {
        let mode = Mode::from_raw_mode(self.stat.st_mode);
        if self.stat.st_uid != 0 || mode.intersects(Mode::WGRP | Mode::WOTH) {
            self.system = System::Left;
        }
        if self.exposed.is_none() && !is_trusted(&self.stat, self.me) {
            self.exposed = Some(self.real.clone());
        }
        self.check()
    }

    fn follow(&mut self, part: &OsStr, link: &Stat) -> Result<(), DurableError> {
        if self.system == System::Only && link.st_uid == 0 {
            return Ok(());
        }
        self.links = Links::Followed;
        let is_sticky = Mode::from_raw_mode(self.stat.st_mode).contains(Mode::SVTX);
        if is_sticky && link.st_uid != self.me && link.st_uid != 0 {
            return Err(DurableError::Untrusted {
                path: self.real.join(part),
                what: "link",
            });
        }
        self.check()
    }

    fn check(&self) -> Result<(), DurableError> {
        match &self.exposed {
            Some(path) if self.links == Links::Followed => Err(DurableError::Untrusted {
                path: path.clone(),
                what: "folder",
            }),
            _ => Ok(()),
        }
    }

    fn end(self, name: OsString) -> Place {
        Place {
            real: self.real.join(&name),
            folder: self.folder,
            name,
        }
    }

    fn failed(&self, action: &'static str, part: &OsStr, error: Errno) -> DurableError {
        DurableError::Io {
            action,
            path: self.real.join(part),
            source: error.into(),
        }
    }
}

/// Whether nobody but me and root can exchange what is in a directory.
fn is_trusted(stat: &Stat, me: u32) -> bool {
    let mode = Mode::from_raw_mode(stat.st_mode);
    let is_shared = mode.contains(Mode::WOTH)
        || (mode.contains(Mode::WGRP) && !accounts::is_private_group(me, stat.st_gid));
    (stat.st_uid == me || stat.st_uid == 0) && (!is_shared || mode.contains(Mode::SVTX))
}

fn folder_flags() -> OFlags {
    OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}
