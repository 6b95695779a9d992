//! What is refused as a lock file, and at once.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;

use pk_fs::folder::Folder;
use pk_fs::lock::{Error, LockFile, Whose};
use rustix::fs::{CWD, FileType, Mode, Uid};
use tempfile::tempdir;

use crate::other::{LONG, skipped};

/// Makes something at a path and expects that neither kind of lock accepts it. One that would be
/// waited for would hang the test.
#[track_caller]
fn refused(make: impl FnOnce(&Path), expect: &str) {
    let home = tempdir().unwrap();
    let path = home.path().join("x");
    make(&path);
    let folder = Folder::open(home.path()).unwrap();
    for lock in [
        LockFile::sidecar_in(&folder, "x"),
        LockFile::data_in(&folder, "x", Whose::Mine),
    ] {
        let answer = lock.exclusive(LONG, |_| panic!("{lock:?} was locked"));
        let Err(Error::Unsafe { path: named, what }) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!((named, what.as_str()), (path.clone(), expect));
    }
}

#[test]
fn what_is_no_plain_file() {
    refused(|path| fs::create_dir(path).unwrap(), "a directory");
    refused(
        |path| drop(UnixListener::bind(path).unwrap()),
        "a socket or a device",
    );
    let fifo = |path: &Path| {
        rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    };
    refused(fifo, "a FIFO");
}

#[test]
fn a_symlink_wherever_it_leads() {
    refused(|path| symlink("/nowhere", path).unwrap(), "a symlink");
    let home = tempdir().unwrap();
    let target = home.path().join("target");
    fs::write(&target, "kept").unwrap();
    refused(|path| symlink(&target, path).unwrap(), "a symlink");
    assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
    assert!(!Path::new("/nowhere").exists());
}

#[test]
fn a_lock_file_in_a_folder_that_is_gone() {
    let home = tempdir().unwrap();
    let folder = Folder::open(home.path()).unwrap();
    let path = home.path().join("x");
    home.close().unwrap();
    let lock = LockFile::sidecar_in(&folder, "x");
    let answer = lock.exclusive(LONG, |_| panic!("it was locked"));
    let Err(Error::Io {
        action,
        path: named,
        ..
    }) = answer
    else {
        panic!("{answer:?}")
    };
    assert_eq!((action, named), ("open", path.clone()));
    let data = LockFile::data_in(&folder, "x", Whose::Mine);
    let answer = data.exclusive(LONG, |_| panic!("it was locked"));
    assert!(
        matches!(&answer, Err(Error::Missing { path: named }) if *named == path),
        "{answer:?}"
    );
}

#[test]
fn a_file_with_a_second_name() {
    let linked = |path: &Path| {
        fs::write(path, "").unwrap();
        fs::hard_link(path, path.with_extension("other")).unwrap();
    };
    refused(linked, "a file with 2 hard links");
}

#[test]
fn a_file_of_another_user() {
    if !rustix::process::geteuid().is_root() {
        return skipped("only root can give a file away");
    }
    let foreign = |path: &Path| {
        fs::write(path, "").unwrap();
        chown(path, Some(61_001), Some(61_001)).unwrap();
    };
    refused(foreign, "a file of another user (uid 61001)");
}

#[test]
fn whose_a_file_may_be_is_for_the_caller_to_say() {
    if !rustix::process::geteuid().is_root() {
        return skipped("only root can give a file away");
    }
    let home = tempdir().unwrap();
    let path = home.path().join("x");
    fs::write(&path, "").unwrap();
    let folder = Folder::open(home.path()).unwrap();
    let check = |uid, expect: [bool; 3]| {
        chown(&path, Some(uid), None).unwrap();
        let whose = [Whose::Mine, Whose::Roots, Whose::Anybodys];
        let locked = whose.map(|whose| {
            let lock = LockFile::data_in(&folder, "x", whose);
            lock.exclusive(LONG, |_| ()).is_ok()
        });
        assert_eq!(locked, expect, "{uid}");
    };
    check(0, [true, true, true]);
    check(61_001, [false, false, true]);
    // As another user, who may read it. System calls change the rights of a thread alone.
    fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let locked = |uid| {
        chown(&path, Some(uid), None).unwrap();
        let lock = LockFile::data_in(&folder, "x", Whose::Mine);
        let as_another = || {
            rustix::thread::set_thread_uid(Uid::from_raw(61_001)).unwrap();
            lock.exclusive(LONG, |_| ()).is_ok()
        };
        thread::scope(|scope| scope.spawn(as_another).join().unwrap())
    };
    assert_eq!([0, 61_001, 61_002].map(locked), [true, true, false]);
}
