//! What files held before they were changed. Never a re-written version: the original bytes,
//! readable for their owner only, in the state folder, where no `git add` finds them.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pk_fs::replace::{DurableError, Original, Target};
use pk_fs::utc;
use tracing::debug;

use crate::diff;
use crate::digest::Digest;
use crate::{Create, Error, MAX_FILE_BYTES, Rewrite, State, Transaction, Written};

/// One state of a file that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The file that it is a state of.
    pub of: PathBuf,
    /// When it was kept (UTC) and the beginning of its hash:
    /// `20260102T030405.123456789Z.0a1b2c3d`. Sorts by time.
    pub id: String,
    /// Where the bytes are.
    pub path: PathBuf,
    /// How many there are.
    pub bytes: u64,
}

impl Backup {
    /// When the next one of its file is made: now, but behind this one where somebody has set the
    /// clock back.
    fn next(&self, now: SystemTime) -> SystemTime {
        let stamp = self.id.get(..utc::STAMP_LENGTH);
        let made = stamp.and_then(utc::parse_stamp).unwrap_or(now);
        now.max(made + Duration::from_nanos(1))
    }
}

/// The backups of one file, or of all files, the newest last.
///
/// # Errors
/// [`Error::File`] where `file` can't be resolved, [`Error::StateFile`] where the folder of backups
/// can't be read.
pub fn list(state: &State, file: Option<&Path>) -> Result<Vec<Backup>, Error> {
    match file {
        Some(file) => kept(&shelf(state, &real(file)?)),
        None => {
            let mut all = Vec::new();
            for shelf in shelves(state)? {
                all.extend(kept(&shelf)?);
            }
            all.sort_by(|one, other| one.id.cmp(&other.id));
            Ok(all)
        }
    }
}

/// Gives a file the bytes that it had: those of the backup whose id begins with `at`, else those of
/// the newest backup that is not what the file holds anyway. What it holds now is kept as a backup,
/// so that restoring can be undone by restoring again.
///
/// A file that is gone is made again, for its owner only.
///
/// # Errors
/// [`Error::NoBackup`], [`Error::AmbiguousBackup`], and those of a [`Transaction`].
pub fn restore(
    state: &State,
    file: &Path,
    at: Option<&str>,
    now: SystemTime,
) -> Result<Written, Error> {
    let backup = choose(state, file, at)?;
    let rewrite = Rewrite::content(file, read(&backup)?).create(Create::Private);
    let mut written = Transaction::new(state).add(rewrite).commit(now)?;
    Ok(written
        .pop()
        .expect("a transaction answers each of its rewrites"))
}

/// What [`restore`] would change, as a unified diff; empty where that is nothing.
///
/// # Errors
/// As [`restore`].
pub fn diff_with(state: &State, file: &Path, at: Option<&str>) -> Result<String, Error> {
    let backup = choose(state, file, at)?;
    let now = Target::resolve(file)?.read(MAX_FILE_BYTES as u64)?;
    let now = now.as_ref().map(Original::bytes);
    Ok(diff::unified(file, now, &read(&backup)?))
}

/// Keeps what a file held, and returns where. What the newest backup holds is not kept twice.
pub(crate) fn keep(
    state: &State,
    real: &Path,
    original: &Original,
    now: SystemTime,
) -> Result<PathBuf, Error> {
    let folder = state.folder(Path::new(BACKUPS).join(shelf_name(real)))?;
    let shelf = folder.path();
    if !shelf.join(OWNER).exists() {
        State::write(&folder, OsStr::new(OWNER), real.as_os_str().as_bytes())?;
    }
    let digest = Digest::of(original.bytes());
    let newest = kept(shelf)?.pop();
    if let Some(newest) = &newest
        && newest.id.ends_with(&digest.short(HASH_DIGITS))
        && read(newest)? == original.bytes()
    {
        return Ok(newest.path.clone());
    }
    let mut name = real
        .file_name()
        .unwrap_or_default()
        .to_os_string()
        .into_vec();
    // The name of a file may be as long as a name can be.
    name.truncate(MAX_NAME);
    let mut name = OsString::from_vec(name);
    name.push(format!(
        ".{}.{}",
        utc::stamp(newest.map_or(now, |newest| newest.next(now))),
        digest.short(HASH_DIGITS)
    ));
    State::write(&folder, &name, original.bytes())?;
    let path = shelf.join(name);
    let failed = |source| State::failed("verify the backup", &path, source);
    if State::read(&path)?.as_deref() != Some(original.bytes()) {
        return Err(failed(io::Error::other(
            "the bytes that were written do not read back",
        )));
    }
    if original.mode() & 0o600 != 0o600 {
        let stricter = Permissions::from_mode(original.mode() & 0o600);
        fs::set_permissions(&path, stricter).map_err(failed)?;
    }
    Ok(path)
}

/// Removes what is too old or too much, but never `fresh`. Failures are left to the next time.
pub(crate) fn rotate(state: &State, fresh: &[PathBuf], now: SystemTime) {
    let Ok(shelves) = shelves(state) else { return };
    let mut rest = Vec::new();
    for shelf in shelves {
        let Ok(mut backups) = kept(&shelf) else {
            continue;
        };
        let is_old = |backup: &Backup| {
            let made = fs::metadata(&backup.path).and_then(|meta| meta.modified());
            made.is_ok_and(|made| {
                now.duration_since(made)
                    .is_ok_and(|age| age > MAX_AGE_OF_GONE)
            })
        };
        let is_gone = backups.first().is_some_and(|backup| !backup.of.exists());
        let too_many = backups.len().saturating_sub(MAX_PER_FILE);
        let (old, kept): (Vec<_>, Vec<_>) = backups
            .drain(..)
            .enumerate()
            .partition(|(index, backup)| *index < too_many || (is_gone && is_old(backup)));
        old.into_iter()
            .for_each(|(_, backup)| discard(&backup, fresh));
        rest.extend(kept.into_iter().map(|(_, backup)| backup));
        if is_gone
            && rest
                .iter()
                .all(|backup| backup.path.parent() != Some(&shelf))
        {
            let _ = fs::remove_file(shelf.join(OWNER)).and_then(|()| fs::remove_dir(&shelf));
        }
    }
    rest.sort_by(|one, other| one.id.cmp(&other.id));
    let mut bytes: u64 = rest.iter().map(|backup| backup.bytes).sum();
    let mut count = rest.len();
    for backup in &rest {
        if bytes <= MAX_BYTES && count <= MAX_COUNT {
            break;
        }
        bytes -= backup.bytes;
        count -= 1;
        discard(backup, fresh);
    }
}

/// The folder of all backups, in the state folder.
const BACKUPS: &str = "backups";
/// The file in each shelf that tells whose backups are there.
const OWNER: &str = "path.txt";

const HASH_DIGITS: usize = 8;
const ID_LENGTH: usize = utc::STAMP_LENGTH + 1 + HASH_DIGITS;
const MAX_NAME: usize = 200;

const MAX_PER_FILE: usize = 10;
const MAX_COUNT: usize = 2000;
const MAX_BYTES: u64 = 256 << 20;
/// 90 days.
const MAX_AGE_OF_GONE: Duration = Duration::from_secs(90 * 86_400);

fn discard(backup: &Backup, fresh: &[PathBuf]) {
    if fresh.contains(&backup.path) {
        return;
    }
    if let Err(error) = fs::remove_file(&backup.path) {
        debug!(path = %backup.path.display(), %error, "an old backup could not be removed");
    }
}

fn choose(state: &State, file: &Path, at: Option<&str>) -> Result<Backup, Error> {
    let none = || Error::NoBackup {
        path: file.into(),
        at: at.map(Into::into),
    };
    let mut backups = list(state, Some(file))?;
    if let Some(at) = at {
        backups.retain(|backup| backup.id.starts_with(at));
        return match backups.len() {
            0 | 1 => backups.pop().ok_or_else(none),
            count => Err(Error::AmbiguousBackup {
                path: file.into(),
                at: at.into(),
                count,
            }),
        };
    }
    let now = Target::resolve(file)?.read(MAX_FILE_BYTES as u64)?;
    for backup in backups.iter().rev() {
        if now
            .as_ref()
            .is_none_or(|now| read(backup).is_ok_and(|bytes| bytes != now.bytes()))
        {
            return Ok(backup.clone());
        }
    }
    backups.pop().ok_or_else(none)
}

fn read(backup: &Backup) -> Result<Vec<u8>, Error> {
    let gone = || State::failed("read", &backup.path, io::ErrorKind::NotFound.into());
    State::read(&backup.path)?.ok_or_else(gone)
}

/// The path of a file without links; that of a file in a folder that is gone as it is.
fn real(file: &Path) -> Result<PathBuf, Error> {
    match Target::resolve(file) {
        Ok(target) => Ok(target.real().into()),
        Err(DurableError::MissingFolder { .. }) => {
            std::path::absolute(file).map_err(|source| State::failed("find", file, source))
        }
        Err(error) => Err(error.into()),
    }
}

fn shelf_name(real: &Path) -> String {
    Digest::of(real.as_os_str().as_bytes()).short(16)
}

fn shelf(state: &State, real: &Path) -> PathBuf {
    state.path().join(BACKUPS).join(shelf_name(real))
}

fn shelves(state: &State) -> Result<Vec<PathBuf>, Error> {
    match state.existing(BACKUPS)? {
        Some(folder) => entries(folder.path()),
        None => Ok(Vec::new()),
    }
}

/// The backups in a shelf, the oldest first.
fn kept(shelf: &Path) -> Result<Vec<Backup>, Error> {
    let Ok(Some(of)) = State::read(&shelf.join(OWNER)) else {
        return Ok(Vec::new());
    };
    let of = PathBuf::from(OsString::from_vec(of));
    let mut backups = Vec::new();
    for path in entries(shelf)? {
        let name = path.file_name().unwrap_or_default().as_bytes();
        let id = name
            .len()
            .checked_sub(ID_LENGTH)
            .and_then(|start| name.get(start..));
        let id = id
            .and_then(|id| std::str::from_utf8(id).ok())
            .filter(|id| is_id(id));
        if let (Some(id), Ok(meta)) = (id.map(str::to_owned), fs::symlink_metadata(&path)) {
            backups.push(Backup {
                of: of.clone(),
                id,
                path,
                bytes: meta.len(),
            });
        }
    }
    backups.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(backups)
}

fn is_id(id: &str) -> bool {
    let bytes = id.as_bytes();
    id.len() == ID_LENGTH && bytes[8] == b'T' && bytes[utc::STAMP_LENGTH - 1] == b'Z'
}

/// The paths in a folder that need not exist.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| State::failed("read", folder, source);
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
            .collect(),
    }
}
