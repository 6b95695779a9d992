//! Tools that some chores need beside a Rust toolchain: installed when they are needed, into the
//! target folder. Never touches those of the user.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;

use crate::cargo;

/// A `PATH` on which `tool` is; it is installed first where it is not there.
///
/// # Errors
/// It can't be installed.
pub(crate) fn path_with(tool: &str) -> Result<OsString, Box<dyn Error>> {
    let ours = cargo::workspace()?
        .target_directory
        .as_std_path()
        .join("tools");
    let theirs = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&theirs).chain([ours.join("bin")]);
    let folders: Vec<_> = folders.collect();
    if !folders.iter().any(|folder| folder.join(tool).is_file()) {
        eprintln!("{tool} is installed into {}", ours.display());
        let mut install = cargo::command(&["install", "--quiet", "--locked", tool, "--root"]);
        install.arg(&ours);
        if cargo::run(&mut install)? != ExitCode::SUCCESS {
            return Err(format!("{tool} can't be installed").into());
        }
    }
    Ok(env::join_paths(folders)?)
}
