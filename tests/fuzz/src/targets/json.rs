//! JSON files: a pointer, NUL, a value, NUL, the bytes of the file.

use pk_config::json::{Error, JsonFile, Value};
use serde::de::IgnoredAny;
use serde_json::Value as Tree;

use super::{check_message, parts};
use crate::target::{Source, Target};

pub(super) const TARGET: Target = Target {
    name: "json",
    about: "an edit of a JSON file gives the tree that RFC 6902 does, and changes nothing else",
    source: Source::Bytes(&[
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "/",
        "//",
        "/*",
        "*/",
        "// c\n",
        "\n",
        "\r\n",
        "  ",
        "\t",
        "\"a\"",
        "\"a\": 1",
        "\"b\": {}",
        "[]",
        "{}",
        "null",
        "true",
        "1.0",
        "-0",
        "1e400",
        "12345678901234567890",
        "\"\\u0061\"",
        "\"\\ud800\"",
        "\\",
        "\u{feff}",
        "\0",
        "/a",
        "/a/b",
        "/0",
        "/-",
        "/~1",
        "/~0",
        "/b/c",
        "\"x\"",
        "8080",
        "\u{a0}",
        "\u{2028}",
        ", }",
        "a",
    ]),
    check,
};

fn check(input: &[u8]) {
    let ([pointer, text], bytes) = parts(input);
    let before = match JsonFile::parse(bytes) {
        Ok(file) => file,
        Err(error) => return check_unreadable(&error, bytes),
    };
    assert_eq!(before.to_bytes(), bytes, "reading changes nothing");
    check_readable(bytes);
    if let Ok(value) = text.parse::<Value>() {
        check_set(&before, &pointer, &value, &text);
        check_merge(&before, value, &text);
    }
    check_port(&before, &pointer);
}

/// What is no JSON here is no JSON elsewhere. (A half of a surrogate pair is in the grammar, and in
/// no text that a program could hold.)
fn check_unreadable(error: &Error, bytes: &[u8]) {
    check_message(&error.to_string());
    let is_limit = matches!(error, Error::Depth { .. } | Error::TooLarge { .. });
    let text = std::str::from_utf8(bytes);
    let is_json = text.is_ok_and(|text| serde_json::from_str::<Tree>(text).is_ok());
    assert!(is_limit || !is_json, "{error}: but it is JSON");
}

/// What is JSON here is JSON elsewhere, but for comments and trailing commas.
fn check_readable(bytes: &[u8]) {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let is_plain = !text.contains(&b'/') && !text.contains(&b',');
    let is_empty = text.iter().all(u8::is_ascii_whitespace);
    if is_plain
        && !is_empty
        && let Err(error) = serde_json::from_slice::<IgnoredAny>(text)
    {
        assert!(
            error.to_string().contains("recursion"),
            "{error}: but it is read"
        );
    }
}

fn check_set(before: &JsonFile, pointer: &str, value: &Value, text: &str) {
    let mut after = before.clone();
    if let Err(error) = after.set(pointer, value.clone()) {
        check_message(&error.to_string());
        assert!(!matches!(error, Error::Unsound { .. }), "{error}");
        assert_eq!(
            after.to_bytes(),
            before.to_bytes(),
            "a refused edit changes nothing"
        );
        return;
    }
    check_frame(before, &after, pointer);
    let read = |file: &JsonFile| tree(&file.to_bytes());
    if let (Some(mut old), Some(new), Some(put)) =
        (read(before), read(&after), tree(text.as_bytes()))
        && add(&mut old, pointer, put)
    {
        assert_eq!(new, old, "{pointer} = {text}");
    }
    if !appends(pointer) {
        let found = after
            .get(pointer)
            .unwrap()
            .map(|found| found.parse::<Value>().unwrap());
        assert_eq!(found.as_ref(), Some(value), "it reads back");
        let mut again = after.clone();
        again.set(pointer, value.clone()).unwrap();
        assert_eq!(
            again.to_bytes(),
            after.to_bytes(),
            "the second time changes nothing"
        );
    }
}

/// Whether a pointer leads to what is behind the last element of an array, and so to another place
/// each time.
fn appends(pointer: &str) -> bool {
    pointer.split('/').any(|part| part == "-")
}

/// What stands before a value and behind it stays, byte for byte; where there was none, all that
/// says something stays.
fn check_frame(before: &JsonFile, after: &JsonFile, pointer: &str) {
    let (old, new) = (before.to_bytes(), after.to_bytes());
    if let Ok(Some(found)) = before.get(pointer) {
        let found = found.as_bytes();
        let is_replaced = |at: usize| {
            let is_there = old[at..].starts_with(found);
            is_there && new.starts_with(&old[..at]) && new.ends_with(&old[at + found.len()..])
        };
        let places = 0..=old.len() - found.len();
        // Where the text stands twice, the tree tells which of them it is.
        assert!(
            places.into_iter().any(is_replaced),
            "bytes outside of {pointer:?} are changed"
        );
        return;
    }
    let mut rest = new.iter();
    let stays = |byte: &&u8| !byte.is_ascii_whitespace();
    assert!(
        old.iter()
            .filter(stays)
            .all(|byte| rest.any(|other| other == byte)),
        "something is lost"
    );
}

fn check_merge(before: &JsonFile, value: Value, text: &str) {
    let mut after = before.clone();
    if let Err(error) = after.merge(value) {
        check_message(&error.to_string());
        assert_eq!(
            after.to_bytes(),
            before.to_bytes(),
            "a refused merge changes nothing"
        );
        return;
    }
    let new = tree(&after.to_bytes());
    if let (Some(mut old), Some(new), Some(with)) =
        (tree(&before.to_bytes()), new, tree(text.as_bytes()))
    {
        merge(&mut old, with);
        assert_eq!(new, old, "merged with {text}");
    }
}

/// A port stays a string where it was one.
fn check_port(before: &JsonFile, pointer: &str) {
    let mut after = before.clone();
    if appends(pointer) || after.set_port(pointer, 8080).is_err() {
        return;
    }
    let was_text = before
        .get(pointer)
        .unwrap()
        .is_some_and(|text| text.starts_with('"'));
    let expect = if was_text { "\"8080\"" } else { "8080" };
    assert_eq!(after.get(pointer).unwrap(), Some(expect));
    check_frame(before, &after, pointer);
}

/// The tree of a text, as long as its numbers fit and no name stands twice.
fn tree(bytes: &[u8]) -> Option<Tree> {
    let tree: Tree = serde_json::from_slice(bytes).ok()?;
    // What another reader loses, it can't compare.
    let names = bytes.iter().filter(|&&byte| byte == b':').count();
    let kept = serde_json::to_vec(&tree).unwrap();
    let is_whole = kept.iter().filter(|&&byte| byte == b':').count() == names;
    let is_exact = !bytes.iter().any(|byte| b".eE".contains(byte)) && bytes.len() < 4000;
    (is_whole && is_exact).then_some(tree)
}

/// RFC 6902's `add`, with missing objects made on the way; `false` where that is not this simple.
fn add(tree: &mut Tree, pointer: &str, value: Tree) -> bool {
    let mut at = tree;
    let parts = pointer
        .split('/')
        .skip(1)
        .map(|part| part.replace("~1", "/").replace("~0", "~"));
    for part in parts {
        at = match at {
            Tree::Object(members) => members
                .entry(part)
                .or_insert_with(|| Tree::Object(Default::default())),
            Tree::Array(elements) => {
                let index = if part == "-" {
                    elements.len()
                } else {
                    part.parse().unwrap()
                };
                if index == elements.len() {
                    elements.push(Tree::Object(Default::default()));
                }
                &mut elements[index]
            }
            _ => return false,
        };
    }
    *at = value;
    true
}

/// Objects are merged member by member; everything else is replaced.
fn merge(tree: &mut Tree, with: Tree) {
    match (tree, with) {
        (Tree::Object(members), Tree::Object(with)) => {
            for (name, value) in with {
                match members.get_mut(&name) {
                    Some(member) => merge(member, value),
                    None => drop(members.insert(name, value)),
                }
            }
        }
        (tree, with) => *tree = with,
    }
}
