//! YAML, and with it JSON, as a tree with places. Never edits it.

use saphyr::{LoadableYamlNode, MarkedYaml, Marker, Scalar, YamlData};

use super::{Error, Key, Node, Value, empty};
use crate::Position;

/// More levels than any settings have; the tree is walked by recursion.
const DEEPEST: usize = 64;

pub(super) fn parse(text: &str) -> Result<Node, Error> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let documents = MarkedYaml::load_from_str(body).map_err(|error| Error {
        at: place(error.marker()),
        what: error.info().replace('\n', " "),
    })?;
    match documents.as_slice() {
        [] => Ok(empty()),
        [only] => match &only.data {
            YamlData::Value(Scalar::Null) => Ok(empty()),
            _ => node(only, 0),
        },
        _ => Err(Error {
            at: Position { line: 1, column: 1 },
            what: "more than one document".into(),
        }),
    }
}

fn node(yaml: &MarkedYaml<'_>, depth: usize) -> Result<Node, Error> {
    let at = place(&yaml.span.start);
    if depth > DEEPEST {
        let what = format!("more than {DEEPEST} levels");
        return Err(Error { at, what });
    }
    let value = match &yaml.data {
        YamlData::Value(Scalar::String(text)) => Value::Text(text.to_string()),
        YamlData::Value(Scalar::Integer(number)) => Value::Integer(*number),
        YamlData::Value(Scalar::Boolean(flag)) => Value::Flag(*flag),
        YamlData::Sequence(items) => {
            let items = items.iter().map(|item| node(item, depth + 1));
            Value::List(items.collect::<Result<_, _>>()?)
        }
        YamlData::Mapping(members) => {
            let member = |(key, value): (&MarkedYaml<'_>, &MarkedYaml<'_>)| {
                let at = place(&key.span.start);
                let YamlData::Value(name) = &key.data else {
                    let what = "a key that is no text".into();
                    return Err(Error { at, what });
                };
                let name = match name {
                    Scalar::String(name) => name.to_string(),
                    Scalar::Integer(number) => number.to_string(),
                    Scalar::Boolean(flag) => flag.to_string(),
                    Scalar::Null | Scalar::FloatingPoint(_) => {
                        let what = "a key that is no text".into();
                        return Err(Error { at, what });
                    }
                };
                Ok((Key { name, at }, node(value, depth + 1)?))
            };
            Value::Map(members.iter().map(member).collect::<Result<_, _>>()?)
        }
        _ => Value::Other,
    };
    Ok(Node { at, value })
}

fn place(marker: &Marker) -> Position {
    Position {
        line: marker.line(),
        column: marker.col() + 1,
    }
}
