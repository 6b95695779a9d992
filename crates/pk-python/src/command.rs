//! The command `portkeeper` in Python's process. Never parses anything: pk-cli does.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use portkeeper::HolderCommand;
use pyo3::prelude::*;

/// Runs the command with these arguments, the first of which is the program's name.
#[pyfunction]
#[pyo3(name = "_run")]
pub(crate) fn run(py: Python<'_>, arguments: Vec<OsString>) -> PyResult<u8> {
    let holder = holder(py)?;
    let code = py.detach(|| {
        let code = pk_cli::run(arguments, std::env::vars_os(), holder);
        // An interpreter ends without asking Rust. What can't be printed was told already.
        let _ = std::io::stdout().flush();
        code
    });
    Ok(code)
}

/// How this package is started as a holder: without a site, a user's folder or the current one on
/// its path, so that it is this very package, whatever lies about where it is started.
pub(crate) fn holder(py: Python<'_>) -> PyResult<Option<HolderCommand>> {
    let executable: Option<PathBuf> = py.import("sys")?.getattr("executable")?.extract()?;
    // An interpreter inside another program has none.
    let Some(program) = executable.filter(|path| !path.as_os_str().is_empty()) else {
        return Ok(None);
    };
    let package: PathBuf = py.import("portkeeper")?.getattr("__file__")?.extract()?;
    let arguments = [
        "-I".into(),
        "-S".into(),
        package.with_file_name("__main__.py").into(),
    ];
    Ok(Some(HolderCommand {
        program,
        arguments: arguments
            .into_iter()
            .chain([pk_cli::HOLDER.into()])
            .collect(),
    }))
}
