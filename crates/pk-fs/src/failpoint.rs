//! Named places at which a test makes the program stumble: be killed, be stopped, or get an error
//! where a system call could give one. Never in a program that anybody uses: unless this crate is
//! built with its feature `failpoints`, the macro [`failpoint!`](crate::failpoint!) is nothing.
//!
//! In such a build the variable `PORTKEEPER_FAILPOINTS` holds rules, separated by `;`. Each is the
//! name of a place (or `*` for all), perhaps `@N` for the Nth time only that a process comes there,
//! `=`, and what happens then:
//!
//! * `kill`: the process ends as by `kill -9`;
//! * `stop`: it stops as by `kill -STOP`, until somebody sends it a SIGCONT;
//! * `return(ENOSPC)`: the place answers with this error, if it is one that can;
//! * `trace(/a/file)`: a line is added to the file: the process, the name, and whether the place can
//!   answer with an error.
//!
//! Processes that were started by this one (holders, supervisors) inherit the rules.

/// A place with this name. With `|error| …` it can answer with an error of the system: the expression
/// says how, and mostly begins with `return`.
///
/// ```
/// fn rename() -> std::io::Result<()> {
///     pk_fs::failpoint!("example.rename", |error| return Err(error));
///     pk_fs::failpoint!("example.renamed");
///     Ok(())
/// }
/// assert!(rename().is_ok());
/// ```
#[cfg(not(feature = "failpoints"))]
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {};
    ($name:literal, |$error:ident| $answer:expr) => {};
}

/// A place with this name. With `|error| …` it can answer with an error of the system: the expression
/// says how, and mostly begins with `return`.
#[cfg(feature = "failpoints")]
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        $crate::failpoint::pass($name)
    };
    ($name:literal, |$error:ident| $answer:expr) => {
        if let Some($error) = $crate::failpoint::fail($name) {
            $answer
        }
    };
}

#[cfg(feature = "failpoints")]
pub use active::{fail, pass};

#[cfg(feature = "failpoints")]
mod active {
    use std::collections::BTreeMap;
    use std::io::{self, Write};
    use std::path::PathBuf;
    use std::sync::{Mutex, OnceLock, PoisonError};

    use rustix::fs::{CWD, Mode, OFlags};
    use rustix::io::Errno;
    use rustix::process::{Signal, getpid, kill_process};

    const VARIABLE: &str = "PORTKEEPER_FAILPOINTS";

    /// What happens at a place.
    #[derive(Debug, PartialEq)]
    enum Action {
        Kill,
        Stop,
        Return(Errno),
        Trace(PathBuf),
    }

    /// Where it happens: all places where there is no name, always where there is no number.
    #[derive(Debug, PartialEq)]
    struct Rule {
        name: Option<String>,
        number: Option<usize>,
        action: Action,
    }

    /// The errors that a place can be told to answer with.
    const ERRORS: [(&str, Errno); 12] = [
        ("EACCES", Errno::ACCESS),
        ("EBUSY", Errno::BUSY),
        ("EDQUOT", Errno::DQUOT),
        ("EIO", Errno::IO),
        ("EMFILE", Errno::MFILE),
        ("ENFILE", Errno::NFILE),
        ("ENOLCK", Errno::NOLCK),
        ("ENOMEM", Errno::NOMEM),
        ("ENOSPC", Errno::NOSPC),
        ("ENOSYS", Errno::NOSYS),
        ("EPERM", Errno::PERM),
        ("EROFS", Errno::ROFS),
    ];

    /// Comes to a place that can't answer.
    ///
    /// # Panics
    /// A rule wants it to.
    pub fn pass(name: &'static str) {
        let error = reach(name, "passes");
        assert!(error.is_none(), "{name} can't answer with an error");
    }

    /// Comes to a place that answers with an error if a rule wants it to.
    #[must_use]
    pub fn fail(name: &'static str) -> Option<io::Error> {
        reach(name, "answers")
    }

    fn reach(name: &'static str, ability: &str) -> Option<io::Error> {
        static RULES: OnceLock<Vec<Rule>> = OnceLock::new();
        let rules = RULES.get_or_init(|| {
            let text = std::env::var(VARIABLE).unwrap_or_default();
            parse(&text).unwrap_or_else(|rule| panic!("{VARIABLE}: what is {rule:?}?"))
        });
        let number = count(name);
        let meant = rules.iter().filter(|rule| {
            rule.name.as_ref().is_none_or(|meant| meant == name)
                && rule.number.is_none_or(|meant| meant == number)
        });
        let mut error = None;
        for rule in meant {
            match &rule.action {
                Action::Kill => signal(Signal::KILL),
                Action::Stop => signal(Signal::STOP),
                Action::Return(errno) => error = Some((*errno).into()),
                Action::Trace(path) => {
                    let line = format!("{} {name} {ability}\n", getpid());
                    trace(path, &line)
                        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                }
            }
        }
        error
    }

    /// How often this process has come to the place, this time included.
    fn count(name: &'static str) -> usize {
        static SEEN: Mutex<BTreeMap<&str, usize>> = Mutex::new(BTreeMap::new());
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        let times = seen.entry(name).or_default();
        *times += 1;
        *times
    }

    fn signal(signal: Signal) {
        kill_process(getpid(), signal).expect("a process may signal itself");
    }

    fn trace(path: &PathBuf, line: &str) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
        let file = rustix::fs::openat(CWD, path, flags, Mode::RUSR | Mode::WUSR)?;
        std::fs::File::from(file).write_all(line.as_bytes())
    }

    /// The rules in a text, or the one that is none.
    fn parse(text: &str) -> Result<Vec<Rule>, &str> {
        let rules = text.split(';').filter(|rule| !rule.is_empty());
        rules.map(|text| rule(text).ok_or(text)).collect()
    }

    fn rule(text: &str) -> Option<Rule> {
        let (place, action) = text.split_once('=')?;
        let (name, number) = match place.split_once('@') {
            Some((name, number)) => (name, Some(number.parse().ok()?)),
            None => (place, None),
        };
        let argument = |word: &str| {
            action
                .strip_prefix(word)?
                .strip_prefix('(')?
                .strip_suffix(')')
        };
        let action = match action {
            "kill" => Action::Kill,
            "stop" => Action::Stop,
            _ => match (argument("return"), argument("trace")) {
                (Some(error), _) => {
                    Action::Return(ERRORS.iter().find(|(name, _)| *name == error)?.1)
                }
                (_, Some(path)) => Action::Trace(path.into()),
                _ => return None,
            },
        };
        let name = (name != "*").then(|| name.to_owned());
        Some(Rule {
            name,
            number,
            action,
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn rules_are_read() {
            let rule = |name: Option<&str>, number, action| Rule {
                name: name.map(Into::into),
                number,
                action,
            };
            let check = |text, expect: &[Rule]| assert_eq!(parse(text).unwrap(), expect, "{text}");
            check("", &[]);
            check("a.b=kill", &[rule(Some("a.b"), None, Action::Kill)]);
            check(
                "a@2=stop;*=trace(/x=y)",
                &[
                    rule(Some("a"), Some(2), Action::Stop),
                    rule(None, None, Action::Trace("/x=y".into())),
                ],
            );
            check(
                "a=return(EIO)",
                &[rule(Some("a"), None, Action::Return(Errno::IO))],
            );
            let refuse = |text| assert_eq!(parse(text), Err(text));
            refuse("a");
            refuse("a=explode");
            refuse("a@b=kill");
            refuse("a=return(ENOTHING)");
            refuse("a=return");
        }
    }
}
