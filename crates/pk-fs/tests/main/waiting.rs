//! What happens to one who waits: the holder dies, the lock file goes, the time is up. That somebody
//! waits is seen in `/proc/locks`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use pk_fs::folder::Folder;
use pk_fs::lock::{self, Error, LockFile, Wait};
use tempfile::tempdir;

use crate::other::{LONG, Other};

#[test]
fn the_lock_of_a_killed_process_goes_to_a_waiter() {
    let home = tempdir().unwrap();
    let path = home.path().join("data.lock");
    let mut other = Other::playing("holder", &path);
    other.says("locked");
    thread::scope(|scope| {
        let waiter = scope.spawn(|| LockFile::sidecar(&path).exclusive(LONG, |_| ()));
        until_somebody_waits_for(inode(&path));
        other.kill();
        waiter.join().unwrap().unwrap();
    });
}

#[test]
fn a_waiter_starts_over_when_the_lock_file_is_another_one_by_then() {
    let home = tempdir().unwrap();
    let path = home.path().join("data.lock");
    let mut first = Other::playing("holder", &path);
    first.says("locked");
    thread::scope(|scope| {
        let waiter =
            scope.spawn(|| LockFile::sidecar(&path).exclusive(LONG, |locked| locked.stat().st_ino));
        let old = inode(&path);
        until_somebody_waits_for(old);
        fs::remove_file(&path).unwrap();
        // Somebody else makes a new one and holds it when the old one comes free.
        let mut second = Other::playing("holder", &path);
        second.says("locked");
        let new = inode(&path);
        assert_ne!(old, new);
        first.go_on();
        until_somebody_waits_for(new);
        assert!(!waiter.is_finished());
        second.go_on();
        assert_eq!(waiter.join().unwrap().unwrap(), new);
    });
}

#[test]
fn a_waiter_makes_a_new_lock_file_when_the_old_one_is_gone_by_then() {
    let home = tempdir().unwrap();
    let path = home.path().join("data.lock");
    let mut other = Other::playing("holder", &path);
    other.says("locked");
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            LockFile::sidecar(&path).exclusive(LONG, |locked| locked.is_current().unwrap())
        });
        until_somebody_waits_for(inode(&path));
        fs::remove_file(&path).unwrap();
        other.go_on();
        assert!(waiter.join().unwrap().unwrap());
    });
    assert!(path.exists());
}

#[test]
fn one_who_gave_up_lets_go_of_what_it_gets_too_late() {
    let home = tempdir().unwrap();
    let path = home.path().join("data.lock");
    let mut other = Other::playing("holder", &path);
    other.says("locked");
    let lock = LockFile::sidecar(&path);
    let answer = lock.exclusive(Wait::UpTo(Duration::from_millis(30)), |_| ());
    assert!(matches!(answer, Err(Error::Timeout { .. })), "{answer:?}");
    // Its helper thread is still in the kernel's queue.
    until_somebody_waits_for(inode(&path));
    other.go_on();
    other.says("free");
    eventually("the lock is free", || {
        lock.exclusive(Wait::Never, |_| ()).is_ok()
    });
}

#[test]
fn one_who_waits_for_ever_waits() {
    let home = tempdir().unwrap();
    let path = home.path().join("data.lock");
    let mut other = Other::playing("holder", &path);
    other.says("locked");
    thread::scope(|scope| {
        let lock = LockFile::sidecar(&path);
        let waiter = scope.spawn(move || lock.exclusive(Wait::UpTo(Duration::MAX), |_| ()));
        until_somebody_waits_for(inode(&path));
        other.go_on();
        waiter.join().unwrap().unwrap();
    });
}

#[test]
fn who_holds_a_lock_is_known_without_opening_it() {
    let home = tempdir().unwrap();
    let folder = Folder::open(home.path()).unwrap();
    let name = Path::new("data.lock");
    assert_eq!(lock::holder(&folder, name), None);
    let mut other = Other::playing("holder", &home.path().join(name));
    other.says("locked");
    let pid = lock::holder(&folder, name).map(|holder| holder.pid);
    assert_eq!(pid, Some(other.pid()));
    other.go_on();
    other.says("free");
    assert_eq!(lock::holder(&folder, name), None);
}

#[test]
fn a_panic_after_waiting_lets_go() {
    let home = tempdir().unwrap();
    let path = home.path().join("data.lock");
    let mut other = Other::playing("holder", &path);
    other.says("locked");
    thread::scope(|scope| {
        let lock = LockFile::sidecar(&path);
        let panicking = AssertUnwindSafe(move || lock.exclusive(LONG, |_| panic!("on purpose")));
        let waiter = scope.spawn(|| catch_unwind(panicking).is_err());
        until_somebody_waits_for(inode(&path));
        other.go_on();
        assert!(waiter.join().unwrap());
    });
    LockFile::sidecar(&path).exclusive(LONG, |_| ()).unwrap();
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

/// The lines of proc_locks(5) about an inode; those that wait have an arrow. Other file systems may
/// have a file of this number, but hardly one that is locked at the same moment.
fn lines_about(inode: u64) -> Vec<String> {
    let text = fs::read_to_string("/proc/locks").unwrap();
    let end = format!(":{inode} 0 EOF");
    text.lines()
        .filter(|line| line.ends_with(&end))
        .map(str::to_owned)
        .collect()
}

#[track_caller]
fn until_somebody_waits_for(inode: u64) {
    let waits = || lines_about(inode).iter().any(|line| line.contains("->"));
    eventually("somebody waits for the lock", waits);
}

#[track_caller]
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        thread::yield_now();
    }
}
