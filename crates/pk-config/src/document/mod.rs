//! Settings as a tree that knows where in the file everything is, whichever form it was written in:
//! TOML, YAML, or JSON. Never edits anything, and never decides which keys mean something.

mod toml;
mod yaml;

use crate::Position;

/// A value, and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where.
    pub at: Position,
    /// What.
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// An integer.
    Integer(i64),
    /// `true` or `false`.
    Flag(bool),
    /// Several.
    List(Vec<Node>),
    /// Members by name, in the order of the file.
    Map(Vec<(Key, Node)>),
    /// Something that settings have no use for: a fraction, a date, nothing.
    Other,
}

/// The name of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The name.
    pub name: String,
    /// Where it is.
    pub at: Position,
}

/// The forms of a file of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// TOML 1.1.
    Toml,
    /// YAML 1.2, which JSON is a part of.
    Yaml,
}

/// Bytes are no document of the form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Error {
    /// Where.
    pub at: Position,
    /// What is wrong, in one line.
    pub what: String,
}

impl Node {
    /// Reads a document. An empty one is an empty map.
    ///
    /// ```
    /// use pk_config::document::{Form, Node, Value};
    /// let node = Node::parse(b"[ports]\nweb = 8080\n", Form::Toml)?;
    /// let Value::Map(members) = node.value else { panic!() };
    /// let Value::Map(ports) = &members[0].1.value else { panic!() };
    /// assert_eq!((ports[0].0.name.as_str(), ports[0].1.at.to_string()), ("web", "2:7".into()));
    /// # Ok::<(), pk_config::document::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error`]: not UTF-8, not of the form, a key that is there twice, more than one document.
    pub fn parse(bytes: &[u8], form: Form) -> Result<Node, Error> {
        let text = std::str::from_utf8(bytes).map_err(|error| Error {
            at: Position::of(bytes, error.valid_up_to()),
            what: "not UTF-8".into(),
        })?;
        match form {
            Form::Toml => toml::parse(text),
            Form::Yaml => yaml::parse(text),
        }
    }

    /// What kind of value it is, for people.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "a text",
            Value::Integer(_) => "a number",
            Value::Flag(_) => "true or false",
            Value::List(_) => "a list",
            Value::Map(_) => "a table",
            Value::Other => "something else",
        }
    }
}

fn empty() -> Node {
    Node {
        at: Position { line: 1, column: 1 },
        value: Value::Map(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree in one line, each member and value with its place.
    fn shown(node: &Node) -> String {
        let inner = match &node.value {
            Value::Text(text) => format!("{text:?}"),
            Value::Integer(number) => number.to_string(),
            Value::Flag(flag) => flag.to_string(),
            Value::Other => "?".into(),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(shown).collect();
                format!("[{}]", items.join(" "))
            }
            Value::Map(members) => {
                let member =
                    |(key, node): &(Key, Node)| format!("{}@{}={}", key.name, key.at, shown(node));
                let members: Vec<_> = members.iter().map(member).collect();
                return format!("{{{}}}", members.join(" "));
            }
        };
        format!("{inner}@{}", node.at)
    }

    #[test]
    fn all_forms_give_the_same_tree() {
        let check = |form, text: &str, expect: &str| {
            let node = Node::parse(text.as_bytes(), form).unwrap();
            assert_eq!(shown(&node), expect, "{text}");
        };
        check(
            Form::Toml,
            "[ports.web]\npreferred = 8080\nrange = [1, 2]\nhold = true\nx = 1.5\n[[outputs]]\npath = 'é'\nmap.\"/a\" = \"b\"\n",
            "{ports@1:2={web@1:8={preferred@2:1=8080@2:13 range@3:1=[1@3:10 2@3:13]@3:9 hold@4:1=true@4:8 x@5:1=?@5:5}} outputs@6:3=[{path@7:1=\"é\"@7:8 map@8:1={/a@8:5=\"b\"@8:12}}]@6:1}",
        );
        check(
            Form::Toml,
            "\u{feff}a = ['é', 2]\nc.b = 3\n",
            "{a@1:1=[\"é\"@1:6 2@1:11]@1:5 c@2:1={b@2:3=3@2:7}}",
        );
        check(
            Form::Yaml,
            "ports:\n  web:\n    preferred: 8080\n    range: [1, 2]\n    hold: true\n    x: null\noutputs:\n- path: é\n",
            "{ports@1:1={web@2:3={preferred@3:5=8080@3:16 range@4:5=[1@4:13 2@4:16]@4:12 hold@5:5=true@5:11 x@6:5=?@6:8}} outputs@7:1=[{path@8:3=\"é\"@8:9}]@8:3}",
        );
        check(
            Form::Yaml,
            "{\"ports\": {\"web\": {\"preferred\": 8080}}}",
            "{ports@1:2={web@1:12={preferred@1:20=8080@1:33}}}",
        );
        for form in [Form::Toml, Form::Yaml] {
            check(form, "", "{}");
            check(form, "# nothing\n", "{}");
        }
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        let check = |form, text: &[u8], at: &str| {
            let error = Node::parse(text, form).unwrap_err();
            assert_eq!(error.at.to_string(), at, "{error}");
            assert_eq!(error.what.lines().count(), 1, "{error}");
        };
        check(Form::Toml, b"a = 1\nb = \n", "2:5");
        check(Form::Toml, b"a = 1\na = 2\n", "2:1");
        check(Form::Toml, b"a = '\xff'", "1:6");
        check(Form::Yaml, b"a: 1\nb: [\n", "3:1");
        check(Form::Yaml, b"a: 1\n---\nb: 1\n", "1:1");
        assert!(Node::parse(b"a: 1\na: 2\n", Form::Yaml).is_err());
        // Two keys to YAML, and one name here.
        check(Form::Yaml, b"1: a\n\"1\": b\n", "2:1");
    }

    #[test]
    fn a_document_that_is_too_deep_or_grows_is_refused() {
        let check = |text: &str, expect: &str| {
            let read = Node::parse(text.as_bytes(), Form::Yaml);
            let error = read.map(drop).unwrap_err();
            assert!(error.what.contains(expect), "{error}");
        };
        let levels = |count: usize| "- ".repeat(count) + "x\n";
        assert!(Node::parse(levels(60).as_bytes(), Form::Yaml).is_ok());
        check(&levels(100), "more than 64 levels");
        check(&levels(100_000), "more than 64 levels");
        let deep = format!("a: &a\n{}b: [[[*a]]]\n", levels(62));
        check(&deep, "more than 64 levels");
        let ten = |name: &str| [name; 10].join(",");
        let (a, b, c) = (ten("x"), ten("*a"), ten("*b"));
        let laughs = |c: &str| format!("a: &a [{a}]\nb: &b [{b}]\nc: &c [{c}]\n");
        assert!(Node::parse(laughs("*b").as_bytes(), Form::Yaml).is_ok());
        check(&laughs(&c), "alias expansion");
    }
}
