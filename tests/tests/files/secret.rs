//! A `.env` for its owner alone stays so at every moment, and what was granted to others stays, too.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use pk_tests::{TestEnv, skipped};
use rustix::fs::{XattrFlags, getxattr, setxattr};
use rustix::process::geteuid;

const SECRET: &str = "tell-nobody";

/// Makes a `.env` for its owner alone and edits it with an open umask; the calls that made or opened
/// something, changed a mode or wrote, one a line, each path spelt out.
fn trace(line: &str) -> Option<Vec<String>> {
    let env = TestEnv::new();
    env.write(".env", format!("A=1\nSECRET={SECRET}\n"));
    fs::set_permissions(env.path(".env"), Permissions::from_mode(0o600)).unwrap();
    let log = env.root().join("trace");
    let calls = "trace=openat,open,creat,mkdir,mkdirat,chmod,fchmod,fchmodat,write,writev,\
                 pwrite64,link,linkat,mknod,mknodat,umask,execve";
    let mut command = env.command("sh");
    let strace = env.strace(
        &["-y", "-s", "4096", "-e", calls, "-o", log.to_str()?],
        line,
    )?;
    command
        .args(["-c", "umask 000; exec \"$@\"", "sh", "strace"])
        .args(strace.get_args());
    env.run(command).ok();
    assert_eq!(
        fs::metadata(env.path(".env")).unwrap().mode() & 0o7777,
        0o600
    );
    let log = fs::read_to_string(log).unwrap();
    let root = env.root().to_str()?;
    let ours = |call: &&str| call.contains(root) && !call.contains(" = -1 ");
    Some(log.lines().filter(ours).map(str::to_owned).collect())
}

#[test]
fn nobody_else_could_read_it_at_any_moment() {
    for line in [
        "env set A=2",
        "env set A=2 --in-place",
        "env unset A --no-backup",
    ] {
        let Some(calls) = trace(line) else {
            return;
        };
        let mut files = Vec::new();
        let mut writes = 0;
        for call in &calls {
            let is = |names: &[&str]| names.iter().any(|name| call.contains(&format!(" {name}(")));
            assert!(
                !is(&["creat", "link", "linkat", "mknod", "mknodat"]),
                "{line}: {call}"
            );
            let modes: Vec<_> = match () {
                () if is(&["openat", "open"]) && !call.contains("O_CREAT") => continue,
                () if is(&["openat", "open"]) => {
                    files.push(
                        call.rsplit_once('<')
                            .unwrap()
                            .1
                            .trim_end_matches('>')
                            .to_owned(),
                    );
                    octals(call)
                }
                () if is(&["write", "writev", "pwrite64"]) => {
                    if call.contains(SECRET) {
                        writes += 1;
                        let file = call.split_once('<').unwrap().1.split_once('>').unwrap().0;
                        let is_new = files.iter().any(|made| made == file);
                        assert!(is_new || file.ends_with("/.env"), "{line}: {call}");
                    }
                    continue;
                }
                () if is(&["mkdir", "mkdirat", "chmod", "fchmod", "fchmodat"]) => octals(call),
                () => continue,
            };
            assert!(!modes.is_empty(), "{line}: {call}");
            for mode in modes {
                assert_eq!(mode & 0o077, 0, "{line}: {call}");
            }
        }
        // The file and, where one is kept, its backup.
        let expect = if line.contains("--no-backup") { 1 } else { 2 };
        assert_eq!(writes, expect, "{line}: {calls:#?}");
    }
}

/// The numbers of a call that begin with 0, as modes do.
fn octals(call: &str) -> Vec<u32> {
    let (call, _) = call.rsplit_once(" = ").unwrap();
    let words = call.split([',', ' ', ')', '(']);
    let digits = words.filter(|word| word.len() > 1 && word.starts_with('0'));
    digits
        .filter_map(|word| u32::from_str_radix(word, 8).ok())
        .collect()
}

/// The access control list user::rw-, user:61003:r--, group::---, mask::r--, other::---, as the
/// kernel keeps it (include/uapi/linux/posix_acl_xattr.h).
fn acl() -> Vec<u8> {
    const ANY: u32 = u32::MAX;
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 6, ANY),
        (0x02, 4, 61_003),
        (0x04, 0, ANY),
        (0x10, 4, ANY),
        (0x20, 0, ANY),
    ];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(rights.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

#[test]
fn owner_attributes_and_access_list_stay() {
    for how in ["", "--in-place"] {
        let env = TestEnv::new();
        let path = env.path(".env");
        env.write(".env", "A=1\n");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        match geteuid().is_root() {
            true => chown(&path, Some(61_001), Some(61_002)).unwrap(),
            false => skipped("a file of somebody else: the tests do not run as root"),
        }
        let lists = ["system.posix_acl_access", "user.note"];
        for (name, value) in lists.into_iter().zip([acl(), b"mine".to_vec()]) {
            if let Err(error) = setxattr(&path, name, &value, XattrFlags::empty()) {
                return skipped(format_args!("{name}: {error}"));
            }
        }
        let kept = || {
            let mut values = [[0; 128]; 2];
            let lengths: Vec<_> = lists
                .iter()
                .zip(&mut values)
                .map(|(name, value)| getxattr(&path, *name, &mut value[..]))
                .collect();
            let meta = fs::metadata(&path).unwrap();
            (values, lengths, meta.mode(), meta.uid(), meta.gid())
        };
        let before = kept();
        assert!(before.1.iter().all(Result::is_ok));
        env.pk(format!("env set A=2 {how}")).ok();
        assert_eq!(env.read(".env").as_deref(), Some("A=2\n"));
        assert_eq!(kept(), before, "{how}");
    }
}
