//! What users call a reservation: its name within a project, and notes. Never anything that a shell,
//! a terminal or a file name would act upon.

use std::fmt;
use std::str::FromStr;

use crate::reservation::is_unprintable;

/// The name of a reservation in its project: 1 to 64 ASCII letters, digits and `-_./`, the first a
/// letter or a digit.
///
/// ```
/// use pk_registry::Name;
/// assert_eq!("api-2".parse::<Name>()?.as_str(), "api-2");
/// assert!("my api".parse::<Name>().is_err());
/// # Ok::<(), pk_registry::label::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// A note, `key=value`: the key as a [`Name`], the value at most 256 printable characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The key.
    pub key: Name,
    /// The value.
    pub value: String,
}

/// A text is no label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is no name.
    #[error(
        "not a name: {text} (1 to {} letters, digits and -_./, the first a letter or a digit)",
        Name::MOST
    )]
    Name {
        /// The text, printable.
        text: String,
    },
    /// There is no `=`.
    #[error("not a note: {text} (a note is KEY=VALUE)")]
    NoValue {
        /// The text, printable.
        text: String,
    },
    /// The value of a note is too long, or no line of printable characters.
    #[error(
        "the note {key} is not one line of at most {} printable characters",
        Note::MOST
    )]
    Value {
        /// The key.
        key: Name,
    },
}

impl Name {
    /// The most characters.
    pub const MOST: usize = 64;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Name, Error> {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        let begins_well = text.starts_with(|first: char| first.is_ascii_alphanumeric());
        match begins_well && text.len() <= Name::MOST && text.bytes().all(is_inner) {
            true => Ok(Name(text.into())),
            false => Err(Error::Name {
                text: text.escape_debug().to_string(),
            }),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Note {
    /// The most characters of a value.
    pub const MOST: usize = 256;
}

impl FromStr for Note {
    type Err = Error;

    fn from_str(text: &str) -> Result<Note, Error> {
        let Some((key, value)) = text.split_once('=') else {
            return Err(Error::NoValue {
                text: text.escape_debug().to_string(),
            });
        };
        let key: Name = key.parse()?;
        match value.chars().any(is_unprintable) || value.chars().count() > Note::MOST {
            true => Err(Error::Value { key }),
            false => Ok(Note {
                key,
                value: value.into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_everywhere() {
        for good in ["web", "2", "shop/web", "a.b_c-d", &"x".repeat(64)] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "-x",
            "/x",
            ".x",
            "a b",
            "a$b",
            "a\nb",
            "é",
            "a'b",
            &"x".repeat(65),
        ] {
            let error = bad.parse::<Name>().unwrap_err();
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }

    #[test]
    fn notes_have_a_key_and_a_printable_value() {
        let check = |text: &str, expect: Option<(&str, &str)>| {
            let note = text.parse::<Note>().ok();
            let parts = note.as_ref().map(|note| (note.key.as_str(), &*note.value));
            assert_eq!(parts, expect, "{text:?}");
        };
        check("ticket=SHOP-1", Some(("ticket", "SHOP-1")));
        check("url=http://x/?a=b", Some(("url", "http://x/?a=b")));
        check("empty=", Some(("empty", "")));
        for bad in ["ticket", "=x", "a b=c", "a=b\nc", "a=\u{1b}[2J"] {
            check(bad, None);
        }
        check(
            &format!("a={}", "é".repeat(256)),
            Some(("a", &"é".repeat(256))),
        );
        check(&format!("a={}", "x".repeat(257)), None);
    }
}
