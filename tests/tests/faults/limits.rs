//! What runs out, or is forbidden, for real: descriptors, memory, the size of a file, a disk, rights.
//! Never by a system call that only claims to have failed; that is the walk's.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use pk_tests::{Answer, Imprint, Ports, TestEnv, has, skipped};

/// Changes files besides the registry.
const WRITES: &str = "--write-env PORT";

/// A world with one reservation and an `.env`, and ports for two more.
struct Scene {
    env: TestEnv,
    ports: Ports,
}

impl Scene {
    fn new() -> Scene {
        Scene::of(TestEnv::new())
    }

    fn of(env: TestEnv) -> Scene {
        let ports = Ports::claim(3);
        env.pk(format!("reserve --preferred {}", ports.at(0))).ok();
        env.write(".env", "A=1\n");
        Scene { env, ports }
    }

    /// Reserves the next port, and writes it into the `.env`.
    fn reserve(&self) -> String {
        format!("reserve --preferred {} {WRITES}", self.ports.at(1))
    }

    /// A command under a limit of prlimit(1).
    fn limited(&self, limit: &str, line: &str) -> Command {
        let mut command = self.env.command("prlimit");
        let program = self.env.portkeeper(line);
        command.arg(limit).arg(program.get_program());
        command.args(program.get_args());
        command
    }

    fn imprints(&self) -> [Option<Imprint>; 2] {
        let registry = Imprint::of(&self.env.registry());
        [registry, self.env.imprint(".env")]
    }

    /// What must hold after every command, whatever became of it: what was reserved still is, files
    /// are old or new and whole, and the next commands work and leave nothing behind.
    fn is_whole(&self, answer: &Answer) {
        let Scene { env, ports } = self;
        assert!(!answer.stderr.contains("panicked"), "{answer:#?}");
        let (first, next) = (ports.at(0), ports.at(1));
        assert!(env.reserved().contains(&first), "lost: {answer:#?}");
        let text = env.read(".env").expect("an .env");
        let new = format!("A=1\nPORT={next}\n");
        assert!(text == "A=1\n" || text == new, "{text:?}: {answer:#?}");
        if answer.code == Some(0) {
            assert!(text == new && env.reserved().contains(&next), "{answer:#?}");
        }
        env.pk("env set B=2").ok();
        env.pk(format!("release {next}")).sane();
        env.pk("gc").ok();
        assert_eq!(env.reserved(), [first], "{answer:#?}");
        assert!(env.leftovers().is_empty(), "{answer:#?}");
        env.write(".env", "A=1\n");
    }

    /// Tries a command under each of these limits; how many of them refused it.
    fn sweep(&self, limits: impl Iterator<Item = String>) -> Option<usize> {
        if !has("prlimit") {
            skipped("no prlimit");
            return None;
        }
        let mut refused = 0;
        for limit in limits {
            let answer = self.env.run(self.limited(&limit, &self.reserve()));
            self.is_whole(&answer);
            refused += usize::from(answer.code != Some(0));
        }
        Some(refused)
    }
}

#[test]
fn f14_so_many_descriptors_and_no_more() {
    let scene = Scene::new();
    let limits = (3..16).map(|most| format!("--nofile={most}"));
    let Some(refused) = scene.sweep(limits) else {
        return;
    };
    assert!((1..13).contains(&refused), "{refused} of 13");
}

#[test]
fn f15_so_much_memory_and_no_more() {
    let scene = Scene::new();
    let limits = (8..=192)
        .step_by(8)
        .map(|mib| format!("--as={}", mib << 20));
    let Some(refused) = scene.sweep(limits) else {
        return;
    };
    assert!((1..24).contains(&refused), "{refused} of 24");
}

/// The signal ends the program; where it was started deaf to it, the error is told.
#[test]
fn f17_files_of_so_many_bytes_and_no_more() {
    let scene = Scene::new();
    let sizes = [0, 1, 4, 100, 300, 500, 700, 900, 1 << 20];
    let limits = sizes.iter().map(|size| format!("--fsize={size}"));
    let Some(refused) = scene.sweep(limits) else {
        return;
    };
    assert!((1..9).contains(&refused), "{refused} of 9");
    let before = scene.imprints();
    let script = format!(
        "trap '' XFSZ; exec prlimit --fsize=1 portkeeper {}",
        scene.reserve()
    );
    scene.env.sh(&script).refused(7);
    assert_eq!(scene.imprints(), before);
}

/// Runs a command in the world after a shell has mounted something over its folders, and looks at
/// both as long as the mounts are there.
fn mounted(scene: &Scene, prepare: &str, script: &str) -> Option<Answer> {
    let mut command = scene.env.command("sh");
    command.args(["-c", script]);
    let command = scene.env.unshared("-m", prepare, &command)?;
    Some(scene.env.run(command))
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}

#[test]
fn f06_f07_a_disk_that_is_full() {
    let scene = Scene::new();
    let state = quoted(&scene.env.state_folder());
    let check = |options: &str, fill: &str| {
        let prepare = format!(
            "cp -a {state} kept && mount -t tmpfs -o mode=700,{options} tmpfs {state} \
             && cp -a kept/. {state} && rm -r kept"
        );
        let reserve = scene.reserve();
        let script = format!(
            "{fill}; before=$(cat {state}/registry.json | cksum; ls -A {state} | sort)
             portkeeper {reserve}; code=$?
             test \"$before\" = \"$(cat {state}/registry.json | cksum; ls -A {state} | sort)\" || exit 90
             portkeeper status > /dev/null || exit 91
             rm -r {state}/fill*; portkeeper reserve --preferred {} > /dev/null || exit 92
             exit $code",
            scene.ports.at(2)
        );
        let before = scene.imprints();
        if let Some(answer) = mounted(&scene, &prepare, &script) {
            answer.refused(7);
            assert_eq!(scene.imprints(), before);
        }
    };
    check(
        "size=256k",
        &format!("dd if=/dev/zero of={state}/fill bs=4k status=none 2> /dev/null"),
    );
    check(
        "nr_inodes=32",
        &format!("seq -f {state}/fill%g 40 | xargs touch 2> /dev/null"),
    );
}

#[test]
fn f09_a_disk_that_is_read_only() {
    let scene = Scene::new();
    let state = quoted(&scene.env.state_folder());
    let prepare = format!("mount --bind {state} {state} && mount -o remount,ro,bind {state}");
    let before = scene.imprints();
    let first = scene.ports.at(0);
    let run = |line: &str| mounted(&scene, &prepare, &format!("exec portkeeper {line}"));
    let Some(status) = run("status") else {
        return;
    };
    assert!(status.ok().stdout.contains(&first.to_string()));
    for line in [scene.reserve(), format!("release {first}"), "gc".to_owned()] {
        run(&line).expect("as before").refused(7);
        assert_eq!(scene.imprints(), before, "{line}");
    }
}

#[test]
fn f10_what_is_closed_to_its_user() {
    let Some(env) = TestEnv::plain_user() else {
        return;
    };
    let scene = Scene::of(env);
    let state = scene.env.state_folder();
    let reserve = format!("reserve --preferred {}", scene.ports.at(1));
    let check = |path: &Path, mode: u32| {
        let before = fs::metadata(path).unwrap().permissions();
        let content = scene.imprints();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let answer = scene.env.pk(&reserve);
        fs::set_permissions(path, before).unwrap();
        answer.refused(8).says(path.to_str().unwrap());
        assert_eq!(scene.imprints(), content);
    };
    check(&state, 0o000);
    check(&state, 0o500);
    check(&scene.env.registry(), 0o000);
}
