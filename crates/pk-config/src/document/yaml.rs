//! YAML, and with it JSON, as a tree with places. Never edits it.

use std::collections::BTreeSet;

use saphyr::{MarkedYaml, Marker, Scalar, ScanError, YamlData, YamlLoader};
use saphyr_parser::{Event, Parser, SpannedEventReceiver as _};

use super::{Error, Key, Node, Value, empty};
use crate::Position;

/// More levels than any settings have; the tree is walked by recursion, and so it is dropped.
const DEEPEST: usize = 64;
/// More values than any settings repeat with `*name`: a few lines of those can stand for millions.
const MOST_REPEATED: usize = 1000;

pub(super) fn parse(text: &str) -> Result<Node, Error> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    match documents(body)?.as_slice() {
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

/// All documents, read event by event: the parser's own loop calls itself for each level.
fn documents(text: &str) -> Result<Vec<MarkedYaml<'_>>, Error> {
    let wrong = |error: &ScanError| Error {
        at: place(error.marker()),
        what: error.info().replace('\n', " "),
    };
    let mut loader = YamlLoader::default();
    loader.alias_limit(MOST_REPEATED);
    let mut depth = 0_usize;
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| wrong(&error))?;
        match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth -= 1,
            _ => {}
        }
        check_depth(depth, &span.start)?;
        loader.on_event(event, span);
    }
    match loader.error() {
        Some(error) => Err(wrong(error)),
        None => Ok(loader.into_documents()),
    }
}

fn check_depth(depth: usize, at: &Marker) -> Result<(), Error> {
    match depth > DEEPEST {
        false => Ok(()),
        true => Err(Error {
            at: place(at),
            what: format!("more than {DEEPEST} levels"),
        }),
    }
}

fn node(yaml: &MarkedYaml<'_>, depth: usize) -> Result<Node, Error> {
    let at = place(&yaml.span.start);
    check_depth(depth, &yaml.span.start)?;
    let value = match &yaml.data {
        YamlData::Value(Scalar::String(text)) => Value::Text(text.to_string()),
        YamlData::Value(Scalar::Integer(number)) => Value::Integer(*number),
        YamlData::Value(Scalar::Boolean(flag)) => Value::Flag(*flag),
        YamlData::Sequence(items) => {
            let items = items.iter().map(|item| node(item, depth + 1));
            Value::List(items.collect::<Result<_, _>>()?)
        }
        YamlData::Mapping(members) => {
            let mut names = BTreeSet::new();
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
                // `1` and `"1"` are two keys to YAML.
                if !names.insert(name.clone()) {
                    let what = format!("the key {} is there twice", name.escape_debug());
                    return Err(Error { at, what });
                }
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
