//! Locks that somebody keeps, that many want, that the file system does not know.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use pk_tests::process::{eventually, signal};
use pk_tests::strace::Call;
use pk_tests::{Imprint, Ports, TestEnv, has, skipped};
use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;

fn lock(env: &TestEnv) -> PathBuf {
    env.registry().with_extension("json.lock")
}

/// The lines of /proc/locks about the lock: who has it, and who waits (`->`).
fn queue(env: &TestEnv) -> Vec<String> {
    use std::os::unix::fs::MetadataExt as _;
    let inode = format!(":{} ", std::fs::metadata(lock(env)).unwrap().ino());
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    let about_it = locks.lines().filter(|line| line.contains(&inode));
    about_it.map(str::to_owned).collect()
}

fn waiters(env: &TestEnv) -> usize {
    let queue = queue(env);
    queue.iter().filter(|line| line.contains(" -> ")).count()
}

/// Stopped, not ended: nobody can tell whether it will go on.
#[test]
fn f38_a_stopped_holder_of_the_lock_is_named_and_a_wait_ends_when_it_is_told_to() {
    if !has("flock") {
        return skipped("a process that holds a lock: no flock");
    }
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    env.pk(format!("reserve {}", ports.range())).ok();
    let mut command = env.command("flock");
    command
        .args(["--close", "--exclusive"])
        .arg(lock(&env))
        .args(["sh", "-c", "echo locked; cat"]);
    command.stdin(Stdio::piped());
    let mut holder = env.start(command);
    assert_eq!(holder.line(), "locked");
    holder.signal(Signal::STOP);

    let begun = Instant::now();
    let answer = env.pk(format!("reserve --lock-timeout 500ms {}", ports.range()));
    let took = begun.elapsed();
    answer
        .refused(5)
        .says(format!("process {} (flock)", holder.pid()));
    assert!(took < Duration::from_secs(3), "{took:?}");
    let status = env.pk("status").ok();
    assert!(status.took < Duration::from_secs(1), "{status:?}");

    // One that waits is ended by TERM, and goes on when the holder dies.
    let line = format!("reserve --lock-timeout 60s {}", ports.range());
    let told = env.start(env.portkeeper(&line));
    eventually(Duration::from_secs(20), "it waits", || waiters(&env) == 1);
    let begun = Instant::now();
    told.signal(Signal::TERM);
    let ended = told.end();
    assert_eq!(ended.code, None, "{ended:?}");
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    let patient = env.start(env.portkeeper(&line));
    eventually(Duration::from_secs(20), "it waits", || waiters(&env) == 1);
    holder.signal(Signal::KILL);
    let answer = patient.end().ok();
    assert_eq!(answer.port(), ports.at(1));
}

/// All of them are queued before the first is let in: then nobody is passed over for long.
#[test]
fn f39_sixty_four_waiters_are_all_served() {
    const WAITERS: u16 = 64;
    let (env, ports) = (TestEnv::new(), Ports::claim(WAITERS));
    env.pk("gc").ok();
    let file = File::open(lock(&env)).unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    let line = format!("reserve --format port --lock-timeout 60s {}", ports.range());
    thread::scope(|scope| {
        let waits: Vec<_> = (0..WAITERS)
            .map(|_| scope.spawn(|| env.pk(&line)))
            .collect();
        eventually(Duration::from_secs(50), "all are queued", || {
            waiters(&env) == usize::from(WAITERS)
        });
        let begun = Instant::now();
        drop(file);
        let mut got: Vec<_> = waits
            .into_iter()
            .map(|it| it.join().unwrap().ok().port())
            .collect();
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{:?}",
            begun.elapsed()
        );
        got.sort_unstable();
        assert_eq!(got, ports.all().collect::<Vec<_>>());
    });
}

/// The program that `run` started has the port, and nothing else of ours.
#[test]
fn f41_the_lock_is_free_while_a_program_runs() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0).to_string();
    let mut program = env.start_run(&[
        "run",
        "--preferred",
        &port,
        "--",
        "sh",
        "-c",
        "echo up; cat",
    ]);
    assert_eq!(program.line(), "up");
    let file = File::open(lock(&env)).unwrap();
    flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    drop(file);
    let (lock, registry) = (lock(&env), env.registry());
    let processes = env.processes();
    assert!(processes.len() >= 3, "{processes:?}");
    for pid in processes {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten();
        let mut open = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        assert!(!open.any(|path| path == lock || path == registry), "{pid}");
    }
    program.close_stdin();
    program.ends_with(0);
}

/// As on a file system without locks. To go on without one would be to lose updates.
#[test]
fn f55_a_file_system_without_locks_is_refused() {
    for error in ["ENOLCK", "ENOSYS", "EOPNOTSUPP", "EINVAL"] {
        let (env, ports) = (TestEnv::new(), Ports::claim(2));
        let line = format!("reserve {}", ports.range());
        env.pk(&line).ok();
        let before = Imprint::of(&env.registry());
        for number in 1..=2 {
            let call = Call {
                name: "flock".into(),
                number,
            };
            if env.strace(&[], &line).is_none() {
                return;
            }
            let answer = env.tampered(&call, &format!("error={error}"), &line);
            answer.refused(7).says("lock");
            assert_eq!(Imprint::of(&env.registry()), before, "{error} {number}");
        }
        // A hold without a lock that tells of it would be taken for dead.
        let line = format!("reserve --hold {}", ports.range());
        let call = Call {
            name: "flock".into(),
            number: 3,
        };
        env.tampered(&call, &format!("error={error}"), &line)
            .refused(7);
        assert_eq!(env.reserved(), [ports.at(0)]);
        assert!(pk_tests::is_free(ports.at(1)));
    }
}

/// A stalled holder of a lease comes back when the port is somebody else's.
#[test]
fn f69_a_stale_fence_releases_nothing() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let line = format!("reserve --strict --preferred {port}");
    env.pk(format!("{line} --ttl 1s --owner stalled")).ok();
    let fence = env.reservations()[0]["fence"].as_u64().unwrap();
    eventually(Duration::from_secs(10), "the lease ends", || {
        env.state(port).as_deref() == Some("stale")
    });
    env.pk(format!("{line} --owner next")).ok();
    env.pk(format!("release {port} --fence {fence}")).refused(4);
    let entry = &env.reservations()[0];
    assert_eq!(
        (&entry["owner"], &entry["state"]),
        (&"next".into(), &"leased".into())
    );
    let fence = entry["fence"].as_u64().unwrap();
    env.pk(format!("release {port} --fence {fence}")).ok();
}

/// A holder that was stopped beyond its lease lets go of its own and of nothing else.
#[test]
fn f69_a_holder_that_was_stopped_beyond_its_lease_ends() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let line = format!("reserve --strict --preferred {port}");
    let stalled = env.pk(format!("{line} --hold --ttl 1s")).ok();
    signal(stalled.holder(), Signal::STOP);
    eventually(Duration::from_secs(10), "the lease ends", || {
        env.state(port).as_deref() == Some("stale")
    });
    // It has the port, whatever the registry says: the kernel decides.
    env.pk(&line).refused(3);
    signal(stalled.holder(), Signal::CONT);
    let mut next = None;
    eventually(Duration::from_secs(10), "the port is free", || {
        let answer = env.pk(format!("{line} --hold --owner next"));
        next = (answer.code == Some(0)).then_some(answer);
        next.is_some()
    });
    eventually(Duration::from_secs(10), "the stalled one has ended", || {
        !pk_tests::process::is_alive(stalled.holder())
    });
    assert_eq!(env.state(port).as_deref(), Some("held"));
    assert!(!pk_tests::is_free(port));
}
