//! `env set`, `env unset`, `env get`: which bytes of a `.env` change, and what is answered.

use std::fs;

use pk_tests::strace::changes;
use pk_tests::{TestEnv, shown};

/// Edits a `.env` that has `before` and compares what it has then. The same edit again changes
/// nothing.
#[track_caller]
fn edits(words: &[&str], before: impl AsRef<[u8]>, after: impl AsRef<[u8]>) {
    let (env, before) = (TestEnv::new(), before.as_ref());
    env.write(".env", before);
    let words = [&["env"], words].concat();
    let answer = env.pk_args(&words).ok().sane().json();
    let expect = shown(after.as_ref());
    assert_eq!(
        env.read(".env").as_ref(),
        Some(&expect),
        "{words:?} {}",
        shown(before)
    );
    assert_eq!(answer["files"][0]["changed"], before != after.as_ref());

    let imprint = env.imprint(".env");
    let again = env.pk_args(&words).ok().json();
    assert_eq!(again["files"][0]["changed"], false, "{words:?} {again}");
    assert_eq!(env.imprint(".env"), imprint, "{words:?}");
}

#[test]
fn f29_set_changes_the_value_alone() {
    let check = |before: &str, after: &str| edits(&["set", "A=2"], before, after);
    check("", "A=2\n");
    check("A=1\n", "A=2\n");
    check("A=1", "A=2");
    check("A=2\n", "A=2\n");
    check("A='2'\n", "A='2'\n");
    check("A='1'\n", "A='2'\n");
    check(
        "  export A = \"1\"  # c\nB=1\n",
        "  export A = \"2\"  # c\nB=1\n",
    );
    check("A=1 # c\n", "A=2 # c\n");
    check("A=1#c\n", "A=2\n");
    check("A=   # c\n", "A=2   # c\n");
    check("A=\n", "A=2\n");
    check("A\nB=1\n", "A=2\nB=1\n");
    check("A=1   \n", "A=2\n");
    check("A=`x`\n", "A=2\n");
    check("A=\"1\n2\"\nB=1\n", "A=\"2\"\nB=1\n");
    check("A=1\r\nB=x\r\n", "A=2\r\nB=x\r\n");
    check("\u{feff}A=1\n", "\u{feff}A=2\n");
    check("A=1\nB=x\nA=3\n", "A=2\nB=x\nA=2\n");
    // What is no assignment of A stays, whatever it looks like.
    check(
        "# A=1\nAA=1\n_A=1\nB_A=1\n",
        "# A=1\nAA=1\n_A=1\nB_A=1\nA=2\n",
    );
    check("B='\nA=1\n'\n", "B='\nA=1\n'\nA=2\n");
    check("A: 1\n", "A: 1\nA=2\n");
    check("[s]\n; c\n", "[s]\n; c\nA=2\n");
    // At the end, in the way of the file.
    check("B=1", "B=1\nA=2\n");
    check("B=1\r\n\r\nC=1", "B=1\r\n\r\nC=1\r\nA=2\r\n");
    check(
        "export B=1\nexport C=1\n",
        "export B=1\nexport C=1\nexport A=2\n",
    );
    check("export B=1\nC=1\n", "export B=1\nC=1\nA=2\n");
    check("B=x\\\n", "B=x\\\n\nA=2\n");
}

#[test]
fn bytes_that_are_no_text_stay() {
    edits(
        &["set", "A=2"],
        b"B=\xff\xfe\n# \x80\nA=1\n",
        b"B=\xff\xfe\n# \x80\nA=2\n",
    );
    edits(&["set", "A=2"], b"A=\xff\n", b"A=2\n");
    edits(&["unset", "A"], b"A=\xff\nB=\xff", b"B=\xff");
}

#[test]
fn values_are_quoted_so_that_all_read_them() {
    let check = |value: &str, written: &str| {
        edits(
            &["set", &format!("A={value}")],
            "",
            format!("A={written}\n"),
        );
    };
    check("", "");
    check("8080", "8080");
    check(
        "postgres://u:p@db:5432/x,y=%20+-",
        "postgres://u:p@db:5432/x,y=%20+-",
    );
    check("B=C", "B=C");
    check("a b", "'a b'");
    check(" a", "' a'");
    check("a # b", "'a # b'");
    check("#b", "'#b'");
    check("~", "'~'");
    check("\"", "'\"'");
    check("`id`", "'`id`'");
    check("it's", "\"it's\"");
    check("é", "'é'");
    check("a\nb", "\"a\nb\"");
    check("C:\\new", "'C:\\new'");
}

#[test]
fn several_keys_are_one_change() {
    edits(
        &["set", "B=2", "A=3", "C=4"],
        "A=1\nB=1\n",
        "A=3\nB=2\nC=4\n",
    );
    edits(&["set", "A=2", "A=3"], "A=1\n", "A=3\n");
    edits(&["unset", "A", "C", "NONE"], "A=1\nB=1\nC=1\n", "B=1\n");
    let env = TestEnv::new();
    env.write(".env", "A=1\nB=1\n");
    env.pk("env set A=2 B=2").ok();
    assert_eq!(env.backups().len(), 1, "written once, kept once");
}

#[test]
fn unset_removes_the_statement_alone() {
    let check = |before: &str, after: &str| edits(&["unset", "A"], before, after);
    check("A=1\n", "");
    check("", "");
    check("B=1\n", "B=1\n");
    check("# a\n\nA=1\n\n# b\n", "# a\n\n\n# b\n");
    check("A=1\nB=1\nexport A='2' # c\n", "B=1\n");
    check("B=1\nA=\"1\n2\"\nC=1", "B=1\nC=1");
    check("B=1\r\nA=1\r\nC=1\r\n", "B=1\r\nC=1\r\n");
    check("\u{feff}A=1\nB=1\n", "\u{feff}B=1\n");
    check("# A=1\nAA=1\n", "# A=1\nAA=1\n");
}

#[test]
fn get_prints_the_value_that_programs_read() {
    let check = |content: &[u8], key: &str, expect: Option<&str>| {
        let env = TestEnv::new();
        env.write(".env", content);
        let answer = env.pk(format!("env get {key}"));
        match expect {
            Some(value) => assert_eq!(answer.ok().stdout, format!("{value}\n")),
            None => assert_eq!(answer.refused(1).says(key).stdout, ""),
        }
        assert!(!env.state_folder().exists(), "reading leaves no trace");
    };
    check(b"A=1\n", "A", Some("1"));
    check(b"A=1\n", "B", None);
    check(b"", "A", None);
    check(b"# A=1\nAA=1\n", "A", None);
    check(b"A=\n", "A", Some(""));
    check(b"export A = 'a b' # c\n", "A", Some("a b"));
    check(b"A=\"it's\"\r\n", "A", Some("it's"));
    check(b"\xef\xbb\xbfA=1", "A", Some("1"));
    check(b"A=\"1\n2\"\n", "A", Some("1\n2"));
    check(b"A=1 # c\n", "A", Some("1"));
    check(b"A=1\nA=2\n", "A", Some("2"));
}

#[test]
fn get_gives_bytes_back_as_they_are() {
    let env = TestEnv::new();
    env.write(".env", b"A=\xff\xfe\n");
    env.sh("test \"$(portkeeper env get A | od -An -tx1)\" = ' ff fe 0a'")
        .ok();
}

#[test]
fn what_is_answered() {
    let env = TestEnv::new();
    env.write(".env", "A=1\nA=2\nB=1\n");
    let answer = env.pk("env set A=3 B=1").ok();
    let names = ["path", "key", "strategy", "backup", "changed", "duplicates"];
    for file in answer.object().list("files") {
        assert_eq!(file.names(), names);
    }
    let files = &answer.json()["files"];
    assert_eq!(
        (&files[0]["path"], &files[0]["key"]),
        (&".env".into(), &"A".into())
    );
    assert_eq!(files[1]["key"], "B");
    assert_eq!(files[0]["strategy"], "rename");
    assert_eq!(files[0]["duplicates"], 1);
    assert_eq!(files[0]["changed"], true);
    let backup = files[0]["backup"].as_str().unwrap();
    assert_eq!(fs::read_to_string(backup).unwrap(), "A=1\nA=2\nB=1\n");

    assert_eq!(
        env.pk("env set A=4 --format text").ok().stdout,
        "wrote A in .env\n"
    );
    let same = env.pk("env set A=4 --format text").ok();
    assert_eq!(same.stdout, "A in .env is as asked already\n");
    assert_eq!(
        env.pk("env unset A --format text").ok().stdout,
        "wrote A in .env\n"
    );
}

#[test]
fn what_some_programs_stumble_over_is_said() {
    let check = |words: &[&str], content: &str, part: &str| {
        let env = TestEnv::new();
        env.write(".env", content);
        let answer = env.pk_args(&[&["env", "set"], words].concat()).ok();
        assert_eq!(answer.json()["files"].as_array().unwrap().len(), 1);
        answer.says("warning: .env: ").says(part);
    };
    check(&["A=1"], "B=1\r\n", "CRLF");
    check(&["A=1"], "\u{feff}B=1\n", "byte-order mark");
    check(&["A=a$X"], "", "$");
    check(&["A=2"], "A = 1\n", "=");
    let env = TestEnv::new();
    let quiet = env.pk_args(&["-q", "env", "set", "A=a$X", "--create"]).ok();
    assert_eq!(quiet.stderr, "");
}

/// As where the folder is half on another file system.
#[test]
fn a_new_file_that_cannot_be_renamed_is_refused() {
    let env = TestEnv::new();
    let line = "env set A=1 --create";
    let Some(calls) = changes(&env, line) else {
        return;
    };
    fs::remove_file(env.path(".env")).unwrap();
    let rename = calls.iter().rfind(|call| call.name == "renameat2");
    let rename = rename.expect("the file gets its name");
    for error in ["EXDEV", "EBUSY"] {
        let answer = env.tampered(rename, &format!("error={error}"), line);
        drop(answer.refused(7));
        assert_eq!(env.read(".env"), None);
    }
}
