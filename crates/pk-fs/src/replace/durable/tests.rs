//! Real files in temp directories. What needs root says so and is left out for others.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use super::*;

mod owners;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.0.path()).unwrap().join(name)
    }

    fn file(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        file.write_all(b"old").unwrap();
        file.set_permissions(Permissions::from_mode(mode)).unwrap();
        path
    }

    fn names(&self) -> Vec<OsString> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), DurableError> {
    let target = Target::resolve(path)?;
    let original = target.read(1 << 20)?;
    target
        .stage(
            bytes,
            original.as_ref().map_or(Like::AnyNew, Like::Original),
        )?
        .commit()
}

fn is_root(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        writeln!(io::stderr(), "{test} skipped: it needs root").unwrap();
    }
    is_root
}

#[test]
fn the_mode_is_kept_and_nothing_is_left_beside() {
    let home = Home::new();
    for mode in [0o600, 0o640, 0o644, 0o4755, 0o444] {
        let path = home.file("a", mode);
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, mode);
        assert_eq!(home.names(), ["a"]);
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_new_file_gets_what_the_umask_leaves() {
    let home = Home::new();
    let plain = home.path("plain");
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&plain)
        .unwrap();
    let path = home.path("new");
    replace(&path, b"1").unwrap();
    assert_eq!(
        path.metadata().unwrap().mode(),
        plain.metadata().unwrap().mode()
    );
    let private = Target::resolve(&home.path("unseen")).unwrap();
    private
        .stage(b"1", Like::Private)
        .unwrap()
        .commit()
        .unwrap();
    assert_eq!(
        home.path("unseen").metadata().unwrap().mode() & 0o777,
        0o600
    );
    let state = Folder::open(home.0.path()).unwrap();
    durable(&state, OsStr::new("private"), b"2").unwrap();
    durable(&state, OsStr::new("private"), b"3").unwrap();
    assert_eq!(fs::read(home.path("private")).unwrap(), b"3");
    assert_eq!(
        home.path("private").metadata().unwrap().mode() & 0o777,
        0o600
    );
    assert_eq!(home.names(), ["new", "plain", "private", "unseen"]);
}

#[test]
fn owner_attributes_and_acl_are_kept() {
    let home = Home::new();
    let path = home.file("a", 0o640);
    // Version 2; owner rw, user 1 r, group r, mask r, others none.
    let entries: [(u16, u16, u32); 5] = [
        (1, 6, u32::MAX),
        (2, 4, 1),
        (4, 4, u32::MAX),
        (16, 4, u32::MAX),
        (32, 0, u32::MAX),
    ];
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        acl.extend(
            tag.to_le_bytes()
                .into_iter()
                .chain(rights.to_le_bytes())
                .chain(id.to_le_bytes()),
        );
    }
    let supported = xattr::set(&path, "user.note", b"mine").is_ok()
        && xattr::set(&path, "system.posix_acl_access", &acl).is_ok();
    if is_root("the owner's part") {
        chown(&path, Some(12), Some(34)).unwrap();
    }
    let before = path.metadata().unwrap();
    replace(&path, b"new").unwrap();
    let after = path.metadata().unwrap();
    assert_ne!(before.ino(), after.ino());
    assert_eq!(
        (before.uid(), before.gid(), before.mode()),
        (after.uid(), after.gid(), after.mode())
    );
    if supported {
        assert_eq!(xattr::get(&path, "user.note").unwrap().unwrap(), b"mine");
        assert_eq!(
            xattr::get(&path, "system.posix_acl_access")
                .unwrap()
                .unwrap(),
            acl
        );
    }
    // A default ACL of the directory is for files made there, not for this one.
    if xattr::set(home.0.path(), "system.posix_acl_default", &acl).is_ok() {
        let private = home.path("private");
        fs::hard_link(home.file("b", 0o600), &private).unwrap();
        fs::remove_file(home.path("b")).unwrap();
        xattr::remove(&private, "system.posix_acl_access").unwrap();
        fs::set_permissions(&private, Permissions::from_mode(0o640)).unwrap();
        replace(&private, b"new").unwrap();
        assert_eq!(
            xattr::get(&private, "system.posix_acl_access").unwrap(),
            None
        );
        assert_eq!(private.metadata().unwrap().mode() & 0o7777, 0o640);
    }
}

#[test]
fn links_are_followed_and_stay() {
    let home = Home::new();
    fs::create_dir(home.path("sub")).unwrap();
    let real = home.file("sub/real", 0o600);
    symlink("sub/../sub/real", home.path("one")).unwrap();
    symlink(home.path("one"), home.path("two")).unwrap();
    symlink("sub", home.path("folder")).unwrap();
    for path in ["two", "one", "folder/real", "sub/../folder/./real"] {
        let path = home.path(path);
        assert_eq!(
            Target::resolve(&path).unwrap().real(),
            real,
            "{}",
            path.display()
        );
        replace(&path, path.as_os_str().as_encoded_bytes()).unwrap();
        assert_eq!(
            fs::read(&real).unwrap(),
            path.as_os_str().as_encoded_bytes()
        );
        assert_eq!(real.metadata().unwrap().mode() & 0o7777, 0o600);
    }
    assert!(home.path("two").is_symlink() && home.path("one").is_symlink());
}

#[test]
fn links_to_nowhere_are_refused() {
    let home = Home::new();
    symlink("nothing", home.path("dangling")).unwrap();
    symlink("loop", home.path("loop")).unwrap();
    let check = |path: &str, expect: &str| {
        let error = Target::resolve(&home.path(path)).unwrap_err();
        let expect = expect.replace(
            "HOME",
            home.path("").to_str().unwrap().trim_end_matches('/'),
        );
        assert_eq!(error.to_string(), expect);
    };
    check(
        "dangling",
        "HOME/dangling is a link to HOME/nothing, which is not there",
    );
    check("loop", "HOME/loop is a loop of links");
    check("missing/a", "no such folder: HOME/missing");
    check("..", "HOME/.. is a directory");
}

#[test]
fn links_that_others_could_have_made_are_refused() {
    let home = Home::new();
    let real = home.file("real", 0o600);
    fs::create_dir(home.path("sub")).unwrap();
    symlink(&real, home.path("sub/link")).unwrap();
    let answer = || Target::resolve(&home.path("sub/link")).map(|target| target.real().to_owned());
    let sub = home.path("sub");
    let mode = |mode| fs::set_permissions(&sub, Permissions::from_mode(mode)).unwrap();
    for trusted in [0o700, 0o755, 0o1777] {
        mode(trusted);
        assert_eq!(answer().unwrap(), real, "{trusted:o}");
    }
    mode(0o777);
    let error = answer().unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "not following links: others can change the folder {}",
            sub.display()
        )
    );
    // Without a link on the way, the same folder is fine.
    assert_eq!(
        Target::resolve(&sub.join("plain")).unwrap().real(),
        sub.join("plain")
    );
    if is_root("links of other users") {
        mode(0o755);
        chown(&sub, Some(12), None).unwrap();
        assert!(matches!(
            answer(),
            Err(DurableError::Untrusted { what: "folder", .. })
        ));
        chown(&sub, Some(0), None).unwrap();
        mode(0o1777);
        std::os::unix::fs::lchown(sub.join("link"), Some(12), None).unwrap();
        assert!(matches!(
            answer(),
            Err(DurableError::Untrusted { what: "link", .. })
        ));
    }
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let home = Home::new();
    fs::create_dir(home.path("folder")).unwrap();
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, home.path("fifo"), mode).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(home.path("socket")).unwrap();
    let check = |path: PathBuf, expect: &str| {
        let error = replace(&path, b"new").unwrap_err();
        assert_eq!(error.to_string(), format!("{} is {expect}", path.display()));
    };
    check(home.path("folder"), "a directory");
    check(home.path("fifo"), "a FIFO");
    check(home.path("socket"), "a socket");
    check("/dev/null".into(), "a device");
    assert_eq!(home.names(), ["fifo", "folder", "socket"]);
}

#[test]
fn a_change_meanwhile_is_seen() {
    let home = Home::new();
    let path = home.file("a", 0o600);
    fs::create_dir(home.path(".portkeeper-tmp-1-1-0")).unwrap();
    assert_eq!(Target::resolve(&path).unwrap().sweep().unwrap(), 1);
    let lost = |change: &dyn Fn()| {
        let target = Target::resolve(&path).unwrap();
        let original = target.read(1024).unwrap();
        let staged = target
            .stage(
                b"new",
                original.as_ref().map_or(Like::AnyNew, Like::Original),
            )
            .unwrap();
        change();
        let answer = staged.commit();
        assert_eq!(home.names(), ["a"]);
        matches!(answer, Err(DurableError::Changed { .. }))
    };
    let overwrite = |bytes: &[u8]| {
        let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all(bytes).unwrap();
    };
    assert!(lost(&|| overwrite(b"edited")));
    assert!(lost(&|| fs::set_permissions(
        &path,
        Permissions::from_mode(0o644)
    )
    .unwrap()));
    assert!(lost(&|| replace(&path, b"edited").unwrap()));
    fs::remove_file(&path).unwrap();
    assert!(lost(&|| drop(home.file("a", 0o600))));
    // The same bytes with a new timestamp are no change.
    assert!(!lost(&|| overwrite(b"old")));
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

#[test]
fn a_file_with_two_names_is_written_in_place() {
    let home = Home::new();
    let path = home.file("a", 0o600);
    fs::hard_link(&path, home.path("b")).unwrap();
    let target = Target::resolve(&path).unwrap();
    for bytes in [&b"longer than before"[..], b"", b"short"] {
        let original = target.read(1024).unwrap().unwrap();
        assert_eq!(original.in_place_reason(), Some(InPlaceReason::HardLinks));
        target.write_in_place(bytes, &original).unwrap();
        assert_eq!(fs::read(home.path("b")).unwrap(), bytes);
    }
    let original = target.read(1024).unwrap().unwrap();
    fs::remove_file(home.path("b")).unwrap();
    target.remove(&original).unwrap();
    assert_eq!(home.names(), [""; 0]);
}

#[test]
fn what_is_known_of_a_file() {
    let home = Home::new();
    let path = home.file("a", 0o2_640);
    let target = Target::resolve(&path).unwrap();
    let original = target.read(1024).unwrap().unwrap();
    let (file, folder) = (path.metadata().unwrap(), home.path("").metadata().unwrap());
    assert_eq!(original.mode(), 0o2_640);
    assert_eq!(original.in_place_reason(), None);
    assert_eq!(original.owner(), (file.uid(), file.gid()));
    if is_root("the owner of a file") {
        chown(&path, Some(61_001), Some(61_002)).unwrap();
        let given = target.read(1024).unwrap().unwrap();
        assert_eq!(given.owner(), (61_001, 61_002));
    }
    let identity = target.folder_identity().unwrap();
    assert_eq!(identity, (folder.dev(), folder.ino()));
    // Whatever is put there meanwhile is not followed or waited for, nor handed on to programs.
    let flags = rustix::fs::fcntl_getfl(&original.file).unwrap();
    assert!(flags.contains(OFlags::NOFOLLOW | OFlags::NONBLOCK));
    let flags = rustix::io::fcntl_getfd(&original.file).unwrap();
    assert_eq!(flags, rustix::io::FdFlags::CLOEXEC);
}

#[test]
fn a_file_in_a_folder_that_is_not_theirs_is_written_in_place() {
    use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};
    if !is_root("a file in a folder that is not theirs") {
        return;
    }
    let home = Home::new();
    fs::set_permissions(home.path(""), Permissions::from_mode(0o755)).unwrap();
    let (theirs, roots) = (home.file("theirs", 0o644), home.file("roots", 0o644));
    chown(&theirs, Some(61_001), Some(61_001)).unwrap();
    let (new, on_proc) = (home.path("new"), PathBuf::from("/proc/sys/kernel/ostype"));
    // System calls change the rights of a thread alone.
    let check = move || {
        set_thread_groups(&[]).unwrap();
        set_thread_gid(rustix::fs::Gid::from_raw(61_001)).unwrap();
        set_thread_uid(rustix::fs::Uid::from_raw(61_001)).unwrap();
        let check = |path: &Path, expect_protected, expect: fn(&DurableError) -> bool| {
            let target = Target::resolve(path).unwrap();
            assert_eq!(
                target.is_protected(),
                expect_protected,
                "{}",
                path.display()
            );
            let error = replace(path, b"new").unwrap_err();
            assert!(expect(&error), "{error:?}");
        };
        check(&theirs, false, |error| {
            matches!(
                error,
                DurableError::InPlaceOnly {
                    why: InPlaceReason::Folder,
                    ..
                }
            )
        });
        let io = |error: &DurableError| matches!(error, DurableError::Io { .. });
        check(&roots, true, io);
        check(&new, false, io);
        check(&on_proc, true, io);
    };
    std::thread::spawn(check).join().unwrap();
}

#[test]
fn more_than_the_limit_is_not_read() {
    let home = Home::new();
    let target = Target::resolve(&home.file("a", 0o600)).unwrap();
    assert_eq!(target.read(3).unwrap().unwrap().bytes(), b"old");
    assert!(matches!(
        target.read(2),
        Err(DurableError::TooLarge {
            bytes: 3,
            limit: 2,
            ..
        })
    ));
    // It says of itself that it is empty.
    let target = Target::resolve(Path::new("/proc/sys/kernel/ostype")).unwrap();
    assert_eq!(target.read(6).unwrap().unwrap().bytes(), b"Linux\n");
    assert!(matches!(
        target.read(5),
        Err(DurableError::TooLarge { limit: 5, .. })
    ));
}
