//! Inputs that are exceptions: where they are kept, what they are called, and how they are replayed.
//! Never says why.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::target::{Target, home};

/// Keeps an input; returns the file.
///
/// # Errors
/// The system's reason.
pub fn keep(target: &Target, input: &[u8]) -> io::Result<PathBuf> {
    let folder = home().join("findings").join(target.name);
    fs::create_dir_all(&folder)?;
    let path = folder.join(name(input));
    fs::write(&path, input)?;
    Ok(path)
}

/// The one command that replays it.
#[must_use]
pub fn replay(path: &Path) -> String {
    let root = home().ancestors().nth(2).unwrap_or(home());
    let path = path.strip_prefix(root).unwrap_or(path);
    format!("cargo xtask fuzz --replay {}", path.display())
}

/// The target whose input a file is: it is named by the folder.
#[must_use]
pub fn target_of(path: &Path) -> Option<Target> {
    Target::named(path.parent()?.file_name()?.to_str()?)
}

/// The name of an input: it depends on nothing else (FNV-1a).
fn name(input: &[u8]) -> String {
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
