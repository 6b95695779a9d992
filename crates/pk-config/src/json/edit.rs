//! Changes one value of a document by splicing. Never re-writes the rest: each edit is parsed again
//! and compared before it counts.

use jsonc_parser::ast::{ObjectProp, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::tokens::{Token, TokenAndRange};

use super::layout::{self, Spread, starts_line};
use super::parse::{Document, document, tokens};
use super::value::{Layout, Tree, write_member};
use super::{Error, pointer};
use crate::position::Position;

/// The text of the value at a pointer.
pub(super) fn find<'t>(text: &'t str, parts: &[String]) -> Result<Option<&'t str>, Error> {
    match locate(&document(text)?, parts) {
        Ok(Spot::There { value, .. }) => Ok(Some(&text[value.start()..value.end()])),
        Ok(_) | Err(Error::Type { .. } | Error::Range { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether there is an object at a pointer; anything else there is an error.
pub(super) fn has_object(text: &str, parts: &[String]) -> Result<bool, Error> {
    match locate(&document(text)?, parts)? {
        Spot::There {
            value: Value::Object(_),
            ..
        } => Ok(true),
        Spot::There { value, .. } => Err(no_container(text, parts, value)),
        _ => Ok(false),
    }
}

/// The text in which `tree` is at a pointer; `None` where it is already.
pub(super) fn put(text: &str, parts: &[String], tree: &Tree) -> Result<Option<String>, Error> {
    let before = document(text)?;
    let splices = match locate(&before, parts)? {
        Spot::There { value, .. } if Tree::of(value) == *tree => return Ok(None),
        Spot::There { value, start } => vec![replacement(&before, value, start, tree)],
        Spot::Missing {
            container,
            start,
            depth,
        } => {
            check_missing(parts, depth + 1)?;
            let name = &parts[depth];
            insertion(
                &before,
                container,
                start,
                name,
                &wrap(&parts[depth + 1..], tree),
            )
        }
        Spot::Nowhere => {
            check_missing(parts, 0)?;
            vec![creation(&before, &wrap(parts, tree))]
        }
    };
    let after = spliced(text, splices);
    let unsound = || Error::Unsound {
        pointer: pointer::of(parts),
    };
    let parsed = match document(&after) {
        Err(error @ Error::Depth { .. }) => return Err(error),
        parsed => parsed.map_err(|_| unsound())?,
    };
    let root = parsed.root.as_ref().ok_or_else(unsound)?;
    let is_sound = match &before.root {
        Some(old) => says((text, old), (&after, root), parts, tree),
        None => Tree::of(root) == wrap(parts, tree),
    };
    if is_sound {
        Ok(Some(after))
    } else {
        Err(unsound())
    }
}

/// Where a pointer leads.
enum Spot<'d, 't> {
    /// To a value, in a member that begins at `start`; `None` for the root.
    There {
        value: &'d Value<'t>,
        start: Option<usize>,
    },
    /// Into a container, to its member `parts[depth]`, which is not there.
    Missing {
        container: &'d Value<'t>,
        start: Option<usize>,
        depth: usize,
    },
    /// There is no value at all.
    Nowhere,
}

fn locate<'d, 't>(document: &'d Document<'t>, parts: &[String]) -> Result<Spot<'d, 't>, Error> {
    let Some(mut value) = document.root.as_ref() else {
        return Ok(Spot::Nowhere);
    };
    let mut start = None;
    for (depth, part) in parts.iter().enumerate() {
        let missing = Ok(Spot::Missing {
            container: value,
            start,
            depth,
        });
        match value {
            Value::Object(object) => {
                let mut found = object
                    .properties
                    .iter()
                    .filter(|member| member.name.as_str() == part);
                let Some(member) = found.next() else {
                    return missing;
                };
                if let Some(second) = found.next() {
                    return Err(duplicate(document.text, &parts[..=depth], member, second));
                }
                (value, start) = (&member.value, Some(member.start()));
            }
            Value::Array(array) => {
                let length = array.elements.len();
                match pointer::index(part, length) {
                    Some(index) if index < length => {
                        value = &array.elements[index];
                        start = Some(value.start());
                    }
                    Some(index) if index == length => return missing,
                    _ => {
                        let pointer = pointer::of(&parts[..depth]);
                        return Err(Error::Range {
                            pointer,
                            index: part.clone(),
                            length,
                        });
                    }
                }
            }
            scalar => return Err(no_container(document.text, &parts[..depth], scalar)),
        }
    }
    Ok(Spot::There { value, start })
}

fn duplicate(
    text: &str,
    parts: &[String],
    first: &ObjectProp<'_>,
    second: &ObjectProp<'_>,
) -> Error {
    let at = |member: &ObjectProp<'_>| Position::of(text.as_bytes(), member.start());
    Error::Duplicate {
        pointer: pointer::of(parts),
        first: at(first),
        second: at(second),
    }
}

fn no_container(text: &str, parts: &[String], value: &Value<'_>) -> Error {
    let found = match value {
        Value::StringLit(_) => "a string",
        Value::NumberLit(_) => "a number",
        Value::BooleanLit(_) => "a boolean",
        Value::NullKeyword(_) => "null",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    let at = Position::of(text.as_bytes(), value.start());
    Error::Type {
        pointer: pointer::of(parts),
        found,
        at,
    }
}

/// The parts from `first` on are made as members of objects, unless one could mean an index.
fn check_missing(parts: &[String], first: usize) -> Result<(), Error> {
    match parts
        .iter()
        .skip(first)
        .position(|part| pointer::is_like_index(part))
    {
        None => Ok(()),
        Some(count) => Err(Error::AmbiguousContainer {
            pointer: pointer::of(&parts[..first + count]),
        }),
    }
}

/// Objects with one member each round a value.
fn wrap(parts: &[String], tree: &Tree) -> Tree {
    let around = |inner, part: &String| Tree::Object(vec![(part.clone(), inner)]);
    parts.iter().rev().fold(tree.clone(), around)
}

/// New text in the place of `start..end`.
struct Splice {
    start: usize,
    end: usize,
    with: String,
}

impl Splice {
    fn at(offset: usize, with: String) -> Splice {
        Splice {
            start: offset,
            end: offset,
            with,
        }
    }
}

fn spliced(text: &str, splices: Vec<Splice>) -> String {
    let mut result = String::with_capacity(text.len() + 64);
    let mut copied = 0;
    for splice in splices {
        result.push_str(&text[copied..splice.start]);
        result.push_str(&splice.with);
        copied = splice.end;
    }
    result.push_str(&text[copied..]);
    result
}

fn replacement(
    document: &Document<'_>,
    value: &Value<'_>,
    start: Option<usize>,
    tree: &Tree,
) -> Splice {
    let text = document.text;
    let is_one_line = || {
        let has_members = layout::members(value).next().is_some();
        has_members && !text[value.start()..value.end()].contains('\n')
    };
    let spread = match start {
        Some(start) if starts_line(text, start) => Spread::Many,
        None if !is_one_line() => Spread::Many,
        _ => Spread::One,
    };
    let mut with = String::new();
    tree.write(
        &layout::of(document, None, start.unwrap_or(value.start()), spread),
        &mut with,
    );
    Splice {
        start: value.start(),
        end: value.end(),
        with,
    }
}

/// A document where there was none. Comments that are there stay in front.
fn creation(document: &Document<'_>, tree: &Tree) -> Splice {
    let text = document.text;
    let end = layout::line_end(text, 0);
    let has_comments = tokens(text, 0, text.len()).next().is_some();
    let mut with = String::new();
    if has_comments && !text.ends_with('\n') {
        with.push_str(end);
    }
    tree.write(&layout::of(document, None, 0, Spread::Many), &mut with);
    with.push_str(end);
    let start = if has_comments { text.len() } else { 0 };
    Splice {
        start,
        end: text.len(),
        with,
    }
}

/// A new member at the end of a container, in the way of those before it.
fn insertion(
    document: &Document<'_>,
    container: &Value<'_>,
    start: Option<usize>,
    name: &str,
    tree: &Tree,
) -> Vec<Splice> {
    let text = document.text;
    let member = |layout: &Layout| {
        let mut member = String::new();
        match container {
            Value::Array(_) => tree.write(layout, &mut member),
            _ => write_member(name, tree, layout, &mut member),
        }
        member
    };
    let last = layout::members(container).next_back();
    let Some((last_start, last)) = last else {
        return vec![first_member(document, container, start, member)];
    };
    let behind: Vec<_> = tokens(text, last.end(), container.end() - 1).collect();
    let trailing = behind.iter().find(|token| token.token == Token::Comma);
    let reached = trailing.map_or(last.end(), |comma| comma.range.end);
    let comma_after = if trailing.is_some() { "," } else { "" };
    if !starts_line(text, last_start) {
        let layout = layout::of(document, Some(container), last_start, Spread::One);
        let gap = layout.comma.trim_start_matches([' ', '\t']);
        let gap = if trailing.is_some() {
            &gap[1..]
        } else {
            &layout.comma
        };
        return vec![Splice::at(
            reached,
            format!("{gap}{}{comma_after}", member(&layout)),
        )];
    }
    let layout = layout::of(document, Some(container), last_start, Spread::Many);
    let place = after_comments(text, reached, &behind);
    let end = match text[place..container.end()].contains('\n') {
        true => layout::line_end(text, place),
        false => layout::line_end(&text[..last_start], last_start),
    };
    let indent = layout::indent(text, last_start);
    let line = Splice::at(
        place,
        format!("{end}{indent}{}{comma_after}", member(&layout)),
    );
    match trailing {
        Some(_) => vec![line],
        None => vec![Splice::at(last.end(), ",".into()), line],
    }
}

/// The first member of a container that holds at most blanks and comments.
fn first_member(
    document: &Document<'_>,
    container: &Value<'_>,
    start: Option<usize>,
    member: impl Fn(&Layout) -> String,
) -> Splice {
    let text = document.text;
    let (open, close) = (container.start() + 1, container.end() - 1);
    let inner = &text[open..close];
    let comments: Vec<_> = tokens(text, open, close).collect();
    let spread = match start {
        Some(start) if !starts_line(text, start) => Spread::One,
        _ => Spread::Many,
    };
    let base = start.unwrap_or(container.start());
    let is_spread = inner.contains('\n') || (spread == Spread::Many && comments.is_empty());
    if !is_spread {
        let with = member(&layout::of(document, None, base, Spread::One));
        return match comments.last() {
            Some(comment) => Splice::at(comment.range.end, format!(" {with}")),
            None => Splice {
                start: open,
                end: close,
                with: format!("{inner}{with}{inner}"),
            },
        };
    }
    let end = layout::line_end(text, open);
    let outer = layout::indent(text, base);
    let own_line = comments
        .iter()
        .rev()
        .find(|comment| starts_line(text, comment.range.start));
    let indent = match own_line {
        Some(comment) => layout::indent(text, comment.range.start).to_owned(),
        None => format!("{outer}{}", layout::unit(document)),
    };
    let mut layout = layout::of(document, None, base, Spread::Many);
    layout.indent_by(&indent);
    let line = format!("{end}{indent}{}", member(&layout));
    let place = comments.last().map_or(open, |comment| comment.range.end);
    match text[place..close].contains('\n') {
        true => Splice::at(place, line),
        false => Splice {
            start: place,
            end: close,
            with: format!("{line}{end}{outer}"),
        },
    }
}

/// The end of the comments that begin in the line of `place`.
fn after_comments(text: &str, mut place: usize, behind: &[TokenAndRange<'_>]) -> usize {
    for token in behind {
        if token.range.start < place {
            continue;
        }
        if text[place..token.range.start].contains('\n') {
            break;
        }
        place = token.range.end;
    }
    place
}

/// Whether the new document says what the old one did, and `tree` at the pointer.
fn says(
    (old_text, old): (&str, &Value<'_>),
    (new_text, new): (&str, &Value<'_>),
    parts: &[String],
    tree: &Tree,
) -> bool {
    let Some((part, rest)) = parts.split_first() else {
        return Tree::of(new) == *tree;
    };
    let copied = |one: &dyn Ranged, other: &dyn Ranged| one.text(old_text) == other.text(new_text);
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let (old, new) = (&old.properties, &new.properties);
            let is_there = old.iter().any(|member| member.name.as_str() == part);
            let is_kept =
                |(old, new): (&ObjectProp<'_>, &ObjectProp<'_>)| match old.name.as_str() == part {
                    true => {
                        old.name.as_str() == new.name.as_str()
                            && says((old_text, &old.value), (new_text, &new.value), rest, tree)
                    }
                    false => copied(old, new),
                };
            let is_added = |added: &[ObjectProp<'_>]| match added {
                [] => is_there,
                [added] => {
                    !is_there
                        && added.name.as_str() == part
                        && Tree::of(&added.value) == wrap(rest, tree)
                }
                _ => false,
            };
            new.len() >= old.len()
                && old.iter().zip(new).all(is_kept)
                && is_added(&new[old.len()..])
        }
        (Value::Array(old), Value::Array(new)) => {
            let (old, new) = (&old.elements, &new.elements);
            let index = pointer::index(part, old.len());
            let is_kept =
                |(at, (old, new)): (usize, (&Value<'_>, &Value<'_>))| match index == Some(at) {
                    true => says((old_text, old), (new_text, new), rest, tree),
                    false => copied(old, new),
                };
            let is_added = match &new[old.len().min(new.len())..] {
                [] => index < Some(old.len()),
                [added] => index == Some(old.len()) && Tree::of(added) == wrap(rest, tree),
                _ => false,
            };
            is_added && new.len() >= old.len() && old.iter().zip(new).enumerate().all(is_kept)
        }
        _ => false,
    }
}
