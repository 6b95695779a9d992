//! Modes are those of the registry, not of the umask.

use std::fs;
use std::os::unix::fs::MetadataExt;

use tempfile::tempdir;

use crate::other::Other;

#[test]
fn files_are_0600_and_folders_0700_whatever_the_umask() {
    for umask in ["0000", "0777"] {
        let home = tempdir().unwrap();
        let path = home.path().join("a/b/registry.json");
        let mut other = Other::playing(&format!("guard, umask {umask}"), &path);
        other.says("guarded");
        for (name, expect) in [
            ("a", 0o700),
            ("a/b", 0o700),
            ("a/b/registry.json", 0o600),
            ("a/b/registry.json.lock", 0o600),
            ("a/b/registry.json.live", 0o700),
            ("a/b/registry.json.live/id8080", 0o600),
        ] {
            let mode = fs::metadata(home.path().join(name)).unwrap().mode() & 0o7777;
            assert_eq!(mode, expect, "{name}: {mode:o} under umask {umask}");
        }
        assert_eq!(fs::read_dir(home.path().join("a/b")).unwrap().count(), 3);
    }
}
