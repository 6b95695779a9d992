//! `kill -9` at random moments, thousands of times: what was answered is kept, the registry and
//! people's files stay whole. Never knows what a command does at the moment when it is killed.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use pk_tests::process::{eventually, spawn};
use pk_tests::{Ports, TestEnv};
use serde_json::Value;

use crate::dice::Dice;
use crate::options::{Options, Rounds};
use crate::row::{Needs, Outcome, Row};

pub(crate) const ROWS: &[Row] = &[Row {
    name: "d1",
    about: "kill -9 at any moment: nothing that was answered is lost, granted twice or damaged",
    needs: Needs::Nothing,
    run: storm,
}];

/// How many kill at the same time, and how many kills each checks at once.
const KILLERS: usize = 4;
const BETWEEN_CHECKS: u64 = 40;

/// What is killed; `{range}` and `{port}` (reserved and answered) are filled in.
const COMMANDS: [&str; 6] = [
    "reserve {range} --owner {me}",
    "reserve {range} --owner {me} --write-env PORT",
    "release {port}",
    "reserve {range} --owner {me} --count 2",
    "gc",
    "reserve {range} --owner {me} --hold",
];

/// One who starts commands and kills them.
struct Killer<'s> {
    env: &'s TestEnv,
    ports: &'s Ports,
    /// Who has a port by an answer that was read, until its release is asked for.
    granted: &'s Mutex<HashMap<u16, usize>>,
    index: usize,
    folder: PathBuf,
    dice: Dice,
    mine: BTreeSet<u16>,
    /// What the `.env` file may say: what was answered last, and what was written since by commands
    /// that were killed, which the next one that writes takes back.
    written: BTreeSet<u16>,
    /// The time within which a command of each kind is killed. How long they take on this machine is
    /// found out on the way.
    windows: [Duration; COMMANDS.len()],
}

#[derive(Default)]
struct Count {
    killed: u64,
    answered: u64,
}

fn storm(options: &Options) -> Outcome {
    let rounds = options.rounds([2_500, 20_000, 1_000_000]);
    let (env, ports, granted) = (TestEnv::new(), Ports::claim(1_600), Mutex::default());
    let kill = |index| {
        let folder = env.path(&format!("killer-{index}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(".env"), "A=1\nPORT=1\n").unwrap();
        Killer {
            env: &env,
            ports: &ports,
            granted: &granted,
            index,
            folder,
            dice: options.dice(index as u64),
            mine: BTreeSet::new(),
            written: BTreeSet::from([1]),
            windows: [Duration::from_millis(5); COMMANDS.len()],
        }
        .kill(&rounds)
    };
    let counts: Vec<Count> = thread::scope(|scope| {
        let killers: Vec<_> = (0..KILLERS)
            .map(|index| scope.spawn(move || kill(index)))
            .collect();
        killers
            .into_iter()
            .map(|it| it.join().expect("a killer"))
            .collect()
    });
    env.pk("release --mine").ok();
    env.pk("gc").ok();
    assert_eq!(env.reserved(), [0_u16; 0]);
    eventually(Duration::from_secs(10), "no holder stays", || {
        env.processes().is_empty()
    });
    assert!(env.leftovers().is_empty());
    let live = env.registry().with_extension("json.live");
    assert_eq!(
        fs::read_dir(live).map_or(0, Iterator::count),
        0,
        "liveness files stay"
    );
    let sum = |of: fn(&Count) -> u64| counts.iter().map(of).sum::<u64>();
    Ok(format!(
        "{} commands, {} killed, {} answered, 0 lost, 0 twice, 0 damaged",
        rounds.done(),
        sum(|it| it.killed),
        sum(|it| it.answered)
    ))
}

impl Killer<'_> {
    fn kill(mut self, rounds: &Rounds) -> Count {
        let mut count = Count::default();
        while let Some(round) = rounds.next() {
            // Those that start a second process cost as much as ten others.
            let kind = match self.dice.below(51) {
                50 => 5,
                other => other % 5,
            };
            let before = count.answered;
            self.strike(kind, &mut count);
            if (round / KILLERS as u64).is_multiple_of(BETWEEN_CHECKS) || before > count.answered {
                self.check();
            }
        }
        self.check();
        count
    }

    fn strike(&mut self, kind: usize, count: &mut Count) {
        let mut line = COMMANDS[kind].replace("{range}", &self.ports.range());
        line = line.replace("{me}", &format!("killer-{}", self.index));
        if line.contains("{port}") {
            // It may or may not be there afterwards.
            let Some(port) = self.mine.pop_first() else {
                return;
            };
            self.granted().remove(&port);
            line = line.replace("{port}", &port.to_string());
        }
        let mut command = self.env.portkeeper(&line);
        command
            .current_dir(&self.folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = spawn(&mut command).unwrap();
        thread::sleep(self.dice.moment(self.windows[kind]));
        child.kill().unwrap();
        let mut stdout = String::new();
        child
            .stdout
            .take()
            .expect("piped")
            .read_to_string(&mut stdout)
            .unwrap();
        let is_killed = child.wait().unwrap().code().is_none();
        // Half of all are to be killed before they end by themselves.
        let window = &mut self.windows[kind];
        *window = window.mul_f64(if is_killed { 1.05 } else { 0.95 });
        count.killed += u64::from(is_killed);
        let answers = match stdout.ends_with('\n') && line.starts_with("reserve") {
            true => self.note(&stdout),
            false => Vec::new(),
        };
        count.answered += answers.len() as u64;
        self.check_file(line.contains("--write-env"), &answers, &line);
    }

    /// Notes what was answered: the ports.
    fn note(&mut self, stdout: &str) -> Vec<u16> {
        let answer: Value = serde_json::from_str(stdout).unwrap();
        let several = answer.as_array().cloned().unwrap_or_else(|| vec![answer]);
        let ports: Vec<u16> = several.iter().map(|it| port(&it["port"])).collect();
        for port in &ports {
            let other = self.granted().insert(*port, self.index);
            assert_eq!(other, None, "{port} was granted twice");
            self.mine.insert(*port);
        }
        ports
    }

    /// Checks that the registry is whole, and that nothing is lost; then all is given back.
    fn check(&mut self) {
        let listed = self.env.reservations();
        let me = format!("killer-{}", self.index);
        let mut ports = Vec::new();
        for entry in &listed {
            assert_ne!(entry["state"], "damaged", "{entry}");
            let is_alive = entry["state"] != "stale";
            if entry["owner"] == *me && is_alive {
                ports.push(port(&entry["port"]));
            }
        }
        let distinct: BTreeSet<u16> = ports.iter().copied().collect();
        assert_eq!(distinct.len(), ports.len(), "listed twice: {ports:?}");
        let lost: Vec<_> = self.mine.difference(&distinct).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        for port in std::mem::take(&mut self.mine) {
            self.granted().remove(&port);
        }
        self.env.pk(format!("release --owner {me}")).ok();
        let aside = fs::read_dir(self.env.state_folder()).unwrap().flatten();
        let aside = aside.filter(|it| it.file_name().to_string_lossy().contains(".corrupt-"));
        assert_eq!(aside.count(), 0, "the registry was found damaged");
    }

    /// Checks that the `.env` file is whole, and has what was answered; what was not may be in it.
    fn check_file(&mut self, is_written: bool, answers: &[u16], line: &str) {
        let text = fs::read_to_string(self.folder.join(".env")).unwrap();
        let value = text
            .strip_prefix("A=1\nPORT=")
            .and_then(|rest| rest.strip_suffix('\n'));
        let Some(value) = value.and_then(|value| value.parse::<u16>().ok()) else {
            panic!("{line}: torn: {text:?}");
        };
        match answers {
            [port] if is_written => {
                assert_eq!(value, *port, "{line}: answered but not written");
                self.written = BTreeSet::from([value]);
            }
            _ if is_written => drop(self.written.insert(value)),
            _ => assert!(
                self.written.contains(&value),
                "{line}: changed a file: {value}"
            ),
        }
    }

    fn granted(&self) -> std::sync::MutexGuard<'_, HashMap<u16, usize>> {
        self.granted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn port(value: &Value) -> u16 {
    value
        .as_u64()
        .and_then(|number| u16::try_from(number).ok())
        .expect("a port")
}
