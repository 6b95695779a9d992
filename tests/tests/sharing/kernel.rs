//! What the kernel does differently from machine to machine: its protections in sticky folders, and
//! namespaces of users.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{chown, symlink};

use pk_tests::{Imprint, Ports, Shared, TestEnv, has, skipped};
use rustix::fs::{FlockOperation, flock};

use super::{listed, quick, reserve};

/// The protections of sticky folders, as they were; given back when this is dropped.
struct Protections {
    before: Vec<(&'static str, String)>,
    /// They are the machine's: whoever changes them does so alone.
    _turn: File,
}

const NAMES: [&str; 4] = ["regular", "fifos", "hardlinks", "symlinks"];

fn path_of(name: &str) -> String {
    format!("/proc/sys/fs/protected_{name}")
}

impl Protections {
    fn borrow() -> io::Result<Protections> {
        let turn = std::env::temp_dir().join("portkeeper-tests-sysctl.lock");
        let turn = File::options().create(true).append(true).open(turn)?;
        flock(&turn, FlockOperation::LockExclusive)?;
        let read = |name| Ok((name, fs::read_to_string(path_of(name))?));
        let before = NAMES
            .into_iter()
            .map(read)
            .collect::<io::Result<Vec<_>>>()?;
        let borrowed = Protections {
            before,
            _turn: turn,
        };
        borrowed.set(2)?;
        Ok(borrowed)
    }

    /// Links know only 0 and 1.
    fn set(&self, level: u32) -> io::Result<()> {
        for (name, _) in &self.before {
            let most = if name.ends_with("links") { 1 } else { 2 };
            fs::write(path_of(name), level.min(most).to_string())?;
        }
        Ok(())
    }
}

impl Drop for Protections {
    fn drop(&mut self) {
        for (name, value) in &self.before {
            let _ = fs::write(path_of(name), value);
        }
    }
}

#[test]
fn a02_every_level_of_protection_in_sticky_folders_will_do() {
    if !rustix::process::geteuid().is_root() {
        skipped("fs.protected_regular: the tests do not run as root");
        return;
    }
    let protections = match Protections::borrow() {
        Ok(protections) => protections,
        Err(error) => {
            skipped(format_args!("fs.protected_regular: {error}"));
            return;
        }
    };
    for level in [0, 1, 2] {
        protections.set(level).unwrap();
        for shared in [Shared::machine_wide(), Shared::of_group()] {
            let Some(shared) = shared else { return };
            let (ports, ann, bob) = (Ports::claim(4), shared.user(0), shared.user(1));
            for (env, at) in [(&ann, 0), (&bob, 1), (&ann, 2), (&bob, 3)] {
                let hold = if at < 2 { "" } else { "--hold" };
                reserve(env, ports.at(at), hold).ok();
            }
            assert_eq!(
                ann.reserved(),
                ports.all().collect::<Vec<_>>(),
                "level {level}"
            );
            for env in [&ann, &bob] {
                env.pk("gc").ok();
                env.pk("release --mine").ok();
            }
            assert_eq!(bob.reserved(), [0_u16; 0]);
        }
        planted_links_lead_nowhere(level);
    }
}

/// In a folder like `/tmp` somebody has put links where a registry and its files would be.
fn planted_links_lead_nowhere(level: u32) {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ann, bob) = (shared.user(0), shared.user(1));
    let precious = ann.root().join("home/precious");
    fs::write(&precious, "precious").unwrap();
    chown(&precious, Some(61_001), Some(61_001)).unwrap();
    fs::set_permissions(
        &precious,
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    fs::set_permissions(
        precious.parent().unwrap(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let kept = Imprint::of(&precious).expect("it was written");
    let is_kept = || {
        let now = Imprint::of(&precious).expect("it is there");
        assert_eq!(now, kept, "level {level}");
    };
    for name in [
        "reg.json",
        "reg.json.lock",
        "reg.json.tmp-1-0",
        "61001.json",
    ] {
        symlink(&precious, shared.path(name)).unwrap();
        chown_link(&shared.path(name), bob.uid());
    }
    let named = format!("--registry {}", shared.path("reg.json").display());
    quick(ann.pk(format!("{named} reserve"))).refused(8);
    quick(ann.pk("reserve --hold")).ok();
    quick(ann.pk("gc")).ok();
    is_kept();
    // A hard link of it, where the kernel lets the other user make one. It has two names from then on,
    // which is all that may be different.
    let link = shared.path("61003.json");
    let made = bob.sh(&format!("ln {} {}", precious.display(), link.display()));
    quick(ann.pk("reserve")).ok();
    quick(ann.pk("gc")).ok();
    if made.code == Some(0) {
        fs::remove_file(link).unwrap();
    }
    is_kept();
}

fn chown_link(path: &std::path::Path, uid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), None).unwrap();
}

#[test]
fn a18_who_is_root_in_a_namespace_is_nobody_special_outside() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ports, ann, bob) = (Ports::claim(3), shared.user(0), shared.user(1));
    let inside = |env: &TestEnv, line: &str| {
        let mut command = env.command("unshare");
        command.args(["-Urpf", "--mount-proc", "--", "portkeeper"]);
        command.args(line.split_whitespace());
        env.run(command)
    };
    let mut probe = bob.command("unshare");
    probe.args(["-Urpf", "--mount-proc", "--", "true"]);
    if !has("unshare") || bob.run(probe).code != Some(0) {
        skipped("namespaces of users: not allowed here");
        return;
    }
    reserve(&ann, ports.at(0), "--hold").ok();
    reserve(&bob, ports.at(1), "--hold").ok();
    let shards = ["61001.json", "61002.json"].map(|name| shared.path(name));
    let before = shards.each_ref().map(|path| Imprint::of(path));
    for line in ["gc", "release --mine", "reserve", "status"] {
        // The folder is not root's as seen from there, so nothing in it is believed.
        quick(inside(&bob, line)).refused(8).says("not to root");
    }
    quick(inside(&bob, &format!("release {}", ports.at(0)))).refused(8);
    assert_eq!(shards.each_ref().map(|path| Imprint::of(path)), before);
    for at in [0, 1] {
        assert_eq!(listed(&ann, ports.at(at)).unwrap()["state"], "held");
    }
    // Another namespace of processes alone, whose root is the machine's.
    let mut command = ann.command("unshare");
    command.args([
        "-Urpf",
        "--map-user=61001",
        "--mount-proc",
        "--",
        "portkeeper",
        "gc",
    ]);
    quick(ann.run(command)).refused(8);
    let root = shared.superuser();
    let mut command = root.command("unshare");
    command.args(["-pf", "--mount-proc", "--", "portkeeper", "gc"]);
    quick(root.run(command)).ok();
    assert_eq!(ann.reserved(), [ports.at(0), ports.at(1)]);
}
