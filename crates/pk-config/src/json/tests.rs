//! Documents before and after an edit, byte for byte.

use super::*;

fn set(before: &str, pointer: &str, value: &str) -> Result<String, Error> {
    let value: Value = value.parse().unwrap();
    let bytes = JsonFile::parse(before.as_bytes())?
        .set(pointer, value)?
        .to_bytes();
    Ok(String::from_utf8(bytes).unwrap())
}

fn check(before: &str, pointer: &str, value: &str, expect: &str) {
    let after = set(before, pointer, value);
    assert_eq!(
        after.as_deref(),
        Ok(expect),
        "{before:?} {pointer} = {value}"
    );
    if !pointer.contains('-') {
        let again = set(expect, pointer, value);
        assert_eq!(
            again.as_deref(),
            Ok(expect),
            "again: {before:?} {pointer} = {value}"
        );
    }
}

#[test]
fn a_value_is_replaced_in_place() {
    check("{\"a\":1}", "/a", "2", "{\"a\":2}");
    check(
        "{ \"a\" :\t1 , \"b\": 1.0 }\r\n",
        "/a",
        "2",
        "{ \"a\" :\t2 , \"b\": 1.0 }\r\n",
    );
    check("\u{feff}{\"a\":1}", "/a", "2", "\u{feff}{\"a\":2}");
    check(
        "{\"\\u0070ort\":1,\"x\":\"\\/\\u0041\"}",
        "/port",
        "2",
        "{\"\\u0070ort\":2,\"x\":\"\\/\\u0041\"}",
    );
    check(
        "[1e400, -0, 12345678901234567890]",
        "/1",
        "7",
        "[1e400, 7, 12345678901234567890]",
    );
    check(
        "{\"a/b\":{\"m~n\":1}}",
        "/a~1b/m~0n",
        "2",
        "{\"a/b\":{\"m~n\":2}}",
    );
    check("{\"\":1}", "/", "2", "{\"\":2}");
    check("{\"8080\":1}", "/8080", "2", "{\"8080\":2}");
    check("1 // c\n", "", "2", "2 // c\n");
    check(
        "{\"a\":1, // c\n}",
        "/a",
        "\"x\\n\\\"\"",
        "{\"a\":\"x\\n\\\"\", // c\n}",
    );
    check("{\"a\":1}", "/a", "{\"b\":[1,2]}", "{\"a\":{\"b\":[1,2]}}");
    check(
        "{\"a\": 1, \"c\": 2}",
        "/a",
        "{\"b\":[1,2]}",
        "{\"a\": {\"b\": [1, 2]}, \"c\": 2}",
    );
    check(
        "{\n\t\"a\": 1\n}",
        "/a",
        "{\"b\":[]}",
        "{\n\t\"a\": {\n\t\t\"b\": []\n\t}\n}",
    );
    check(
        "{\"a\": 1}",
        "/a",
        "123456789012345678901234567890",
        "{\"a\": 123456789012345678901234567890}",
    );
    check("{\"a\": 1}", "/a", "1e400", "{\"a\": 1e400}");
    check(
        "{\"x\":1,\"x\":2,\"a\":1}",
        "/a",
        "2",
        "{\"x\":1,\"x\":2,\"a\":2}",
    );
}

#[test]
fn a_member_is_added_in_its_own_line() {
    let one = "{\n  \"a\": 1\n}\n";
    check(one, "/b", "2", "{\n  \"a\": 1,\n  \"b\": 2\n}\n");
    check(
        one,
        "/b/c/d",
        "2",
        "{\n  \"a\": 1,\n  \"b\": {\n    \"c\": {\n      \"d\": 2\n    }\n  }\n}\n",
    );
    check(
        "{\r\n\t\"a\" : 1\r\n}",
        "/b",
        "2",
        "{\r\n\t\"a\" : 1,\r\n\t\"b\" : 2\r\n}",
    );
    check(
        "{\n  \"a\": 1,\n}",
        "/b",
        "2",
        "{\n  \"a\": 1,\n  \"b\": 2,\n}",
    );
    check(
        "{\n  \"a\": 1 // c\n}",
        "/b",
        "2",
        "{\n  \"a\": 1, // c\n  \"b\": 2\n}",
    );
    check(
        "{\n  \"a\": 1, // c\n}",
        "/b",
        "2",
        "{\n  \"a\": 1, // c\n  \"b\": 2,\n}",
    );
    check(
        "{\n  \"a\": 1 /* c\n d */ // e\n}",
        "/b",
        "2",
        "{\n  \"a\": 1, /* c\n d */ // e\n  \"b\": 2\n}",
    );
    check(
        "{\n  \"a\": 1\n  // own\n}",
        "/b",
        "2",
        "{\n  \"a\": 1,\n  \"b\": 2\n  // own\n}",
    );
    check("{\n  \"a\": 1 }", "/b", "2", "{\n  \"a\": 1,\n  \"b\": 2 }");
    check(
        "{\n  \"a\": 1\n  , \"b\": 2\n}",
        "/c",
        "3",
        "{\n  \"a\": 1\n  , \"b\": 2, \"c\": 3\n}",
    );
    check("[\n  1,\n  2\n]", "/2", "3", "[\n  1,\n  2,\n  3\n]");
    check(
        "[\n  1\n]",
        "/-",
        "{\"a\":1}",
        "[\n  1,\n  {\n    \"a\": 1\n  }\n]",
    );
    check(
        "{\n\"a\": 1\n}",
        "/b/c",
        "2",
        "{\n\"a\": 1,\n\"b\": {\n\"c\": 2\n}\n}",
    );
}

#[test]
fn a_member_is_added_in_the_line_of_the_others() {
    check("{\"a\":1}", "/b", "2", "{\"a\":1,\"b\":2}");
    check("{\"a\": 1}", "/b", "2", "{\"a\": 1, \"b\": 2}");
    check(
        "{ \"a\": 1 }",
        "/b/c",
        "2",
        "{ \"a\": 1, \"b\": {\"c\": 2} }",
    );
    check(
        "{\"a\":1, \"b\":2}",
        "/c",
        "3",
        "{\"a\":1, \"b\":2, \"c\":3}",
    );
    check("[1,2]", "/-", "3", "[1,2,3]");
    check("[1, 2,]", "/-", "3", "[1, 2, 3,]");
    check("[1]", "/-", "3", "[1, 3]");
    check(
        "{\"x\": [1, 2], \"y\": [3,4]}",
        "/y/-",
        "5",
        "{\"x\": [1, 2], \"y\": [3,4,5]}",
    );
    check(
        "{\"x\":1, \"y\": {\"z\" : 1}}",
        "/y/w",
        "5",
        "{\"x\":1, \"y\": {\"z\" : 1, \"w\" : 5}}",
    );
    check(
        "{\n  \"list\": [1, 2]\n}",
        "/list/2",
        "3",
        "{\n  \"list\": [1, 2, 3]\n}",
    );
    check("{\"a\":[1]}", "/a/-/b", "2", "{\"a\":[1,{\"b\":2}]}");
    check("[1, 2 // c\n]", "/-", "3", "[1, 2, 3 // c\n]");
}

#[test]
fn an_empty_container_gets_its_first_member() {
    let own = |inner: &str| format!("{{\n    \"a\": {inner}\n}}\n");
    check("{}", "/a", "1", "{\n  \"a\": 1\n}");
    check(
        "{ }\n",
        "/a/b",
        "1",
        "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n",
    );
    check("{\r\n}", "/a", "1", "{\r\n  \"a\": 1\r\n}");
    check(&own("{}"), "/a/b", "1", &own("{\n        \"b\": 1\n    }"));
    check(&own("[]"), "/a/0", "1", &own("[\n        1\n    ]"));
    check(
        &own("{\n    }"),
        "/a/b",
        "1",
        &own("{\n        \"b\": 1\n    }"),
    );
    check("{\"a\": {}}", "/a/b", "1", "{\"a\": {\"b\": 1}}");
    check("{\"a\":{ }}", "/a/b", "1", "{\"a\":{ \"b\":1 }}");
    check(
        "{\n  // none yet\n}",
        "/a",
        "1",
        "{\n  // none yet\n  \"a\": 1\n}",
    );
    check("{ // c\n}", "/a", "1", "{ // c\n  \"a\": 1\n}");
    check("{ /* none */ }", "/a", "1", "{ /* none */ \"a\": 1 }");
    check("[[]]", "/0/0", "1", "[[1]]");
}

#[test]
fn a_document_is_made_where_there_is_none() {
    check(
        "",
        "/server/port",
        "8080",
        "{\n  \"server\": {\n    \"port\": 8080\n  }\n}\n",
    );
    check(" \n", "/a", "1", "{\n  \"a\": 1\n}\n");
    check("\r\n", "/a", "1", "{\r\n  \"a\": 1\r\n}\r\n");
    check("// mine", "/a", "1", "// mine\n{\n  \"a\": 1\n}\n");
    check("", "", "5", "5\n");
}

#[test]
fn a_value_that_is_there_stays() {
    check(
        "{\"a\": {\"b\": [ 1, /* c */ 2, ], }}",
        "/a",
        "{\"b\":[1,2]}",
        "{\"a\": {\"b\": [ 1, /* c */ 2, ], }}",
    );
    check(
        "{\"a\": \"\\u0041\"}",
        "/a",
        "\"A\"",
        "{\"a\": \"\\u0041\"}",
    );
    check("{\"a\": 1}", "/a", "1.0", "{\"a\": 1.0}");
}

#[test]
fn what_has_no_place_is_refused() {
    let check = |before: &str, pointer: &str, expect: &str| {
        assert_eq!(
            set(before, pointer, "1").unwrap_err().to_string(),
            expect,
            "{before} {pointer}"
        );
    };
    check("{}", "a", "\"a\" is no JSON pointer: it begins with no /");
    check(
        "{}",
        "/~2",
        "\"/~2\" is no JSON pointer: after ~ comes 0 or 1",
    );
    check(
        "{\"a\": \"x\"}",
        "/a/b",
        "1:7: \"/a\" is a string, which has no members",
    );
    check(
        "{\"a\": null}",
        "/a/b",
        "1:7: \"/a\" is null, which has no members",
    );
    check("5", "/a", "1:1: \"\" is a number, which has no members");
    check(
        "{\"a\":1,\n\"a\":2}",
        "/a",
        "\"/a\" is there twice, at 1:2 and 2:1",
    );
    check(
        "{\"a\":{},\"\\u0061\":{}}",
        "/a/b",
        "\"/a\" is there twice, at 1:2 and 1:9",
    );
    for index in ["2", "01", "x", "00"] {
        let expect = format!("{index:?} is no index of the array \"/a\", which has 1 elements");
        check("{\"a\": [1]}", &format!("/a/{index}"), &expect);
    }
    let ambiguous =
        |pointer: &str| format!("{pointer:?} is missing, and could be an object or an array");
    check("{}", "/a/0", &ambiguous("/a"));
    check("{}", "/a/b/-", &ambiguous("/a/b"));
    check("", "/0", &ambiguous(""));
}

#[test]
fn what_is_no_json_is_refused() {
    let check = |before: &[u8], expect: &str| {
        let error = JsonFile::parse(before).unwrap_err().to_string();
        assert_eq!(error, expect, "{}", String::from_utf8_lossy(before));
    };
    check(b"{\"a\": 1\n \"b\": 2}", "1:8: expected comma");
    check(
        "\u{feff}{\n  \"é\" 1}".as_bytes(),
        "2:7: expected colon after the string or word in object property",
    );
    check(b"{\"a\": \"\xff\"}", "1:8: not UTF-8");
    check(b"{\"a\": \"\t\"}", "1:8: control character in a string");
    check("{\u{a0}}".as_bytes(), "1:2: not a blank of JSON");
    check("[1, \u{a0}2]".as_bytes(), "1:5: not a blank of JSON");
    check(
        "[\"a b\", \"\u{1}\"]".as_bytes(),
        "1:10: control character in a string",
    );
    check(b"{\x0c}", "1:2: not a blank of JSON");
    for json5 in [
        "{a: 1}",
        "{'a': 1}",
        "[01]",
        "[+1]",
        "[.5]",
        "[5.]",
        "[0x1]",
        "[NaN]",
        "[Infinity]",
        "[1 2]",
        "[1,,2]",
        "[,]",
        "{,}",
        "[\"\\x41\"]",
        "[\"\\'\"]",
        "[\"a\\\nb\"]",
        "[1] [2]",
        "tru",
        "{\"a\"}",
        "[",
        "\"a",
        "/* c",
        "{\"a\":1,,}",
        "[-]",
        "[1.e5]",
        "[\u{feff}]",
    ] {
        assert!(JsonFile::parse(json5.as_bytes()).is_err(), "{json5}");
    }
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(JsonFile::parse(deep(500).as_bytes()).is_ok());
    assert!(matches!(
        JsonFile::parse(deep(600).as_bytes()),
        Err(Error::Depth { .. })
    ));
    assert!(matches!(
        JsonFile::parse(&vec![b' '; 17 << 20]),
        Err(Error::TooLarge { .. })
    ));
}

#[test]
fn a_value_that_makes_it_too_deep_is_refused() {
    let depth = 300;
    let (open, close) = ("[".repeat(depth), "]".repeat(depth));
    let answer = set(
        &format!("{open}1{close}"),
        &"/0".repeat(depth),
        &format!("{open}{close}"),
    );
    assert!(matches!(answer, Err(Error::Depth { .. })), "{answer:?}");
}

#[test]
fn a_port_keeps_its_kind() {
    let check = |before: &str, expect: &str| {
        let mut file = JsonFile::parse(before.as_bytes()).unwrap();
        let after = file.set_port("/p", 4000).unwrap().to_bytes();
        assert_eq!(String::from_utf8(after).unwrap(), expect);
    };
    check("{\"p\":\"3000\"}", "{\"p\":\"4000\"}");
    check("{\"p\":3000}", "{\"p\":4000}");
    check("{\"p\":null}", "{\"p\":4000}");
    check("{\"q\":\"1\"}", "{\"q\":\"1\",\"p\":4000}");
}

#[test]
fn objects_are_merged_deep() {
    let check = |before: &str, value: &str, expect: Result<&str, &str>| {
        let mut file = JsonFile::parse(before.as_bytes()).unwrap();
        let answer = file
            .merge(value.parse::<Value>().unwrap())
            .map_err(|error| error.to_string());
        let after = String::from_utf8(file.to_bytes()).unwrap();
        match expect {
            Ok(expect) => assert_eq!((answer.map(drop), after.as_str()), (Ok(()), expect)),
            Err(error) => assert_eq!(
                (answer.unwrap_err().as_str(), after.as_str()),
                (error, before)
            ),
        }
    };
    let before = "{\"a\":{\"b\":1,\"c\":[1,2]},\"d\":2}";
    check(
        before,
        "{\"a\":{\"b\":9}}",
        Ok("{\"a\":{\"b\":9,\"c\":[1,2]},\"d\":2}"),
    );
    check(
        before,
        "{\"a\":{\"c\":[3]},\"e\":null}",
        Ok("{\"a\":{\"b\":1,\"c\":[3]},\"d\":2,\"e\":null}"),
    );
    check(
        before,
        "{\"a\":{},\"f\":{}}",
        Ok("{\"a\":{\"b\":1,\"c\":[1,2]},\"d\":2,\"f\":{}}"),
    );
    check(before, "{}", Ok(before));
    check(
        before,
        "{\"d\":{\"x\":1}}",
        Err("1:28: \"/d\" is a number, which has no members"),
    );
    check(
        before,
        "{\"a\":{\"b\":8},\"d\":{}}",
        Err("1:28: \"/d\" is a number, which has no members"),
    );
    check(before, "[1]", Err("what is merged must be an object"));
    check(
        "",
        "{\"a\":{\"b\":1}}",
        Ok("{\n  \"a\": {\n    \"b\": 1\n  }\n}\n"),
    );
}

#[test]
fn values_are_read_as_they_are() {
    let file = JsonFile::parse(b"{\"a\": [1.0, {\"b\": \"\\u0041\"}], \"c\":1, \"c\":2}").unwrap();
    let check =
        |pointer: &str, expect: Option<&str>| assert_eq!(file.get(pointer).unwrap(), expect);
    check("/a/0", Some("1.0"));
    check("/a/1/b", Some("\"\\u0041\""));
    check("/a/1", Some("{\"b\": \"\\u0041\"}"));
    check("/a/2", None);
    check("/a/0/x", None);
    check("/x", None);
    assert!(matches!(file.get("/c"), Err(Error::Duplicate { .. })));
}
