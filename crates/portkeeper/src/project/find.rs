//! Which project a folder belongs to. Never reads what is in it.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use pk_registry::Name;
use rustix::process::geteuid;

use crate::error::Error;
use crate::{hash, places};

/// The name of a project's file.
pub const FILE: &str = "portkeeper.toml";

/// All names that it may have: the other forms, and those of version 0.1.
pub const FILES: [&str; 7] = [
    FILE,
    "portkeeper.json",
    "portkeeper.yaml",
    "portkeeper.yml",
    "pk.config.json",
    "pk.config.yaml",
    "pk.config.yml",
];

/// The file of the project that a folder belongs to: in the nearest folder upwards that has one. Above
/// the folder itself only one of this user's or root's counts: anybody may put a file into `/tmp`.
///
/// # Errors
/// [`super::Error::NoFile`], [`super::Error::Several`], [`Error::NoFolder`].
pub fn file_for(folder: &Path) -> Result<PathBuf, Error> {
    let start = places::absolute(folder)?;
    for folder in start.ancestors() {
        let is_mine = |path: &PathBuf| {
            path.symlink_metadata().is_ok_and(|found| {
                let uid = found.uid();
                folder == start || uid == 0 || uid == geteuid().as_raw()
            })
        };
        let found: Vec<PathBuf> = FILES
            .iter()
            .map(|name| folder.join(name))
            .filter(is_mine)
            .collect();
        match found.as_slice() {
            [] => {}
            [only] => return Ok(only.clone()),
            [first, second, ..] => {
                return Err(super::Error::Several {
                    first: first.clone(),
                    second: second.clone(),
                }
                .into());
            }
        }
    }
    Err(super::Error::NoFile { from: start }.into())
}

/// A folder in which names mean something of their own: the nearest one upwards that has a `.git` or
/// a `portkeeper.toml` (or another of [`FILES`]). A git worktree and a submodule have a `.git` file, and are projects of their
/// own. Where there is none it is the folder itself.
///
/// ```
/// use portkeeper::Project;
/// # let temp = tempfile::tempdir()?;
/// # let home = temp.path();
/// std::fs::create_dir_all(home.join("shop/.git"))?;
/// std::fs::create_dir_all(home.join("shop/src"))?;
/// assert_eq!(Project::of(&home.join("shop/src"))?.folder(), home.join("shop"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    folder: PathBuf,
}

impl Project {
    /// The one that this folder belongs to. Links in its path are not followed.
    ///
    /// # Errors
    /// [`Error::NoFolder`] when a relative path can't be resolved.
    pub fn of(folder: &Path) -> Result<Project, Error> {
        let start = places::absolute(folder)?;
        let is_root = |folder: &&Path| {
            let mut marks = FILES.iter().chain(&[".git"]);
            marks.any(|mark| folder.join(mark).symlink_metadata().is_ok())
        };
        let root = start.ancestors().find(is_root).unwrap_or(&start);
        Ok(Project {
            folder: root.into(),
        })
    }

    /// The one of the current folder.
    ///
    /// # Errors
    /// [`Error::NoFolder`] where that is gone.
    pub fn here() -> Result<Project, Error> {
        let folder = std::env::current_dir().map_err(|source| Error::NoFolder {
            path: ".".into(),
            source,
        })?;
        Project::of(&folder)
    }

    /// The one in this very folder, which need not have anything.
    ///
    /// # Errors
    /// [`Error::NoFolder`] when a relative path can't be resolved.
    pub fn at(folder: &Path) -> Result<Project, Error> {
        Ok(Project {
            folder: places::absolute(folder)?,
        })
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What stands for it in a registry, which others may read: 16 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{:016x}", hash::hash(self.text().as_bytes()))
    }

    /// Its folder as text. A path that is none keeps apart from all others.
    pub(crate) fn text(&self) -> String {
        match self.folder.to_str() {
            Some(text) => text.into(),
            None => self
                .folder
                .as_os_str()
                .as_bytes()
                .escape_ascii()
                .to_string(),
        }
    }

    /// Where a range is entered for a name that has had no number yet, in ports after its first.
    pub(crate) fn place(&self, name: &Name) -> u32 {
        let text = self.text();
        hash::short(
            text.as_bytes()
                .iter()
                .chain(b"\0")
                .chain(name.as_str().as_bytes()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn the_nearest_mark_upwards_decides() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        for folder in [
            "shop/.git",
            "shop/packages/api/src",
            "shop/tree/x",
            "none/a",
        ] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        // As git marks a worktree.
        std::os::unix::fs::symlink("/nonexistent", root.join("shop/tree/.git")).unwrap();
        std::os::unix::fs::symlink("/nonexistent", root.join("shop/packages/api").join(FILE))
            .unwrap();
        let check = |from: &str, expect: &str| {
            let found = Project::of(&root.join(from)).unwrap();
            assert_eq!(found.folder(), root.join(expect), "{from}");
        };
        check("shop", "shop");
        check("shop/packages", "shop");
        check("shop/packages/api/src", "shop/packages/api");
        check("shop/tree/x", "shop/tree");
        check("none/a", "none/a");
    }

    #[test]
    fn ids_and_places_never_change() {
        let project = Project::at(Path::new("/home/ann/shop")).unwrap();
        assert_eq!(project.id(), "c15de72fe1d2e7dd");
        assert_eq!(project.place(&"web".parse().unwrap()) % 10_000, 4835);
        let strange = Project::at(Path::new(OsStr::from_bytes(b"/x\xff"))).unwrap();
        assert_eq!(strange.text(), r"/x\xff");
    }
}
