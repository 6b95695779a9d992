//! Names that somebody has put something under before we come, or swaps while we work. Never a name
//! that leads out of the temporary folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use pk_tests::process::spawn;
use pk_tests::{Imprint, Ports, TestEnv};

use crate::dice::Dice;
use crate::options::Options;
use crate::row::{Needs, Outcome, Row};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "d17",
        about: "links, FIFOs and folders planted under the names that we use: nothing outside changes",
        needs: Needs::Nothing,
        run: planted,
    },
    Row {
        name: "f62",
        about: "names swapped in a loop while we work: nothing outside changes",
        needs: Needs::Nothing,
        run: swapped,
    },
];

/// The names, in the state folder and in that of the project. A `.env` that is a link is followed, as
/// its owner wants.
const STATE: [&str; 8] = [
    "registry.json",
    "registry.json.lock",
    "registry.json.live",
    "files.lock",
    "recent",
    "backups",
    "txn",
    "registry.json.tmp-1-0",
];
const PROJECT: [&str; 4] = [
    ".env.bak",
    ".env.tmp",
    "config.json~",
    ".portkeeper-tmp-1-1-0",
];

/// What is done; `{range}` is filled in.
const COMMANDS: [&str; 6] = [
    "reserve {range}",
    "reserve {range} --write-env PORT --write-json config.json#/port",
    "env set PORT=1",
    "release --mine",
    "gc",
    "doctor --fix",
];

/// Nothing that is planted keeps a command for longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What must stay as it is, whatever leads there.
struct Precious {
    folder: PathBuf,
    before: Vec<(PathBuf, Option<Imprint>)>,
}

impl Precious {
    /// A folder with a file in it, outside of all that a command has to do with.
    fn beside(env: &TestEnv) -> Precious {
        let folder = env.root().join("precious");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("file"), "precious\n").unwrap();
        let before = Vec::new();
        Precious { folder, before }
    }

    /// From now on.
    fn watch(&mut self) {
        self.before = seen(&self.folder);
    }

    #[track_caller]
    fn check(&self, told: &str) {
        assert_eq!(seen(&self.folder), self.before, "{told}");
        let text = fs::read_to_string(self.folder.join("file")).unwrap();
        assert_eq!(text, "precious\n", "{told}");
    }
}

fn planted(options: &Options) -> Outcome {
    let rounds = options.rounds([64 * 6, 2_000, 60_000]);
    let (ports, mut dice) = (Ports::claim(64), options.dice(0));
    let (mut done, mut refused) = (0_u64, 0_u64);
    while let Some(round) = rounds.next() {
        let env = world(&ports);
        let mut precious = Precious::beside(&env);
        let name = name(&env, &mut dice);
        let what = plant(&name, &precious.folder, &mut dice);
        precious.watch();
        let line = COMMANDS[round as usize % COMMANDS.len()];
        let answer = env.pk(line.replace("{range}", &ports.range())).sane();
        let told = format!("{line}, {what} at {}: {answer:#?}", name.display());
        precious.check(&told);
        assert!(answer.took < PATIENCE, "{told}");
        match answer.code {
            Some(0 | 1) => done += 1,
            Some(3 | 4 | 6 | 7 | 8) => refused += 1,
            _ => panic!("{told}"),
        }
    }
    Ok(format!(
        "{} plants: {done} commands done, {refused} refused, 0 bytes changed outside",
        rounds.done()
    ))
}

fn swapped(options: &Options) -> Outcome {
    let seconds = options.choose([8, 20, 600]);
    let time = options.time.unwrap_or(Duration::from_secs(seconds));
    let ports = Ports::claim(64);
    let env = world(&ports);
    let precious = Precious::beside(&env);
    let (is_over, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    let names: Vec<PathBuf> = places(&env).collect();
    let swap = |seed| {
        let mut dice = options.dice(seed);
        while !is_over.load(Ordering::Relaxed) {
            let name = &names[dice.below(names.len())];
            let aside = name.with_extension("aside");
            // Each of these may fail: the other one swaps, too, and so do the commands.
            let _ = fs::rename(name, &aside);
            let _ = symlink(precious.folder.join("file"), name);
            let _ = fs::remove_file(name);
            let _ = symlink(&precious.folder, name);
            let _ = fs::remove_file(name);
            let _ = fs::hard_link(precious.folder.join("file"), name);
            let _ = fs::remove_file(name);
            let _ = fs::rename(&aside, name);
            swaps.fetch_add(1, Ordering::Relaxed);
        }
    };
    let commands = thread::scope(|scope| {
        scope.spawn(|| swap(1));
        scope.spawn(|| swap(2));
        let begun = std::time::Instant::now();
        let mut commands = 0_usize;
        while begun.elapsed() < time {
            let line = COMMANDS[commands % COMMANDS.len()].replace("{range}", &ports.range());
            // Whether it can be done is up to those who swap.
            let answer = env.pk(line);
            let is_sane = answer.code.is_some() && !answer.stderr.contains("panicked");
            if !is_sane {
                is_over.store(true, Ordering::Relaxed);
                panic!("{answer:#?}");
            }
            commands += 1;
        }
        is_over.store(true, Ordering::Relaxed);
        commands
    });
    // A hard link is one more name of the file, which is how its inode changes.
    let text = fs::read_to_string(precious.folder.join("file")).unwrap();
    assert_eq!(text, "precious\n");
    let left: Vec<_> = fs::read_dir(&precious.folder).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    Ok(format!(
        "{commands} commands, {} swaps, 0 bytes changed outside",
        swaps.into_inner()
    ))
}

/// A world with a registry and files in use.
fn world(ports: &Ports) -> TestEnv {
    let env = TestEnv::new();
    env.write(".env", "PORT=2\n");
    env.write("config.json", "{\"port\": 2}\n");
    env.pk(format!(
        "reserve --count 2 {} --write-env A --write-env B",
        ports.range()
    ))
    .ok();
    env
}

fn places(env: &TestEnv) -> impl Iterator<Item = PathBuf> {
    let state = STATE.map(|name| env.state_folder().join(name));
    let project = PROJECT.map(|name| env.path(name));
    state.into_iter().chain(project)
}

fn name(env: &TestEnv, dice: &mut Dice) -> PathBuf {
    let mut all = places(env);
    all.nth(dice.below(STATE.len() + PROJECT.len()))
        .expect("one of them")
}

/// Puts something there, in the place of what there was; what it is.
fn plant(name: &Path, precious: &Path, dice: &mut Dice) -> &'static str {
    if name.is_dir() {
        fs::remove_dir_all(name).unwrap();
    } else {
        // Not all of the names are in use.
        let _ = fs::remove_file(name);
    }
    match dice.below(7) {
        0 => {
            symlink(precious.join("file"), name).unwrap();
            "a link to a file"
        }
        1 => {
            symlink(precious, name).unwrap();
            "a link to a folder"
        }
        2 => {
            symlink(precious.join("new"), name).unwrap();
            "a link to nothing"
        }
        3 => {
            fs::hard_link(precious.join("file"), name).unwrap();
            "a hard link"
        }
        4 => {
            let mut make = Command::new("mkfifo");
            let made = spawn(make.arg(name)).and_then(|mut it| it.wait());
            assert!(made.is_ok_and(|it| it.success()), "mkfifo");
            "a FIFO"
        }
        5 => {
            fs::create_dir(name).unwrap();
            "a folder"
        }
        _ => {
            symlink(name, name).unwrap();
            "a link to itself"
        }
    }
}

/// What a folder holds, and by what it would show that something was done to it.
fn seen(folder: &Path) -> Vec<(PathBuf, Option<Imprint>)> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let mut seen: Vec<_> = entries
        .map(|entry| (entry.path(), Imprint::of(&entry.path())))
        .collect();
    seen.sort_by(|one, other| one.0.cmp(&other.0));
    seen
}
