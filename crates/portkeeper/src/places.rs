//! Where things are on this machine: the one room that looks at HOME and the XDG folders. Never
//! reads a file and creates nothing but the folder of control sockets.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use pk_fs::folder::{Folder, Trust};
use rustix::fs::{Access, AtFlags, CWD};
use rustix::process::geteuid;

use crate::error::Error;
use crate::settings::Settings;

/// The state folder: as set, else `portkeeper` in `$XDG_STATE_HOME` or in `~/.local/state`.
///
/// # Errors
/// [`Error::NoHome`] when it would have to be derived from a HOME that is unset or relative,
/// [`Error::ForeignHome`] when HOME is another user's.
pub fn state_dir(settings: &Settings) -> Result<PathBuf, Error> {
    if let Some(set) = &settings.state_dir {
        return absolute(set);
    }
    let folders = directories::BaseDirs::new().ok_or(Error::NoHome { home: None })?;
    let home = folders.home_dir();
    // Off Linux there is no state folder; the data folder is the nearest thing.
    let state = folders
        .state_dir()
        .unwrap_or_else(|| folders.data_local_dir());
    if !state.is_absolute() {
        return Err(Error::NoHome {
            home: Some(home.into()),
        });
    }
    if state.starts_with(home) {
        check_home(home)?;
    }
    Ok(state.join("portkeeper"))
}

/// Where the machine-wide registry is if nobody says otherwise: gone at every boot, as it should be,
/// and out of the reach of those who tidy up temporary files.
pub const MACHINE_WIDE: &str = "/run/portkeeper";

/// The folder of the machine-wide registry, with a slash at its end: as set, else [`MACHINE_WIDE`].
///
/// # Errors
/// [`Error::NoFolder`] when a relative path can't be resolved.
pub fn machine_dir(settings: &Settings) -> Result<PathBuf, Error> {
    let set = settings.machine_dir.as_deref();
    Ok(absolute(set.unwrap_or(Path::new(MACHINE_WIDE)))?.join(""))
}

/// The registry: as set, else the machine-wide one if there is such a folder, else `registry.json`
/// in the state folder. The path of the machine-wide one ends with a slash.
///
/// # Errors
/// Those of [`state_dir`].
pub fn registry(settings: &Settings) -> Result<PathBuf, Error> {
    let machine = machine_dir(settings)?;
    match settings.registry.as_deref().map(absolute).transpose()? {
        // Named with or without the slash.
        Some(set) if set == machine => Ok(machine),
        Some(set) => Ok(set),
        // Not as it should be, it is an error, and not a reason to reserve where nobody else looks.
        None if machine.symlink_metadata().is_ok() => Ok(machine),
        None => Ok(state_dir(settings)?.join("registry.json")),
    }
}

/// Whether this process has the rights of the user who started it, and no other's. In a set-uid
/// program that user's environment and arguments would be obeyed with the rights of another.
///
/// # Errors
/// [`Error::BorrowedRights`].
pub fn own_rights() -> Result<(), Error> {
    use rustix::process::{getegid, getgid, getuid};
    let (uid, effective) = (getuid().as_raw(), geteuid().as_raw());
    // Who gave rights up has not borrowed any.
    if (uid == effective && getgid() == getegid()) || uid == 0 {
        return Ok(());
    }
    Err(Error::BorrowedRights { uid, effective })
}

/// A private folder with a short path (a socket's path has at most 108 bytes, unix(7)):
/// `portkeeper` in `$XDG_RUNTIME_DIR`, else one of this user's in the folder for temporary files.
///
/// # Errors
/// [`Error::NoControlFolder`].
pub fn control_folder() -> Result<PathBuf, Error> {
    let is_made = |folder: &PathBuf| is_short(folder) && make_private(folder).is_some();
    let temp = std::env::temp_dir();
    candidates()
        .find(is_made)
        .ok_or(Error::NoControlFolder { temp })
}

/// The folders in which control sockets of this user's may be.
#[derive(Debug)]
pub(crate) struct ControlFolders {
    /// The one that the next holder gets.
    pub(crate) usable: Option<PathBuf>,
    /// Those that are there and are this user's alone.
    pub(crate) existing: Vec<PathBuf>,
}

/// What [`control_folder`] would come to. Creates nothing.
pub(crate) fn control_folders() -> ControlFolders {
    let could_be_made = |folder: &Path| {
        let parent = folder.parent().unwrap_or(folder);
        let access = Access::WRITE_OK | Access::EXEC_OK;
        let is_writable = rustix::fs::accessat(CWD, parent, access, AtFlags::EACCESS).is_ok();
        !folder.exists() && is_writable
    };
    let is_usable = |folder: &PathBuf| {
        is_short(folder) && (is_private(folder).is_some() || could_be_made(folder))
    };
    ControlFolders {
        usable: candidates().find(is_usable),
        existing: candidates().filter(|it| is_private(it).is_some()).collect(),
    }
}

fn candidates() -> impl Iterator<Item = PathBuf> {
    let me = geteuid().as_raw();
    let runtime = directories::BaseDirs::new()
        .and_then(|folders| {
            folders
                .runtime_dir()
                // After `sudo -E` it is another user's, who could not use what root made there.
                .filter(|folder| std::fs::metadata(folder).is_ok_and(|it| it.uid() == me))
                .map(|folder| folder.join("portkeeper"))
        })
        .filter(|folder| folder.is_absolute());
    let temp = std::env::temp_dir();
    // Another user may have taken the first name, on purpose or not.
    let spare = (0..16).map(move |turn| temp.join(format!("portkeeper-{me}-{turn}")));
    runtime.into_iter().chain(spare)
}

/// The registry names the socket, and JSON has no way to write a path that is no text.
fn is_short(folder: &Path) -> bool {
    folder
        .to_str()
        .is_some_and(|path| path.len() <= LONGEST_FOLDER)
}

/// What a socket's path has room for besides a slash, an id of 26 characters, `.hold-` and a process
/// number of 7 digits, `.sock` and the final zero.
const LONGEST_FOLDER: usize = 108 - 1 - 26 - 6 - 7 - 5 - 1;

/// Opens a folder of this user's that nobody else may look into, or makes it.
fn make_private(path: &Path) -> Option<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    // Whether it worked is seen by what is there then; never by following a link.
    if std::fs::DirBuilder::new().mode(0o700).create(path).is_ok() {
        // The umask may have taken away even the owner's own rights.
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700));
    }
    is_private(path)
}

/// Whether it is a folder of this user's that nobody else may look into.
fn is_private(path: &Path) -> Option<()> {
    let found = std::fs::symlink_metadata(path).ok()?;
    let mine = found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o077 == 0;
    mine.then_some(())
}

fn check_home(home: &Path) -> Result<(), Error> {
    // One that is not there yet is made, or can't be; both are noticed later.
    match Folder::open(home).map(|home| (home.trust(), home.owner())) {
        Ok((Trust::Foreign { uid }, _)) => Err(Error::ForeignHome {
            home: home.into(),
            uid,
        }),
        _ => Ok(()),
    }
}

pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| Error::NoFolder {
        path: path.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_taken() {
        let settings = Settings {
            state_dir: Some("/var/lib/pk".into()),
            registry: Some("r.json".into()),
            ..Settings::default()
        };
        assert_eq!(state_dir(&settings).unwrap(), Path::new("/var/lib/pk"));
        let here = std::env::current_dir().unwrap();
        assert_eq!(registry(&settings).unwrap(), here.join("r.json"));
        let temp = tempfile::tempdir().unwrap();
        let machine = temp.path().join("machine");
        let settings = Settings {
            registry: None,
            machine_dir: Some(machine.clone()),
            ..settings
        };
        assert_eq!(
            registry(&settings).unwrap(),
            Path::new("/var/lib/pk/registry.json")
        );
        std::fs::create_dir(&machine).unwrap();
        let ends_with_slash = |path: &Path| path.as_os_str().as_encoded_bytes().ends_with(b"/");
        let named = Settings {
            registry: Some(machine.clone()),
            ..settings.clone()
        };
        for settings in [&settings, &named] {
            let found = registry(settings).unwrap();
            assert!(found == machine && ends_with_slash(&found), "{found:?}");
        }
        let other = Settings {
            registry: Some("/r.json".into()),
            ..settings
        };
        assert_eq!(registry(&other).unwrap(), Path::new("/r.json"));
    }

    #[test]
    fn the_control_folder_is_private() {
        use std::os::unix::fs::MetadataExt;
        let folder = control_folder().unwrap();
        assert_eq!(std::fs::metadata(folder).unwrap().mode() & 0o777, 0o700);
        let temp = tempfile::tempdir().unwrap();
        let open = temp.path().join("open");
        std::fs::create_dir(&open).unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(make_private(&open), None);
        let link = temp.path().join("link");
        std::os::unix::fs::symlink(temp.path(), &link).unwrap();
        assert_eq!(make_private(&link), None);
    }
}
