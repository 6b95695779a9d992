//! A file that was read, and what it is to hold. Never writes.

use std::path::PathBuf;

use pk_fs::replace::{DurableError, Original, Target};

use crate::diff;
use crate::digest::Digest;
use crate::edit::{Edited, Edits};
use crate::rewrite::Policy;
use crate::{Create, Error, InPlace, MAX_FILE_BYTES, Preview, Rewrite, Strategy};

/// A file that was read, and what it shall hold.
pub(crate) struct Draft {
    pub(crate) path: PathBuf,
    pub(crate) target: Target,
    pub(crate) original: Option<Original>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) policy: Policy,
    pub(crate) answers: Vec<Answer>,
}

/// What the edits of one rewrite came to.
pub(crate) struct Answer {
    /// Of the rewrite in the transaction.
    pub(crate) index: usize,
    pub(crate) path: PathBuf,
    pub(crate) edited: Edited,
}

impl Draft {
    pub(crate) fn read(plan: &Rewrite<Box<dyn Edits>>, target: Target) -> Result<Draft, Error> {
        let original = target.read(MAX_FILE_BYTES as u64)?;
        let bytes = original
            .as_ref()
            .map(|original| original.bytes().to_vec())
            .unwrap_or_default();
        let (path, policy) = (plan.path.clone(), plan.policy);
        Ok(Draft {
            path,
            target,
            original,
            bytes,
            policy,
            answers: Vec::new(),
        })
    }

    pub(crate) fn apply(
        &mut self,
        index: usize,
        plan: &Rewrite<Box<dyn Edits>>,
    ) -> Result<(), Error> {
        let path = &plan.path;
        let mut edited = plan
            .edits
            .apply(&self.bytes, plan.policy.guards)
            .map_err(|source| Error::Edit {
                path: path.clone(),
                source,
            })?;
        self.bytes = std::mem::take(&mut edited.bytes);
        self.policy = self.policy.and(plan.policy);
        self.answers.push(Answer {
            index,
            path: path.clone(),
            edited,
        });
        Ok(())
    }

    pub(crate) fn is_changed(&self) -> bool {
        self.original
            .as_ref()
            .is_none_or(|original| original.bytes() != self.bytes)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let path = || self.path.clone();
        match &self.original {
            None if self.policy.create == Create::Never => Err(Error::Missing { path: path() }),
            Some(original) if self.is_changed() => {
                match self
                    .policy
                    .forbids(original.mode(), || self.target.is_protected())
                {
                    true => Err(Error::ReadOnly { path: path() }),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn strategy(&self) -> Result<Strategy, Error> {
        let why = self.original.as_ref().and_then(Original::in_place_reason);
        match (self.policy.in_place, why) {
            _ if self.original.is_none() => Ok(Strategy::Rename),
            (InPlace::Never, Some(why)) => {
                let path = self.target.real().into();
                Err(DurableError::InPlaceOnly {
                    path,
                    why,
                    source: None,
                }
                .into())
            }
            (InPlace::Never | InPlace::IfNeeded, None) => Ok(Strategy::Rename),
            (InPlace::Always, _) | (InPlace::IfNeeded, Some(_)) => Ok(Strategy::InPlace),
        }
    }

    pub(crate) fn preview(&self) -> Preview {
        let edited = || self.answers.iter().map(|answer| &answer.edited);
        let before = self.original.as_ref().map(Original::bytes);
        let diff = match self.is_changed() {
            true => diff::unified(&self.path, before, &self.bytes),
            false => String::new(),
        };
        Preview {
            path: self.path.clone(),
            real_path: self.target.real().into(),
            keys: edited().flat_map(|edited| edited.keys.clone()).collect(),
            diff,
            duplicates: edited().map(|edited| edited.duplicates).sum(),
            warnings: edited()
                .flat_map(|edited| edited.warnings.clone())
                .collect(),
            in_place: self.original.as_ref().and_then(Original::in_place_reason),
        }
    }

    pub(crate) fn old_digest(&self) -> Option<Digest> {
        self.original
            .as_ref()
            .map(|original| Digest::of(original.bytes()))
    }
}
