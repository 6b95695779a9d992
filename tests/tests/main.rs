//! The finished program, as its users meet it: one room for each thing that can be expected of it.
//! Never looks inside; what is checked is what is printed, what lies on disk and who can bind.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a failed step is a failed test, and plain files set the scene"
)]

mod attacks;
mod bad_input;
mod contention;
mod crash;
mod doctor;
mod examples;
mod faults;
mod files;
mod hold;
mod journeys;
mod manual;
mod model;
mod pipelines;
mod projects;
mod readme;
mod run;
mod sharing;
mod syscalls;
mod wait;
mod watch;
mod why;
