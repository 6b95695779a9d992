//! A command that goes on until something ends it: what it says meanwhile, and its end. Never
//! outlives its test.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Output};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use rustix::process::Signal;

use crate::Answer;
use crate::env::{LIMIT, as_typed};
use crate::process::{eventually, signal, spawn};

/// A command that was started.
#[derive(Debug)]
pub struct Running {
    child: Child,
    command: String,
    start: Instant,
    stdout: Lines,
    stderr: Lines,
}

/// What comes from a stream, line by line.
#[derive(Debug)]
struct Lines {
    coming: Receiver<String>,
    seen: String,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> io::Result<Running> {
        let start = Instant::now();
        let mut child = spawn(&mut command)?;
        let stdout = Lines::of(child.stdout.take());
        let stderr = Lines::of(child.stderr.take());
        Ok(Running {
            child,
            command: as_typed(&command),
            start,
            stdout,
            stderr,
        })
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    ///
    /// # Panics
    /// The system does not tell.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.status().is_none()
    }

    /// The answer so far: the next line on standard output, waited for.
    ///
    /// # Panics
    /// There is none within a minute.
    #[track_caller]
    #[must_use]
    pub fn answer(&mut self) -> Answer {
        let line = self.stdout.next();
        let Some(stdout) = line else {
            panic!("no answer: {self:?}")
        };
        Answer {
            code: None,
            stdout,
            stderr: String::new(),
            took: self.start.elapsed(),
            command: self.command.clone(),
        }
    }

    /// The next line on standard output.
    ///
    /// # Panics
    /// There is none within a minute.
    #[track_caller]
    pub fn line(&mut self) -> String {
        self.answer().stdout.trim_end().to_owned()
    }

    /// The next line on standard output; `None` at its end, or after a minute.
    #[must_use]
    pub fn next_line(&mut self) -> Option<String> {
        self.stdout.next()
    }

    /// The next line on standard output, a number.
    ///
    /// # Panics
    /// As [`Running::line`].
    #[track_caller]
    pub fn number(&mut self) -> u32 {
        self.line().trim().parse().expect("a number")
    }

    /// Types something into its standard input.
    ///
    /// # Panics
    /// It is closed, or was never open.
    pub fn send(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().expect("an open standard input");
        stdin.write_all(text.as_bytes()).unwrap();
    }

    /// Ends its standard input.
    pub fn close_stdin(&mut self) {
        self.child.stdin = None;
    }

    /// Waits for its end, which was with this exit code; gives back what it said on standard error.
    ///
    /// # Panics
    /// It does not end within a minute, or with another code.
    #[track_caller]
    pub fn ends_with(self, code: i32) -> String {
        let answer = self.end();
        assert_eq!(answer.code, Some(code), "{answer:#?}");
        answer.stderr
    }

    /// Waits for a line on standard error that has `part`.
    ///
    /// # Panics
    /// There is none within a minute.
    #[track_caller]
    pub fn says(&mut self, part: &str) {
        while let Some(line) = self.stderr.next() {
            if line.contains(part) {
                return;
            }
        }
        panic!("no {part:?}: {self:?}");
    }

    /// Sends it a signal.
    pub fn signal(&self, what: Signal) {
        signal(self.pid(), what);
    }

    /// Waits for its end, and gives back all that it said.
    ///
    /// # Panics
    /// It does not end within a minute.
    #[track_caller]
    #[must_use]
    pub fn end(mut self) -> Answer {
        let mut status = None;
        eventually(LIMIT, &self.command.clone(), || {
            status = self.status();
            status.is_some()
        });
        let took = self.start.elapsed();
        while self.stdout.next().is_some() {}
        while self.stderr.next().is_some() {}
        let [stdout, stderr] =
            [&mut self.stdout, &mut self.stderr].map(|lines| std::mem::take(&mut lines.seen));
        let output = Output {
            status: status.expect("it has ended"),
            stdout: stdout.into(),
            stderr: stderr.into(),
        };
        Answer::new(self.command.clone(), &output, took)
    }

    fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our own child")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lines {
    fn of(stream: Option<impl Read + Send + 'static>) -> Lines {
        let (sender, coming) = mpsc::channel();
        if let Some(stream) = stream {
            thread::spawn(move || {
                let lines = BufReader::new(stream).lines().map_while(Result::ok);
                for line in lines {
                    if sender.send(line + "\n").is_err() {
                        break;
                    }
                }
            });
        }
        let seen = String::new();
        Lines { coming, seen }
    }

    /// The next line; `None` at the end of the stream, or after a minute.
    fn next(&mut self) -> Option<String> {
        let line = self.coming.recv_timeout(LIMIT).ok()?;
        self.seen += &line;
        Some(line)
    }
}
