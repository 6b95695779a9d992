//! Doors for the properties in tests/fuzz. Never compiled into what ships.

use crate::process::parse;

/// What a text of proc_pid_stat(5) says: whether the process has ended, its parent, and its start
/// in clock ticks after boot. `None` where it is no such text.
#[must_use]
pub fn stat(text: &[u8]) -> Option<(bool, u32, u64)> {
    parse(text).map(|stat| (stat.ended, stat.parent, stat.start))
}
