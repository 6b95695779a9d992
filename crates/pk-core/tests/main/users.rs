//! Running a test as root and as nobody in particular.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::{alone, process};

/// Any user that is not root.
const USER: u32 = 61001;

/// Says that the test has become the user already.
const IS_USER: &str = "PK_IS_USER";

/// Runs the test of this name: as whoever runs it, and if that is root, as a user without privileges
/// as well.
pub(crate) fn as_everyone(name: &str, test: impl FnOnce()) {
    let _alone = alone();
    test();
    if std::env::var_os(IS_USER).is_some() {
        return;
    }
    if !is_root() {
        println!("skipped: only root can run this as two users");
        return;
    }
    let output = Command::new(process::MYSELF)
        .args(["--exact", name, "--nocapture"])
        .env(IS_USER, "yes")
        .uid(USER)
        .gid(USER)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    println!("as a user without privileges: {said}");
    assert!(output.status.success(), "{complained}");
    assert!(said.contains("1 passed"), "there is no test {name}");
}

/// Runs the test of this name where descriptors of other processes can't be copied, as in a
/// container of Docker's.
pub(crate) fn in_a_sandbox(name: &str, test: impl FnOnce()) {
    if std::env::var_os(IS_USER).is_some() {
        return test();
    }
    let _alone = alone();
    let strace = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=pidfd_getfd"])
        .args(["-e", "inject=pidfd_getfd:error=EPERM"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(IS_USER, "yes")
        .output();
    let Ok(output) = strace else {
        println!("skipped: there is no strace here");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    assert!(said.contains("1 passed"), "there is no test {name}");
}

/// Whether this process is privileged.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
