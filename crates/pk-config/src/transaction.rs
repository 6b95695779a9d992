//! Changes one file or several, all or none. Never leaves a half: what was begun is taken back, at
//! once or, after a crash, by the next one.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use pk_fs::lock::Wait;
use pk_fs::replace::Target;

use crate::attempt::Attempt;
use crate::draft::Draft;
use crate::edit::Edits;
use crate::{Error, Preview, Rewrite, State, Strategy, dotenv, recovery};

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
    /// How the bytes got there; where nothing changed, [`Strategy::Rename`].
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
        Ok(self.drafts()?.iter().map(Draft::preview).collect())
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
                Attempt::new(self.state, self.tag.as_deref(), now).run(&drafts)
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::path::Path;

    use super::*;
    use crate::edit::{Edited, Env, Error as EditError, Guards, sealed};
    use crate::{ErrorKind, InPlace, backup};

    /// An editor that saves the file while it is being changed, so many times.
    #[derive(Debug)]
    struct Editor {
        path: PathBuf,
        saves: Cell<u32>,
        edits: Env,
    }

    impl sealed::Sealed for Editor {}

    impl Edits for Editor {
        fn apply(&self, before: &[u8], guards: Guards) -> Result<Edited, EditError> {
            if self.saves.get() > 0 {
                self.saves.set(self.saves.get() - 1);
                let mut file = OpenOptions::new().append(true).open(&self.path).unwrap();
                file.write_all(b"# saved\n").unwrap();
            }
            self.edits.apply(before, guards)
        }
    }

    fn file(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap()
            .write_all(b"A=1\n")
            .unwrap();
        path
    }

    /// Changes two files while an editor saves the second one; returns what they hold then.
    fn race(saves: u32, in_place: InPlace) -> (Result<Vec<Written>, Error>, String, String) {
        let temp = tempfile::tempdir().unwrap();
        let state = State::at(temp.path().join("state"));
        let (first, second) = (file(temp.path(), "first"), file(temp.path(), "second"));
        let Rewrite {
            path,
            edits,
            policy,
        } = Rewrite::env(&second).set("A", "2").in_place(in_place);
        let edits = Editor {
            path: path.clone(),
            saves: Cell::new(saves),
            edits,
        };
        let answer = Transaction::new(&state)
            .add(Rewrite::env(&first).set("A", "2"))
            .add(Rewrite {
                path,
                edits,
                policy,
            })
            .commit(SystemTime::UNIX_EPOCH);
        let names = fs::read_dir(temp.path()).unwrap().count();
        assert_eq!(names, 3, "something was left beside the files");
        assert_eq!(fs::read_dir(state.path().join("txn")).unwrap().count(), 0);
        assert!(!backup::list(&state, Some(&first)).unwrap().is_empty());
        let read = |path| fs::read_to_string(path).unwrap();
        (answer, read(first), read(second))
    }

    #[test]
    fn what_an_editor_saves_meanwhile_is_kept() {
        for in_place in [InPlace::IfNeeded, InPlace::Always] {
            let (answer, first, second) = race(1, in_place);
            assert!(answer.unwrap().iter().all(|written| written.changed));
            assert_eq!(
                (first.as_str(), second.as_str()),
                ("A=2\n", "A=2\n# saved\n")
            );
        }
    }

    #[test]
    fn an_editor_that_does_not_stop_wins() {
        for in_place in [InPlace::IfNeeded, InPlace::Always] {
            let (answer, first, second) = race(2, in_place);
            let error = answer.unwrap_err();
            assert!(
                error.is_conflict() && error.kind() == ErrorKind::Io,
                "{error}"
            );
            assert_eq!(
                (first.as_str(), second.as_str()),
                ("A=1\n", "A=1\n# saved\n# saved\n")
            );
        }
    }
}
