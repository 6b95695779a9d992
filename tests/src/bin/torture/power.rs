//! Power cuts: a file system of its own loses from one moment to the next what it has not written to
//! its disk. Never a real disk.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use pk_tests::process::spawn;
use pk_tests::{Ports, TestEnv, has};
use tempfile::TempDir;

use crate::dice::Dice;
use crate::options::Options;
use crate::row::{Needs, Outcome, Row, Skipped};
use crate::sys::{Journal, pull_the_plug};

pub(crate) const ROWS: &[Row] = &[Row {
    name: "d7",
    about: "the power is cut while ports are written into files: none is torn, none that was answered is lost",
    needs: Needs::Mounts,
    run: cuts,
}];

/// A kind of file system, how it is made and how it is mounted.
#[derive(Clone, Copy, Debug)]
struct Setup {
    kind: &'static str,
    megabytes: u64,
    options: &'static str,
}

const SETUPS: [Setup; 4] = [
    Setup {
        kind: "ext4",
        megabytes: 24,
        options: "loop,data=ordered",
    },
    Setup {
        kind: "ext4",
        megabytes: 24,
        options: "loop,data=writeback,noauto_da_alloc",
    },
    Setup {
        kind: "ext4",
        megabytes: 24,
        options: "loop,data=journal",
    },
    Setup {
        kind: "xfs",
        megabytes: 320,
        options: "loop",
    },
];

/// No run of commands between two cuts is longer.
const MOST: u16 = 200;

fn cuts(options: &Options) -> Outcome {
    let rounds = options.rounds([16, 40, 2_000]);
    let (ports, mut dice) = (Ports::claim(MOST), options.dice(0));
    let mut left_out = Vec::new();
    let mut disks: Vec<Disk> = Vec::new();
    for setup in SETUPS {
        match Disk::new(setup) {
            Ok(disk) => disks.push(disk),
            Err(Skipped(why)) => left_out.push(why),
        }
    }
    if disks.is_empty() {
        return Err(Skipped(left_out.join("; ")));
    }
    let mut answered = 0;
    while let Some(round) = rounds.next() {
        let disk = &disks[round as usize % disks.len()];
        let journal = match round as usize / disks.len() % 2 {
            0 => Journal::Lost,
            _ => Journal::Flushed,
        };
        answered += disk.cut(journal, &ports, &mut dice);
    }
    let besides = if left_out.is_empty() {
        String::new()
    } else {
        format!("; without {}", left_out.join("; "))
    };
    Ok(format!(
        "{} cuts on {} file systems, {answered} answered, 0 torn, 0 lost{besides}",
        rounds.done(),
        disks.len()
    ))
}

/// A file system in a file.
struct Disk {
    setup: Setup,
    folder: TempDir,
}

impl Disk {
    fn new(setup: Setup) -> Result<Disk, Skipped> {
        let make = format!("mkfs.{}", setup.kind);
        if !has(&make)
            && !["/sbin", "/usr/sbin"]
                .iter()
                .any(|it| Path::new(it).join(&make).is_file())
        {
            return Err(Skipped(format!("{}: no {make}", setup.kind)));
        }
        let folder = tempfile::Builder::new()
            .prefix("pk-disk-")
            .tempdir()
            .unwrap();
        let disk = Disk { setup, folder };
        fs::create_dir(disk.mount_point()).unwrap();
        File::create(disk.image())
            .unwrap()
            .set_len(setup.megabytes << 20)
            .unwrap();
        disk.run(&make, &["-q", &disk.image().to_string_lossy()])?;
        // Where it can't be mounted, or its plug can't be pulled, that shows now.
        disk.mount()?;
        let pulled = pull_the_plug(&disk.mount_point(), Journal::Flushed);
        disk.unmount();
        pulled.map_err(|error| Skipped(format!("{}: {error}", setup.kind)))?;
        Ok(disk)
    }

    /// Lets commands write a port into a file, one after the other, cuts the power in the midst of
    /// it, and looks at what is there when it is back; gives back how many were answered.
    fn cut(&self, journal: Journal, ports: &Ports, dice: &mut Dice) -> u64 {
        self.mount().expect("it could be mounted before");
        let env = TestEnv::within(&self.mount_point());
        fs::write(env.path(".env"), "A=1\nPORT=1\n").unwrap();
        File::open(env.path(".env")).unwrap().sync_all().unwrap();
        // So that the folders of this world are there afterwards.
        File::open(env.root()).unwrap().sync_all().unwrap();
        File::open(env.path("")).unwrap().sync_all().unwrap();
        rustix::fs::sync();

        let is_cut = AtomicBool::new(false);
        let moment = dice.moment(Duration::from_millis(150));
        let (last, next) = thread::scope(|scope| {
            let work = scope.spawn(|| write(&env, ports, &is_cut));
            thread::sleep(moment);
            is_cut.store(true, Ordering::Relaxed);
            pull_the_plug(&self.mount_point(), journal).expect("it could be pulled before");
            work.join().expect("one who writes")
        });
        self.unmount();
        self.mount().expect("its journal is replayed");

        let at = |index: u16| match index {
            0 => 1,
            index => ports.at(index - 1),
        };
        let text = env.read(".env").unwrap_or_default();
        let is = |index: u16| text == format!("A=1\nPORT={}\n", at(index));
        assert!(
            is(last) || is(next),
            "{:?}, {journal:?}: {last} were answered: {text:?}",
            self.setup
        );
        // And life goes on, whatever became of the registry.
        env.pk(format!("reserve {} --write-env PORT", ports.range()))
            .ok();
        env.pk("gc").ok();
        drop(env);
        self.unmount();
        last.into()
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn mount_point(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn mount(&self) -> Result<(), Skipped> {
        let (image, at) = (self.image(), self.mount_point());
        let Setup { kind, options, .. } = self.setup;
        self.run(
            "mount",
            &[
                "-t",
                kind,
                "-o",
                options,
                &image.to_string_lossy(),
                &at.to_string_lossy(),
            ],
        )
    }

    fn unmount(&self) {
        self.run("umount", &[&self.mount_point().to_string_lossy()])
            .expect("nobody uses it");
    }

    fn run(&self, program: &str, words: &[&str]) -> Result<(), Skipped> {
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let mut command = std::process::Command::new(program);
        command
            .args(words)
            .env("PATH", path)
            .stdin(std::process::Stdio::null());
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let output = spawn(&mut command).and_then(std::process::Child::wait_with_output);
        let failed = |why: &str| Skipped(format!("{}: {program}: {}", self.setup.kind, why.trim()));
        let output = output.map_err(|error| failed(&error.to_string()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            Ok(())
        } else {
            Err(failed(&said))
        }
    }
}

/// Reserves one port after the other and writes each into the file, until the power is cut; gives
/// back how many were answered, and how many were begun.
fn write(env: &TestEnv, ports: &Ports, is_cut: &AtomicBool) -> (u16, u16) {
    for index in 0..MOST {
        let line = format!(
            "reserve --strict --preferred {} --write-env PORT",
            ports.at(index)
        );
        let answer = env.pk(line);
        if answer.code != Some(0) {
            assert!(is_cut.load(Ordering::Relaxed), "{answer:#?}");
            let _ = answer.refused(7);
            return (index, index + 1);
        }
    }
    (MOST, MOST)
}
