//! A JSON value to be written: numbers stay the text that they were given as, members keep their
//! order. Never read from a file that is edited: there, bytes are spliced.

use std::fmt::{self, Write};
use std::str::FromStr;

use jsonc_parser::ast;

use super::{Error, parse};

/// A JSON value, exact: `12345678901234567890` and `1e400` are what they are.
///
/// ```
/// use pk_config::json::Value;
///
/// assert_eq!(Value::from(8080).to_string(), "8080");
/// assert_eq!(Value::from("8080").to_string(), "\"8080\"");
/// assert_eq!("[1.0, 1e400]".parse::<Value>()?.to_string(), "[1.0, 1e400]");
/// # Ok::<(), pk_config::json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(pub(super) Tree);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tree {
    /// `null`, `true`, `false` or a number, as its text.
    Plain(String),
    String(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

/// How values are laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Between two members on one line.
    pub(super) comma: String,
    /// Between a name and its value.
    pub(super) colon: String,
    pub(super) lines: Lines,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lines {
    One,
    /// Each member on its own.
    Many {
        end: &'static str,
        /// What the line begins with in which the value itself begins.
        indent: String,
        /// What each level adds.
        unit: String,
    },
}

impl Tree {
    pub(super) fn of(value: &ast::Value<'_>) -> Tree {
        match value {
            ast::Value::NullKeyword(_) => Tree::Plain("null".into()),
            ast::Value::BooleanLit(lit) => Tree::Plain(lit.value.to_string()),
            ast::Value::NumberLit(lit) => Tree::Plain(lit.value.into()),
            ast::Value::StringLit(lit) => Tree::String(lit.value.to_string()),
            ast::Value::Array(array) => Tree::Array(array.elements.iter().map(Tree::of).collect()),
            ast::Value::Object(object) => {
                let member = |member: &ast::ObjectProp<'_>| {
                    (member.name.as_str().to_owned(), Tree::of(&member.value))
                };
                Tree::Object(object.properties.iter().map(member).collect())
            }
        }
    }

    /// Writes the value as JSON text.
    pub(super) fn write(&self, layout: &Layout, text: &mut String) {
        let deeper = layout.deeper();
        let (open, close) = match self {
            Tree::Plain(plain) => return text.push_str(plain),
            Tree::String(string) => return write_string(string, text),
            Tree::Array(elements) if elements.is_empty() => return text.push_str("[]"),
            Tree::Object(members) if members.is_empty() => return text.push_str("{}"),
            Tree::Array(_) => ('[', ']'),
            Tree::Object(_) => ('{', '}'),
        };
        text.push(open);
        let mut gap = deeper.first_gap();
        let next = format!(",{}", deeper.gap());
        let mut begin =
            |text: &mut String| text.push_str(&std::mem::replace(&mut gap, next.clone()));
        match self {
            Tree::Array(elements) => {
                for element in elements {
                    begin(text);
                    element.write(&deeper, text);
                }
            }
            Tree::Object(members) => {
                for (name, member) in members {
                    begin(text);
                    write_member(name, member, &deeper, text);
                }
            }
            Tree::Plain(_) | Tree::String(_) => {}
        }
        text.push_str(&layout.first_gap());
        text.push(close);
    }
}

/// Writes `"name": value`.
pub(super) fn write_member(name: &str, member: &Tree, layout: &Layout, text: &mut String) {
    write_string(name, text);
    text.push_str(&layout.colon);
    member.write(layout, text);
}

impl Layout {
    /// Sets the indent of the line in which the value begins.
    pub(super) fn indent_by(&mut self, by: &str) {
        if let Lines::Many { indent, .. } = &mut self.lines {
            *indent = by.into();
        }
    }

    fn deeper(&self) -> Layout {
        let mut deeper = self.clone();
        if let Lines::Many { indent, unit, .. } = &mut deeper.lines {
            indent.push_str(unit);
        }
        deeper
    }

    /// What stands before the first member, and before the closing bracket.
    fn first_gap(&self) -> String {
        match &self.lines {
            Lines::One => String::new(),
            Lines::Many { end, indent, .. } => format!("{end}{indent}"),
        }
    }

    /// What stands between a comma and the member after it.
    fn gap(&self) -> String {
        match &self.lines {
            Lines::One => self.comma.strip_prefix(',').unwrap_or_default().into(),
            Lines::Many { .. } => self.first_gap(),
        }
    }
}

/// Minimal escapes: what RFC 8259, section 7 demands, and the rest as it is.
fn write_string(string: &str, text: &mut String) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            control if control < ' ' => {
                write!(text, "\\u{:04x}", u32::from(control)).expect("strings can be written to");
            }
            character => text.push(character),
        }
    }
    text.push('"');
}

/// The value as JSON text in one line.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layout = Layout {
            comma: ", ".into(),
            colon: ": ".into(),
            lines: Lines::One,
        };
        let mut text = String::new();
        self.0.write(&layout, &mut text);
        f.write_str(&text)
    }
}

/// Reads JSON text, with comments and trailing commas, which are not kept.
impl FromStr for Value {
    type Err = Error;

    fn from_str(text: &str) -> Result<Value, Error> {
        match parse::document(text)?.root {
            Some(root) => Ok(Value(Tree::of(&root))),
            None => Err(parse::syntax(text, 0, "no value".into())),
        }
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Value {
        fn tree(value: serde_json::Value) -> Tree {
            match value {
                serde_json::Value::String(string) => Tree::String(string),
                serde_json::Value::Array(elements) => {
                    Tree::Array(elements.into_iter().map(tree).collect())
                }
                serde_json::Value::Object(members) => Tree::Object(
                    members
                        .into_iter()
                        .map(|(name, value)| (name, tree(value)))
                        .collect(),
                ),
                plain => Tree::Plain(plain.to_string()),
            }
        }
        Value(tree(value))
    }
}

impl From<&str> for Value {
    fn from(string: &str) -> Value {
        Value(Tree::String(string.into()))
    }
}

impl From<String> for Value {
    fn from(string: String) -> Value {
        Value(Tree::String(string))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value(Tree::Plain(value.to_string()))
    }
}

macro_rules! from_integer {
    ($($integer:ty),*) => {
        $(impl From<$integer> for Value {
            fn from(number: $integer) -> Value {
                Value(Tree::Plain(number.to_string()))
            }
        })*
    };
}

from_integer!(u8, u16, u32, u64, i8, i16, i32, i64);
