//! `.env` files: key, NUL, value, NUL, the bytes of the file.

use pk_config::dotenv::{EnvFile, Error};

use super::{check_message, parts};
use crate::readers;
use crate::target::{Source, Target};

pub(super) const TARGET: Target = Target {
    name: "env",
    about: "an edit of a .env file reads back, here and in dotenvy, and changes nothing else",
    source: Source::Bytes(&[
        "PORT",
        "A",
        "B",
        "export ",
        "=",
        "'",
        "\"",
        "`",
        "\\",
        "\\'",
        "\\\"",
        "\n",
        "\r\n",
        "\r",
        "\t",
        " ",
        "#",
        " # c",
        "\u{feff}",
        "$",
        "${",
        "${A}",
        "}",
        "8080",
        "it's",
        "a b",
        "A=1\n",
        "A='x'\n",
        "A=\"x\"\n",
        "PORT=3000",
        "PORT = 1",
        "PORT: 1\n",
        "\0",
        "\\\n",
        "\u{e9}",
        "=\"",
        "='",
        "\"\n",
        "'\n",
        "\u{b}",
        "\u{c}",
        "\u{85}",
        "\u{a0}",
    ]),
    check,
};

fn check(input: &[u8]) {
    let ([key, value], bytes) = parts(input);
    let before = match EnvFile::parse(bytes) {
        Ok(file) => file,
        Err(error) => return check_message(&error.to_string()),
    };
    assert_eq!(before.as_bytes(), bytes, "reading changes nothing");
    let mut after = before.clone();
    match after.set(&key, &value).map(|_| ()) {
        Err(error) => {
            check_refusal(&error, &before, &key, &value);
            assert_eq!(after.as_bytes(), bytes, "a refused edit changes nothing");
        }
        Ok(()) => {
            check_set(&before, &after, &key, &value);
            check_readers(&before, &after, &key, &value);
            let mut again = after.clone();
            again.set(&key, &value).unwrap();
            assert_eq!(
                again.as_bytes(),
                after.as_bytes(),
                "the second time changes nothing"
            );
            check_unset(&before, after, &key);
        }
    }
    let mut without = before.clone();
    if without.unset(&key).is_ok() {
        assert_eq!(without.get(&key), None, "it is gone");
        assert_eq!(others(&without, &key), others(&before, &key), "others stay");
    }
}

/// What can't be refused: what needs no escape in some quotes, unless the file says something strange.
fn check_refusal(error: &Error, file: &EnvFile, key: &str, value: &str) {
    check_message(&error.to_string());
    let is_asked_wrongly = |error: &Error| {
        matches!(
            error,
            Error::InvalidKey { .. } | Error::InvalidValue { .. } | Error::NotPortable { .. }
        )
    };
    if !is_asked_wrongly(error) {
        // The file is to blame, and another one is not.
        let mut other = EnvFile::parse(b"").unwrap();
        if let Err(error) = other.set(key, value) {
            assert!(is_asked_wrongly(&error), "{key}={value}: {error}");
        }
    }
    let is_good = is_name(key) && is_easy(value);
    let may_be_refused = !is_good || (!is_asked_wrongly(error) && !is_plain(file.as_bytes()));
    assert!(may_be_refused, "{key}={value} is refused: {error}");
}

/// Whether there is nothing in a file but `KEY=word`.
fn is_plain(file: &[u8]) -> bool {
    let is_one = |line: &str| {
        let pair = line.split_once('=');
        pair.is_some_and(|(key, value)| is_name(key) && is_word(value))
    };
    std::str::from_utf8(file).is_ok_and(|text| text.split_terminator('\n').all(is_one))
}

/// Whether a value needs nothing but quotes around it.
fn is_easy(value: &str) -> bool {
    let is_hard = |one: char| one.is_ascii_control() || "\\$`".contains(one);
    let has_both = value.contains('\'') && value.contains('"');
    !has_both && !value.contains(is_hard)
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_name(text: &str) -> bool {
    let is_number = text.starts_with(|first: char| first.is_ascii_digit());
    is_word(text) && !text.is_empty() && !is_number
}

fn check_set(before: &EnvFile, after: &EnvFile, key: &str, value: &str) {
    assert_eq!(
        after.get(key).as_deref(),
        Some(value.as_bytes()),
        "it reads back"
    );
    assert_eq!(others(after, key), others(before, key), "others stay");
    let (old, new) = (before.as_bytes(), after.as_bytes());
    // What is left of both when what they share at their ends is taken off.
    let front = old
        .iter()
        .zip(new)
        .take_while(|(old, new)| old == new)
        .count();
    let most = old.len().min(new.len()) - front;
    let ends = old.iter().rev().zip(new.iter().rev());
    let back = ends.take(most).take_while(|(old, new)| old == new).count();
    let cut = &old[front..old.len() - back];
    if let Some(comment) = comment(&String::from_utf8_lossy(old), key) {
        let new = String::from_utf8_lossy(new);
        assert!(new.contains(&comment), "the comment behind {key} is lost");
    }
    let (count, was) = (before.occurrences(key), before.get(key));
    if count == 0 {
        let mut rest = new.iter();
        let is_kept = old.iter().all(|byte| rest.any(|other| other == byte));
        assert!(is_kept, "something is removed to add {key}");
    }
    if count == 1 && !was.is_some_and(|was| was.contains(&b'\n')) {
        assert!(
            !cut.contains(&b'\n'),
            "more than the line of {key} is changed: {cut:?}"
        );
    }
}

/// The comment behind the value of a key, where one is plain to see: no quote of another line can
/// make it a part of a value.
fn comment(file: &str, key: &str) -> Option<String> {
    let comment = |line: &str| {
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (value, comment) = line
            .strip_prefix(key)?
            .strip_prefix('=')?
            .split_once(" #")?;
        let bare = ['\'', '"'].map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
        let bare = bare.into_iter().flatten().next().unwrap_or(value);
        is_word(bare).then(|| format!(" #{comment}"))
    };
    let mut quoted = file.lines().filter(|line| line.contains(['\'', '"', '`']));
    let (first, more) = (quoted.next(), quoted.next());
    let mut lines = file.lines();
    match (first, more) {
        (None, _) => lines.find_map(comment),
        (Some(only), None) => comment(only),
        (Some(_), Some(_)) => None,
    }
}

/// A file without the key is what it was before the key was added, up to the end of its last line.
fn check_unset(before: &EnvFile, mut after: EnvFile, key: &str) {
    let is_new = !before.keys().any(|name| name == key);
    let size = before.as_bytes().len();
    let is_appended = is_new && after.as_bytes().starts_with(before.as_bytes());
    if after.unset(key).is_err() {
        return;
    }
    assert_eq!(after.get(key), None, "it is gone");
    if is_appended && before.as_bytes().ends_with(b"\n") {
        let left = &after.as_bytes()[size.min(after.as_bytes().len())..];
        let is_blank = left.iter().all(|byte| b"\r\n".contains(byte));
        assert!(
            after.as_bytes().starts_with(before.as_bytes()) && is_blank,
            "taken back"
        );
    }
}

/// What is said of other keys, in its order. Each is looked for from the start, so of a long file
/// not of all.
fn others(file: &EnvFile, key: &str) -> Vec<(String, Vec<u8>)> {
    let keys = file.keys().filter(|name| *name != key).take(100);
    keys.map(|name| (name.to_owned(), file.get(name).unwrap().into_owned()))
        .collect()
}

/// Where others read a file as it is read here, they do so after the edit.
fn check_readers(before: &EnvFile, after: &EnvFile, key: &str, value: &str) {
    if before.as_bytes().len() < 4096 && is_closed(before.as_bytes()) {
        readers::check_python(
            (before.as_bytes(), &values(before)),
            (after.as_bytes(), &values(after)),
        );
        readers::check_shell(after.as_bytes(), key, value);
    }
    // Who expands may read others otherwise than before, and rightly so.
    let bytes = before.as_bytes();
    // To dotenvy a quote behind a backslash may go on beyond its line, and a `#` behind two blanks
    // begins no comment, so that a quote there does.
    let text = String::from_utf8_lossy(bytes);
    let characters: Vec<char> = text.chars().collect();
    let goes_on = ["\\'", "\\\""].iter().any(|pair| text.contains(pair))
        || characters
            .windows(3)
            .any(|three| three[2] == '#' && three[..2].iter().all(|blank| blank.is_whitespace()));
    let is_plain = bytes.len() < 4096 && !bytes.contains(&b'$') && !goes_on;
    if !is_plain || !is_read_so(before) {
        return;
    }
    assert!(
        is_read_so(after),
        "dotenvy differs since {key} was set: {:?}",
        read(after.as_bytes())
    );
}

/// Whether dotenvy finds the same keys in the same order, and of each the same value.
fn is_read_so(file: &EnvFile) -> bool {
    let Some(found) = read(file.as_bytes()) else {
        return false;
    };
    // It takes the first of several, as does who loads the file with it.
    let first = |key: &str| found.iter().find(|(name, _)| name == key);
    let is_same = |key: &str| {
        let value = file.get(key).unwrap();
        first(key).is_some_and(|(_, read)| *read == String::from_utf8_lossy(&value))
    };
    file.keys().eq(found.iter().map(|(key, _)| key.as_str())) && file.keys().all(is_same)
}

/// Whether no quote goes on beyond its line, in whichever way quotes and lines are found. (A byte-order
/// mark, of which there is a warning, is a part of the first key to python-dotenv.)
fn is_closed(file: &[u8]) -> bool {
    let is_closed = |line: &str| {
        let is_even = |quote| line.matches(quote).count() % 2 == 0;
        let key = line.split('=').next().unwrap_or(line);
        // To python-dotenv all that Python calls a space is one, such as U+001F.
        let is_strange = |one: char| one.is_control() || (one.is_whitespace() && one != ' ');
        let is_odd = line.contains(is_strange) || line.contains('\\');
        let is_odd = is_odd || key.contains(['\'', '"', '`']);
        !is_odd && ['\'', '"', '`'].into_iter().all(is_even)
    };
    let text = String::from_utf8_lossy(file);
    !text.starts_with('\u{feff}') && text.lines().all(is_closed)
}

/// What each key is; of several values the last, as most read it.
fn values(file: &EnvFile) -> readers::Values {
    let value = |key: &str| String::from_utf8_lossy(&file.get(key).unwrap()).into_owned();
    file.keys()
        .map(|key| (key.to_owned(), value(key)))
        .collect()
}

/// What dotenvy reads.
fn read(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    dotenvy::from_read_iter(bytes)
        .collect::<Result<_, _>>()
        .ok()
}
