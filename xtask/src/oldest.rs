//! The oldest toolchain that is promised, `rust-version`: everything that ships compiles with it, if it is
//! here. Never installs one.

use std::process::{Command, ExitCode};

use crate::{Outcome, cargo};

/// Compiles with the oldest toolchain, or tells why not.
pub(crate) fn check() -> Outcome {
    let workspace = cargo::workspace()?;
    let mut members = workspace.workspace_packages().into_iter();
    let promised = members
        .find_map(|it| it.rust_version.as_ref())
        .ok_or("no rust-version")?;
    let release = format!("{}.{}", promised.major, promised.minor);
    let mut rustc = Command::new("rustc");
    let ours = String::from_utf8(rustc.arg("--version").output()?.stdout)?;
    if ours.starts_with(&format!("rustc {release}.")) {
        println!("this is the oldest toolchain that is promised, {release}");
        return Ok(ExitCode::SUCCESS);
    }
    let named = format!("{release}.{}", promised.patch);
    let mut rustup = Command::new("rustup");
    let has = rustup.args(["run", &named, "cargo", "--version"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("ci: oldest toolchain skipped: `rustup toolchain install {named}` brings it");
        return Ok(ExitCode::SUCCESS);
    }
    let mut check = Command::new("rustup");
    check.args(["run", &named, "cargo", "check", "--quiet", "--locked"]);
    // Another toolchain's files must not replace ours.
    let target = workspace.target_directory.as_std_path().join("oldest");
    Ok(cargo::run(check.env("CARGO_TARGET_DIR", target))?)
}
