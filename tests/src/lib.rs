//! What the tests of the finished program stand on: a world of its own for each test, ports that
//! nobody else uses, and a way to run the real `portkeeper` with a time limit. Never links the
//! program's own crates: everything is seen as its users see it.
//!
//! The path of the program comes from `PK_BIN`, which `cargo xtask test` sets.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a failed step is a failed test, and plain files set the scene"
)]

mod answer;
mod clock;
pub mod console;
mod env;
mod files;
mod listeners;
mod namespaces;
mod object;
mod ports;
pub mod process;
pub mod rival;
mod running;
mod screen;
mod shared;
pub mod strace;
mod terminal;
pub mod vandal;
pub mod walk;

use std::io::{self, Write as _};

pub use answer::Answer;
pub use clock::WallClock;
pub use env::{TestEnv, has, measured};
pub use files::{Imprint, shown};
pub use listeners::listeners;
pub use object::Object;
pub use ports::{Ports, has_ipv6, is_free, is_free_for_datagrams};
pub use running::Running;
pub use screen::{Picture, Screen};
pub use shared::Shared;

/// Says, whatever the test runner captures, that a test or a part of one could not run here.
pub fn skipped(why: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "skipped: {why}");
}
