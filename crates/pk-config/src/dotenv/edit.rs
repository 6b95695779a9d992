//! Changes values in the bytes of a `.env` file by splicing. Never re-writes what it does not name:
//! each edit is parsed again and compared before it counts.

use super::emit::{Agreement, emit, is_safe_bare};
use super::parse::{Assignment, Export, Kind, Quote, Span, Statement, is_blank};
use super::{EnvFile, Error};
use crate::position::Position;

/// New bytes in the place of old ones.
struct Splice {
    span: Span,
    with: Vec<u8>,
}

/// The file in which `key` has `value`; `None` where it has it already.
pub(super) fn set(file: &EnvFile, key: &str, value: &str) -> Result<Option<EnvFile>, Error> {
    let assigned: Vec<&Assignment> = file.assignments(key).collect();
    let is_equal = |found: &&Assignment| {
        let reading = file.reading(found);
        let is_agreed = reading.agreement == Agreement::Agreed;
        let (start, end) = (found.value.start(), found.value.end());
        let is_open = start == end && is_before_comment(file, end);
        is_agreed && !is_open && *reading.text == *value.as_bytes()
    };
    if !assigned.is_empty() && assigned.iter().all(is_equal) {
        return Ok(None);
    }
    check_names(file, key)?;
    let mut splices = Vec::new();
    for found in &assigned {
        check_end(file, key, found)?;
        splices.push(replacement(file, found, emit(key, value, found.quote)?));
    }
    if assigned.is_empty() {
        let written = emit(key, value, Quote::Bare)?;
        for statement in &file.statements {
            if let Kind::Declaration { key: name } = statement.kind
                && name.of(&file.bytes) == key.as_bytes()
            {
                let end = name.end();
                let written = closed(file, end, written.clone());
                splices.push(Splice {
                    span: Span::new(end, end),
                    with: format!("={written}").into_bytes(),
                });
            }
        }
        if splices.is_empty() {
            splices.push(addition(file, key, &written));
        }
    }
    checked(file, key, Some(value), &splices).map(Some)
}

/// The file in which nothing names `key`; `None` where nothing did.
pub(super) fn unset(file: &EnvFile, key: &str) -> Result<Option<EnvFile>, Error> {
    check_names(file, key)?;
    for found in file.assignments(key) {
        check_end(file, key, found)?;
    }
    let is_named = |statement: &&Statement| statement.key(&file.bytes) == Some(key.as_bytes());
    let remove = |statement: &Statement| Splice {
        span: statement.span,
        with: Vec::new(),
    };
    let splices: Vec<Splice> = file
        .statements
        .iter()
        .filter(is_named)
        .map(remove)
        .collect();
    if splices.is_empty() {
        return Ok(None);
    }
    checked(file, key, None, &splices).map(Some)
}

/// Refuses a line that gives `key` a value to those who skip any blank, as dotenvy and Node.js's
/// dotenv do, and to nobody else.
fn check_names(file: &EnvFile, key: &str) -> Result<(), Error> {
    let is_strange = |statement: &&Statement| {
        statement.kind == Kind::Opaque && names(statement.content(&file.bytes), key)
    };
    match file.statements.iter().find(is_strange) {
        None => Ok(()),
        Some(statement) => Err(Error::Syntax {
            at: Position::of(&file.bytes, statement.span.start()),
            what: "a blank that is neither a space nor a tab, and that only some readers skip",
        }),
    }
}

fn names(line: &[u8], key: &str) -> bool {
    let line = String::from_utf8_lossy(line);
    let text = line.trim_start();
    let exported = text.strip_prefix("export").map(str::trim_start);
    [Some(text), exported]
        .into_iter()
        .flatten()
        .filter_map(|text| text.strip_prefix(key))
        .any(|rest| rest.trim_start().starts_with('='))
}

/// Refuses a value whose end is not where it seems to be.
fn check_end(file: &EnvFile, key: &str, found: &Assignment) -> Result<(), Error> {
    let token = found.value.of(&file.bytes);
    let why = match found.quote {
        Quote::OpenBacktick => "a backtick that is not closed on its line",
        Quote::GoesOn => "a quote that is closed further on",
        Quote::Bare | Quote::Complex if token.ends_with(b"\\") => {
            "it ends in a backslash, after which a shell goes on with the next line"
        }
        // Some readers end the line there.
        Quote::Bare | Quote::Complex if token.contains(&b'\r') => "a carriage return inside",
        _ => return Ok(()),
    };
    Err(ambiguous(file, key, found.key, why))
}

fn ambiguous(file: &EnvFile, key: &str, at: Span, why: &'static str) -> Error {
    let line = Position::of(&file.bytes, at.start()).line;
    Error::Ambiguous {
        key: key.into(),
        line,
        why,
    }
}

/// Whether nothing but blanks is between an offset and a comment.
fn is_before_comment(file: &EnvFile, at: usize) -> bool {
    let mut behind = file.bytes[at..].iter();
    behind.find(|&&byte| !is_blank(byte)) == Some(&b'#')
}

/// What is to be written before `end`: python-dotenv skips the blanks behind the `=`, and takes a
/// comment that is there for the value.
fn closed(file: &EnvFile, end: usize, written: String) -> String {
    match written.is_empty() && is_before_comment(file, end) {
        true => "''".into(),
        false => written,
    }
}

fn replacement(file: &EnvFile, found: &Assignment, written: String) -> Splice {
    let behind = &file.bytes[found.value.end()..];
    let blanks = behind.iter().take_while(|&&byte| is_blank(byte)).count();
    let is_comment = behind.get(blanks) == Some(&b'#');
    let written = closed(file, found.value.end(), written);
    // Some readers make blanks at the end of a bare value, or in the place of one, a part of it.
    let is_bare = found.quote == Quote::Bare || is_safe_bare(&written);
    let is_last = is_bare && !is_comment;
    let end = found.value.end() + if is_last { blanks } else { 0 };
    let start = match written.is_empty() {
        true => end_of_equals(&file.bytes[..found.value.start()]),
        false => found.value.start(),
    };
    Splice {
        span: Span::new(start, end),
        with: written.into_bytes(),
    }
}

/// The length of `line` without the blanks at its end.
fn end_of_equals(line: &[u8]) -> usize {
    line.iter()
        .rposition(|&byte| !is_blank(byte))
        .map_or(0, |last| last + 1)
}

/// A new line at the end of the file, in the file's own style.
fn addition(file: &EnvFile, key: &str, written: &str) -> Splice {
    let line_end = line_end(&file.bytes);
    let end = file.bytes.len();
    let mut with = Vec::new();
    let last = file.statements.last();
    let is_open = last.is_some() && !file.bytes.ends_with(b"\n");
    if is_open {
        let rest = if file.bytes.ends_with(b"\r") {
            "\n"
        } else {
            line_end
        };
        with.extend(rest.as_bytes());
    }
    // A shell would join the new line to this one.
    if last.is_some_and(|last| last.content(&file.bytes).ends_with(b"\\")) {
        with.extend(line_end.as_bytes());
    }
    let export = if is_all_exported(file) { "export " } else { "" };
    with.extend(format!("{export}{key}={written}{line_end}").as_bytes());
    Splice {
        span: Span::new(end, end),
        with,
    }
}

/// What ends most of the lines.
fn line_end(bytes: &[u8]) -> &'static str {
    let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
    let crlf = bytes.windows(2).filter(|pair| pair == b"\r\n").count();
    if crlf > lines - crlf { "\r\n" } else { "\n" }
}

fn is_all_exported(file: &EnvFile) -> bool {
    let mut exports = file
        .statements
        .iter()
        .filter_map(|statement| match statement.kind {
            Kind::Assignment(Assignment { export, .. }) => Some(export),
            _ => None,
        });
    let first = exports.next();
    first == Some(Export::Present) && exports.all(|export| export == Export::Present)
}

/// Makes the change, reads the result, and sees that it says what was asked and nothing else.
fn checked(
    file: &EnvFile,
    key: &str,
    value: Option<&str>,
    splices: &[Splice],
) -> Result<EnvFile, Error> {
    let why = "the change would change how other lines are read";
    let refused = || ambiguous(file, key, splices[0].span, why);
    let bytes = spliced(&file.bytes, splices);
    let statements = super::parse::statements(&bytes).map_err(|error| match error {
        Error::TooLarge { .. } => error,
        _ => refused(),
    })?;
    let edited = EnvFile { bytes, statements };
    let reads_back = match value {
        None => edited.occurrences(key) == 0,
        Some(value) => {
            let is_read = |found: &Assignment| *edited.reading(found).text == *value.as_bytes();
            edited.occurrences(key) > 0 && edited.assignments(key).all(is_read)
        }
    };
    let is_sound = reads_back && others(file, key).eq(others(&edited, key));
    if is_sound { Ok(edited) } else { Err(refused()) }
}

fn spliced(bytes: &[u8], splices: &[Splice]) -> Vec<u8> {
    let added: usize = splices.iter().map(|splice| splice.with.len()).sum();
    let mut result = Vec::with_capacity(bytes.len() + added);
    let mut copied = 0;
    for splice in splices {
        result.extend(&bytes[copied..splice.span.start()]);
        result.extend(&splice.with);
        copied = splice.span.end();
    }
    result.extend(&bytes[copied..]);
    result
}

/// What the file says beside `key`. Line ends and blank lines say nothing.
fn others<'f>(file: &'f EnvFile, key: &'f str) -> impl Iterator<Item = (Option<Quote>, &'f [u8])> {
    file.statements.iter().filter_map(move |statement| {
        let quote = match statement.kind {
            Kind::Blank => return None,
            Kind::Assignment(Assignment { quote, .. }) => Some(quote),
            _ => None,
        };
        let is_other = statement.key(&file.bytes) != Some(key.as_bytes());
        is_other.then(|| (quote, statement.content(&file.bytes)))
    })
}
