//! What a command answered: its exit code, what it said, how long it took. Never interprets more
//! than the conventions that all commands share.

use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use crate::Object;

/// The end of a command. The checks give it back, so that they chain; a command is
/// run for its answer, so leaving it unchecked is a mistake.
#[derive(Debug)]
pub struct Answer {
    /// The exit code; `None` when a signal ended the command.
    pub code: Option<i32>,
    /// What it wrote on standard output (on a terminal: everything).
    pub stdout: String,
    /// What it wrote on standard error.
    pub stderr: String,
    /// From its start to its end.
    pub took: Duration,
    /// What was run.
    pub command: String,
}

impl Answer {
    pub(crate) fn new(command: String, output: &Output, took: Duration) -> Answer {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Answer {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            took,
            command,
        }
    }

    /// Checks that the command was done.
    ///
    /// # Panics
    /// It ended with another code than 0.
    #[track_caller]
    pub fn ok(self) -> Answer {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// Checks that the command was refused with `code`, in the way of all refusals: the last two
    /// lines on standard error are what went wrong (`error:`) and what helps (`hint:`).
    ///
    /// # Panics
    /// It ended with another code, or said it in another way.
    #[track_caller]
    pub fn refused(self, code: i32) -> Answer {
        assert_eq!(self.code, Some(code), "{self:#?}");
        let lines: Vec<_> = self.stderr.lines().collect();
        let heads = |head: &str| lines.iter().filter(|line| line.starts_with(head)).count();
        assert_eq!(heads("error: "), 1, "one error line: {self:#?}");
        assert!(heads("hint: ") >= 1, "a hint: {self:#?}");
        assert!(
            lines.last().is_some_and(|line| line.starts_with("hint: ")),
            "hint last: {self:#?}"
        );
        self.sane()
    }

    /// Checks that the program did not fall over, and wrote nothing that a terminal would obey.
    ///
    /// # Panics
    /// It panicked, was killed, or let a control character through.
    #[track_caller]
    pub fn sane(self) -> Answer {
        assert!(
            !self.stderr.contains("panicked") && self.code.is_some(),
            "{self:#?}"
        );
        let plain = |c: char| c == '\n' || !c.is_control();
        assert!(
            self.stdout.chars().chain(self.stderr.chars()).all(plain),
            "{self:#?}"
        );
        self
    }

    /// Checks that standard error has `part`.
    ///
    /// # Panics
    /// It has not.
    #[track_caller]
    pub fn says(self, part: impl AsRef<str>) -> Answer {
        assert!(
            self.stderr.contains(part.as_ref()),
            "no {:?} in {self:#?}",
            part.as_ref()
        );
        self
    }

    /// Standard output as JSON, on one line.
    ///
    /// # Panics
    /// It is not that.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:#?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Standard output as a JSON object whose fields keep their order.
    ///
    /// # Panics
    /// It is not that.
    #[track_caller]
    #[must_use]
    pub fn object(&self) -> Object {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// The port that `reserve` granted, in either of its formats.
    ///
    /// # Panics
    /// Standard output is not the answer of `reserve`.
    #[track_caller]
    #[must_use]
    pub fn port(&self) -> u16 {
        let answer = self.json();
        port(answer.get("port").unwrap_or(&answer))
    }

    /// The process that holds what `reserve --hold` granted.
    ///
    /// # Panics
    /// Standard output is not the answer of `reserve --hold`.
    #[track_caller]
    #[must_use]
    pub fn holder(&self) -> u32 {
        let pid = self.json()["holder_pid"].as_u64();
        pid.and_then(|pid| pid.try_into().ok())
            .unwrap_or_else(|| panic!("no holder: {self:#?}"))
    }
}

/// A port out of JSON.
#[track_caller]
fn port(value: &Value) -> u16 {
    let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
    number
        .filter(|port| *port > 0)
        .unwrap_or_else(|| panic!("{value} is no port"))
}
