//! A project's file: its form (`toml`, or another), NUL, a profile or nothing, NUL, the file.

use pk_config::Position;
use pk_config::document::{Form, Key, Node, Value};
use portkeeper::fuzzing;

use super::{check_message, parts};
use crate::target::{Source, Target};

pub(super) const TARGET: Target = Target {
    name: "project",
    about: "a project's file means the same in each form, or is refused at a place within it",
    source: Source::Bytes(&[
        "toml",
        "yaml",
        "\0",
        "test",
        "[ports.web]\n",
        "[ports.api]\n",
        "[vars]\n",
        "[[outputs]]\n",
        "[profiles.test]\n",
        "[[profiles.test.outputs]]\n",
        "preferred = 8080\n",
        "range = [8000, 8100]\n",
        "range = \"8000-8100\"\n",
        "env = \"WEB_PORT\"\n",
        "host = \"::1\"\n",
        "proto = \"both\"\n",
        "hold = true\n",
        "only = [\"web\"]\n",
        "type = \"env\"\n",
        "type = \"json\"\n",
        "path = \".env\"\n",
        "map.\"/a\" = \"${WEB_PORT}\"\n",
        "ports:\n",
        "  web:\n",
        "    preferred: 8080\n",
        "  web: {}\n",
        "vars:\n",
        "  A: b\n",
        "outputs:\n",
        "- type: env\n",
        "  path: .env\n",
        "profiles:\n",
        "{\"ports\": {\"web\": {}}}",
        "\"a\": ",
        "1: ",
        "true: ",
        "&a ",
        "*a",
        "<<: ",
        "!!str ",
        "--- ",
        "|\n",
        ">-\n",
        "{}",
        "[]",
        "{",
        "}",
        "[",
        "]",
        "\"\"\"",
        "null",
        "1.5",
        "0x1f",
        "-1",
        "99999999999999999999",
        "\\u001b",
        "\u{1b}",
        "\u{202e}",
        "\u{feff}",
        "\u{e9}",
        "\u{85}",
        "\r\n",
        "\r",
        "# c\n",
        "  ",
    ]),
    check,
};

/// In larger ones not every table is tried.
const SMALL: usize = 1024;

fn check(input: &[u8]) {
    let ([form, profile], bytes) = parts(input);
    let (form, file) = match form.as_str() {
        "toml" => (Form::Toml, "portkeeper.toml"),
        _ => (Form::Yaml, "portkeeper.yaml"),
    };
    let profile = Some(&*profile).filter(|name| !name.is_empty());
    let said = fuzzing::project(bytes, file, profile);
    if let Err((Some(at), what)) = &said {
        check_message(what);
        Extent::of(bytes).check(*at);
    }
    let Ok(tree) = Node::parse(bytes, form) else {
        assert!(said.is_err(), "a file that can't be read says something");
        return;
    };
    Extent::of(bytes).check_all(&tree);
    let json = json(&tree);
    let again = Node::parse(json.as_bytes(), Form::Yaml);
    let again = again.unwrap_or_else(|error| panic!("{json}: {error}"));
    assert!(is_same(&again, &tree), "as JSON it reads otherwise: {json}");
    let as_json = |json: &str| {
        let said = fuzzing::project(json.as_bytes(), "portkeeper.json", profile);
        // Where, and in which file, is another matter.
        said.map_err(|(at, what)| at.map(|_| what))
    };
    let said = said.map_err(|(at, what)| at.map(|_| what));
    assert_eq!(as_json(&json), said, "as JSON it means something else");
    if said.is_ok() && bytes.len() < SMALL {
        for json in with_a_strange_key(&tree) {
            let what = as_json(&json).expect_err(&json).unwrap_or_default();
            assert!(what.starts_with("unknown key strange"), "{what}: {json}");
        }
    }
}

/// How much there is of a file.
struct Extent {
    lines: usize,
    /// The characters of the longest line.
    columns: usize,
}

impl Extent {
    fn of(bytes: &[u8]) -> Extent {
        let text = String::from_utf8_lossy(bytes);
        let columns = text.split('\n').map(|line| line.chars().count()).max();
        Extent {
            // What ends a line in YAML, and does not elsewhere, may do so.
            lines: text.split(['\n', '\r']).count(),
            columns: columns.unwrap_or(0),
        }
    }

    /// Checks that a place is one of the file, or right behind a line or the last of them.
    fn check(&self, at: Position) {
        let is_line = (1..=self.lines + 1).contains(&at.line);
        assert!(is_line, "there is no line {at}");
        let is_column = (1..=self.columns + 1).contains(&at.column);
        assert!(is_column, "there is no column {at}");
    }

    fn check_all(&self, node: &Node) {
        self.check(node.at);
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.check_all(item)),
            Value::Map(members) => {
                for (key, item) in members {
                    self.check(key.at);
                    self.check_all(item);
                }
            }
            _ => {}
        }
    }
}

/// Whether two trees say the same, wherever.
fn is_same(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_same(one, other))
        }
        (Value::Map(one), Value::Map(other)) => {
            let mut pairs = one.iter().zip(other);
            one.len() == other.len()
                && pairs.all(|(one, other)| one.0.name == other.0.name && is_same(&one.1, &other.1))
        }
        (one, other) => one == other,
    }
}

fn json(node: &Node) -> String {
    let text = |text: &str| serde_json::to_string(text).unwrap();
    match &node.value {
        Value::Text(it) => text(it),
        Value::Integer(it) => it.to_string(),
        Value::Flag(it) => it.to_string(),
        Value::Other => "0.5".into(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(json).collect();
            format!("[{}]", items.join(","))
        }
        Value::Map(members) => {
            let member = |(key, item): &(Key, Node)| format!("{}:{}", text(&key.name), json(item));
            let members: Vec<String> = members.iter().map(member).collect();
            format!("{{{}}}", members.join(","))
        }
    }
}

/// The tree as JSON, once for each table whose keys are all known: with one more that is not.
fn with_a_strange_key(root: &Node) -> Vec<String> {
    let ports = |of: &'static [&'static str]| [of, &["ports", "*"]].concat();
    let outputs = |of: &'static [&'static str]| [of, &["outputs", "*"]].concat();
    let profile: &[&str] = &["profiles", "*"];
    let paths = [
        Vec::new(),
        ports(&[]),
        outputs(&[]),
        profile.to_vec(),
        ports(&["profiles", "*"]),
        outputs(&["profiles", "*"]),
    ];
    let mut all = Vec::new();
    for path in paths {
        let mut nth = 0;
        loop {
            let (mut tree, mut left) = (root.clone(), nth);
            if !add_strange_key(&mut tree, &path, &mut left) {
                break;
            }
            all.push(json(&tree));
            nth += 1;
        }
    }
    all
}

/// Adds it to the table that is the `nth` on the path, where `*` is any; `false` where there is none.
fn add_strange_key(node: &mut Node, path: &[&str], nth: &mut usize) -> bool {
    let Some((&first, rest)) = path.split_first() else {
        return match (&mut node.value, *nth) {
            (Value::Map(members), 0) => {
                let at = node.at;
                let name = "strange".into();
                let value = Value::Flag(true);
                members.push((Key { name, at }, Node { at, value }));
                true
            }
            _ => {
                *nth = nth.saturating_sub(1);
                false
            }
        };
    };
    match &mut node.value {
        Value::List(items) if first == "*" => items
            .iter_mut()
            .any(|item| add_strange_key(item, rest, nth)),
        Value::Map(members) => members
            .iter_mut()
            .filter(|(key, _)| first == "*" || key.name == first)
            .any(|(_, item)| add_strange_key(item, rest, nth)),
        _ => false,
    }
}
