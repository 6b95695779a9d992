//! Looks at everything that PortKeeper stands on, and says what is wrong and what mends it. Changes
//! nothing unless it is asked to mend, and then only what is this user's own and can't be missed.
//!
//! Each check stands by itself: a registry that can't be read, or a HOME that is no folder, is a
//! finding and not an end.

mod control;
mod entries;
mod finding;
mod kernel;
mod litter;
mod look;
mod mend;
mod place;
mod state;

use std::path::PathBuf;

use pk_registry::Sharing;

pub use finding::{Fact, Finding, Remedy, Severity};

use crate::error::Error;
use crate::places;
use crate::settings::Settings;
use look::Look;

/// Who says where the registry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Chosen {
    /// An argument.
    Argument,
    /// A variable of the environment.
    Variable,
    /// Nobody: it is in the state folder.
    Default,
}

impl Chosen {
    /// Its name: `flag`, `variable`, `default`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Chosen::Argument => "flag",
            Chosen::Variable => "variable",
            Chosen::Default => "default",
        }
    }
}

/// What there is to be examined.
#[derive(Debug)]
pub struct Doctor {
    settings: Settings,
    chosen: Chosen,
    refused: Vec<Error>,
}

/// What was seen and found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Checkup {
    /// The registry file; `None` where its place can't be told.
    pub registry: Option<PathBuf>,
    /// Who says so.
    pub chosen: Chosen,
    /// Who shares it; `None` where it can't be read.
    pub sharing: Option<Sharing>,
    /// What is so, good or bad.
    pub facts: Vec<Fact>,
    /// What should not be so.
    pub findings: Vec<Finding>,
    /// What could not be mended.
    pub failed: Vec<Error>,
}

impl Checkup {
    /// Whether nothing is wrong, or nothing any more.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.findings.iter().all(|finding| finding.fixed)
    }
}

impl Doctor {
    /// For the registry that the settings name, as `chosen` says.
    #[must_use]
    pub fn new(settings: Settings, chosen: Chosen) -> Doctor {
        Doctor {
            settings,
            chosen,
            refused: Vec::new(),
        }
    }

    /// With variables of the environment whose values were refused.
    #[must_use]
    pub fn refused(self, refused: Vec<Error>) -> Doctor {
        Doctor { refused, ..self }
    }

    /// Looks at everything and changes nothing.
    #[must_use]
    pub fn examine(&self) -> Checkup {
        let mut look = Look::new(&self.settings);
        place::rights(&mut look);
        for error in &self.refused {
            place::variable(&mut look, error);
        }
        let registry = place::registry(&mut look, self.chosen);
        let mut sharing = None;
        if let Some(path) = &registry {
            let folder = place::folder(&mut look, path);
            let snapshot = entries::read(&mut look, path);
            sharing = snapshot.as_ref().map(|it| it.sharing);
            if let Some(folder) = &folder {
                place::files(&mut look, folder, path, sharing);
                litter::beside(&mut look, folder, path, snapshot.as_ref());
            }
            if let Some(snapshot) = &snapshot {
                entries::check(&mut look, snapshot);
            }
        }
        state::check(&mut look, registry.is_some());
        control::check(&mut look);
        kernel::check(&mut look, sharing);
        let Look {
            facts, findings, ..
        } = look;
        Checkup {
            registry,
            chosen: self.chosen,
            sharing,
            facts,
            findings,
            failed: Vec::new(),
        }
    }

    /// Looks at everything, mends what can be mended without asking anybody, and looks again. What is
    /// found no more is marked as fixed.
    #[must_use]
    pub fn mend(&self) -> Checkup {
        let before = self.examine();
        let failed = mend::all(&self.settings, &before.findings);
        let after = self.examine();
        let is_left = |finding: &Finding| after.findings.iter().any(|it| it.is_about(finding));
        let mut findings: Vec<Finding> = before
            .findings
            .into_iter()
            .filter(|finding| !is_left(finding))
            .map(|finding| Finding {
                fixed: finding.cure.is_some(),
                ..finding
            })
            // What has gone by itself was never there.
            .filter(|finding| finding.fixed)
            .collect();
        findings.extend(after.findings);
        Checkup {
            findings,
            failed,
            ..after
        }
    }
}

/// Whether this process has the rights of another user than the one who started it, as a set-uid
/// program has: then what that one says must not be done with them.
///
/// # Errors
/// [`Error::BorrowedRights`].
pub fn own_rights() -> Result<(), Error> {
    places::own_rights()
}
