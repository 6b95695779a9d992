//! Disks that are full, at every step of what is left on them. Never a disk that somebody uses.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use pk_tests::process::spawn;
use pk_tests::{Imprint, Ports, TestEnv};
use rustix::fs::statvfs;
use tempfile::TempDir;

use crate::options::Options;
use crate::row::{Needs, Outcome, Row, Skipped};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "d8",
        about: "a disk with so many free blocks, or inodes: done, or exit 7 and nothing changed",
        needs: Needs::Mounts,
        run: sweep,
    },
    Row {
        name: "a24",
        about: "one failing command after the other on a full disk leaves nothing behind",
        needs: Needs::Mounts,
        run: litter,
    },
];

const PAGE: u64 = 4096;
/// Of the disk: more than any command needs.
const BLOCKS: u64 = 192;
const INODES: u64 = 192;

/// What is done on a nearly full disk; `{free}` and `{reserved}` are filled in.
const COMMANDS: [&str; 7] = [
    "reserve {free}",
    "reserve {free} --write-env PORT",
    "reserve {free} --write-env PORT --write-json config.json#/port",
    "release {reserved}",
    "gc",
    "env set A=2",
    "json set /port=2",
];

/// What runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scarce {
    Blocks,
    Inodes,
}

fn sweep(options: &Options) -> Outcome {
    let disk = Disk::new()?;
    let ports = Ports::claim(64);
    let steps = options.choose([24, 64, 128]);
    let (mut done, mut refused) = (0, 0);
    let kinds = [(Scarce::Blocks, steps), (Scarce::Inodes, steps.min(24))];
    for (scarce, steps) in kinds {
        for left in 0..steps {
            for line in COMMANDS {
                match step(&disk, &ports, scarce, left, line) {
                    0 => done += 1,
                    _ => refused += 1,
                }
            }
        }
    }
    assert!(
        done > 0 && refused > 0,
        "{done} done, {refused} refused: not between empty and full"
    );
    Ok(format!(
        "{steps} steps of 4 KiB, {} of inodes: {done} done, {refused} refused, 0 damaged",
        steps.min(24)
    ))
}

/// Runs one command on a disk of which so much is left; its exit code.
fn step(disk: &Disk, ports: &Ports, scarce: Scarce, left: u64, line: &str) -> i32 {
    let env = prepare(disk, ports);
    let filler = disk.fill(scarce, left);
    let before = (files(&env), entries(&env));
    let line = line
        .replace("{free}", &ports.range())
        .replace("{reserved}", &ports.at(1).to_string());
    let answer = env.pk(&line);
    let told = format!("{left} {scarce:?} left: {answer:#?}");
    let code = answer.code.expect("not killed");
    match code {
        0 => {}
        7 => {
            let _ = answer.refused(7).says(disk.folder.path().to_string_lossy());
            let mut after = (files(&env), entries(&env));
            // Of several files that are to be changed some may have been copied already.
            let is_new_copy = |path: &Path| {
                path.starts_with(env.state_folder().join("backups")) && !before.0.contains_key(path)
            };
            after.0.retain(|path, _| !is_new_copy(path));
            assert_eq!(after, before, "{told}");
        }
        _ => panic!("neither done nor refused: {told}"),
    }
    let listed = env.reserved();
    let is_done = code == 0;
    let expect = 4 + usize::from(is_done && line.starts_with("reserve"))
        - usize::from(is_done && line.starts_with("release"));
    assert_eq!(listed.len(), expect, "{told}");
    drop(filler);
    // With room again it can be done, and nothing lies about.
    if !is_done {
        env.pk(&line).ok();
    }
    assert!(env.leftovers().is_empty(), "{told}");
    code
}

fn litter(options: &Options) -> Outcome {
    let disk = Disk::new()?;
    let ports = Ports::claim(64);
    let rounds = options.rounds([600, 3_000, 10_000]);
    let env = prepare(&disk, &ports);
    let _filler = disk.fill(Scarce::Blocks, 0);
    let count = || statvfs(disk.mount_point()).unwrap().f_ffree;
    let before = (count(), files(&env));
    while let Some(round) = rounds.next() {
        let line = COMMANDS[round as usize % 3].replace("{free}", &ports.range());
        let _ = env.pk(line).refused(7);
        if round == 0 {
            // What the first one needs once, such as a lock file, stays.
            assert!(
                before.0 - count() <= 2,
                "{} inodes more",
                before.0 - count()
            );
        }
    }
    let after = (count(), files(&env));
    assert_eq!(after.1, before.1);
    assert!(
        before.0 - after.0 <= 2,
        "{} inodes more",
        before.0 - after.0
    );
    Ok(format!("{} commands, 0 files more", rounds.done()))
}

/// A world on the disk: four reservations and two files.
fn prepare(disk: &Disk, ports: &Ports) -> TestEnv {
    let env = TestEnv::within(&disk.mount_point());
    env.write(".env", "A=1\nPORT=1\n");
    env.write("config.json", "{\"port\": 1}\n");
    env.pk(format!("reserve --count 4 {}", ports.range())).ok();
    env.pk("env set B=1").ok();
    env
}

/// Everything that a refused command must leave as it was: files with their owners and modes. Not
/// locks, and not where backups of a file will be; of the registry what it lists, since a
/// reservation may have been made and undone.
fn files(env: &TestEnv) -> BTreeMap<PathBuf, Option<Imprint>> {
    let mut files: BTreeMap<_, _> = env.everything().into_iter().collect();
    let is_kept =
        |path: &Path| path.extension().is_some_and(|it| it == "lock") || path.ends_with("path.txt");
    files.retain(|path, _| path.is_file() && !is_kept(path));
    files.remove(&env.registry());
    files
}

/// What the registry lists, to the byte.
fn entries(env: &TestEnv) -> String {
    let registry = fs::read_to_string(env.registry()).unwrap();
    let (_, entries) = registry.split_once("\"entries\"").expect("a registry");
    entries.to_owned()
}

/// A small file system in memory.
struct Disk {
    folder: TempDir,
}

/// What fills a disk, until it is dropped.
struct Filler(Vec<PathBuf>);

impl Disk {
    fn new() -> Result<Disk, Skipped> {
        let folder = tempfile::Builder::new()
            .prefix("pk-disk-")
            .tempdir()
            .unwrap();
        let disk = Disk { folder };
        let at = disk.mount_point();
        fs::create_dir(&at).unwrap();
        let size = format!("size={},nr_inodes={INODES}", BLOCKS * PAGE);
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&at);
        let mounted = spawn(&mut mount).and_then(|mut it| it.wait());
        match mounted {
            Ok(status) if status.success() => Ok(disk),
            _ => Err(Skipped("no tmpfs may be mounted here".to_owned())),
        }
    }

    fn mount_point(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn fill(&self, scarce: Scarce, left: u64) -> Filler {
        let at = self.mount_point();
        let free = || statvfs(&at).unwrap();
        let mut filler = Filler(Vec::new());
        match scarce {
            Scarce::Blocks => {
                let path = at.join("filler");
                let mut file = File::create(&path).unwrap();
                filler.0.push(path);
                let page = [1; PAGE as usize];
                while free().f_bavail > left {
                    file.write_all(&page).unwrap();
                }
            }
            Scarce::Inodes => {
                while free().f_ffree > left {
                    let path = at.join(format!("filler-{}", filler.0.len()));
                    File::create(&path).unwrap();
                    filler.0.push(path);
                }
            }
        }
        filler
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        for path in &self.0 {
            // Gone already is as good.
            let _ = fs::remove_file(path);
        }
    }
}
