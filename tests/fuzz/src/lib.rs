//! Properties of portkeeper's parts: what must hold whatever the bytes are. Each is a function of
//! some bytes that panics where it finds an exception, so that anything can hunt with it: proptest
//! (`hunt.rs`), libFuzzer, a test, a replayed file. Never decides what the hunted code should do
//! beyond what its documentation promises.
//!
//! `docs/fuzzing.md` says how to add one.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a failed step is a finding, and plain files keep them"
)]

pub mod bounds;
pub mod findings;
pub mod hunt;
pub mod inputs;
pub mod model;
mod readers;
mod sys;
pub mod target;
pub mod targets;
mod worlds;

pub use target::Target;
pub use targets::TARGETS;
