//! The faults of docs/reference/faults.md that no other room has a test for: each made for real, with
//! what has to hold all the same. The number of the row begins the name of each test.

mod alive;
pub(crate) mod clocks;
mod documents;
mod failpoints;
mod limits;
mod locks;
mod paths;
mod ports;
mod walk;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use pk_tests::TestEnv;

/// A world whose state folder is there, with the right mode.
fn prepared() -> TestEnv {
    let env = TestEnv::new();
    fs::create_dir_all(env.state_folder()).unwrap();
    fs::set_permissions(env.state_folder(), Permissions::from_mode(0o700)).unwrap();
    env
}
