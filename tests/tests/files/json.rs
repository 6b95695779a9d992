//! `json set`, `json get`: which bytes of a JSON file change, and how values are told.

use pk_tests::TestEnv;

/// Edits a `config.json` that has `before` and compares what it has then. The same edit again
/// changes nothing.
#[track_caller]
fn edits(words: &[&str], before: &str, after: &str) {
    let env = TestEnv::new();
    env.write("config.json", before);
    let words = [&["json", "set"], words].concat();
    env.pk_args(&words).ok().sane();
    assert_eq!(
        env.read("config.json").as_deref(),
        Some(after),
        "{words:?} {before}"
    );
    let imprint = env.imprint("config.json");
    let again = env.pk_args(&words).ok().json();
    assert_eq!(again["files"][0]["changed"], false, "{words:?}");
    assert_eq!(env.imprint("config.json"), imprint, "{words:?}");
}

#[test]
fn f35_set_changes_the_value_alone() {
    let check = |before: &str, after: &str| edits(&["/a=2"], before, after);
    check(r#"{"a":1}"#, r#"{"a":2}"#);
    check("", "{\n  \"a\": 2\n}\n");
    check("{}", "{\n  \"a\": 2\n}");
    check(r#"{ "b": 1.0 }"#, r#"{ "b": 1.0, "a": 2 }"#);
    check("{\"b\":1,\"a\" : \"x\" }\n", "{\"b\":1,\"a\" : 2 }\n");
    check(
        "{\n\t// one\n\t\"a\": 1, /* two */\n\t\"b\": 1e400,\n}\n",
        "{\n\t// one\n\t\"a\": 2, /* two */\n\t\"b\": 1e400,\n}\n",
    );
    check(
        "{\n    \"b\": [1,\n 2] // c\n}\r\n",
        "{\n    \"b\": [1,\n 2], // c\n    \"a\": 2\n}\r\n",
    );
    check(
        "{\r\n \"n\": 12345678901234567890\r\n}",
        "{\r\n \"n\": 12345678901234567890,\r\n \"a\": 2\r\n}",
    );
    check(
        r#"{"\u0061":1,"x":"\/\u00e9"}"#,
        r#"{"\u0061":2,"x":"\/\u00e9"}"#,
    );
    // Twice the same member elsewhere is not our affair.
    check(r#"{"b":1,"b":2,"a":1}"#, r#"{"b":1,"b":2,"a":2}"#);
}

#[test]
fn the_byte_order_mark_stays() {
    let env = TestEnv::new();
    env.write("config.json", "\u{feff}{\"a\":1}");
    env.pk("json set /a=2").ok();
    assert_eq!(
        env.read("config.json").as_deref(),
        Some("\u{feff}{\"a\":2}")
    );
    assert_eq!(env.pk("json get /a").ok().stdout, "2\n");
}

#[test]
fn pointers_find_their_way() {
    let check = |assignment: &str, before: &str, after: &str| edits(&[assignment], before, after);
    check("/a/b=1", "{}", "{\n  \"a\": {\n    \"b\": 1\n  }\n}");
    check("/a/b=2", r#"{"a":{"b":1,"c":3}}"#, r#"{"a":{"b":2,"c":3}}"#);
    check("/a/1=9", "{\"a\":[1,2,3]}", "{\"a\":[1,9,3]}");
    check("/a/2=9", "{\"a\":[1,2]}", "{\"a\":[1,2,9]}");
    check("/=1", r#"{"":0}"#, r#"{"":1}"#);
    check("/a~1b=1", r#"{"a/b":0}"#, r#"{"a/b":1}"#);
    check("/a~01=1", r#"{"a~1":0}"#, r#"{"a~1":1}"#);
    check("/0=1", r#"{"0":0}"#, r#"{"0":1}"#);
    check("=4", " 3\n", " 4\n");

    let env = TestEnv::new();
    env.write("config.json", "{\"a\":[1]}");
    env.pk("json set /a/-=2").ok();
    assert_eq!(env.read("config.json").as_deref(), Some("{\"a\":[1,2]}"));
}

#[test]
fn values_are_json_or_else_strings() {
    let check = |words: &[&str], expect: &str| {
        edits(words, r#"{"a":0}"#, &format!(r#"{{"a":{expect}}}"#));
    };
    check(&["/a=8080"], "8080");
    check(&["/a=1e45"], "1e45");
    check(
        &["/a=123456789012345678901234567890"],
        "123456789012345678901234567890",
    );
    check(&["/a=-0"], "-0");
    check(&["/a=true"], "true");
    check(&["/a=null"], "null");
    check(&["/a=localhost"], r#""localhost""#);
    check(&["/a=\"x\""], r#""x""#);
    check(&["/a="], r#""""#);
    check(&["/a=007"], r#""007""#);
    check(&["/a=b=c"], r#""b=c""#);
    check(&["/a={\"b\":[]}"], r#"{"b":[]}"#);
    check(&["--string", "/a=8080"], r#""8080""#);
    check(&["--string", "/a=\"x\""], r#""\"x\"""#);
    check(&["/a=é\u{1}\n"], r#""é\u0001\n""#);
}

#[test]
fn pairs_say_what_the_short_form_cannot() {
    edits(
        &["--at", "/a=b", "--value", "8080"],
        r#"{"a=b":0}"#,
        r#"{"a=b":8080}"#,
    );
    edits(
        &["--at", "/a", "--value", "-1"],
        r#"{"a":0}"#,
        r#"{"a":-1}"#,
    );
    edits(
        &["--at", "/a", "--value", "\"x\""],
        r#"{"a":0}"#,
        r#"{"a":"x"}"#,
    );
    edits(
        &[
            "--at", "/a", "--value", "[1]", "/b=3", "--at", "/c", "--value", "null",
        ],
        r#"{"a":0,"b":0,"c":0}"#,
        r#"{"a":[1],"b":3,"c":null}"#,
    );
}

#[test]
fn merge_goes_deep() {
    edits(
        &[
            "--merge",
            r#"{"server":{"port":2},"list":[3],"new":{"x":null}}"#,
        ],
        r#"{"server":{"port":1,"host":"h"},"list":[1,2]}"#,
        r#"{"server":{"port":2,"host":"h"},"list":[3],"new":{"x":null}}"#,
    );
    edits(&["--merge", "{}"], "{ }", "{ }");
    edits(
        &["--merge", r#"{"a":1}"#, "/b=2"],
        r#"{"a":0,"b":0}"#,
        r#"{"a":1,"b":2}"#,
    );
}

#[test]
fn arguments_that_mean_nothing() {
    let check = |words: &[&str]| {
        let env = TestEnv::new();
        env.write("config.json", "{\"a\":1}");
        let imprint = env.imprint("config.json");
        let answer = env.pk_args(&[&["json", "set"], words].concat()).refused(2);
        assert_eq!(answer.stdout, "");
        assert_eq!(env.imprint("config.json"), imprint, "{words:?}");
        assert!(env.backups().is_empty(), "{words:?}");
    };
    check(&[]);
    check(&["/a"]);
    check(&["a=1"]);
    check(&["/a~2=1"]);
    check(&["/a~=1"]);
    check(&["--at", "/a"]);
    check(&["--value", "1"]);
    check(&["--at", "/a", "--at", "/b", "--value", "1"]);
    check(&["--at", "/a", "--value", "x"]);
    check(&["--at", "/a", "--value", "01"]);
    check(&["--merge", "{"]);
    check(&["--merge", "3"]);
    check(&["/a=1", "--in-place", "--no-in-place"]);
    check(&["/a=1", "--file", ""]);
    let env = TestEnv::new();
    env.write("config.json", "{}");
    env.pk("json get a").refused(2).says("a");
}

#[test]
fn get_prints_the_value_as_it_stands() {
    let check = |content: &str, pointer: &str, expect: Option<&str>| {
        let env = TestEnv::new();
        env.write("config.json", content);
        let answer = env.pk_args(&["json", "get", pointer]);
        match expect {
            Some(value) => assert_eq!(answer.ok().stdout, format!("{value}\n")),
            None => assert_eq!(answer.refused(1).says(pointer).stdout, ""),
        }
        assert!(!env.state_folder().exists(), "reading leaves no trace");
    };
    check(r#"{"a":1.0}"#, "/a", Some("1.0"));
    check(r#"{"a":"\u0041"}"#, "/a", Some(r#""\u0041""#));
    check(r#"{"a":1}"#, "/b", None);
    check(r#"{"a":1}"#, "/a/b", None);
    check(r#"{"a":[1]}"#, "/a/1", None);
    check(r#"{"a":[1]}"#, "/a/0", Some("1"));
    check("{ \"a\":\n{ // c\n} }", "/a", Some("{ // c\n}"));
    check(" [1] ", "", Some("[1]"));
    check("{\"a\":null}", "/a", Some("null"));
}
