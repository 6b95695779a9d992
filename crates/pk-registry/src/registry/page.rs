//! The files that a registry consists of: one, or in a machine-wide one those of all users. Never
//! looks at what they say, and never writes.
//!
//! Where everybody may make files, a file is believed for its owner, not for its name: nobody can
//! give another user a file.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use pk_fs::folder::Folder;
use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use tracing::debug;

use super::Site;
use crate::error::Error;
use crate::format::MOST_BYTES;
use crate::snapshot::Warning;

/// The largest file of one user in a machine-wide registry, in bytes: all others have to read it.
pub(super) const MOST_BYTES_OF_ONE: u64 = 1 << 20;

/// A file of a registry, as it was read.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) name: OsString,
    pub(super) found: Found,
    /// Whose entries it may have; `None`: anybody's.
    pub(super) of: Option<u32>,
    pub(super) bytes: Vec<u8>,
}

/// What was found under the name of a file.
#[derive(Debug)]
pub(super) enum Found {
    /// The file.
    File(Box<Stat>),
    /// Nothing.
    Nothing,
    /// Something of another user's, who may not be able to make it a registry, but can be in the
    /// way.
    Squatter,
}

impl Page {
    fn new(name: &OsStr, found: Found) -> Page {
        Page {
            name: name.into(),
            found,
            of: None,
            bytes: Vec::new(),
        }
    }

    /// The one file of a registry, by its name.
    pub(super) fn open(site: &Site<'_>, name: &OsStr) -> Result<Page, Error> {
        let path = site.path_of(name);
        match open(&site.folder, name) {
            Ok(file) => match what_instead(&stat_of(&file, &path)?) {
                None => Page::of_file(site, name, &file),
                Some(what) => Err(Error::not_safe(path, what)),
            },
            Err(Errno::NOENT) => Ok(Page::new(name, Found::Nothing)),
            Err(Errno::LOOP) => Err(Error::not_safe(path, "a symlink")),
            Err(Errno::NXIO) => Err(Error::not_safe(path, "a socket or a device")),
            Err(error) => Err(Error::io("open", path)(error.into())),
        }
    }

    /// The same, when it is open.
    pub(super) fn of_file(site: &Site<'_>, name: &OsStr, file: &File) -> Result<Page, Error> {
        let path = site.path_of(name);
        // Not what it was when it was opened: a person may have edited it while we waited.
        let stat = stat_of(file, &path)?;
        Ok(Page {
            bytes: slurp(file, &stat, &path, MOST_BYTES)?,
            ..Page::new(name, Found::File(Box::new(stat)))
        })
    }

    pub(super) fn missing(name: &OsStr) -> Page {
        Page::new(name, Found::Nothing)
    }

    /// Whether it says anything.
    pub(super) fn has_bytes(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// The bytes; `None` if there is no such file.
    pub(super) fn into_bytes(self) -> Option<Vec<u8>> {
        matches!(self.found, Found::File(_)).then_some(self.bytes)
    }

    /// It is there, and has no bytes.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.found, Found::File(_)) && self.bytes.is_empty()
    }
}

/// The files of all users, this user's own first, which need not be there.
pub(super) fn of_all_users(site: &Site<'_>, me: u32) -> Result<(Vec<Page>, Vec<Warning>), Error> {
    let usual = usual_name(me);
    let (mut pages, mut warnings) = (Vec::new(), Vec::new());
    let mut own = Found::Nothing;
    let mut of_users: BTreeMap<u32, Vec<(Stat, OsString)>> = BTreeMap::new();
    for (uid, name) in names(site)? {
        match rustix::fs::statat(&site.folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if is_file_of(&stat, uid) => {
                of_users.entry(uid).or_default().push((stat, name));
            }
            _ if name == usual => own = Found::Squatter,
            _ => debug!(?name, "no file of that user"),
        }
    }
    for (uid, mut files) in of_users {
        // The newest is never passed over, and all of a user's together are not larger than one may
        // be, or it would cost all others as much as that user likes.
        files.sort_by_key(|(stat, _)| Reverse((stat.st_mtime, stat.st_mtime_nsec)));
        let mut size = 0;
        for (stat, name) in files {
            size += stat.st_size;
            if size > MOST_BYTES_OF_ONE as i64 && size > stat.st_size {
                debug!(?name, "an old file of that user, and one too many");
                break;
            }
            match of_user(site, uid, &name) {
                Ok(page) => pages.extend(page),
                Err(error) if uid == me => return Err(error),
                Err(error) => warnings.push(Warning::Ignored {
                    path: site.path_of(&name),
                    reason: chain(&error),
                }),
            }
        }
    }
    pages.sort_by_key(|page| page.of != Some(me));
    if pages.first().is_none_or(|page| page.of != Some(me)) {
        let none = Page::new(&usual, own);
        let of = Some(me);
        pages.insert(0, Page { of, ..none });
    }
    Ok((pages, warnings))
}

/// What a user's file is called if nobody is in the way.
pub(super) fn usual_name(uid: u32) -> OsString {
    format!("{uid}.json").into()
}

/// What looks like a user's file by its name: `1000.json`, `1000-k3v9.json`; sorted.
pub(super) fn names(site: &Site<'_>) -> Result<Vec<(u32, OsString)>, Error> {
    let failed = || Error::io("list", site.folder.path().to_owned());
    let mut names = Vec::new();
    let listed = rustix::fs::Dir::read_from(&site.folder);
    for entry in listed.map_err(|error| failed()(error.into()))? {
        let entry = entry.map_err(|error| failed()(error.into()))?;
        let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
        if let Some(uid) = name.to_str().and_then(uid_in) {
            names.push((uid, name));
        }
    }
    names.sort();
    Ok(names)
}

fn uid_in(name: &str) -> Option<u32> {
    let stem = name.strip_suffix(".json")?;
    let digits = stem.split_once('-').map_or(stem, |(uid, _)| uid);
    let uid: u32 = digits.parse().ok()?;
    (uid.to_string() == digits).then_some(uid)
}

/// The file, if it is still one and that user's.
fn of_user(site: &Site<'_>, uid: u32, name: &OsStr) -> Result<Option<Page>, Error> {
    let path = site.path_of(name);
    let file = match open(&site.folder, name) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error.into())),
    };
    let stat = stat_of(&file, &path)?;
    if !is_file_of(&stat, uid) {
        return Ok(None);
    }
    Ok(Some(Page {
        of: Some(uid),
        bytes: slurp(&file, &stat, &path, MOST_BYTES_OF_ONE)?,
        ..Page::new(name, Found::File(Box::new(stat)))
    }))
}

fn is_file_of(stat: &Stat, uid: u32) -> bool {
    what_instead(stat).is_none() && stat.st_uid == uid
}

fn open(folder: &Folder, name: &OsStr) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::openat(folder, name, flags, Mode::empty()).map(File::from)
}

fn stat_of(file: &File, path: &Path) -> Result<Stat, Error> {
    rustix::fs::fstat(file).map_err(|error| Error::io("examine", path.to_owned())(error.into()))
}

/// What it is if it is no regular file.
fn what_instead(stat: &Stat) -> Option<&'static str> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => None,
        FileType::Directory => Some("a directory"),
        FileType::Fifo => Some("a FIFO"),
        _ => Some("not a regular file"),
    }
}

/// Reads a whole file that is never changed in place, in one call.
fn slurp(file: &File, stat: &Stat, path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let length = u64::try_from(stat.st_size).unwrap_or(0);
    if length > most {
        return Err(Error::too_large(path.to_owned(), length, most));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    while bytes.len() < length as usize {
        let at = bytes.len() as u64;
        match rustix::io::pread(file, spare_capacity(&mut bytes), at) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Error::io("read", path.to_owned())(error.into())),
        }
    }
    Ok(bytes)
}

/// An error and what caused it, in one line.
fn chain(error: &Error) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::uid_in;

    #[test]
    fn a_name_says_whose_file_it_is() {
        let check = |name, expect| assert_eq!(uid_in(name), expect, "{name}");
        check("1000.json", Some(1000));
        check("0.json", Some(0));
        check("1000-k3v9.json", Some(1000));
        check("1000-.json", Some(1000));
        check("01000.json", None);
        check("+1000.json", None);
        check("-1.json", None);
        check("4294967296.json", None);
        check("1000.json.tmp-7-0", None);
        check("1000x.json", None);
        check("lock", None);
    }
}
