//! Many processes that reserve and release at the same time, and write down what they got. Never
//! judges what they wrote.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use pk_tests::TestEnv;
use pk_tests::process::spawn;

use crate::figures::Spread;
use crate::options::{Options, Rounds};

/// How a client asks for ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    /// With the library, in its own process.
    Library,
    /// With a command for each step.
    Command,
}

/// What each of many clients does, again and again: reserve a port, and release one.
pub(crate) struct Crowd<'e> {
    pub(crate) env: &'e TestEnv,
    pub(crate) ports: RangeInclusive<u16>,
    /// How each of them asks.
    pub(crate) faces: Vec<Face>,
}

/// What they came to.
pub(crate) struct Toll {
    /// How long each step took.
    pub(crate) waits: Spread,
    /// The folder of their ledgers.
    pub(crate) ledgers: PathBuf,
}

impl Face {
    const NAMES: [(Face, &str); 2] = [(Face::Library, "library"), (Face::Command, "command")];

    pub(crate) fn name(self) -> &'static str {
        Face::NAMES
            .iter()
            .find(|it| it.0 == self)
            .expect("all are named")
            .1
    }

    pub(crate) fn named(name: &str) -> Option<Face> {
        Face::NAMES.iter().find(|it| it.1 == name).map(|it| it.0)
    }

    /// So many clients, of both kinds in turn.
    pub(crate) fn mixed(count: usize) -> Vec<Face> {
        (0..count)
            .map(|index| [Face::Library, Face::Command][index % 2])
            .collect()
    }
}

impl Crowd<'_> {
    /// Lets them all loose at once, and waits for their end. The rounds are shared out evenly.
    ///
    /// # Panics
    /// One of them fails, as it does when a step is refused.
    pub(crate) fn work(&self, options: &Options, rounds: &Rounds) -> Toll {
        let ledgers = self.env.root().join("ledgers");
        std::fs::create_dir(&ledgers).unwrap();
        let (count, time) = rounds.left();
        let each = count.div_ceil(self.faces.len() as u64);
        let mut clients: Vec<Client> = Vec::new();
        for (index, face) in self.faces.iter().enumerate() {
            let seed = options.dice(index as u64).throw();
            clients.push(self.client(*face, &ledgers, each, time, index, seed));
        }
        for client in &mut clients {
            client.expect("ready");
        }
        for client in &mut clients {
            client.go();
        }
        let waits = clients.into_iter().flat_map(Client::finish).collect();
        Toll {
            waits: Spread::of(waits),
            ledgers,
        }
    }

    fn client(
        &self,
        face: Face,
        ledgers: &Path,
        each: u64,
        time: Option<Duration>,
        index: usize,
        seed: u64,
    ) -> Client {
        let mut command = self.env.command(std::env::current_exe().unwrap());
        let program = self.env.portkeeper("");
        command
            .args(["client", face.name()])
            .args([
                self.env.registry().as_path(),
                ledgers,
                Path::new(program.get_program()),
            ])
            .args([
                self.ports.start().to_string(),
                self.ports.end().to_string(),
                each.to_string(),
                time.map_or(u64::MAX, |time| time.as_millis() as u64)
                    .to_string(),
                index.to_string(),
                seed.to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = spawn(&mut command).unwrap();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Client { child, stdout }
    }
}

struct Client {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Client {
    fn expect(&mut self, word: &str) {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), word, "a client");
    }

    fn go(&mut self) {
        let stdin = self.child.stdin.as_mut().expect("piped");
        stdin.write_all(b"go\n").expect("a client that waits");
    }

    /// Waits for its end; how long each of its steps took.
    fn finish(mut self) -> Vec<Duration> {
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "a client failed: {status}");
        let words = text.split_whitespace();
        words
            .map(|word| Duration::from_micros(word.parse().expect("a number")))
            .collect()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Where one has failed the others are not waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
