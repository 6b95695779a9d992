//! `backup list`, `restore`, `diff`: what files held before can be had back.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use pk_tests::TestEnv;
use serde_json::Value;

/// What is listed of a file, the newest last.
#[track_caller]
fn list(env: &TestEnv, file: &str) -> Vec<Value> {
    let answer = env.pk(format!("backup list {file}")).ok().json();
    answer["backups"].as_array().unwrap().clone()
}

/// What the listed backups hold.
fn contents(backups: &[Value]) -> Vec<String> {
    let path = |backup: &Value| backup["path"].as_str().unwrap().to_owned();
    backups
        .iter()
        .map(|backup| fs::read_to_string(path(backup)).unwrap())
        .collect()
}

/// A file that was set to 1, 2 and 3.
fn thrice() -> TestEnv {
    let env = TestEnv::new();
    env.write(".env", "A=1\n");
    env.pk("env set A=2").ok();
    env.pk("env set A=3").ok();
    env
}

#[test]
fn the_list_has_what_was_kept() {
    let env = thrice();
    env.write("config.json", "{}");
    env.pk("json set /a=1").ok();
    let of_env = list(&env, ".env");
    assert_eq!(contents(&of_env), ["A=1\n", "A=2\n"]);
    assert_eq!(of_env[0]["file"], env.path(".env").to_str().unwrap());
    assert_eq!(of_env[0]["bytes"], 4);
    let all = env.pk("backup list").ok();
    assert_eq!(
        contents(all.json()["backups"].as_array().unwrap()),
        ["A=1\n", "A=2\n", "{}"]
    );
    for backup in all.object().list("backups") {
        assert_eq!(backup.names(), ["file", "id", "path", "bytes"]);
    }
    let text = env.pk("backup list .env --format text").ok();
    assert_eq!(text.stdout.lines().count(), 2);
    assert!(text.stdout.contains(of_env[1]["id"].as_str().unwrap()));
    assert_eq!(list(&env, "nothing"), [Value::Null; 0]);
}

#[test]
fn restore_gives_the_bytes_back_and_undoes_itself() {
    let env = thrice();
    let answer = env.pk("backup restore .env").ok().json();
    assert_eq!(answer["files"][0]["changed"], true);
    assert!(answer["files"][0]["key"].is_null());
    assert_eq!(env.read(".env").as_deref(), Some("A=2\n"));
    env.pk("backup restore .env").ok();
    assert_eq!(env.read(".env").as_deref(), Some("A=3\n"));
    env.pk("backup restore .env").ok();
    assert_eq!(env.read(".env").as_deref(), Some("A=2\n"));
    assert!(env.leftovers().is_empty());
}

#[test]
fn restored_bytes_are_the_original_ones() {
    for content in [
        &b"A=1\r\nB=\xff"[..],
        b"\xef\xbb\xbf# c\n\nA='1'",
        b"A=\"x\nA=2\n\"",
    ] {
        let env = TestEnv::new();
        env.write(".env", content);
        env.pk("env set A=2 C=3").ok();
        assert_ne!(fs::read(env.path(".env")).unwrap(), content);
        env.pk("backup restore .env").ok();
        assert_eq!(fs::read(env.path(".env")).unwrap(), content);
    }
}

#[test]
fn ids_choose_by_their_beginning() {
    let env = thrice();
    let first = list(&env, ".env")[0]["id"].as_str().unwrap().to_owned();
    let shortest = {
        let second = list(&env, ".env")[1]["id"].as_str().unwrap().to_owned();
        let same = first
            .bytes()
            .zip(second.bytes())
            .take_while(|(a, b)| a == b);
        first[..=same.count()].to_owned()
    };
    env.pk(format!("backup restore .env --at {shortest}")).ok();
    assert_eq!(env.read(".env").as_deref(), Some("A=1\n"));
    let imprint = env.imprint(".env");
    let again = env.pk(format!("backup restore .env --at {first}")).ok();
    assert_eq!(again.json()["files"][0]["changed"], false);
    for (at, says) in [("20", "20"), ("zzz", "zzz"), (&first[1..], "no backup")] {
        for command in ["restore", "diff"] {
            env.pk(format!("backup {command} .env --at {at}"))
                .refused(2)
                .says(says)
                .says("portkeeper backup list .env");
        }
    }
    env.pk("backup restore never-written").refused(2);
    assert_eq!(env.imprint(".env"), imprint);
}

#[test]
fn diff_shows_what_restore_would_do_and_does_nothing() {
    let env = thrice();
    let before = env.everything();
    let first = list(&env, ".env")[0]["id"].as_str().unwrap().to_owned();
    let diff = |line: &str, removed: &str, added: &str| {
        let expect = format!("--- .env\n+++ .env\n@@ -1 +1 @@\n-{removed}\n+{added}\n");
        assert_eq!(env.pk(line).ok().stdout, expect);
    };
    diff("backup diff .env", "A=3", "A=2");
    diff(&format!("backup diff .env --at {first}"), "A=3", "A=1");
    assert_eq!(env.everything(), before);
    fs::remove_file(env.path(".env")).unwrap();
    let answer = env.pk("backup diff .env").ok();
    assert_eq!(
        answer.stdout,
        "--- /dev/null\n+++ .env\n@@ -0,0 +1 @@\n+A=2\n"
    );
}

#[test]
fn a_removed_file_comes_back_for_its_owner_alone() {
    let env = thrice();
    fs::remove_file(env.path(".env")).unwrap();
    let answer = env.pk("backup restore .env").ok().json();
    assert!(answer["files"][0]["backup"].is_null());
    assert_eq!(env.read(".env").as_deref(), Some("A=2\n"));
    assert_eq!(
        fs::metadata(env.path(".env")).unwrap().mode() & 0o7777,
        0o600
    );
}

#[test]
fn ten_are_kept_and_the_same_bytes_once() {
    let env = TestEnv::new();
    env.write(".env", "A=0\n");
    for value in 1..=14 {
        env.pk(format!("env set A={value}")).ok();
    }
    let kept: Vec<_> = (4..=13).map(|value| format!("A={value}\n")).collect();
    assert_eq!(contents(&list(&env, ".env")), kept);
    assert_eq!(env.backups().len(), 10);

    let env = TestEnv::new();
    env.write(".env", "A=0\n");
    env.pk("env set A=1").ok();
    env.write(".env", "A=0\n");
    env.pk("env set A=2").ok();
    assert_eq!(contents(&list(&env, ".env")), ["A=0\n"]);
}

#[test]
fn nobody_else_can_read_them() {
    let env = TestEnv::new();
    env.write(".env", "A=1\n");
    env.write("config.json", "{}");
    env.sh("umask 000; portkeeper env set A=2; portkeeper reserve --write-env A --write-json config.json#/a")
        .ok();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(env.backups().len(), 3);
    for backup in env.backups() {
        assert_eq!(mode(&backup), 0o600, "{}", backup.display());
        let folders = backup.ancestors().skip(1);
        for folder in folders.take_while(|folder| folder.starts_with(env.state_folder())) {
            assert_eq!(mode(folder), 0o700, "{}", folder.display());
        }
    }
}
