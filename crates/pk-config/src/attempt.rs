//! One try to change files, all or none: stage, keep, write down, replace, tidy up; or put back.
//! Never leaves a half, short of being killed: then the journal tells the next one.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use pk_fs::failpoint;
use pk_fs::replace::{DurableError, Like, Original, Staged};
use tracing::debug;

use crate::digest::Digest;
use crate::draft::{Answer, Draft};
use crate::journal::{self, Entry, Journal, Old, Phase};
use crate::undo::{Holds, look, put_back};
use crate::{Create, Error, InPlace, Keep, State, Strategy, Written, backup};

/// One try to change all files.
pub(crate) struct Attempt<'t> {
    state: &'t State,
    tag: Option<&'t str>,
    now: SystemTime,
    /// The name of the journal, should there be one.
    name: String,
    journal: Option<Journal>,
}

/// A file that is about to be changed.
struct Step<'d> {
    draft: &'d Draft,
    /// None: to be written in place, or done.
    staged: Option<Staged<'d>>,
    strategy: Strategy,
    backup: Option<PathBuf>,
    /// Where the old bytes are kept, if only until the end.
    copy: Option<PathBuf>,
}

impl<'t> Attempt<'t> {
    pub(crate) fn new(state: &'t State, tag: Option<&'t str>, now: SystemTime) -> Attempt<'t> {
        let nanos = now
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        let name = format!("{nanos:x}-{}", std::process::id());
        Attempt {
            state,
            tag,
            now,
            name,
            journal: None,
        }
    }

    pub(crate) fn run(mut self, drafts: &[Draft]) -> Result<Vec<Written>, Error> {
        let mut steps = Vec::new();
        let changed = || drafts.iter().filter(|draft| draft.is_changed());
        // Before anything lies beside the files that a killed process could leave there.
        tidy(
            self.state
                .remember(changed().map(|draft| draft.target.real())),
        );
        for draft in changed() {
            if let Err(error) = draft.target.sweep() {
                debug!(path = %draft.path.display(), %error, "leftovers could not be swept");
            }
            steps.push(stage(draft)?);
        }
        failpoint!("config.staged");
        for step in &mut steps {
            if let (Keep::Backup, Some(original)) = (step.draft.policy.keep, &step.draft.original) {
                let real = step.draft.target.real();
                let backup = backup::keep(self.state, real, original, self.now)?;
                step.copy = Some(backup.clone());
                step.backup = Some(backup);
            }
        }
        failpoint!("config.backed-up");
        let is_simple = |step: &Step<'_>| step.strategy == Strategy::Rename;
        if steps.len() > 1 || !steps.iter().all(is_simple) {
            self.open_journal(&mut steps)?;
        }
        failpoint!("config.announced");
        for index in 0..steps.len() {
            if let Err(error) = self.replace(&mut steps, index) {
                // Of a file that somebody else has just changed, nothing was touched.
                let touched = if error.is_conflict() {
                    index
                } else {
                    index + 1
                };
                return Err(self.undo(&steps[..touched], error));
            }
            failpoint!("config.replaced");
        }
        if let Some(journal) = &mut self.journal
            && let Err(error) = journal.mark(Phase::Committed)
        {
            // The disk has filled up, say. To put files back would take room as well; to remove the
            // journal takes none, and says the same.
            debug!(%error, "the journal is closed without a word");
            if journal.close().is_err() {
                return Err(self.undo(&steps, error));
            }
        }
        failpoint!("config.committed");
        self.finish(&steps);
        Ok(answers(drafts, &steps))
    }

    /// Changes one file.
    fn replace(&mut self, steps: &mut [Step<'_>], index: usize) -> Result<(), Error> {
        let step = &mut steps[index];
        if let Some(staged) = step.staged.take() {
            match staged.commit() {
                Err(DurableError::InPlaceOnly { .. })
                    if step.draft.policy.in_place != InPlace::Never =>
                {
                    step.strategy = Strategy::InPlace;
                    self.open_journal(steps)?;
                }
                answer => return Ok(answer?),
            }
        }
        let draft = steps[index].draft;
        let original = draft
            .original
            .as_ref()
            .expect("a new file is renamed, never overwritten");
        Ok(draft.target.write_in_place(&draft.bytes, original)?)
    }

    /// Writes down what is about to be done, and makes sure that it can be taken back.
    fn open_journal(&mut self, steps: &mut [Step<'_>]) -> Result<(), Error> {
        let state = self.state;
        let mut entries = Vec::new();
        for (count, step) in steps.iter_mut().enumerate() {
            let draft = step.draft;
            let old = match &draft.original {
                None => None,
                Some(original) => {
                    let copy = match &step.copy {
                        Some(copy) => copy.clone(),
                        None => journal::keep(state, &self.name, count, original.bytes())?,
                    };
                    step.copy = Some(copy.clone());
                    let sha256 = Digest::of(original.bytes()).to_string();
                    Some(Old::new(sha256, &copy))
                }
            };
            let identity = draft.target.folder_identity()?;
            let new = Digest::of(&draft.bytes).to_string();
            entries.push(Entry::new(
                draft.target.real(),
                identity,
                step.strategy,
                old,
                new,
            ));
        }
        failpoint!("config.copied");
        self.journal = Some(Journal::open(state, &self.name, self.tag, entries)?);
        Ok(())
    }

    /// Tidies up. All files are new, whatever goes wrong here.
    fn finish(self, steps: &[Step<'_>]) {
        let state = self.state;
        self.journal.iter().map(Journal::close).for_each(tidy);
        failpoint!("config.closed");
        let fresh: Vec<PathBuf> = steps
            .iter()
            .filter_map(|step| step.backup.clone())
            .collect();
        if !fresh.is_empty() {
            backup::rotate(state, &fresh, self.now);
        }
    }

    /// Puts back the files that were changed, or may have been, and tells why.
    fn undo(self, steps: &[Step<'_>], error: Error) -> Error {
        let mut left: Vec<PathBuf> = Vec::new();
        for step in steps.iter().rev() {
            match undo(step) {
                Ok(Holds::Old) => {}
                Ok(_) => left.push(step.draft.target.real().into()),
                Err(undoing) => {
                    debug!(path = %step.draft.path.display(), %undoing, "could not be put back");
                    left.push(step.draft.target.real().into());
                }
            }
        }
        if !left.is_empty() {
            return Error::NotUndone {
                left,
                source: Box::new(error),
            };
        }
        if let Some(Err(closing)) = self.journal.as_ref().map(Journal::close) {
            debug!(%closing, "the journal is left for the next change to close");
        }
        error
    }
}

/// Prepares the new file beside the old one, where it can be renamed.
fn stage(draft: &Draft) -> Result<Step<'_>, Error> {
    let mut strategy = draft.strategy()?;
    let like = match (&draft.original, draft.policy.create) {
        (Some(original), _) => Like::Original(original),
        (None, Create::Private) => Like::Private,
        (None, _) => Like::AnyNew,
    };
    let mut staged = None;
    if strategy == Strategy::Rename {
        match draft.target.stage(&draft.bytes, like) {
            Err(DurableError::InPlaceOnly { .. }) if draft.policy.in_place != InPlace::Never => {
                strategy = Strategy::InPlace;
            }
            answer => staged = Some(answer?),
        }
    }
    Ok(Step {
        draft,
        staged,
        strategy,
        backup: None,
        copy: None,
    })
}

/// Puts one file back, and tells what it holds then.
fn undo(step: &Step<'_>) -> Result<Holds, Error> {
    let draft = step.draft;
    let (now, holds) = look(&draft.target, draft.old_digest(), Digest::of(&draft.bytes))?;
    let is_torn = holds == Holds::Neither && step.strategy == Strategy::InPlace;
    match now {
        Some(now) if holds == Holds::New || is_torn => {
            let old = draft.original.as_ref().map(Original::bytes);
            put_back(&draft.target, &now, old, step.strategy)?;
            Ok(Holds::Old)
        }
        _ => Ok(holds),
    }
}

/// What can be made up for later stops nothing now.
fn tidy(answer: Result<(), Error>) {
    if let Err(error) = answer {
        debug!(%error, "left for the next change to tidy up");
    }
}

/// The answer for each rewrite, in their order.
fn answers(drafts: &[Draft], steps: &[Step<'_>]) -> Vec<Written> {
    let mut answers = Vec::new();
    for draft in drafts {
        let step = steps.iter().find(|step| std::ptr::eq(step.draft, draft));
        for Answer {
            index,
            path,
            edited,
        } in &draft.answers
        {
            let written = Written {
                path: path.clone(),
                real_path: draft.target.real().into(),
                keys: edited.keys.clone(),
                changed: step.is_some(),
                strategy: step.map_or(Strategy::Rename, |step| step.strategy),
                backup: step.and_then(|step| step.backup.clone()),
                duplicates: edited.duplicates,
                warnings: edited.warnings.clone(),
            };
            answers.push((*index, written));
        }
    }
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, written)| written).collect()
}
