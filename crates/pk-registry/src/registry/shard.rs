//! The files that a registry consists of: one, or in a machine-wide one those of all users. Which
//! of them are what they claim to be, and what each says. Never writes.
//!
//! Where everybody may make files, a file is believed for its owner, not for its name. Of several
//! files of one user the one with the highest generation counts: an old one, which somebody has kept
//! by a hard link, is never that. So nobody can forge, alter or hide what another user has written,
//! whatever `fs.protected_hardlinks` says.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use pk_fs::folder::Folder;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use tracing::debug;

use super::{Here, Site};
use crate::error::Error;
use crate::format::{Document, MOST_BYTES, MOST_ENTRIES, Purpose, Unreadable};
use crate::reservation::Reservation;
use crate::snapshot::Warning;
use crate::transaction::QUOTA;

/// The largest file of one user in a machine-wide registry, in bytes: all others have to read it.
pub(super) const MOST_BYTES_OF_ONE: u64 = 1 << 20;

/// A file of a registry, as it was read.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) name: OsString,
    pub(super) found: Found,
    /// Whose entries it may have; `None`: anybody's.
    pub(super) of: Option<u32>,
    bytes: Vec<u8>,
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

/// What a file says.
#[derive(Debug)]
pub(crate) struct Shard<'t> {
    pub(crate) document: Document<'t>,
    pub(crate) rights: Rights,
    /// Whether this user has changed it.
    pub(crate) changed: bool,
    /// Why the file can't be read, if it can't: it is to be begun anew.
    pub(super) broken: Option<String>,
    /// Which page it is from.
    pub(super) page: usize,
    of: Option<u32>,
}

/// What this user may do with a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights {
    Write,
    Read,
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
    let usual = OsString::from(format!("{me}.json"));
    let (mut pages, mut warnings) = (Vec::new(), Vec::new());
    let mut own = Found::Nothing;
    for (uid, name) in names(site)? {
        match of_user(site, uid, &name) {
            Ok(Some(page)) => pages.push(page),
            Ok(None) if name == usual => own = Found::Squatter,
            Ok(None) => {}
            Err(error) if uid == me => return Err(error),
            Err(error) => warnings.push(Warning::Ignored {
                path: site.path_of(&name),
                reason: chain(&error),
            }),
        }
    }
    pages.sort_by_key(|page| page.of != Some(me));
    if pages.first().is_none_or(|page| page.of != Some(me)) {
        let of = Some(me);
        pages.insert(
            0,
            Page {
                of,
                ..Page::new(&usual, own)
            },
        );
    }
    Ok((pages, warnings))
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

/// The file, if it is one and that user's.
fn of_user(site: &Site<'_>, uid: u32, name: &OsStr) -> Result<Option<Page>, Error> {
    let path = site.path_of(name);
    let is_trusted = |stat: &Stat| what_instead(stat).is_none() && stat.st_uid == uid;
    let file = match open(&site.folder, name) {
        Ok(file) => file,
        Err(error) => {
            let there = rustix::fs::statat(&site.folder, name, AtFlags::SYMLINK_NOFOLLOW);
            return match there.is_ok_and(|stat| is_trusted(&stat)) {
                true => Err(Error::io("open", path)(error.into())),
                false => Ok(None),
            };
        }
    };
    let stat = stat_of(&file, &path)?;
    if !is_trusted(&stat) {
        debug!(path = %path.display(), owner = stat.st_uid, "no file of that user");
        return Ok(None);
    }
    Ok(Some(Page {
        of: Some(uid),
        bytes: slurp(&file, &stat, &path, MOST_BYTES_OF_ONE)?,
        ..Page::new(name, Found::File(Box::new(stat)))
    }))
}

impl<'t> Shard<'t> {
    /// One that is not there.
    pub(super) fn none() -> Shard<'static> {
        Shard {
            document: Document::default(),
            rights: Rights::Write,
            changed: false,
            broken: None,
            page: 0,
            of: None,
        }
    }

    /// Whether there is something to write.
    pub(super) fn is_to_be_written(&self) -> bool {
        self.changed || self.broken.is_some()
    }

    /// Whether the owner of the file may say so.
    pub(crate) fn believes(&self, reservation: &Reservation) -> bool {
        self.of.is_none_or(|uid| uid == reservation.uid)
    }

    /// What the pages say. The first page and the first shard are this user's own.
    pub(super) fn parse_all(
        site: &Site<'_>,
        pages: &'t [Page],
        here: &Here,
        purpose: Purpose,
    ) -> Result<(Vec<Shard<'t>>, Vec<Warning>), Error> {
        let mut warnings = Vec::new();
        let mut best: BTreeMap<Option<u32>, Shard<'t>> = BTreeMap::new();
        for (at, page) in pages.iter().enumerate() {
            let path = site.path_of(&page.name);
            let parsed = if page.of == pages[0].of {
                Shard::own(page, path, purpose)?
            } else {
                match Shard::of_another(page, here) {
                    Ok((shard, over)) => {
                        warnings.extend(over.map(|reason| Warning::Ignored { path, reason }));
                        shard
                    }
                    Err(reason) => {
                        warnings.push(Warning::Ignored { path, reason });
                        continue;
                    }
                }
            };
            let shard = Shard { page: at, ..parsed };
            match best.entry(page.of) {
                Place::Vacant(place) => _ = place.insert(shard),
                Place::Occupied(mut place) if shard.rank() > place.get().rank() => {
                    place.insert(shard);
                }
                Place::Occupied(_) => debug!(name = ?page.name, "an old file of that user"),
            }
        }
        let own = best.remove(&pages[0].of);
        Ok((
            own.into_iter().chain(best.into_values()).collect(),
            warnings,
        ))
    }

    fn rank(&self) -> (bool, u64) {
        (self.broken.is_none(), self.document.generation)
    }

    fn own(page: &'t Page, path: PathBuf, purpose: Purpose) -> Result<Shard<'t>, Error> {
        let none = Shard {
            of: page.of,
            ..Shard::none()
        };
        if page.bytes.is_empty() {
            return Ok(none);
        }
        match Document::parse(&page.bytes, purpose) {
            Ok(document) => Ok(Shard { document, ..none }),
            Err(Unreadable::Corrupt(reason)) => Ok(Shard {
                broken: Some(reason),
                ..none
            }),
            Err(Unreadable::Foreign(what)) => Err(Error::Foreign { path, what }),
            Err(Unreadable::TooMany) => Err(Error::TooLarge {
                path,
                what: too_many(),
            }),
        }
    }

    /// What another user says, and a word about what of it does not count. Only root may change it,
    /// and only where all of it is understood.
    fn of_another(page: &'t Page, here: &Here) -> Result<(Shard<'t>, Option<String>), String> {
        let parse = |purpose| Document::parse(&page.bytes, purpose);
        let none = Shard {
            of: page.of,
            rights: Rights::Read,
            ..Shard::none()
        };
        if page.bytes.is_empty() {
            return Ok((none, None));
        }
        let mut shard = match parse(Purpose::Write) {
            Ok(document) if here.uid == 0 => Shard {
                document,
                rights: Rights::Write,
                ..none
            },
            Ok(document) => Shard { document, ..none },
            Err(_) => match parse(Purpose::Read) {
                Ok(document) => Shard { document, ..none },
                Err(Unreadable::Corrupt(reason)) => return Err(reason),
                Err(Unreadable::Foreign(what)) => {
                    return Err(format!(
                        "written by a newer version or another program ({what})"
                    ));
                }
                Err(Unreadable::TooMany) => return Err(too_many()),
            },
        };
        let count = shard.document.entries.len();
        if count <= QUOTA {
            return Ok((shard, None));
        }
        shard.document.entries.truncate(QUOTA);
        shard.rights = Rights::Read;
        let over = format!("beyond its first {QUOTA} entries: it has {count}");
        Ok((shard, Some(over)))
    }
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
    let mut bytes = vec![0; length as usize];
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], done as u64) {
            Ok(0) => break,
            Ok(more) => done += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", path.to_owned())(error)),
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

fn too_many() -> String {
    format!("more than {MOST_ENTRIES} entries")
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
