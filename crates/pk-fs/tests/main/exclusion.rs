//! Who gets a lock that is free, and who does not get one that is held.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use pk_fs::folder::Folder;
use pk_fs::lock::{Error, LockFile, Wait, Whose};
use rustix::io::FdFlags;
use tempfile::tempdir;

use crate::other::{LONG, Other};

#[test]
fn f43_threads_exclude_each_other() {
    let home = tempdir().unwrap();
    let path = home.path().join("data.lock");
    let (inside, turns) = (AtomicBool::new(false), AtomicU32::new(0));
    let work = || {
        for _ in 0..50 {
            let turn = LockFile::sidecar(&path).exclusive(LONG, |_| {
                assert!(!inside.swap(true, Ordering::SeqCst), "two at a time");
                thread::yield_now();
                turns.fetch_add(1, Ordering::SeqCst);
                inside.store(false, Ordering::SeqCst);
            });
            turn.unwrap();
        }
    };
    thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(work))));
    assert_eq!(turns.into_inner(), 400);
}

#[test]
fn a_lock_file_that_is_used_is_kept_young() {
    let home = tempdir().unwrap();
    let path = home.path().join("data.lock");
    let lock = LockFile::sidecar(&path);
    let age = || path.metadata().unwrap().modified().unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    lock.exclusive(Wait::Never, |locked| locked.file().set_modified(old))
        .unwrap()
        .unwrap();
    assert_eq!(age(), old);
    lock.exclusive(Wait::Never, |locked| {
        locked.freshen();
    })
    .unwrap();
    assert!(age() > old + Duration::from_secs(86_400));
}

#[test]
fn a_lock_is_not_handed_on_to_programs() {
    let home = tempdir().unwrap();
    let lock = LockFile::sidecar(home.path().join("data.lock"));
    for _is_made_first in [true, false] {
        let flags = lock.exclusive(Wait::Never, |locked| {
            rustix::io::fcntl_getfd(locked.file()).unwrap()
        });
        assert_eq!(flags.unwrap(), FdFlags::CLOEXEC);
    }
}

#[test]
fn processes_exclude_each_other_and_the_holder_is_named() {
    let home = tempdir().unwrap();
    let path = home.path().join("data.lock");
    let mut other = Other::playing("holder", &path);
    other.says("locked");
    let lock = LockFile::sidecar(&path);
    for wait in [Wait::Never, Wait::UpTo(Duration::from_millis(30))] {
        let error = lock.exclusive(wait, |_| ()).unwrap_err();
        let Error::Timeout {
            path: named,
            holder,
        } = &error
        else {
            panic!("{error}")
        };
        assert_eq!(*named, path);
        if cfg!(target_os = "linux") {
            let command = fs::read_to_string(format!("/proc/{}/comm", other.pid())).unwrap();
            let holder = holder.as_ref().unwrap();
            assert_eq!(holder.pid, other.pid());
            assert_eq!(holder.command.as_deref(), Some(command.trim_end()));
            let who = format!(
                "is locked by process {} ({})",
                other.pid(),
                command.trim_end()
            );
            assert!(error.to_string().ends_with(&who), "{error}");
        }
    }
    other.go_on();
    other.says("free");
    // The helper thread of the try above may still be on its way out.
    lock.exclusive(LONG, |_| ()).unwrap();
}

#[test]
fn a_thread_of_this_process_is_named_as_this_process() {
    let home = tempdir().unwrap();
    let lock = LockFile::sidecar(home.path().join("data.lock"));
    let of_another_thread = || lock.exclusive(Wait::UpTo(Duration::from_millis(30)), |_| ());
    let answer = lock
        .exclusive(Wait::Never, |_| {
            thread::scope(|scope| scope.spawn(of_another_thread).join().unwrap())
        })
        .unwrap();
    let Err(Error::Timeout {
        holder: Some(holder),
        ..
    }) = answer
    else {
        panic!("{answer:?}")
    };
    assert_eq!(holder.pid, std::process::id());
}

#[test]
fn never_does_not_wait() {
    let home = tempdir().unwrap();
    let path = home.path().join("data.lock");
    let mut other = Other::playing("holder", &path);
    other.says("locked");
    let start = Instant::now();
    let answer = LockFile::sidecar(&path).exclusive(Wait::Never, |_| ());
    assert!(matches!(answer, Err(Error::Timeout { .. })), "{answer:?}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn f42_the_same_thread_gets_an_error_instead_of_a_deadlock() {
    let home = tempdir().unwrap();
    let [lock, another] =
        ["a.lock", "b.lock"].map(|name| LockFile::sidecar(home.path().join(name)));
    let (again, beside) = lock
        .exclusive(LONG, |_| {
            (
                lock.exclusive(LONG, |_| ()),
                another.exclusive(LONG, |_| ()),
            )
        })
        .unwrap();
    assert!(matches!(again, Err(Error::Reentrant { .. })), "{again:?}");
    beside.unwrap();
    lock.exclusive(Wait::Never, |_| ()).unwrap();
}

#[test]
fn a_panic_lets_go() {
    let home = tempdir().unwrap();
    let lock = LockFile::sidecar(home.path().join("data.lock"));
    let panicking = AssertUnwindSafe(|| lock.exclusive(LONG, |_| panic!("on purpose")));
    assert!(catch_unwind(panicking).is_err());
    lock.exclusive(Wait::Never, |_| ()).unwrap();
}

#[test]
fn the_longest_wait_is_no_overflow() {
    let home = tempdir().unwrap();
    let lock = LockFile::sidecar(home.path().join("data.lock"));
    lock.exclusive(Wait::UpTo(Duration::MAX), |_| ()).unwrap();
}

#[test]
fn a_lock_file_is_made_0600_and_never_changed_again() {
    let home = tempdir().unwrap();
    let path = home.path().join("data.lock");
    let lock = LockFile::sidecar(&path);
    lock.exclusive(LONG, |_| ()).unwrap();
    let made = fs::metadata(&path).unwrap();
    assert_eq!(made.mode() & 0o7777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(&path, "a note").unwrap();
    lock.exclusive(LONG, |_| ()).unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!((after.ino(), after.mode() & 0o7777), (made.ino(), 0o640));
    assert_eq!(fs::read_to_string(&path).unwrap(), "a note");
}

#[test]
fn a_umask_that_takes_everything_leaves_0600() {
    let home = tempdir().unwrap();
    let path = home.path().join("data.lock");
    let mut other = Other::playing("holder without any rights from the umask", &path);
    other.says("locked");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn data_that_is_missing_is_not_made() {
    let home = tempdir().unwrap();
    let folder = Folder::open(home.path()).unwrap();
    let answer = LockFile::data_in(&folder, "data", Whose::Mine).exclusive(LONG, |_| ());
    let Err(Error::Missing { path }) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(path, home.path().join("data"));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn whoever_holds_it_can_tell_that_it_was_taken_away() {
    let home = tempdir().unwrap();
    let path = home.path().join("data.lock");
    let seen = LockFile::sidecar(&path).exclusive(LONG, |locked| {
        let before = locked.is_current().unwrap();
        fs::remove_file(&path).unwrap();
        let removed = locked.is_current().unwrap();
        fs::write(&path, "").unwrap();
        [before, removed, locked.is_current().unwrap()]
    });
    assert_eq!(seen.unwrap(), [true, false, false]);
}
