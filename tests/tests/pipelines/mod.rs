//! Ports as variables: of shells, of pipelines. What the guide shows is done as it stands there.

mod github;
mod guide;
mod page;
mod shells;
mod values;

use std::fs;
use std::path::{Path, PathBuf};

use pk_tests::TestEnv;

/// The two files of a step, as a runner makes them.
struct Files {
    env: PathBuf,
    output: PathBuf,
}

impl Files {
    fn new(env: &TestEnv) -> Files {
        let make = |name: &str| {
            let path = env.path(name);
            fs::write(&path, "").unwrap();
            path
        };
        Files {
            env: make("github-env"),
            output: make("github-output"),
        }
    }

    /// What the step has said: its variables, its outputs.
    fn read(&self) -> (github::Variables, github::Variables) {
        (read(&self.env), read(&self.output))
    }
}

fn read(path: &Path) -> github::Variables {
    github::parse(&fs::read_to_string(path).unwrap()).expect("what a runner can read")
}

/// The program in a step, with these arguments.
fn step(env: &TestEnv, files: &Files, args: &[&str]) -> pk_tests::Answer {
    let mut command = env.portkeeper("");
    command
        .args(args)
        .env("GITHUB_ENV", &files.env)
        .env("GITHUB_OUTPUT", &files.output);
    env.run(command)
}
