//! The crates as others get them: each is packed, unpacked and built by itself, with nothing of the
//! workspace around it. Never publishes.

use std::process::ExitCode;

use crate::{Outcome, cargo, release};

/// What every packed crate brings, beside its sources.
const PAPERS: [&str; 3] = ["LICENSE", "NOTICE", "README.md"];

/// `cargo xtask packages`: packs and builds all crates that are published.
pub(crate) fn check() -> Outcome {
    let order = release::order(&cargo::workspace()?)?;
    for name in &order {
        let mut list = cargo::command(&["package", "--allow-dirty", "--list", "--package", name]);
        let output = list.output()?;
        let listed = String::from_utf8(output.stdout)?;
        if let Some(paper) = PAPERS
            .iter()
            .find(|paper| !listed.lines().any(|it| it == **paper))
        {
            return Err(format!("the packed {name} has no {paper}").into());
        }
    }
    // All at once: each is built with the packed ones of the others, as if they were published.
    let mut package = cargo::command(&["package", "--allow-dirty", "--locked", "--quiet"]);
    for name in &order {
        package.args(["--package", name]);
    }
    let code = cargo::run(&mut package)?;
    if code == ExitCode::SUCCESS {
        println!("packed, and built by themselves: {}", order.join(", "));
    }
    Ok(code)
}
