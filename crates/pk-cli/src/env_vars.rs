//! The environment of the command: the one room that knows the names of the variables that only the
//! command reads. Never changes it.

use std::ffi::OsString;

use portkeeper::{Error as Cause, Settings};

use crate::error::Error;
use crate::output;

/// What the environment says.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) settings: Settings,
    /// The variables whose values mean nothing.
    pub(crate) refused: Vec<Cause>,
    /// What to log, as `pk_core=debug,info`.
    pub(crate) log: Option<String>,
    /// Where programs are looked for.
    pub(crate) search: Option<OsString>,
    /// The files of a step in GitHub Actions.
    pub(crate) step: StepPaths,
    /// Whether the original's lock file is set, which has no meaning here.
    pub(crate) has_lock: bool,
}

/// Where a step in GitHub Actions says what the following ones are to know.
#[derive(Debug, Default)]
pub(crate) struct StepPaths {
    pub(crate) env: Option<OsString>,
    pub(crate) output: Option<OsString>,
}

/// Variables that only the command reads.
pub(crate) const VARIABLES: [(&str, &str); 4] = [
    (
        "PORTKEEPER_LOG",
        "what to log to standard error, such as debug or pk_core=trace",
    ),
    ("NO_COLOR", "no colours, where it is not empty"),
    ("GITHUB_ENV", "the file of variables for --format github"),
    ("GITHUB_OUTPUT", "the file of outputs for --format github"),
];

pub(crate) fn read(pairs: impl IntoIterator<Item = (OsString, OsString)>) -> Environment {
    let (mut search, mut step) = (None, StepPaths::default());
    let mut mine = Vec::new();
    for (name, value) in pairs {
        match name.to_str() {
            Some("PATH") => search = Some(value),
            Some("GITHUB_ENV") => step.env = Some(value).filter(|it| !it.is_empty()),
            Some("GITHUB_OUTPUT") => step.output = Some(value).filter(|it| !it.is_empty()),
            Some(ours) if ours.starts_with("PORTKEEPER_") => mine.push((name, value)),
            _ => {}
        }
    }
    let find = |wanted: &str| mine.iter().find(|(name, _)| name == wanted);
    let log = find("PORTKEEPER_LOG")
        .map(|(_, value)| value.to_string_lossy().into_owned())
        .filter(|value| !value.is_empty());
    let has_lock = find("PORTKEEPER_LOCK").is_some();
    let (settings, refused) = Settings::lenient(mine);
    Environment {
        settings,
        refused,
        log,
        search,
        step,
        has_lock,
    }
}

impl Environment {
    /// The settings, where programs are looked for, and the files of a step.
    ///
    /// # Errors
    /// The first variable whose value means nothing.
    pub(crate) fn into_settings(self) -> Result<(Settings, Option<OsString>, StepPaths), Error> {
        match self.refused.into_iter().next() {
            Some(error) => Err(error.into()),
            None => Ok((self.settings, self.search, self.step)),
        }
    }

    pub(crate) fn warn(&self) {
        if self.has_lock {
            output::warn(&"PORTKEEPER_LOCK is ignored: the lock lies beside the registry");
        }
    }
}
