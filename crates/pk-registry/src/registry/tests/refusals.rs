//! What is refused: too much of it, no file, a file that others could replace. And at once.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;

use pk_fs::folder::Trust;
use rustix::fs::{CWD, FileType, Mode};

use super::*;

/// Makes something where the registry should be and expects that neither a reader nor a writer
/// accepts it. One that would be waited for would hang the test.
#[track_caller]
fn refused(make: impl FnOnce(&Path), expect: &str) {
    let world = World::new();
    make(world.registry.path());
    let read = world.registry.read(&world.here).unwrap_err();
    assert!(matches!(read, Error::Unsafe { .. }), "{read:?}");
    let written = world
        .try_update(|_| panic!("nothing may be done with it"))
        .unwrap_err();
    assert!(
        matches!(written, Error::Lock(lock::Error::Unsafe { .. })),
        "{written:?}"
    );
    let path = world.registry.path().display();
    assert_eq!(read.to_string(), format!("registry {path} is {expect}"));
    assert_eq!(written.to_string(), format!("{path} is {expect}"));
}

#[test]
fn what_is_no_plain_file() {
    refused(|path| fs::create_dir(path).unwrap(), "a directory");
    refused(
        |path| drop(UnixListener::bind(path).unwrap()),
        "a socket or a device",
    );
    refused(|path| symlink("/nowhere", path).unwrap(), "a symlink");
    let home = tempfile::tempdir().unwrap();
    let target = home.path().join("target");
    fs::write(&target, "kept").unwrap();
    refused(|path| symlink(&target, path).unwrap(), "a symlink");
    assert_eq!(fs::read_to_string(target).unwrap(), "kept");
    let fifo = |path: &Path| {
        rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    };
    refused(fifo, "a FIFO");
}

#[test]
fn a_path_that_names_no_file() {
    let world = World::new();
    for path in ["..", ""] {
        let registry = Registry::at(path);
        let answer = registry.update(WAIT, &world.here, |_| Ok::<_, Error>(()));
        assert!(
            matches!(answer, Err(Error::Unsafe { .. })),
            "{path}: {answer:?}"
        );
    }
}

#[test]
fn three_gigabytes_without_reading_them() {
    let world = World::new();
    let file = fs::File::create(world.registry.path()).unwrap();
    file.set_len(3 << 30).unwrap();
    for answer in [
        world.registry.read(&world.here).map(drop),
        world.registry.preview(&world.here, |_| Ok(())),
        world
            .try_update(|_| panic!("nothing may be done with it"))
            .map(drop),
    ] {
        let Err(Error::TooLarge { path, what }) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(path, world.registry.path());
        assert_eq!(what, "3221225472 bytes, at most 33554432");
    }
    assert_eq!(file.metadata().unwrap().len(), 3 << 30);
    assert_eq!(world.names(), ["registry.json", "registry.json.lock"]);
}

#[test]
fn more_than_may_be_read_again_is_not_written() {
    let world = World::new();
    world.insert(&reservation(8080));
    let before = world.identity();
    let large = Reservation {
        owner: Some("x".repeat(33 << 20)),
        ..reservation(8081)
    };
    let answer = world.try_update(|transaction| transaction.insert(large.clone()).map(drop));
    assert!(matches!(answer, Err(Error::TooLarge { .. })), "{answer:?}");
    assert_eq!(world.identity(), before);
}

#[test]
fn one_entry_more_than_there_may_be() {
    let world = World::new();
    let entries: Vec<String> = (0..MOST_ENTRIES)
        .map(|number| format!("\"{number}\":0"))
        .collect();
    world.set_entries(&entries.join(","));
    let full = world.update(|transaction| transaction.insert(reservation(8080)).map(drop));
    assert!(
        matches!(full.value, Err(Error::TooLarge { .. })),
        "{:?}",
        full.value
    );
    world.set_entries(&format!("{},\"one more\":0", entries.join(",")));
    let before = world.identity();
    for answer in [
        world.registry.read(&world.here).map(drop),
        world.try_update(|_| ()).map(drop),
    ] {
        assert!(matches!(answer, Err(Error::TooLarge { .. })), "{answer:?}");
    }
    assert_eq!(world.identity(), before);
}

/// Expects that a folder that looks like this is refused, and that nothing is made in it.
#[track_caller]
fn shared(make: impl FnOnce(&Path), expect: Trust) {
    let world = World::new();
    let folder = world.path("folder");
    fs::create_dir(&folder).unwrap();
    make(&folder);
    let registry = Registry::at(folder.join("registry.json"));
    let written = registry.update(WAIT, &world.here, |_| Ok::<_, Error>(()));
    for answer in [registry.read(&world.here).map(drop), written.map(drop)] {
        let Err(Error::Shared {
            folder: named,
            trust,
        }) = answer
        else {
            panic!("{answer:?}")
        };
        assert_eq!((named, trust), (folder.clone(), expect));
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

fn mode(folder: &Path, mode: u32) {
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_folder_that_others_may_write() {
    shared(|folder| mode(folder, 0o777), Trust::Everybody);
    shared(|folder| mode(folder, 0o2777), Trust::Everybody);
    shared(|folder| mode(folder, 0o702), Trust::Everybody);
    shared(|folder| mode(folder, 0o1777), Trust::Sticky);
    if !rustix::process::geteuid().is_root() {
        return skipped("only root can give a folder away");
    }
    let of_a_group = |folder: &Path| {
        chown(folder, None, Some(61_001)).unwrap();
        mode(folder, 0o770);
    };
    let of_group = |setgid| Trust::Group {
        gid: 61_001,
        setgid,
    };
    shared(of_a_group, of_group(false));
    let sticky = |folder: &Path| {
        chown(folder, None, Some(61_001)).unwrap();
        mode(folder, 0o3770);
    };
    shared(sticky, Trust::Sticky);
    shared(
        |folder| chown(folder, Some(61_001), None).unwrap(),
        Trust::Foreign { uid: 61_001 },
    );
}

#[test]
fn a_registry_of_another_user_or_with_a_second_name_is_not_written() {
    let world = World::new();
    world.insert(&reservation(8080));
    fs::hard_link(world.registry.path(), world.path("second")).unwrap();
    let answer = world.try_update(|_| ());
    assert!(
        matches!(answer, Err(Error::Lock(lock::Error::Unsafe { .. }))),
        "{answer:?}"
    );
    fs::remove_file(world.path("second")).unwrap();
    world.update(|_| ());
    if !rustix::process::geteuid().is_root() {
        return skipped("only root can give a file away");
    }
    chown(world.registry.path(), Some(61_001), None).unwrap();
    let answer = world.try_update(|_| ());
    assert!(
        matches!(answer, Err(Error::Lock(lock::Error::Unsafe { .. }))),
        "{answer:?}"
    );
}
