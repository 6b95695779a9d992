//! One value of a TOML document, put in its place by splicing. Checked by reading the result again.

use toml_edit::{Document, InlineTable, Item, Key, Table, Value};

use super::Error;
use crate::document::{Form, Key as NodeKey, Node, Value as Is};
use crate::json::pointer;
use crate::position::Position;

/// What is to be put somewhere.
pub(super) enum New {
    Text(String),
    /// Written as a text where one of digits is there.
    Port(u16),
}

/// The text with the value in its place.
pub(super) fn put(text: &str, pointer: &str, new: &New) -> Result<String, Error> {
    let parts = pointer::parts(pointer).map_err(|what| Error::Pointer {
        pointer: pointer.into(),
        what,
    })?;
    if parts.is_empty() {
        return Err(Error::Type {
            pointer: pointer.into(),
            is: "the document",
            wanted: "a value",
        });
    }
    let (mark, body) = match text.strip_prefix('\u{feff}') {
        Some(body) => ("\u{feff}", body),
        None => ("", text),
    };
    let document = Document::parse(body).map_err(|error| {
        Error::Syntax(super::SyntaxError {
            at: Position::of(body.as_bytes(), error.span().map_or(0, |span| span.start)),
            what: error.message().into(),
        })
    })?;
    let spot = locate(document.as_table(), &parts, body)?;
    let (range, written) = match spot {
        Spot::There(value) => {
            let Some(written) = written(value, new) else {
                return Ok(text.into());
            };
            (value.span(), written)
        }
        Spot::Missing { at, before, after } => {
            (Some(at..at), format!("{before}{}{after}", literal(new)))
        }
    };
    let unsound = || Error::Unsound {
        pointer: pointer.into(),
    };
    let range = range.ok_or_else(unsound)?;
    let after = format!("{}{written}{}", &body[..range.start], &body[range.end..]);
    match is_sound(body, &after, &parts, new) {
        true => Ok(format!("{mark}{after}")),
        false => Err(unsound()),
    }
}

/// Where a pointer leads.
enum Spot<'d> {
    There(&'d Value),
    /// Nowhere yet: what has to be written where, around the value.
    Missing {
        at: usize,
        before: String,
        after: String,
    },
}

fn locate<'d>(root: &'d Table, parts: &[String], text: &str) -> Result<Spot<'d>, Error> {
    let wrong = |depth: usize, is, wanted| Error::Type {
        pointer: pointer::of(&parts[..depth]),
        is,
        wanted,
    };
    // The table with a header of its own that was passed last, and how far the pointer was then.
    let (mut home, mut home_depth) = (root, 0);
    let mut table = root;
    for (depth, part) in parts.iter().enumerate() {
        let is_last = depth + 1 == parts.len();
        let Some(item) = table.get(part).filter(|item| !item.is_none()) else {
            let missing = parts.len() - depth;
            return Ok(line(root, home, &parts[home_depth..], missing, text));
        };
        let mut value = match item {
            Item::Value(value) => value,
            Item::Table(inner) if !is_last => {
                if !inner.is_dotted() && !inner.is_implicit() {
                    (home, home_depth) = (inner, depth + 1);
                }
                table = inner;
                continue;
            }
            Item::ArrayOfTables(_) => return Err(wrong(depth + 1, "a list of tables", "a value")),
            _ => return Err(wrong(depth + 1, "a table", "a value")),
        };
        let mut rest = &parts[depth + 1..];
        // Arrays, and tables in one line.
        loop {
            match (value, rest) {
                (Value::Array(_) | Value::InlineTable(_), []) => {
                    return Err(wrong(parts.len(), "a list or a table", "a value"));
                }
                (_, []) => return Ok(Spot::There(value)),
                (Value::Array(items), [part, more @ ..]) => {
                    let missing = || Error::Missing {
                        pointer: pointer::of(&parts[..parts.len() - more.len()]),
                    };
                    let at = pointer::index(part, items.len()).ok_or_else(missing)?;
                    value = items.get(at).ok_or_else(missing)?;
                    rest = more;
                }
                (Value::InlineTable(inner), [part, more @ ..]) => match inner.get(part) {
                    Some(found) => (value, rest) = (found, more),
                    None => return Ok(inline(inner, rest, text)),
                },
                _ => return Err(wrong(parts.len() - rest.len(), "a value", "a table")),
            }
        }
    }
    Err(wrong(parts.len(), "a table", "a value"))
}

/// A new member of a table in one line.
fn inline(table: &InlineTable, rest: &[String], text: &str) -> Spot<'static> {
    let span = table.span().unwrap_or_default();
    let inside = text[span.clone()].trim_end_matches('}').trim_end();
    let at = span.start + inside.len();
    let comma = if table.is_empty() { "" } else { "," };
    Spot::Missing {
        at,
        before: format!("{comma} {} = ", dotted(rest)),
        // A blank is there already where the brace has one before it.
        after: if text[at..].starts_with('}') { " " } else { "" }.into(),
    }
}

/// A new line of a table with a header (or of the root), or a new table at the end.
fn line(root: &Table, home: &Table, rest: &[String], missing: usize, text: &str) -> Spot<'static> {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let is_root = std::ptr::eq(root, home);
    // Below the root a table of its own reads better than a long name.
    if is_root && missing > 1 && missing == rest.len() {
        let (last, tables) = rest.split_last().expect("more than one");
        let gap = match text {
            "" => String::new(),
            text if text.ends_with('\n') => end.into(),
            _ => format!("{end}{end}"),
        };
        return Spot::Missing {
            at: text.len(),
            before: format!("{gap}[{}]{end}{} = ", dotted(tables), written_key(last)),
            after: end.into(),
        };
    }
    let values = home.get_values();
    let last = values
        .iter()
        .filter_map(|(_, value)| value.span())
        .map(|span| span.end)
        .max();
    let header = home.span().map_or(0, |span| span.end);
    let Some(from) = last.or((!is_root).then_some(header)) else {
        return Spot::Missing {
            at: 0,
            before: format!("{} = ", dotted(rest)),
            after: end.into(),
        };
    };
    match text[from..].find('\n') {
        Some(found) => Spot::Missing {
            at: from + found + 1,
            before: format!("{} = ", dotted(rest)),
            after: end.into(),
        },
        None => Spot::Missing {
            at: text.len(),
            before: format!("{end}{} = ", dotted(rest)),
            after: String::new(),
        },
    }
}

fn dotted(parts: &[String]) -> String {
    let keys: Vec<_> = parts.iter().map(|part| written_key(part)).collect();
    keys.join(".")
}

fn written_key(part: &str) -> String {
    Key::new(part).display_repr().into_owned()
}

/// What to write in the place of a value; `None` where it says that already.
fn written(old: &Value, new: &New) -> Option<String> {
    match (old, new) {
        (Value::String(old), New::Text(new)) if old.value() == new => None,
        (Value::Integer(old), New::Port(new)) if *old.value() == i64::from(*new) => None,
        (Value::String(old), New::Port(new)) if is_digits(old.value()) => {
            let new = new.to_string();
            (*old.value() != new).then(|| literal(&New::Text(new)))
        }
        _ => Some(literal(new)),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn literal(new: &New) -> String {
    match new {
        New::Text(text) => Value::from(text.as_str()).to_string(),
        New::Port(port) => port.to_string(),
    }
}

/// Whether the only difference of the two is the new value at its place.
fn is_sound(before: &str, after: &str, parts: &[String], new: &New) -> bool {
    let read = |text: &str| Node::parse(text.as_bytes(), Form::Toml).map(|node| plain(node.value));
    let (Ok(mut before), Ok(mut after)) = (read(before), read(after)) else {
        return false;
    };
    let is_there = match (find(&mut after, parts), new) {
        (Some(Is::Text(found)), New::Text(text)) => *found == *text,
        (Some(Is::Text(found)), New::Port(port)) => *found == port.to_string(),
        (Some(Is::Integer(found)), New::Port(port)) => *found == i64::from(*port),
        _ => false,
    };
    // The rest is the same once both have the same there.
    set(&mut before, parts);
    set(&mut after, parts);
    is_there && before == after
}

/// Without places, and in an order that is its own.
fn plain(value: Is) -> Is {
    let at = Position { line: 0, column: 0 };
    let node = |node: Node| Node {
        at,
        value: plain(node.value),
    };
    match value {
        Is::List(items) => Is::List(items.into_iter().map(node).collect()),
        Is::Map(members) => {
            let member = |(key, value): (NodeKey, Node)| (NodeKey { at, ..key }, node(value));
            let mut members: Vec<_> = members.into_iter().map(member).collect();
            members.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
            Is::Map(members)
        }
        other => other,
    }
}

fn find<'v>(value: &'v mut Is, parts: &[String]) -> Option<&'v mut Is> {
    let Some((part, rest)) = parts.split_first() else {
        return Some(value);
    };
    match value {
        Is::Map(members) => {
            let (_, node) = members.iter_mut().find(|(key, _)| key.name == *part)?;
            find(&mut node.value, rest)
        }
        Is::List(items) => {
            let at = pointer::index(part, items.len())?;
            find(&mut items.get_mut(at)?.value, rest)
        }
        _ => None,
    }
}

/// Puts a mark at a place, making the tables on the way.
fn set(value: &mut Is, parts: &[String]) {
    let Some((part, rest)) = parts.split_first() else {
        *value = Is::Other;
        return;
    };
    match value {
        Is::Map(members) => {
            let at = Position { line: 0, column: 0 };
            let known = members.iter().position(|(key, _)| key.name == *part);
            let index = known.unwrap_or_else(|| {
                let name = part.clone();
                let value = Is::Map(Vec::new());
                members.push((NodeKey { name, at }, Node { at, value }));
                members.len() - 1
            });
            set(&mut members[index].1.value, rest);
            members.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        }
        Is::List(items) => {
            let item = pointer::index(part, items.len()).and_then(|at| items.get_mut(at));
            if let Some(item) = item {
                set(&mut item.value, rest);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_value_changes() {
        let check = |text: &str, pointer: &str, expect: &str| {
            let found = put(text, pointer, &New::Port(8080)).unwrap();
            assert_eq!(found, expect, "{pointer} in {text}");
        };
        check("a = 1 # c\r\nb=2", "/a", "a = 8080 # c\r\nb=2");
        check("a = '1'\n", "/a", "a = \"8080\"\n");
        check("a = 'x'\n", "/a", "a = 8080\n");
        check("a = '8080'\n", "/a", "a = '8080'\n");
        check("[s]\n  p = 0x1F90\n", "/s/p", "[s]\n  p = 0x1F90\n");
        check("s.p = 1\n", "/s/p", "s.p = 8080\n");
        check("a = [1, { b = 2 }]\n", "/a/1/b", "a = [1, { b = 8080 }]\n");
        check("\u{feff}a=1", "/a", "\u{feff}a=8080");
        // What is not there yet.
        check("", "/a", "a = 8080\n");
        check("", "/s/p", "[s]\np = 8080\n");
        check("a = 1", "/s/p", "a = 1\n\n[s]\np = 8080\n");
        check("a = 1\n[t]\nx = 1\n", "/b", "a = 1\nb = 8080\n[t]\nx = 1\n");
        check("# c\n[t]\nx = 1\n", "/b", "b = 8080\n# c\n[t]\nx = 1\n");
        check("[s] # c\n[t]\n", "/s/p", "[s] # c\np = 8080\n[t]\n");
        check(
            "[s]\nx = 1 # c\n\n[t]\n",
            "/s/p",
            "[s]\nx = 1 # c\np = 8080\n\n[t]\n",
        );
        check("[s]\nx = 1\n", "/s/q/p", "[s]\nx = 1\nq.p = 8080\n");
        check("[s]\nx = 1", "/s/p", "[s]\nx = 1\np = 8080");
        check("s = { x = 1 }\n", "/s/p", "s = { x = 1, p = 8080 }\n");
        check("s = {}\n", "/s/p", "s = { p = 8080 }\n");
        check("s.x = 1\n", "/s/p", "s.x = 1\ns.p = 8080\n");
        check("[s]\n", "/s/a b", "[s]\n\"a b\" = 8080\n");
        check("[a.b]\nx = 1\n", "/a/c", "a.c = 8080\n[a.b]\nx = 1\n");
        check("[[t]]\nx = 1\n", "/b", "b = 8080\n[[t]]\nx = 1\n");
    }

    #[test]
    fn texts_are_quoted_as_they_need() {
        let check = |value: &str, expect: &str| {
            let found = put("a = 1\n", "/a", &New::Text(value.into())).unwrap();
            assert_eq!(found, format!("a = {expect}\n"));
        };
        check("http://localhost:8080", "\"http://localhost:8080\"");
        check("say \"x\"", "'say \"x\"'");
        check("it's \"x\"", "\"\"\"it's \"x\"\"\"\"");
    }

    #[test]
    fn what_would_be_guessed_is_refused() {
        let check = |text: &str, pointer: &str, expect: &str| {
            let error = put(text, pointer, &New::Port(1)).unwrap_err();
            assert_eq!(error.to_string(), expect, "{text}");
        };
        check("a = 1\n", "/a/b", "/a is a value, not a table");
        check("[a]\n", "/a", "/a is a table, not a value");
        check("a = [1]\n", "/a/1", "there is no /a/1");
        check("a = [1]\n", "/a", "/a is a list or a table, not a value");
        check("[[a]]\n", "/a/0/b", "/a is a list of tables, not a value");
        check("a = 1\n", "a", "not a pointer: a (it begins with no /)");
        check(
            "a = \n",
            "/a",
            "not TOML: string values must be quoted, expected literal string at 1:5",
        );
    }
}
