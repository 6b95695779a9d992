//! TOML as a tree with places. Never edits it.

use std::cell::Cell;
use std::iter;

use toml_edit::{Document, Item, Key as TomlKey, TableLike, Value as TomlValue};

use super::{Error, Key, Node, Value, empty};
use crate::Position;

pub(super) fn parse(text: &str) -> Result<Node, Error> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Source::new(body);
    let document = Document::parse(body).map_err(|error| Error {
        at: source.place(error.span().map_or(body.len(), |span| span.start)),
        what: error.message().lines().collect::<Vec<_>>().join(", "),
    })?;
    Ok(Node {
        value: source.map(document.as_table()),
        ..empty()
    })
}

/// A text whose places are asked for over and over: none is counted from its beginning.
struct Source<'t> {
    text: &'t str,
    /// Where each line begins.
    lines: Vec<usize>,
    /// The last offset that was asked for, and how many characters its line has before it.
    last: Cell<(usize, usize)>,
}

impl<'t> Source<'t> {
    fn new(text: &'t str) -> Source<'t> {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Source {
            text,
            lines: iter::once(0).chain(ends).collect(),
            last: Cell::new((0, 0)),
        }
    }

    fn place(&self, offset: usize) -> Position {
        let line = self.lines.partition_point(|&start| start <= offset);
        let start = self.lines[line - 1];
        let (last, columns) = self.last.get();
        let (from, before) = match (start..=offset).contains(&last) {
            true => (last, columns),
            false => (start, 0),
        };
        let behind = self.text.get(from..offset).unwrap_or_default();
        let columns = before + behind.chars().count();
        self.last.set((offset, columns));
        let column = columns + 1;
        Position { line, column }
    }

    fn map(&self, table: &dyn TableLike) -> Value {
        let member = |(name, item): (&str, &Item)| {
            let at = table.key(name).and_then(TomlKey::span);
            let at = self.place(at.map_or(0, |span| span.start));
            let name = name.to_owned();
            Some((Key { name, at }, self.node(item, at)?))
        };
        Value::Map(table.iter().filter_map(member).collect())
    }

    /// A node; one that is spread over the file is where its key is.
    fn node(&self, item: &Item, key: Position) -> Option<Node> {
        let at = item.span().map_or(key, |span| self.place(span.start));
        let value = match item {
            Item::None => return None,
            Item::Value(value) => self.value(value),
            Item::Table(table) => self.map(table),
            Item::ArrayOfTables(tables) => Value::List(
                tables
                    .iter()
                    .map(|table| Node {
                        at: table.span().map_or(at, |span| self.place(span.start)),
                        value: self.map(table),
                    })
                    .collect(),
            ),
        };
        Some(Node { at, value })
    }

    fn value(&self, value: &TomlValue) -> Value {
        match value {
            TomlValue::String(text) => Value::Text(text.value().clone()),
            TomlValue::Integer(number) => Value::Integer(*number.value()),
            TomlValue::Boolean(flag) => Value::Flag(*flag.value()),
            TomlValue::Float(_) | TomlValue::Datetime(_) => Value::Other,
            TomlValue::InlineTable(table) => self.map(table),
            TomlValue::Array(items) => {
                let node = |item: &TomlValue| Node {
                    at: self.place(item.span().map_or(0, |span| span.start)),
                    value: self.value(item),
                };
                Value::List(items.iter().map(node).collect())
            }
        }
    }
}
