//! What each library crate offers, as a list that is kept: a change of it is seen by whoever looks at the
//! change, and never happens by accident.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cargo_metadata::Metadata;
use public_api::{Builder, PublicApi};

use crate::difference::difference;
use crate::{Outcome, cargo};

/// What to do with the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Compare what is offered with what is kept.
    Compare,
    /// Keep it.
    Write,
}

/// The crates that others build on.
const CRATES: [&str; 5] = ["pk-fs", "pk-core", "pk-registry", "pk-config", "portkeeper"];
/// Where the lists are kept.
const FOLDER: &str = "xtask/api";

/// rustdoc with its JSON, which it gives on a nightly toolchain only, or when it is told so. Told to
/// cargo, it would have packages built again.
const RUSTDOC: &str = "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec \"${RUSTDOC_OF_CARGO:-rustdoc}\" \"$@\"\n";

/// Lists what the crates offer.
pub(crate) fn run(then: Then) -> Outcome {
    let workspace = cargo::workspace()?;
    let mut code = ExitCode::SUCCESS;
    for name in CRATES {
        let offered = match offered(&workspace, name)? {
            Ok(offered) => offered,
            Err(why) => {
                eprintln!("api: skipped: {why}");
                return Ok(ExitCode::SUCCESS);
            }
        };
        let path = workspace
            .workspace_root
            .as_std_path()
            .join(FOLDER)
            .join(format!("{name}.txt"));
        if then == Then::Write {
            fs::write(path, offered)?;
            continue;
        }
        let kept =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        if kept != offered {
            print!("{}", difference(name, &kept, &offered));
            println!("`cargo xtask api --write` keeps it; the changelog tells of it");
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

/// What a crate offers, an item a line; or why this toolchain can't tell.
fn offered(workspace: &Metadata, name: &str) -> Result<Result<String, String>, Box<dyn Error>> {
    let target = workspace.target_directory.as_std_path();
    let mut doc = cargo::command(&["rustdoc", "--quiet", "--lib", "--locked", "--package", name]);
    doc.args([
        "--",
        "-Zunstable-options",
        "--output-format=json",
        "--cap-lints=allow",
    ]);
    if let Some(theirs) = std::env::var_os("RUSTDOC") {
        doc.env("RUSTDOC_OF_CARGO", theirs);
    }
    let output = doc.env("RUSTDOC", wrapper(target)?).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr)
            .trim()
            .to_owned()
            .into());
    }
    let json = target
        .join("doc")
        .join(format!("{}.json", name.replace('-', "_")));
    let api = match read(&json) {
        Ok(api) => api,
        Err(error) => {
            return Ok(Err(format!(
                "this rustdoc's list of {name} can't be read: {error}"
            )));
        }
    };
    let mut text = String::new();
    for item in api.items() {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{item}");
    }
    Ok(Ok(text))
}

fn read(json: &Path) -> public_api::Result<PublicApi> {
    let list = Builder::from_rustdoc_json(json).omit_blanket_impls(true);
    list.omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
}

/// The script around rustdoc.
fn wrapper(target: &Path) -> Result<PathBuf, Box<dyn Error>> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(target)?;
    let path = target.join("rustdoc-with-json");
    fs::write(&path, RUSTDOC)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}
