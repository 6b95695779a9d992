//! Locks and replacements as other processes, other users and people with `rm` meet them. Never
//! looks inside; what is checked is who gets the lock, and what lies on disk.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a failed step is a failed test, and plain files set the scene"
)]

mod exclusion;
mod other;
mod refusals;
mod stress;
#[cfg(target_os = "linux")]
mod waiting;
