//! The programs beside which ours is measured, and the one that measures, compiled from C. Never
//! part of the program.

use std::path::PathBuf;
use std::process::Command;

use pk_tests::skipped;

/// What there is here.
#[derive(Debug)]
pub(crate) struct Tools {
    /// The program under test.
    pub(crate) program: String,
    /// The system calls of one reservation, and nothing else.
    pub(crate) floor: String,
    /// What starts programs and measures them.
    pub(crate) stopwatch: String,
}

impl Tools {
    /// `None`, with a word about it, where there is no C compiler.
    pub(crate) fn make() -> Option<Tools> {
        let program = std::env::var("PK_BIN").expect("`cargo xtask bench` builds the program");
        Some(Tools {
            program,
            floor: compile("floor")?,
            stopwatch: compile("stopwatch")?,
        })
    }
}

fn compile(name: &str) -> Option<String> {
    let program = folder().join(name);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/floor/").to_owned() + name + ".c";
    let mut command = Command::new("cc");
    command.args(["-O2", "-static", "-o"]).arg(&program);
    if !command.arg(source).status().is_ok_and(|it| it.success()) {
        skipped("no C compiler (cc) that links statically");
        return None;
    }
    Some(program.into_os_string().into_string().unwrap())
}

/// Where results, and the programs that were compiled, are kept.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}
