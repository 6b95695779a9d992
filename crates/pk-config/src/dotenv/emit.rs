//! Writes a value so that every reader of `.env` files reads the same, and reads a written value.
//! Never writes a form that some reader takes for something else: such a value is refused, and the
//! refusal names the readers.
//!
//! There is no standard. The forms here were tried on nineteen readers: python-dotenv, npm dotenv
//! with and without dotenv-expand, dotenvx, Node's `--env-file`, Bun, Deno, Docker Compose,
//! godotenv, direnv, systemd, dotenvy, Ruby's and PHP's dotenv, honcho, dash, bash, `docker run` and
//! GNU make. The last two never take quotes off; where it can be avoided there are none.

use std::borrow::Cow;

use super::Error;
use super::parse::Quote;

/// What a written value says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reading<'b> {
    pub(super) text: Cow<'b, [u8]>,
    pub(super) agreement: Agreement,
}

/// Whether the readers read the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agreement {
    Agreed,
    /// Some expand it, cut it off or keep a backslash.
    Disputed,
}

/// Checks a name: `[A-Za-z_][A-Za-z0-9_]*` is what all readers read.
pub(super) fn check_key(key: &str) -> Result<(), Error> {
    let is_name = key
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && key
            .bytes()
            .next()
            .is_some_and(|first| !first.is_ascii_digit());
    if is_name {
        Ok(())
    } else {
        Err(Error::InvalidKey { key: key.into() })
    }
}

/// Checks for characters that no form of writing brings through all readers.
pub(super) fn check_value(key: &str, value: &str) -> Result<(), Error> {
    let is_lost =
        |character: char| character.is_ascii_control() && !matches!(character, '\t' | '\n');
    match value.chars().find(|&character| is_lost(character)) {
        None => Ok(()),
        Some(character) => Err(Error::InvalidValue {
            key: key.into(),
            character,
        }),
    }
}

/// The value as it is to be written, in the quotes that it had where it is safe in them.
pub(super) fn emit(key: &str, value: &str, old: Quote) -> Result<String, Error> {
    let quoted = |quote: char| format!("{quote}{value}{quote}");
    match old {
        Quote::Single | Quote::SingleEscaped if is_safe_single(value) => Ok(quoted('\'')),
        Quote::Double if is_safe_double(value) => Ok(quoted('"')),
        _ if is_safe_bare(value) => Ok(value.into()),
        _ if is_safe_single(value) => Ok(quoted('\'')),
        _ if is_safe_double(value) || is_safe_lines(value) => Ok(quoted('"')),
        _ if is_safe_dollar(value) => Ok(quoted('\'')),
        _ => Err(not_portable(key, value)),
    }
}

/// Reads a value with its quotes. Nothing is expanded.
pub(super) fn read(token: &[u8], quote: Quote) -> Reading<'_> {
    use Agreement::{Agreed, Disputed};
    let agreed = |is_agreed: bool| if is_agreed { Agreed } else { Disputed };
    match quote {
        Quote::Bare | Quote::OpenBacktick | Quote::Complex | Quote::GoesOn => {
            let is_plain = !token.iter().any(|byte| b"$`\\#'\"".contains(byte));
            Reading {
                text: token.into(),
                agreement: agreed(is_plain),
            }
        }
        Quote::Single | Quote::Backtick => {
            let text = &token[1..token.len() - 1];
            let is_plain = quote == Quote::Single && !text.ends_with(b"\\");
            Reading {
                text: text.into(),
                agreement: agreed(is_plain),
            }
        }
        Quote::SingleEscaped => {
            let text = unescape(&token[1..token.len() - 1], |byte| {
                matches!(byte, b'\'' | b'\\').then_some(byte)
            });
            Reading {
                text: text.into(),
                agreement: Disputed,
            }
        }
        Quote::Double => {
            let inner = &token[1..token.len() - 1];
            let is_plain = !inner.iter().any(|byte| b"$`\\".contains(byte));
            let text = match is_plain {
                true => inner.into(),
                false => unescape(inner, double_escape).into(),
            };
            Reading {
                text,
                agreement: agreed(is_plain),
            }
        }
    }
}

pub(super) fn is_safe_bare(value: &str) -> bool {
    value
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_./:@%+,=-".contains(&byte))
}

fn is_safe_single(value: &str) -> bool {
    !value.contains('$') && !value.contains('\n') && is_safe_dollar(value)
}

/// As [`is_safe_single`], but for a `$` that begins no `${`.
fn is_safe_dollar(value: &str) -> bool {
    // `\'` is ruled out with `'`.
    let is_cut = value.contains('\'') || value.contains("\\\\") || value.ends_with('\\');
    !is_cut && !value.contains("${") && !value.contains('\n')
}

fn is_safe_double(value: &str) -> bool {
    !value.contains('\n') && is_safe_lines(value)
}

fn is_safe_lines(value: &str) -> bool {
    !value.contains(['"', '\\', '$', '`'])
}

/// Which characters have no portable form, and who would read them wrong.
fn not_portable(key: &str, value: &str) -> Error {
    let has = |character| value.contains(character);
    let needs_escapes = has('\'') || has('\n');
    let mut characters: Vec<char> = match needs_escapes {
        true => ['\'', '\n', '"', '\\', '$', '`']
            .into_iter()
            .filter(|&found| has(found))
            .collect(),
        false => Vec::new(),
    };
    let mut readers: Vec<&'static str> = Vec::new();
    let mut add = |wrong: &[char], by: &[&'static str]| {
        characters.extend(wrong);
        readers.extend(by);
    };
    if needs_escapes {
        add(&[], &["npm dotenv", "dotenvx", "Node", "Bun", "Deno"]);
    }
    if value.contains("\\\\") || value.ends_with('\\') {
        add(
            &['\\'],
            &["python-dotenv", "Docker Compose", "godotenv", "dotenvy"],
        );
    }
    if value.contains("${") {
        add(&['$', '{'], &["python-dotenv", "Vite", "Next.js", "Bun"]);
    }
    characters.sort_unstable();
    characters.dedup();
    readers.sort_unstable();
    readers.dedup();
    Error::NotPortable {
        key: key.into(),
        characters,
        readers,
    }
}

/// What stands for itself after a backslash in double quotes, for most readers.
fn double_escape(byte: u8) -> Option<u8> {
    match byte {
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        b'"' | b'\\' | b'$' | b'`' => Some(byte),
        _ => None,
    }
}

fn unescape(text: &[u8], meaning: fn(u8) -> Option<u8>) -> Vec<u8> {
    let mut read = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        match after.split_first() {
            Some((&next, behind)) if byte == b'\\' => {
                match meaning(next) {
                    Some(meant) => read.push(meant),
                    None => read.extend([byte, next]),
                }
                rest = behind;
            }
            _ => {
                read.push(byte);
                rest = after;
            }
        }
    }
    read
}
