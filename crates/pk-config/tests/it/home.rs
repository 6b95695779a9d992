//! A folder with files to change and a state folder. Never the user's own.

use std::ffi::OsString;
use std::fs::{self, Metadata, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use pk_config::State;

pub(crate) struct Home {
    root: PathBuf,
    pub(crate) state: State,
    _temp: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Home {
        let temp = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(temp.path()).unwrap();
        fs::create_dir(root.join("project")).unwrap();
        Home {
            state: State::at(root.join("state")),
            root: root.join("project"),
            _temp: temp,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .unwrap();
        file.write_all(bytes.as_ref()).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn meta(&self, name: &str) -> Metadata {
        fs::metadata(self.path(name)).unwrap()
    }

    /// What tells whether a file was touched.
    pub(crate) fn trace(&self, name: &str) -> (u64, i64, i64, u32) {
        let meta = fs::symlink_metadata(self.path(name)).unwrap();
        (meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.mode())
    }

    /// The names in the folder of the project.
    pub(crate) fn names(&self) -> Vec<OsString> {
        let entries = fs::read_dir(&self.root).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    pub(crate) fn backups(&self) -> Vec<String> {
        let kept = pk_config::backup::list(&self.state, None).unwrap();
        kept.iter()
            .map(|kept| fs::read_to_string(&kept.path).unwrap())
            .collect()
    }
}

/// A moment, `count` seconds after another.
pub(crate) fn at(count: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045 + count)
}

/// Whether this process is root's; if not, says which test is left out.
pub(crate) fn is_root(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skip(test, "it needs root");
    }
    is_root
}

pub(crate) fn skip(test: &str, why: &str) {
    // Not eprintln!, whose output is kept back where a test passes.
    std::io::stderr()
        .write_all(format!("{test} skipped: {why}\n").as_bytes())
        .unwrap();
}
