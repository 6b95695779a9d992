//! A tree of files that is still to be packed. Two trees with the same content become the same
//! bytes: order, owners, times and modes are not taken from anywhere.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header, HeaderMode};

/// Files by their path, without a leading slash.
#[derive(Debug, Default)]
pub(super) struct Tree {
    files: BTreeMap<String, File>,
}

#[derive(Debug)]
struct File {
    mode: u32,
    bytes: Vec<u8>,
}

/// Which entries stand before the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folders {
    /// None: whoever unpacks makes them.
    Implied,
    /// Each with its mode, as dpkg wants it.
    Listed,
}

impl Tree {
    /// Adds a file that everybody may read.
    pub(super) fn add(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.insert(path.into(), 0o644, bytes.into());
    }

    /// Adds a file that everybody may run.
    pub(super) fn add_program(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.insert(path.into(), 0o755, bytes.into());
    }

    fn insert(&mut self, path: String, mode: u32, bytes: Vec<u8>) {
        self.files.insert(path, File { mode, bytes });
    }

    /// The content of all files together, in KiB, each rounded up.
    pub(super) fn kibibytes(&self) -> usize {
        let sizes = self.files.values().map(|file| file.bytes.len());
        sizes.map(|size| size.div_ceil(1024)).sum()
    }

    /// The tree as a compressed archive, each path behind `prefix` (such as `./`), each time `epoch`.
    ///
    /// # Errors
    /// A path is longer than the format allows.
    pub(super) fn tar_gz(&self, prefix: &str, epoch: u64, folders: Folders) -> io::Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        archive.mode(HeaderMode::Deterministic);
        let mut before: Option<&str> = None;
        for (path, file) in &self.files {
            if folders == Folders::Listed {
                let is_new = |folder: &&str| !before.is_some_and(|it| it.starts_with(*folder));
                for folder in folders_of(path).filter(is_new) {
                    let header = header(EntryType::Directory, 0o755, epoch);
                    append(&mut archive, header, &format!("{prefix}{folder}"), &[])?;
                }
                before = Some(path);
            }
            let header = header(EntryType::Regular, file.mode, epoch);
            append(
                &mut archive,
                header,
                &format!("{prefix}{path}"),
                &file.bytes,
            )?;
        }
        gzip(&archive.into_inner()?)
    }
}

/// Compressed as well as gzip can, without a name or a time.
pub(super) fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    // 255 is "unknown": the machine that packs does not matter.
    let gzip = GzBuilder::new().operating_system(255);
    let mut packed = gzip.write(Vec::new(), Compression::best());
    packed.write_all(bytes)?;
    packed.finish()
}

/// The folders on the way to `path`, outermost first, the empty one for the root.
fn folders_of(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at + 1);
    [0].into_iter().chain(ends).map(|end| &path[..end])
}

fn header(kind: EntryType, mode: u32, epoch: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(epoch);
    header
}

fn append(
    archive: &mut Builder<Vec<u8>>,
    mut header: Header,
    path: &str,
    bytes: &[u8],
) -> io::Result<()> {
    header.set_size(bytes.len() as u64);
    // As bytes, because the crate drops the `./` that dpkg expects.
    let name = &mut header
        .as_ustar_mut()
        .ok_or(io::ErrorKind::InvalidData)?
        .name;
    let Some(room) = name.get_mut(..path.len()) else {
        let error = format!("{path}: {} bytes are too long for an archive", path.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
    };
    room.copy_from_slice(path.as_bytes());
    header.set_cksum();
    archive.append(&header, bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    fn listing(packed: &[u8]) -> Vec<String> {
        let mut archive = tar::Archive::new(GzDecoder::new(packed));
        let entries = archive.entries().unwrap();
        entries
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                let header = entry.header();
                assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
                assert_eq!(header.mtime().unwrap(), 1_700_000_000);
                let (path, mode) = (entry.path_bytes(), header.mode().unwrap());
                format!("{mode:o} {} {text}", String::from_utf8_lossy(&path))
            })
            .collect()
    }

    fn tree(paths: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for path in paths {
            match path.strip_suffix('*') {
                Some(program) => tree.add_program(program, "run"),
                None => tree.add(*path, "text"),
            }
        }
        tree
    }

    #[test]
    fn archives_list_what_they_hold_in_order() {
        let check = |paths: &[&str], prefix: &str, folders, expect: &[&str]| {
            let packed = tree(paths).tar_gz(prefix, 1_700_000_000, folders);
            assert_eq!(listing(&packed.unwrap()), expect);
        };
        check(
            &["b", "a*"],
            "x/",
            Folders::Implied,
            &["755 x/a run", "644 x/b text"],
        );
        let listed = [
            "755 ./ ",
            "755 ./usr/ ",
            "755 ./usr/bin/ ",
            "755 ./usr/bin/a run",
            "755 ./usr/bind/ ",
            "644 ./usr/bind/c text",
            "755 ./usr/share/ ",
            "644 ./usr/share/b text",
        ];
        check(
            &["usr/share/b", "usr/bin/a*", "usr/bind/c"],
            "./",
            Folders::Listed,
            &listed,
        );
    }

    #[test]
    fn the_same_tree_is_the_same_bytes() {
        let pack = |paths: &[&str]| tree(paths).tar_gz("", 1, Folders::Listed).unwrap();
        assert_eq!(pack(&["a", "b/c", "b/d*"]), pack(&["b/d*", "b/c", "a"]));
        assert_ne!(pack(&["a"]), pack(&["a*"]));
    }

    #[test]
    fn paths_too_long_for_the_format_are_refused() {
        let path = "a".repeat(101);
        assert!(tree(&[&path]).tar_gz("", 1, Folders::Implied).is_err());
    }

    #[test]
    fn sizes_are_rounded_up() {
        assert_eq!(tree(&["a", "b"]).kibibytes(), 2);
    }
}
