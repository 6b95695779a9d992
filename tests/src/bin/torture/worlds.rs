//! The same machine seen from elsewhere: other clocks, other numbers of processes, other networks, no
//! way to see them. Never sets a clock that others go by.

use std::fs;
use std::time::Duration;

use pk_tests::process::eventually;
use pk_tests::{Ports, TestEnv, WallClock};

use crate::options::Options;
use crate::row::{Needs, Outcome, Row, Skipped};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "f52",
        about: "gc from other namespaces, in any mixture: nothing that lives is dropped",
        needs: Needs::Nothing,
        run: elsewhere,
    },
    Row {
        name: "f50",
        about: "each command goes by a wall clock of its own, years apart: nothing ends or comes back",
        needs: Needs::Nothing,
        run: jumps,
    },
    Row {
        name: "f47",
        about: "the number of a process is used again: the reservation of the first has ended",
        needs: Needs::Processes,
        run: again,
    },
    Row {
        name: "f63",
        about: "every umask: what we make is private, and its owner can use it",
        needs: Needs::Nothing,
        run: umasks,
    },
    Row {
        name: "d19",
        about: "files of any mode and owner are written: both stay",
        needs: Needs::Nothing,
        run: owners,
    },
];

/// A clock that does not tick for so long has stopped.
const PATIENCE: Duration = Duration::from_secs(10);

/// How the machine looks from there: the options of unshare(1), and what is done first.
const VIEWS: [(&str, &str); 8] = [
    ("--pid --fork --mount-proc", "true"),
    ("--pid --fork", "true"),
    (
        "-T --boottime 1000000000 --monotonic 1000000000 --fork",
        "true",
    ),
    (
        "-T --boottime 86400 --fork --pid --mount-proc -m -u -i",
        "true",
    ),
    ("-n", "true"),
    ("-n --pid --fork --mount-proc", "true"),
    ("-m", "mount -t tmpfs none /proc"),
    ("-m", "mount -t proc -o hidepid=2 proc /proc"),
];

fn elsewhere(options: &Options) -> Outcome {
    let rounds = options.rounds([40, 200, 4_000]);
    let mut dice = options.dice(0);
    let (env, ports) = (TestEnv::new(), Ports::claim(8));
    let mut process = env.bystander();
    let kinds = [
        "--hold".to_owned(),
        "--ttl 1h".to_owned(),
        "--proto udp".to_owned(),
        format!("--pid {}", process.id()),
    ];
    for (kind, port) in kinds.iter().zip(ports.all()) {
        env.pk(format!("reserve --strict --preferred {port} {kind}"))
            .ok();
    }
    let before = env.reserved();
    let mut cannot = None;
    while cannot.is_none() && rounds.next().is_some() {
        let (view, prepare) = dice.pick(&VIEWS);
        let line = dice.pick(&["gc", "gc --unused 1h", "status", "doctor --fix"]);
        // What nobody listens on may go with --unused after an hour, which has not passed.
        let Some(command) = env.unshared(view, prepare, &env.portkeeper(line)) else {
            cannot = Some(Skipped(format!("unshare {view}: not here")));
            continue;
        };
        let answer = env.run(command);
        assert!(matches!(answer.code, Some(0 | 1)), "{view}: {answer:#?}");
        assert_eq!(env.reserved(), before, "{view}: {answer:#?}");
    }
    for port in &before {
        let state = env.state(*port);
        assert!(
            state.is_some() && state.as_deref() != Some("stale"),
            "{port}: {state:?}"
        );
    }
    env.pk("release --mine").ok();
    process.kill().unwrap();
    process.wait().unwrap();
    cannot.map_or(Ok(()), Err)?;
    Ok(format!(
        "{} looks from {} places, 0 dropped",
        rounds.done(),
        VIEWS.len()
    ))
}

fn jumps(options: &Options) -> Outcome {
    const FARTHEST: usize = 60 * 365 * 86_400;
    let rounds = options.rounds([60, 400, 20_000]);
    let mut dice = options.dice(0);
    let (env, ports) = (TestEnv::new(), Ports::claim(4));
    let Some(clock) = WallClock::of(&env) else {
        return Err(Skipped("programs can't be given another wall clock".into()));
    };
    let mut run = |line: &str| {
        let seconds = dice.below(FARTHEST) as i64 - FARTHEST as i64 / 2;
        let answer = env.run(clock.shifted(&env, seconds, line)).sane();
        let is_doctor = line.starts_with("doctor") && answer.code == Some(1);
        let told = format!("{seconds} s from now: {answer:#?}");
        assert!(answer.code == Some(0) || is_doctor, "{told}");
        told
    };
    let mut process = env.bystander();
    let pid = format!("--pid {}", process.id());
    let kinds = [("--ttl 1h", "leased"), ("--hold", "held"), (&pid, "leased")];
    for ((kind, _), port) in kinds.iter().zip(ports.all()) {
        run(&format!("reserve --strict --preferred {port} {kind}"));
    }
    env.write(".env", "A=0\n");
    while let Some(round) = rounds.next() {
        let told = match round % 6 {
            0 => run("gc"),
            1 => run("status"),
            2 => run(&format!("renew {} --ttl 1h", ports.at(0))),
            3 => run("doctor --fix"),
            4 => {
                run(&format!("reserve --ttl 1h --preferred {}", ports.at(3)));
                run(&format!("release {}", ports.at(3)))
            }
            _ => {
                let before = env.read(".env");
                run(&format!("env set A={round}"));
                let told = run("backup restore .env");
                assert_eq!(env.read(".env"), before, "the last backup: {told}");
                run(&format!("env set A={round}"));
                told
            }
        };
        for ((_, state), port) in kinds.iter().zip(ports.all()) {
            assert_eq!(env.state(port).as_deref(), Some(*state), "{port}: {told}");
        }
        assert_eq!(env.state(ports.at(3)), None, "{told}");
    }
    run("release --mine");
    process.kill().unwrap();
    process.wait().unwrap();
    Ok(format!(
        "{} rounds up to 30 years off, 0 ended, 0 came back",
        rounds.done()
    ))
}

fn again(options: &Options) -> Outcome {
    const LAST: &str = "/proc/sys/kernel/ns_last_pid";
    let rounds = options.rounds([10, 100, 5_000]);
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let line = format!("reserve --strict --preferred {} --pid", ports.at(0));
    let mut same_tick = 0_u64;
    while rounds.next().is_some() {
        let mut first = env.bystander();
        let pid = first.id();
        env.pk(format!("{line} {pid}")).ok();
        let before = started(pid);
        eventually(PATIENCE, "another tick", || ticks() > before + 2);
        first.kill().unwrap();
        first.wait().unwrap();
        if let Err(error) = fs::write(LAST, (pid - 1).to_string()) {
            return Err(Skipped(format!("{LAST}: {error}")));
        }
        let mut second = env.bystander();
        // Within two ticks the product can't tell either, and takes it for alive.
        if second.id() == pid && started(pid) > before + 1 {
            env.pk(format!("{line} {pid}")).ok();
            assert_eq!(env.reserved(), [ports.at(0)]);
        } else {
            same_tick += 1;
        }
        second.kill().unwrap();
        second.wait().unwrap();
        env.pk("release --mine").ok();
    }
    Ok(format!(
        "{} numbers used again, {same_tick} of them too soon to tell, or taken by another",
        rounds.done()
    ))
}

/// Ticks of 10 ms since boot.
fn ticks() -> u64 {
    let uptime = fs::read_to_string("/proc/uptime").expect("/proc");
    let seconds = uptime.split(' ').next().unwrap_or_default();
    seconds.replace('.', "").parse().expect("a number")
}

/// When a process started, in ticks of 10 ms: the 22nd field of proc_pid_stat(5).
fn started(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let (_, rest) = stat.rsplit_once(')').expect("its name is in parentheses");
    let tick = rest.split_whitespace().nth(19);
    tick.and_then(|it| it.parse().ok()).expect("a number")
}

fn umasks(options: &Options) -> Outcome {
    use std::os::unix::fs::PermissionsExt as _;
    let step = options.choose([37, 7, 1]);
    let ports = Ports::claim(4);
    let mut tried = 0;
    for umask in (0..0o1000).step_by(step).chain([0o777, 0o077, 0o177]) {
        let env = TestEnv::new();
        let script = format!(
            "umask {umask:o}; portkeeper reserve {0} >&2 && \
             portkeeper reserve {0} --hold --write-env PORT >&2 && \
             portkeeper env set A=1 >&2 && portkeeper release --mine >&2 && portkeeper gc",
            ports.range()
        );
        env.sh(&script).ok();
        for path in walk(&env.state_folder()) {
            let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
            let least = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode & 0o777, least, "umask {umask:o}: {}", path.display());
        }
        let mode = fs::metadata(env.path(".env")).unwrap().permissions().mode();
        assert_eq!(
            mode & 0o777 & !(0o666 & !umask | 0o600),
            0,
            "umask {umask:o}: .env {mode:o}"
        );
        tried += 1;
    }
    Ok(format!("{tried} umasks"))
}

fn owners(options: &Options) -> Outcome {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
    let rounds = options.rounds([100, 1_000, 20_000]);
    let mut dice = options.dice(0);
    let (env, ports) = (TestEnv::new(), Ports::claim(4));
    let is_root = rustix::process::geteuid().is_root();
    while rounds.next().is_some() {
        env.write(".env", "A=1\n");
        let path = env.path(".env");
        // Write permission of its own is what it takes to be written at all.
        let mode = 0o600 | (dice.throw() as u32 & 0o177);
        if is_root {
            let [uid, gid] = [(); 2].map(|()| dice.pick(&[0, 61_001, 61_002]));
            chown(&path, Some(uid), Some(gid)).unwrap();
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let of = |path| {
            let found = fs::metadata(path).unwrap();
            (found.mode(), found.uid(), found.gid())
        };
        let before = of(&path);
        let line = dice.pick(&["env set A=2", "reserve {range} --write-env A"]);
        env.pk(line.replace("{range}", &ports.range())).ok();
        assert_ne!(env.read(".env").as_deref(), Some("A=1\n"));
        assert_eq!(of(&path), before, "{line}");
        env.pk("release --mine").ok();
        fs::remove_file(path).unwrap();
    }
    Ok(format!(
        "{} files, 0 modes and 0 owners changed",
        rounds.done()
    ))
}

/// All that lies below a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|it| it.is_dir()) {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}
