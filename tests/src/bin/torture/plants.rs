//! Names that somebody has put something under before we come, or swaps while we work. Never a name
//! that leads out of the temporary folder.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pk_tests::process::spawn;
use pk_tests::{Imprint, Ports, Shared, TestEnv};

use crate::dice::Dice;
use crate::options::Options;
use crate::row::{Needs, Outcome, Row, Skipped};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "d17",
        about: "links, FIFOs and folders planted under the names that we use: nothing outside changes",
        needs: Needs::Nothing,
        run: planted,
    },
    Row {
        name: "f62",
        about: "another user swaps names in a shared folder while we work: nothing outside changes",
        needs: Needs::Nothing,
        run: swapped,
    },
];

/// The names, in the state folder and in that of the project. A `.env` that is a link is followed, as
/// its owner wants.
const STATE: [&str; 10] = [
    "registry.json",
    "registry.json.lock",
    "registry.json.live",
    "files.lock",
    "names.json",
    "names.lock",
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
    "reserve {range} --name web",
    "reserve {range} --write-env PORT --write-json config.json#/port",
    "env set PORT=1",
    "release --mine",
    "gc",
    "doctor --fix",
];

/// What is done with a registry in whose folder another user works.
const SHARED: [&str; 5] = [
    "reserve {range}",
    "reserve --hold {range}",
    "gc",
    "release --mine",
    "status",
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
    let seconds = options.choose([8, 60, 1_200]);
    let time = options.time.unwrap_or(Duration::from_secs(seconds)) / 2;
    let (mut commands, mut swaps) = (0_usize, 0_u32);
    for shared in [Shared::of_group, Shared::machine_wide] {
        let Some(shared) = shared() else {
            return Err(Skipped("no other users here".to_owned()));
        };
        let (ports, ann, bob) = (Ports::claim(8), shared.user(0), shared.user(1));
        let mut precious = Precious::beside(&ann);
        let owner = Some(ann.uid());
        for path in [precious.folder.join("file"), precious.folder.clone()] {
            chown(path, owner, owner).unwrap();
        }
        precious.watch();
        let program = std::env::current_exe().unwrap();
        let mut vandal = bob.command(shared.actor(&program));
        vandal.args(["client", "vandal"]).stdin(Stdio::piped());
        vandal.args([shared.folder(), precious.folder.join("file")]);
        let mut vandal = ann.start(vandal);
        assert_eq!(vandal.line(), "up");
        let begun = Instant::now();
        while begun.elapsed() < time {
            let line = SHARED[commands % SHARED.len()].replace("{range}", &ports.range());
            let line = format!("portkeeper --lock-timeout 200ms {line}");
            let answer = ann.sh(&format!("umask 002; {line}")).sane();
            assert!(answer.took < PATIENCE, "{answer:#?}");
            commands += 1;
        }
        vandal.close_stdin();
        let done = vandal.number();
        assert!(done > 100, "hardly ever in the way");
        swaps += done;
        drop(vandal.end());
        precious.check("after all");
    }
    Ok(format!(
        "{commands} commands, {swaps} names changed, 0 bytes changed outside"
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

/// What a folder holds, and by what it would show that something was done to it. That a name of ours
/// which was a hard link to it has been replaced is nothing.
fn seen(folder: &Path) -> Vec<(PathBuf, Option<Imprint>)> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let mut seen: Vec<_> = entries
        .map(|entry| entry.path())
        .map(|path| {
            let imprint = Imprint::of(&path).map(Imprint::of_any_name);
            (path, imprint)
        })
        .collect();
    seen.sort_by(|one, other| one.0.cmp(&other.0));
    seen
}
