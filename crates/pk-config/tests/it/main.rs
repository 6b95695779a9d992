//! What holds of real files, and of the real programs that read them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backups;
mod files;
mod home;
mod mounts;
mod readers;
