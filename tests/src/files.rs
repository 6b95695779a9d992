//! The files of a test's world: setting the scene, and seeing whether one was touched. Never
//! follows a link to judge what stands at a place.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::TestEnv;

/// All by which it shows that something was done to a file: what it holds (if it is regular),
/// which file it is, when it was written, who may use it.
#[derive(Debug, PartialEq, Eq)]
pub struct Imprint {
    content: Option<String>,
    target: Option<PathBuf>,
    inode: u64,
    links: u64,
    written: (i64, i64),
    mode: u32,
    owner: (u32, u32),
}

impl Imprint {
    /// The imprint of what stands at `path`; `None` where nothing does.
    #[must_use]
    pub fn of(path: &Path) -> Option<Imprint> {
        let meta = fs::symlink_metadata(path).ok()?;
        let content = meta.is_file().then(|| fs::read(path).ok()).flatten();
        Some(Imprint {
            content: content.map(|bytes| shown(&bytes)),
            target: fs::read_link(path).ok(),
            inode: meta.ino(),
            links: meta.nlink(),
            written: (meta.mtime(), meta.mtime_nsec()),
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
        })
    }

    /// The same, however many names lead to it.
    #[must_use]
    pub fn of_any_name(self) -> Imprint {
        Imprint { links: 1, ..self }
    }
}

impl TestEnv {
    /// Puts a file into the folder of the project.
    ///
    /// # Panics
    /// It cannot be written.
    #[track_caller]
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// What a file in the folder of the project holds, escaped where it is no text; `None` where there
    /// is none.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<String> {
        fs::read(self.path(name)).ok().map(|bytes| shown(&bytes))
    }

    /// The imprint of something in the folder of the project.
    #[must_use]
    pub fn imprint(&self, name: &str) -> Option<Imprint> {
        Imprint::of(&self.path(name))
    }

    /// Everything in this world but the program, with its imprint.
    #[must_use]
    pub fn everything(&self) -> Vec<(PathBuf, Option<Imprint>)> {
        let mut paths = below(self.root());
        paths.retain(|path| path != &self.program);
        paths
            .into_iter()
            .map(|path| (path.clone(), Imprint::of(&path)))
            .collect()
    }

    /// The backups that are kept, of all files.
    #[must_use]
    pub fn backups(&self) -> Vec<PathBuf> {
        let mut paths = below(&self.state_folder().join("backups"));
        let is_staged = |path: &Path| path.to_string_lossy().contains("/.portkeeper-tmp-");
        paths.retain(|path| path.is_file() && !path.ends_with("path.txt") && !is_staged(path));
        paths
    }

    /// What killed commands would leave behind: files that are not whole, and what tells of them.
    #[must_use]
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let journals = self.state_folder().join("txn");
        let mut paths = below(self.root());
        paths.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_unfinished = name.starts_with(".portkeeper-tmp-") || name.contains(".tmp-");
            is_unfinished || path.parent() == Some(&journals)
        });
        paths
    }
}

/// Bytes as text that can be compared and printed: escaped where they are no text.
#[must_use]
pub fn shown(bytes: &[u8]) -> String {
    let escaped = |_| bytes.escape_ascii().to_string();
    str::from_utf8(bytes).map_or_else(escaped, str::to_owned)
}

/// Everything in a folder and in those in it, in order.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let is_folder = |path: &&PathBuf| path.is_dir() && !path.is_symlink();
    let inner: Vec<_> = paths
        .iter()
        .filter(is_folder)
        .flat_map(|path| below(path))
        .collect();
    paths.extend(inner);
    paths
}
