//! What becomes of owners, modes and attributes, with the rights of root and with those of others.

use super::*;

/// What comes of `act` with another user's rights, and no others, on a thread of its own.
fn as_another<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

    std::thread::scope(|scope| {
        let acting = scope.spawn(|| {
            let (uid, gid) = (
                rustix::fs::Uid::from_raw(61_001),
                rustix::fs::Gid::from_raw(61_001),
            );
            set_thread_groups(&[rustix::fs::Gid::from_raw(61_003)]).unwrap();
            set_thread_res_gid(gid, gid, gid).unwrap();
            set_thread_res_uid(uid, uid, uid).unwrap();
            act()
        });
        acting.join().unwrap()
    })
}

#[test]
fn a_file_of_another_user_or_group_is_not_replaced_by_ones_own() {
    if !is_root("another user's rights") {
        return;
    }
    let home = Home::new();
    fs::set_permissions(home.0.path(), Permissions::from_mode(0o777)).unwrap();
    let check = |name: &str, owner: (u32, u32), expect: Option<InPlaceReason>| {
        let path = home.file(name, 0o666);
        chown(&path, Some(owner.0), Some(owner.1)).unwrap();
        let why = match as_another(|| replace(&path, b"new")) {
            Ok(()) => None,
            Err(DurableError::InPlaceOnly { why, .. }) => Some(why),
            Err(other) => panic!("{name}: {other:?}"),
        };
        assert_eq!(why, expect, "{name}");
        let meta = fs::metadata(&path).unwrap();
        assert_eq!((meta.uid(), meta.gid()), owner, "{name}");
        let content = fs::read(&path).unwrap();
        let is_new = content == b"new";
        assert_eq!(is_new, expect.is_none(), "{name}");
        assert!(is_new || content == b"old", "{name}");
    };
    check("own", (61_001, 61_001), None);
    check("of a group of ours", (61_001, 61_003), None);
    check(
        "of another group",
        (61_001, 61_004),
        Some(InPlaceReason::Owner),
    );
    check("another's", (61_002, 61_001), Some(InPlaceReason::Owner));
    assert_eq!(home.names().len(), 4, "{:?}", home.names());
}

#[test]
fn a_new_file_is_its_owners_to_read_and_write_whatever_the_umask_left() {
    let home = Home::new();
    let folder = File::open(home.0.path()).unwrap();
    for (mode, expect) in [(0o000, 0o600), (0o044, 0o644), (0o640, 0o640)] {
        let file = File::open(home.file(&format!("{mode:o}"), 0o600)).unwrap();
        file.set_permissions(Permissions::from_mode(mode)).unwrap();
        dress::as_new(&file, &folder).unwrap();
        let made = file.metadata().unwrap().mode() & 0o777;
        assert_eq!(made, expect, "{mode:o}");
    }
}

#[test]
fn attributes_that_may_not_be_copied_are_left_out() {
    use xattr::FileExt as _;

    if !is_root("an attribute of the kernel's") {
        return;
    }
    let home = Home::new();
    let [old, new] = ["old", "new"].map(|name| {
        File::options()
            .read(true)
            .write(true)
            .open(home.file(name, 0o666))
            .unwrap()
    });
    let both = [
        old.set_xattr("user.a", b"1"),
        old.set_xattr("trusted.b", b"2"),
    ];
    if both.iter().any(Result::is_err) {
        return writeln!(io::stderr(), "skipped: no attributes here").unwrap();
    }
    chown(home.path("new"), Some(61_001), Some(61_001)).unwrap();
    chown(home.path("old"), Some(61_001), Some(61_001)).unwrap();
    let stat = rustix::fs::fstat(&old).unwrap();
    // Another user does not even see what is trusted.
    assert!(as_another(|| dress::like(&new, &stat, &old).is_ok()));
    let value = |name: &str| new.get_xattr(name).unwrap();
    assert_eq!(
        (value("user.a"), value("trusted.b")),
        (Some(b"1".to_vec()), None)
    );
    assert!(dress::like(&new, &stat, &old).is_ok());
    assert_eq!(value("trusted.b"), Some(b"2".to_vec()));
    // Where attributes can't be set at all, the rest is done.
    let nothing = File::open("/proc/self/status").unwrap();
    assert!(dress::like(&new, &stat, &nothing).is_ok());
    assert_eq!(
        fs::metadata(home.path("new")).unwrap().mode() & 0o777,
        0o666
    );
}
