//! Changes one file or several, all or none. Never leaves a half: what was begun is taken back, at
//! once or, after a crash, by the next one.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pk_fs::lock::Wait;
use pk_fs::replace::{DurableError, Like, Original, Staged, Target};
use tracing::debug;

use crate::digest::Digest;
use crate::edit::{Edited, Edits};
use crate::journal::{self, Entry, Journal, Old, Phase};
use crate::rewrite::{Policy, diff};
use crate::steps::reached;
use crate::undo::{Holds, look, put_back};
use crate::{
    Create, Error, InPlace, Keep, MAX_FILE_BYTES, Preview, Rewrite, State, Strategy, backup,
    dotenv, recovery,
};

/// Changes of files that are done together or not at all.
///
/// ```
/// use std::time::SystemTime;
/// use pk_config::{Rewrite, State, Transaction};
/// # let temp = tempfile::tempdir()?;
/// # let (env, json) = (temp.path().join(".env"), temp.path().join("config.json"));
/// # for (path, text) in [(&env, "PORT=1\n"), (&json, "{\"server\": {\"port\": 1}}\n")] {
/// #     std::io::Write::write_all(&mut std::fs::File::create_new(path)?, text.as_bytes())?;
/// # }
/// let state = State::at(temp.path().join("state"));
/// let written = Transaction::new(&state)
///     .add(Rewrite::env(&env).set("PORT", "8080"))
///     .add(Rewrite::json(&json).set("/server/port", 8080))
///     .commit(SystemTime::now())?;
/// assert!(written.iter().all(|written| written.changed));
/// assert_eq!(std::fs::read_to_string(&json)?, "{\"server\": {\"port\": 8080}}\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Transaction<'s> {
    state: &'s State,
    tag: Option<String>,
    wait: Wait,
    plans: Vec<Rewrite<Box<dyn Edits>>>,
}

/// What was done to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The file, as it was named.
    pub path: PathBuf,
    /// The file itself, where that is a link.
    pub real_path: PathBuf,
    /// The keys or pointers that were named.
    pub keys: Vec<String>,
    /// Whether it holds other bytes than before. If not, it was not touched.
    pub changed: bool,
    /// How the bytes got there.
    pub strategy: Strategy,
    /// Where what it held is kept.
    pub backup: Option<PathBuf>,
    /// How many further assignments of the same keys were changed.
    pub duplicates: usize,
    /// What some readers will stumble over.
    pub warnings: Vec<dotenv::Warning>,
}

impl<'s> Transaction<'s> {
    /// Changes that keep their backups and journals in `state`, and wait for others' changes for at
    /// most ten seconds.
    #[must_use]
    pub fn new(state: &'s State) -> Self {
        Transaction {
            state,
            tag: None,
            wait: Wait::UpTo(WAIT),
            plans: Vec::new(),
        }
    }

    /// What [`recovery::recover`] tells of it when this process is killed half-way.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// How long to wait while somebody else changes files.
    #[must_use]
    pub fn wait(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// Adds the edits of a file. Several for one file are done in their order.
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "it adds to a list, as a builder does"
    )]
    pub fn add<E: Edits + 'static>(mut self, rewrite: Rewrite<E>) -> Self {
        let Rewrite {
            path,
            edits,
            policy,
        } = rewrite;
        self.plans.push(Rewrite {
            path,
            edits: Box::new(edits),
            policy,
        });
        self
    }

    /// What [`Transaction::commit`] would do, one for each file named. Touches nothing, not even
    /// the state folder.
    ///
    /// # Errors
    /// As [`Transaction::commit`], as far as can be told beforehand.
    pub fn preview(&self) -> Result<Vec<Preview>, Error> {
        let drafts = self.drafts()?;
        let mut previews = Vec::new();
        for draft in &drafts {
            let before = draft.original.as_ref().map(Original::bytes);
            let diff = if draft.is_changed() {
                diff(&draft.path, before, &draft.bytes)
            } else {
                String::new()
            };
            previews.push(Preview {
                path: draft.path.clone(),
                real_path: draft.target.real().into(),
                keys: draft
                    .answers
                    .iter()
                    .flat_map(|answer| answer.edited.keys.clone())
                    .collect(),
                diff,
                duplicates: draft
                    .answers
                    .iter()
                    .map(|answer| answer.edited.duplicates)
                    .sum(),
                warnings: draft
                    .answers
                    .iter()
                    .flat_map(|a| a.edited.warnings.clone())
                    .collect(),
                in_place: draft.original.as_ref().and_then(Original::in_place_reason),
            });
        }
        Ok(previews)
    }

    /// Changes the files, and answers for each rewrite in the order in which they were added.
    /// `now` names backups and ages old ones. What is already as asked is not touched.
    ///
    /// An interrupted change of somebody else's is taken back first.
    ///
    /// # Errors
    /// Whatever is wrong with any of the files; then none is changed. Only
    /// [`Error::NotUndone`] says that some are.
    pub fn commit(&self, now: SystemTime) -> Result<Vec<Written>, Error> {
        self.state.exclusively(self.wait, || {
            let stuck = recovery::roll_back(self.state, now)?.stuck;
            let attempt = || {
                let drafts = self.drafts()?;
                for draft in &drafts {
                    recovery::check_settled(&stuck, draft.target.real())?;
                }
                Attempt::new(self, now).run(&drafts)
            };
            match attempt() {
                // An editor saved in between: once more, from what it saved.
                Err(error) if error.is_conflict() => attempt(),
                answer => answer,
            }
        })?
    }

    /// Reads all files and computes what they shall hold.
    fn drafts(&self) -> Result<Vec<Draft>, Error> {
        let mut drafts: Vec<Draft> = Vec::new();
        for (index, plan) in self.plans.iter().enumerate() {
            let target = Target::resolve(&plan.path)?;
            let known = drafts
                .iter()
                .position(|draft| draft.target.real() == target.real());
            let known = match known {
                Some(known) => known,
                None => {
                    drafts.push(Draft::read(plan, target)?);
                    drafts.len() - 1
                }
            };
            drafts[known].apply(index, plan)?;
        }
        for draft in &drafts {
            draft.check()?;
        }
        Ok(drafts)
    }
}

/// How long others' changes are waited for.
const WAIT: Duration = Duration::from_secs(10);

/// A file that was read, and what it shall hold.
struct Draft {
    path: PathBuf,
    target: Target,
    original: Option<Original>,
    bytes: Vec<u8>,
    policy: Policy,
    answers: Vec<Answer>,
}

/// What the edits of one rewrite came to.
struct Answer {
    /// Of the rewrite in the transaction.
    index: usize,
    path: PathBuf,
    edited: Edited,
}

impl Draft {
    fn read(plan: &Rewrite<Box<dyn Edits>>, target: Target) -> Result<Draft, Error> {
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

    fn apply(&mut self, index: usize, plan: &Rewrite<Box<dyn Edits>>) -> Result<(), Error> {
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

    fn is_changed(&self) -> bool {
        self.original
            .as_ref()
            .is_none_or(|original| original.bytes() != self.bytes)
    }

    fn check(&self) -> Result<(), Error> {
        let path = || self.path.clone();
        match &self.original {
            None if self.policy.create == Create::Never => Err(Error::Missing { path: path() }),
            Some(original) if self.is_changed() => {
                match self.policy.forbids(original, self.target.is_writable()) {
                    true => Err(Error::ReadOnly { path: path() }),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn strategy(&self) -> Result<Strategy, Error> {
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

    fn old_digest(&self) -> Option<Digest> {
        self.original
            .as_ref()
            .map(|original| Digest::of(original.bytes()))
    }
}

/// One try to change all files.
struct Attempt<'t> {
    transaction: &'t Transaction<'t>,
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
    fn new(transaction: &'t Transaction<'t>, now: SystemTime) -> Attempt<'t> {
        let nanos = now
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        let name = format!("{nanos:x}-{}", std::process::id());
        Attempt {
            transaction,
            now,
            name,
            journal: None,
        }
    }

    fn run(mut self, drafts: &[Draft]) -> Result<Vec<Written>, Error> {
        let mut steps = Vec::new();
        for draft in drafts.iter().filter(|draft| draft.is_changed()) {
            if let Err(error) = draft.target.sweep() {
                debug!(path = %draft.path.display(), %error, "leftovers could not be swept");
            }
            steps.push(stage(draft)?);
        }
        reached("staged", 0);
        for step in &mut steps {
            if let (Keep::Backup, Some(original)) = (step.draft.policy.keep, &step.draft.original) {
                let real = step.draft.target.real();
                let backup = backup::keep(self.transaction.state, real, original, self.now)?;
                step.copy = Some(backup.clone());
                step.backup = Some(backup);
            }
        }
        reached("backed-up", 0);
        let is_simple = |step: &Step<'_>| step.strategy == Strategy::Rename;
        if steps.len() > 1 || !steps.iter().all(is_simple) {
            self.open_journal(&mut steps)?;
        }
        reached("journal", 0);
        for index in 0..steps.len() {
            if let Err(error) = self.replace(&mut steps, index) {
                return Err(self.undo(&steps[..=index], error));
            }
            reached("replaced", index);
        }
        if let Some(journal) = &mut self.journal
            && let Err(error) = journal.mark(Phase::Committed)
        {
            return Err(self.undo(&steps, error));
        }
        reached("committed", 0);
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
        let state = self.transaction.state;
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
        let tag = self.transaction.tag.as_deref();
        self.journal = Some(Journal::open(state, &self.name, tag, entries)?);
        Ok(())
    }

    /// Tidies up. All files are new, whatever goes wrong here.
    fn finish(self, steps: &[Step<'_>]) {
        let tidy = |answer: Result<(), Error>| {
            if let Err(error) = answer {
                debug!(%error, "left for the next change to tidy up");
            }
        };
        let state = self.transaction.state;
        self.journal.map(Journal::close).into_iter().for_each(tidy);
        reached("closed", 0);
        tidy(state.remember(steps.iter().map(|step| step.draft.target.real())));
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
        let last = steps.len() - 1;
        for (index, step) in steps.iter().enumerate().rev() {
            match undo(step) {
                Ok(Holds::Old) => {}
                // Somebody else's work, and the very reason why it failed.
                Ok(_) if index == last && error.is_conflict() => {}
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
        if let Some(Err(closing)) = self.journal.map(Journal::close) {
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
