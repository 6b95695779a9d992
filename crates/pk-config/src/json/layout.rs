//! How the people who wrote a document lay it out: line ends, indents, blanks round commas and
//! colons. Never changes it.

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged;
use jsonc_parser::tokens::Token;

use super::parse::{Document, tokens};
use super::value::{Layout, Lines};

/// The line end that follows `offset`, or that comes before it, or `\n`.
pub(super) fn line_end(text: &str, offset: usize) -> &'static str {
    let before = |newline: usize| text[..newline].ends_with('\r');
    let next = text[offset..].find('\n').map(|length| offset + length);
    match next.or_else(|| text[..offset].rfind('\n')) {
        Some(newline) if before(newline) => "\r\n",
        _ => "\n",
    }
}

/// The blanks at the beginning of the line in which `offset` is.
pub(super) fn indent(text: &str, offset: usize) -> &str {
    let line = &text[line_start(text, offset)..offset];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// Whether nothing but blanks stands before `offset` in its line, and it is not the first line. Looks at
/// these blanks alone: a line may be as long as the document.
pub(super) fn starts_line(text: &str, offset: usize) -> bool {
    text[..offset].trim_end_matches([' ', '\t']).ends_with('\n')
}

fn line_start(text: &str, offset: usize) -> usize {
    text[..offset].rfind('\n').map_or(0, |newline| newline + 1)
}

/// The layout of a new value in a member that begins at `start`, or of the root, in the way of the
/// members of `model`.
pub(super) fn of(
    document: &Document<'_>,
    model: Option<&Value<'_>>,
    start: usize,
    spread: Spread,
) -> Layout {
    let text = document.text;
    let lines = match spread {
        Spread::One => Lines::One,
        Spread::Many => Lines::Many {
            end: line_end(text, start),
            indent: indent(text, start).into(),
            unit: unit(document),
        },
    };
    Layout {
        comma: comma(document, model),
        colon: colon(document, model),
        lines,
    }
}

/// Whether members stand in one line or each in its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spread {
    One,
    Many,
}

/// What a level of nesting adds to the indent: that of the first member which starts a line.
pub(super) fn unit(document: &Document<'_>) -> String {
    fn search(text: &str, value: &Value<'_>) -> Option<String> {
        let mut inner = None;
        for (start, member) in members(value) {
            if starts_line(text, start) {
                let base = indent(text, value.start());
                return indent(text, start).strip_prefix(base).map(Into::into);
            }
            inner = inner.or_else(|| search(text, member));
        }
        inner
    }
    let root = document.root.as_ref();
    root.and_then(|root| search(document.text, root))
        .unwrap_or_else(|| "  ".into())
}

/// The members of a container, with the place at which each begins.
pub(super) fn members<'v, 't>(
    value: &'v Value<'t>,
) -> Box<dyn DoubleEndedIterator<Item = (usize, &'v Value<'t>)> + 'v> {
    match value {
        Value::Object(object) => Box::new(
            object
                .properties
                .iter()
                .map(|member| (member.start(), &member.value)),
        ),
        Value::Array(array) => Box::new(
            array
                .elements
                .iter()
                .map(|element| (element.start(), element)),
        ),
        _ => Box::new(std::iter::empty()),
    }
}

/// A `:` with the blanks round it, as the last member of `model` has them, or the first one of the
/// document.
fn colon(document: &Document<'_>, model: Option<&Value<'_>>) -> String {
    let last = model
        .and_then(Value::as_object)
        .and_then(|object| object.properties.last());
    let own = last.map(|last| &document.text[last.name.end()..last.value.start()]);
    let own = own.filter(|gap| is_blank_but(gap, ':'));
    own.or_else(|| around(document, &Token::Colon))
        .unwrap_or(": ")
        .into()
}

/// A `,` with the blanks round it, as the last members of `model` have them, or the first ones of
/// the document in one line. Where there is none, the colons tell whether there are blanks at all.
fn comma(document: &Document<'_>, model: Option<&Value<'_>>) -> String {
    let mut last = model.into_iter().flat_map(members).rev();
    let own = last
        .next()
        .zip(last.next())
        .map(|((start, _), (_, one))| &document.text[one.end()..start]);
    match own
        .filter(|gap| is_blank_but(gap, ','))
        .or_else(|| around(document, &Token::Comma))
    {
        Some(comma) => comma.into(),
        None if colon(document, model).ends_with(':') => ",".into(),
        None => ", ".into(),
    }
}

/// The first such mark whose neighbours are in its line, with the blanks between them.
fn around<'t>(document: &Document<'t>, mark: &Token<'_>) -> Option<&'t str> {
    let text = document.text;
    let mut from = 0;
    let mut tokens = tokens(text, 0, text.len()).peekable();
    while let Some(token) = tokens.next() {
        if let Some(next) = tokens.peek().filter(|_| token.token == *mark) {
            let gap = &text[from..next.range.start];
            if !gap.contains(['\n', '\r']) {
                return Some(gap);
            }
        }
        from = token.range.end;
    }
    None
}

/// Whether a text is a mark and blanks of one line, and no comment.
fn is_blank_but(text: &str, mark: char) -> bool {
    text.chars()
        .all(|character| matches!(character, ' ' | '\t') || character == mark)
}
