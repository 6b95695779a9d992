//! Undo, and what is kept for it.

use std::fs;
use std::os::unix::fs::MetadataExt;

use pk_config::{Error, Rewrite, backup};
use proptest::prelude::*;

use crate::home::{Home, at};

fn set(home: &Home, value: &str, count: u64) {
    Rewrite::env(home.path(".env"))
        .set("A", value)
        .commit(&home.state, at(count))
        .unwrap();
}

#[test]
fn restoring_undoes_and_is_undone_by_restoring() {
    let home = Home::new();
    home.write(".env", "A=1 # c\r\n");
    home.chmod(".env", 0o640);
    set(&home, "2", 0);
    let restore = |at_id: Option<&str>, count| {
        backup::restore(&home.state, &home.path(".env"), at_id, at(count))
    };
    let path = home.path(".env");
    let diff = backup::diff_with(&home.state, &path, None).unwrap();
    let path = path.display();
    assert_eq!(
        diff,
        format!("--- {path}\n+++ {path}\n@@ -1 +1 @@\n-A=2 # c\r\n+A=1 # c\r\n")
    );
    assert!(restore(None, 1).unwrap().changed);
    assert_eq!(home.read(".env"), "A=1 # c\r\n");
    assert_eq!(home.meta(".env").mode() & 0o7777, 0o640);
    restore(None, 2).unwrap();
    assert_eq!(home.read(".env"), "A=2 # c\r\n");
    restore(Some("20260102T030405"), 3).unwrap();
    assert_eq!(home.read(".env"), "A=1 # c\r\n");
    assert!(matches!(
        restore(Some("2026"), 4),
        Err(Error::AmbiguousBackup { .. })
    ));
    assert!(matches!(
        restore(Some("1999"), 4),
        Err(Error::NoBackup { .. })
    ));
}

#[test]
fn a_file_that_is_gone_comes_back_for_its_owner_only() {
    let home = Home::new();
    home.write(".env", "A=1\n");
    set(&home, "2", 0);
    fs::remove_file(home.path(".env")).unwrap();
    backup::restore(&home.state, &home.path(".env"), None, at(1)).unwrap();
    assert_eq!(
        (
            home.read(".env").as_str(),
            home.meta(".env").mode() & 0o7777
        ),
        ("A=1\n", 0o600)
    );
    let none = backup::restore(&home.state, &home.path("other"), None, at(2));
    assert!(matches!(none, Err(Error::NoBackup { .. })));
}

#[test]
fn backups_are_private_few_and_never_twice_the_same() {
    let home = Home::new();
    home.write(".env", "A=0\n");
    for count in 1..=13 {
        set(&home, &count.to_string(), count);
    }
    let kept = backup::list(&home.state, Some(&home.path(".env"))).unwrap();
    let texts: Vec<_> = kept
        .iter()
        .map(|kept| fs::read_to_string(&kept.path).unwrap())
        .collect();
    let expect: Vec<_> = (3..=12).map(|count| format!("A={count}\n")).collect();
    assert_eq!(texts, expect);
    assert_eq!(
        kept[0].id,
        format!("20260102T030409.000000000Z.{}", &kept[0].id[27..])
    );
    for kept in &kept {
        assert_eq!(kept.path.metadata().unwrap().mode() & 0o7777, 0o600);
        assert_eq!(
            kept.path.parent().unwrap().metadata().unwrap().mode() & 0o777,
            0o700
        );
        assert_eq!(kept.of, home.path(".env"));
    }
    home.write(".env", "A=12\n");
    set(&home, "14", 14);
    assert_eq!(backup::list(&home.state, None).unwrap(), kept);
}

#[test]
fn the_newest_is_the_last_one_made_also_where_the_clock_was_set_back() {
    let home = Home::new();
    home.write(".env", "A=1\n");
    set(&home, "2", 86_400);
    set(&home, "3", 0);
    assert_eq!(home.backups(), ["A=1\n", "A=2\n"]);
    backup::restore(&home.state, &home.path(".env"), None, at(1)).unwrap();
    assert_eq!(home.read(".env"), "A=2\n");
}

#[test]
fn backups_of_files_that_are_long_gone_go() {
    let home = Home::new();
    home.write(".env", "A=1\n");
    set(&home, "2", 0);
    let [gone] = &backup::list(&home.state, None).unwrap()[..] else {
        panic!("not one")
    };
    fs::remove_file(home.path(".env")).unwrap();
    home.write("other.env", "A=1\n");
    let change = |value: &str, now| {
        Rewrite::env(home.path("other.env"))
            .set("A", value)
            .commit(&home.state, now)
            .unwrap();
    };
    let made = gone.path.metadata().unwrap().modified().unwrap();
    let days = |days: u64| made + std::time::Duration::from_secs(days * 86_400);
    change("2", days(89));
    assert!(gone.path.exists());
    change("3", days(91));
    assert!(!gone.path.exists() && !gone.path.parent().unwrap().exists());
    assert_eq!(home.backups(), ["A=1\n", "A=2\n"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn undo_restores_the_bytes(
        before in "([ABC ='\"#a-z\\\\]|\r?\n){0,40}",
        value in "[ -~]{0,6}",
    ) {
        let home = Home::new();
        let path = home.write(".env", &before);
        let written = Rewrite::env(&path).set("A", value).commit(&home.state, at(0));
        if written.is_ok_and(|written| written.changed) {
            prop_assert_ne!(home.read(".env"), &*before);
            backup::restore(&home.state, &path, None, at(1)).unwrap();
        }
        prop_assert_eq!(home.read(".env"), &*before);
        prop_assert_eq!(home.names(), [".env"]);
    }
}

/// Each case syncs to the disk several times: a quarter of the usual number.
fn cases() -> u32 {
    ProptestConfig::default().cases / 4
}
