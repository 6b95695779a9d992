//! The two files of a step in GitHub Actions: what is added to them are variables of the steps that
//! follow, and outputs of this one. Never writes anything else there.
//!
//! The runner reads `NAME=VALUE`, and for several lines `NAME<<WORD`, the lines, and `WORD`
//! (<https://docs.github.com/actions/reference/workflow-commands-for-github-actions>).

use std::ffi::OsStr;
use std::path::Path;

use portkeeper::fs::append::{self, Tail};
use portkeeper::{Error as Cause, Record};

use super::{Variable, text};
use crate::args::Syntax;
use crate::env_vars::StepPaths;
use crate::error::Error;

/// Both files, open.
#[derive(Debug)]
pub(crate) struct Step {
    env: Tail,
    output: Tail,
}

impl Step {
    /// Opens both. To be done before anything is reserved.
    pub(crate) fn open(paths: &StepPaths) -> Result<Step, Error> {
        let open = |path: Option<&OsStr>, name: &str| match path {
            Some(path) => Ok(Tail::open(Path::new(path)).map_err(Cause::from)?),
            None => Err(Error::Usage {
                message: format!("{name} is not set: this is no step of GitHub Actions"),
                hint: "--format env prints the variables".into(),
            }),
        };
        Ok(Step {
            env: open(paths.env.as_deref(), "GITHUB_ENV")?,
            output: open(paths.output.as_deref(), "GITHUB_OUTPUT")?,
        })
    }

    /// Adds variables and outputs, or nothing to either.
    pub(crate) fn add(&self, variables: &[Variable], outputs: &[Variable]) -> Result<(), Error> {
        let [variables, outputs] = [variables, outputs].map(|all| text(all, Syntax::Github));
        let texts = [
            (&self.env, variables.as_str()),
            (&self.output, outputs.as_str()),
        ];
        Ok(append::add_all(&texts).map_err(Cause::from)?)
    }
}

/// What a step that has reserved ports can be asked for: `steps.ID.outputs.port`. With several, each
/// has a number, and `ports` is a list in JSON.
pub(crate) fn outputs(records: &[Record]) -> Vec<Variable> {
    let one = |suffix: &str, record: &Record| {
        [
            (format!("port{suffix}"), record.port.to_string()),
            (format!("host{suffix}"), record.host.to_string()),
            (format!("id{suffix}"), record.id.clone()),
        ]
    };
    if let [record] = records {
        return one("", record).into();
    }
    let each = records.iter().enumerate();
    let mut outputs: Vec<_> = each
        .flat_map(|(at, record)| one(&at.to_string(), record))
        .collect();
    let ports: Vec<_> = records.iter().map(|it| it.port.to_string()).collect();
    outputs.push(("ports".into(), format!("[{}]", ports.join(","))));
    outputs
}

/// One variable as the runner reads it. The word that ends several lines is none of them.
pub(super) fn line(name: &str, value: &str) -> String {
    if !value.contains('\n') {
        return format!("{name}={value}\n");
    }
    let mut word = "END".to_owned();
    while value.lines().any(|line| line == word) {
        word.push('_');
    }
    format!("{name}<<{word}\n{value}\n{word}\n")
}
