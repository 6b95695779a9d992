//! The layout that this program writes, read in one pass. Never judges anything else: what has
//! another layout, or a word that must be looked at twice, is left to the JSON parser.

use std::borrow::Cow;

use super::{Document, Entry, EntryKey, Known, MOST_ENTRIES, mark_repeated};

/// The document, if each byte is where [`Document::render`] would have put it and no string has an
/// escape; `None` says nothing about the rest. What is `known` is not read again.
pub(super) fn parse<'t>(bytes: &'t [u8], known: &mut Known) -> Option<Document<'t>> {
    let mut text = Text {
        all: str::from_utf8(bytes).ok()?,
        at: 0,
    };
    text.skip("{\"schema\":\"portkeeper/registry\",\"version\":1,\"min_reader\":1")?;
    text.skip(",\"generation\":")?;
    let generation = text.number()?.parse().ok()?;
    text.skip(",\"boot_id\":")?;
    let boot_id = Cow::Borrowed(text.string()?);
    text.skip(",\"written_by\":")?;
    text.string()?;
    text.skip(",\"entries\":{")?;
    let body = text.rest();
    let (mut entries, end) = known.begin(body);
    let same = entries.len();
    text.at += end;
    entries.reserve(text.rest().len() / USUAL_LENGTH + 1);
    let mut separator = if same == 0 { "\n" } else { ",\n" };
    while text.skip(separator).is_some() {
        let from = text.at;
        let key = text.string()?;
        text.skip(":")?;
        text.object(Level::Entry)?;
        if entries.len() == MOST_ENTRIES {
            return None;
        }
        let line = &text.all[from..text.at];
        entries.push(Entry::written(key, line, EntryKey::parse(key)));
        separator = ",\n";
    }
    (text.rest() == "}}\n").then_some(())?;
    known.remember(body, &entries, same);
    mark_repeated(&mut entries);
    Some(Document {
        generation,
        boot_id,
        entries,
        unknown: Vec::new(),
    })
}

/// About as many bytes has an entry.
const USUAL_LENGTH: usize = 230;

/// Objects are not nested deeper than those of a process in an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Entry,
    Field,
}

/// A text, and how far it has been read.
struct Text<'t> {
    all: &'t str,
    at: usize,
}

impl<'t> Text<'t> {
    fn rest(&self) -> &'t str {
        &self.all[self.at..]
    }

    fn next(&self) -> Option<u8> {
        self.all.as_bytes().get(self.at).copied()
    }

    /// Goes on behind `what`, if that is next.
    fn skip(&mut self, what: &str) -> Option<()> {
        let bytes = &self.all.as_bytes()[self.at..];
        bytes.starts_with(what.as_bytes()).then(|| {
            self.at += what.len();
        })
    }

    /// A string without escapes.
    fn string(&mut self) -> Option<&'t str> {
        self.skip("\"")?;
        let from = self.at;
        let bytes = self.all.as_bytes();
        let mut at = from;
        while let Some(word) = bytes.get(at..at + 8) {
            let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
            let special = special_in(word);
            if special != 0 {
                at += special.trailing_zeros() as usize / 8;
                break;
            }
            at += 8;
        }
        // What is left of a text that ends within eight bytes; else it is there already.
        while !matches!(bytes.get(at)?, b'"' | b'\\' | 0..0x20) {
            at += 1;
        }
        self.at = at;
        self.skip("\"")?;
        Some(&self.all[from..at])
    }

    /// A number without a sign, a point or an exponent.
    fn number(&mut self) -> Option<&'t str> {
        let bytes = &self.all.as_bytes()[self.at..];
        let length = bytes.iter().take_while(|it| it.is_ascii_digit()).count();
        if length == 0 || length > 1 && bytes[0] == b'0' {
            return None;
        }
        let number = &self.all[self.at..self.at + length];
        self.at += length;
        Some(number)
    }

    /// An object of strings and numbers; that of an entry also of such objects.
    fn object(&mut self, level: Level) -> Option<()> {
        self.skip("{")?;
        loop {
            self.string()?;
            self.skip(":")?;
            match self.next()? {
                b'"' => _ = self.string()?,
                b'{' if level == Level::Entry => self.object(Level::Field)?,
                _ => _ = self.number()?,
            }
            if self.skip(",").is_none() {
                return self.skip("}");
            }
        }
    }
}

/// Marks the first of eight bytes that can't just stand in a string, by its highest bit; behind it
/// there may be false marks.
fn special_in(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    let below = |word: u64, least: u8| word.wrapping_sub(ONES * u64::from(least)) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, 0x20) | is(b'"') | is(b'\\')) & HIGHS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_is_special_is_found_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                for others in [b'a', 0x7f, 0x80, 0xff, b' ', b'!', b'#', b'[', b']'] {
                    let mut bytes = [others; 8];
                    bytes[at] = byte;
                    let is_special = byte < 0x20 || byte == b'"' || byte == b'\\';
                    let found = special_in(u64::from_le_bytes(bytes));
                    let first = (found != 0).then(|| found.trailing_zeros() as usize / 8);
                    assert_eq!(first, is_special.then_some(at), "{byte} among {others}");
                }
            }
        }
    }

    #[test]
    fn strings_and_numbers() {
        let text = |all| Text { all, at: 0 };
        let strings = [
            ("\"\"", Some("")),
            ("\"abcdefgh\"", Some("abcdefgh")),
            ("\"abcdefghijklmnop é\" ", Some("abcdefghijklmnop é")),
            ("\"abcdefghijklmnop", None),
            ("\"abc\\n\"", None),
            ("\"abc\n\"", None),
            ("abc", None),
            ("", None),
        ];
        for (all, expect) in strings {
            assert_eq!(text(all).string(), expect, "{all}");
        }
        for (all, expect) in [
            ("0,", Some("0")),
            ("120", Some("120")),
            ("012", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(text(all).number(), expect, "{all}");
        }
        // What JSON allows behind a number and this does not is noticed by what must come next.
        assert_eq!(text("{\"a\":1.5}").object(Level::Entry), None);
    }
}
