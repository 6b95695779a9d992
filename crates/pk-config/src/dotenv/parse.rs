//! Cuts the bytes of a `.env` file into statements that together are the file, byte for byte.
//! Never changes anything and never fails on what it doesn't understand: that is opaque.
//!
//! Only ASCII means anything here, so bytes of any other encoding pass through.

use super::{Error, MAX_BYTES};
use crate::position::{BOM, Position};

/// A range of bytes. Half the size of a `Range<usize>`: a file has at most 16 MiB, but may have
/// millions of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Span {
        let narrow = |offset| u32::try_from(offset).expect("a file has at most 16 MiB");
        Span {
            start: narrow(start),
            end: narrow(end),
        }
    }

    pub(super) fn start(self) -> usize {
        self.start as usize
    }

    pub(super) fn end(self) -> usize {
        self.end as usize
    }

    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start()..self.end()]
    }
}

/// One line with its line end, or the several lines of a quoted value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) span: Span,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Blank,
    Comment,
    /// A name without a value: `KEY`, `export KEY`.
    Declaration {
        key: Span,
    },
    Assignment(Assignment),
    /// Something else: shell code, `KEY: value`, `[section]`.
    Opaque,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) key: Span,
    /// The value with its quotes, without blanks and comment.
    pub(super) value: Span,
    pub(super) quote: Quote,
    pub(super) export: Export,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Export {
    Absent,
    Present,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quote {
    Bare,
    /// `'…'` as a shell reads it: the next `'` ends it.
    Single,
    /// `'…\'…'` as python-dotenv writes it.
    SingleEscaped,
    Double,
    Backtick,
    /// A backtick that is not closed on its line: some readers go on, some do not.
    OpenBacktick,
    /// Text goes on after the closing quote; the value is the rest of the line.
    Complex,
    /// Bare or complex, with a quote that is closed further on: some readers go on, some do not.
    GoesOn,
}

impl Statement {
    /// The name that is given a value or declared here.
    pub(super) fn key<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        match self.kind {
            Kind::Declaration { key } | Kind::Assignment(Assignment { key, .. }) => {
                Some(key.of(bytes))
            }
            Kind::Blank | Kind::Comment | Kind::Opaque => None,
        }
    }

    /// The bytes without the line end.
    pub(super) fn content<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        let text = self.span.of(bytes);
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        text.strip_suffix(b"\r").unwrap_or(text)
    }
}

/// Cuts a file into its statements. A byte-order mark belongs to none.
pub(super) fn statements(bytes: &[u8]) -> Result<Vec<Statement>, Error> {
    check_encoding(bytes)?;
    let mut at = if bytes.starts_with(BOM) { BOM.len() } else { 0 };
    // At most: growing step by step would copy megabytes several times.
    let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
    let mut statements = Vec::with_capacity(lines + 1);
    while at < bytes.len() {
        let statement = statement(bytes, at)?;
        at = statement.span.end();
        statements.push(statement);
    }
    Ok(statements)
}

/// UTF-16 and UTF-32 would be torn apart by an ASCII line in their midst.
fn check_encoding(bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::TooLarge { bytes: bytes.len() });
    }
    if [&b"\xff\xfe"[..], b"\xfe\xff"]
        .iter()
        .any(|mark| bytes.starts_with(mark))
    {
        return Err(Error::Encoding {
            found: "UTF-16 or UTF-32",
        });
    }
    if bytes.contains(&0) {
        return Err(Error::Encoding { found: "NUL bytes" });
    }
    Ok(())
}

fn statement(bytes: &[u8], start: usize) -> Result<Statement, Error> {
    let line = Line::at(bytes, start);
    let first = skip_blanks(bytes, start, line.end);
    let whole = |kind| {
        Ok(Statement {
            span: Span::new(start, line.next),
            kind,
        })
    };
    match bytes[first..line.end].first() {
        None => return whole(Kind::Blank),
        Some(b'#') => return whole(Kind::Comment),
        Some(_) => {}
    }
    let Some((export, key)) = name(bytes, first, line.end) else {
        return whole(Kind::Opaque);
    };
    let after = skip_blanks(bytes, key.end(), line.end);
    match bytes[after..line.end].first() {
        Some(b'=') => {
            let (value, quote) = value(bytes, after + 1, line.end)?;
            let next = Line::at(bytes, value.end()).next;
            let kind = Kind::Assignment(Assignment {
                key,
                value,
                quote,
                export,
            });
            Ok(Statement {
                span: Span::new(start, next),
                kind,
            })
        }
        None => whole(Kind::Declaration { key }),
        Some(b'#') if after > key.end() => whole(Kind::Declaration { key }),
        Some(_) => whole(Kind::Opaque),
    }
}

/// `KEY` or `export KEY`.
fn name(bytes: &[u8], start: usize, line_end: usize) -> Option<(Export, Span)> {
    let exported = || {
        let after = start + bytes[start..line_end].strip_prefix(b"export").map(|_| 6)?;
        let key = skip_blanks(bytes, after, line_end);
        (key > after)
            .then(|| identifier(bytes, key, line_end))
            .flatten()
    };
    match exported() {
        Some(key) => Some((Export::Present, key)),
        // `export=1` gives a value to a key of that name.
        None => Some((Export::Absent, identifier(bytes, start, line_end)?)),
    }
}

fn identifier(bytes: &[u8], start: usize, line_end: usize) -> Option<Span> {
    let text = &bytes[start..line_end];
    let length = text
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_');
    let length = length.count();
    let is_name = length > 0 && !text[0].is_ascii_digit();
    is_name.then(|| Span::new(start, start + length))
}

/// The value that begins after the `=` at `start - 1`, and how it is written.
fn value(bytes: &[u8], start: usize, line_end: usize) -> Result<(Span, Quote), Error> {
    let (span, quote) = first_value(bytes, start, line_end)?;
    let may_go_on = matches!(quote, Quote::Bare | Quote::Complex);
    let quote = if may_go_on && goes_on(bytes, span) {
        Quote::GoesOn
    } else {
        quote
    };
    Ok((span, quote))
}

/// Whether a quote is opened in a value, in the way of a shell, and closed behind it.
fn goes_on(bytes: &[u8], value: Span) -> bool {
    let mut at = value.start();
    while at < value.end() {
        let end = match bytes[at] {
            b'"' => closing(bytes, at, is_escaped_by_backslash),
            b'\'' => closing(bytes, at, |_, _| false),
            b'\\' => Some((at + 2).min(value.end())),
            _ => Some(at + 1),
        };
        match end {
            None => return false,
            Some(end) if end > value.end() => return true,
            Some(end) => at = end,
        }
    }
    false
}

/// Where the value ends if every line ends what is not quoted as a whole.
fn first_value(bytes: &[u8], start: usize, line_end: usize) -> Result<(Span, Quote), Error> {
    let first = skip_blanks(bytes, start, line_end);
    let complex = Ok((Span::new(first, line_end), Quote::Complex));
    match bytes[first..line_end].first() {
        // In `KEY=   # c` the value is the nothing right after the `=`.
        None => Ok((Span::new(start, start), Quote::Bare)),
        Some(b'#') if first > start => Ok((Span::new(start, start), Quote::Bare)),
        Some(b'"') => match closing(bytes, first, is_escaped_by_backslash) {
            None => Err(unclosed(bytes, first)),
            Some(end) if ends_value(bytes, end) => Ok((Span::new(first, end), Quote::Double)),
            Some(_) => complex,
        },
        Some(b'\'') => {
            let posix =
                closing(bytes, first, |_, _| false).ok_or_else(|| unclosed(bytes, first))?;
            if ends_value(bytes, posix) {
                return Ok((Span::new(first, posix), Quote::Single));
            }
            match closing(bytes, first, |byte, next| {
                byte == b'\\' && next == Some(b'\'')
            }) {
                Some(end) if ends_value(bytes, end) => {
                    Ok((Span::new(first, end), Quote::SingleEscaped))
                }
                _ => complex,
            }
        }
        Some(b'`') => match closing(&bytes[..line_end], first, |_, _| false) {
            Some(end) if ends_value(bytes, end) => Ok((Span::new(first, end), Quote::Backtick)),
            Some(_) => Ok((bare(bytes, first, line_end), Quote::Bare)),
            None => Ok((bare(bytes, first, line_end), Quote::OpenBacktick)),
        },
        Some(_) => Ok((bare(bytes, first, line_end), Quote::Bare)),
    }
}

/// A bare value ends before the first blank that a `#` follows. A `#` without a blank before it
/// belongs to the value for half of the readers; left behind, it could be the rest of a secret.
fn bare(bytes: &[u8], start: usize, line_end: usize) -> Span {
    let text = &bytes[start..line_end];
    let comment = text
        .windows(2)
        .position(|pair| is_blank(pair[0]) && pair[1] == b'#');
    let text = &text[..comment.unwrap_or(text.len())];
    let length = text
        .iter()
        .rposition(|&byte| !is_blank(byte))
        .map_or(0, |last| last + 1);
    Span::new(start, start + length)
}

/// The offset after the quote that closes the one at `open`, wherever in the file that is.
/// `escapes(byte, next)` tells whether the two bytes are to be passed over together.
fn closing(bytes: &[u8], open: usize, escapes: fn(u8, Option<u8>) -> bool) -> Option<usize> {
    let quote = bytes[open];
    let mut at = open + 1;
    while let Some(&byte) = bytes.get(at) {
        if escapes(byte, bytes.get(at + 1).copied()) {
            at += 2;
        } else if byte == quote {
            return Some(at + 1);
        } else {
            at += 1;
        }
    }
    None
}

fn is_escaped_by_backslash(byte: u8, _next: Option<u8>) -> bool {
    byte == b'\\'
}

/// Whether nothing but blanks and a comment stands between `at` and the end of its line.
fn ends_value(bytes: &[u8], at: usize) -> bool {
    let line_end = Line::at(bytes, at).end;
    let after = skip_blanks(bytes, at, line_end);
    after == line_end || (after > at && bytes[after] == b'#')
}

fn unclosed(bytes: &[u8], quote: usize) -> Error {
    Error::Syntax {
        at: Position::of(bytes, quote),
        what: "a quote that is never closed",
    }
}

/// Where the line of an offset ends, before and after its line end.
struct Line {
    end: usize,
    next: usize,
}

impl Line {
    fn at(bytes: &[u8], offset: usize) -> Line {
        let newline = bytes[offset..].iter().position(|&byte| byte == b'\n');
        let end = newline.map_or(bytes.len(), |length| offset + length);
        // At the end of the file, half a CRLF is a line end too.
        let has_return = end > offset && bytes[end - 1] == b'\r';
        let next = if newline.is_some() { end + 1 } else { end };
        Line {
            end: end - usize::from(has_return),
            next,
        }
    }
}

fn skip_blanks(bytes: &[u8], start: usize, end: usize) -> usize {
    start
        + bytes[start..end]
            .iter()
            .take_while(|&&byte| is_blank(byte))
            .count()
}

pub(super) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}
