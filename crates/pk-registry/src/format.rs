//! The bytes on disk, format version 1. Never decides what an entry means.
//!
//! A document is read as a list of raw pieces; an entry is only typed when somebody asks for it.
//! So foreign bytes and unknown fields survive a rewrite exactly, and a command that touches one
//! entry of thousands pays for one.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use pk_core::Port;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::about::About;
use crate::reservation::{self, Reservation};

mod depth;
mod key;
mod known;
mod origin;
mod plain;
mod record;

use depth::is_deeper;
pub(crate) use key::EntryKey;
pub(crate) use known::Known;
use origin::Origin;
use record::Record;

/// What the first field says.
const SCHEMA: &str = "portkeeper/registry";
/// The version that this code writes.
const VERSION: u64 = 1;
/// The largest file, in bytes.
pub(crate) const MOST_BYTES: u64 = 32 << 20;
/// The most entries.
pub(crate) const MOST_ENTRIES: usize = 70_000;
/// The deepest nesting of objects and arrays.
const MOST_DEPTH: usize = 64;

/// A registry file, in pieces that borrow from its text.
#[derive(Debug, Default)]
pub(crate) struct Document<'t> {
    pub(crate) generation: u64,
    pub(crate) boot_id: Cow<'t, str>,
    pub(crate) entries: Vec<Entry<'t>>,
    unknown: Vec<(Cow<'t, str>, &'t RawValue)>,
}

/// One entry, as it stands in the file.
#[derive(Debug)]
pub(crate) struct Entry<'t> {
    pub(crate) key: Cow<'t, str>,
    /// What the key says, if it can be read.
    pub(crate) place: Option<EntryKey>,
    /// Key and value as they are written, and where in there the value begins.
    line: Cow<'t, str>,
    value_at: usize,
    /// Whether an earlier entry has the same key.
    again: bool,
}

/// Why a text is no registry that this code may work on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It says that it is something else, or of a version that this code does not know.
    Foreign(String),
    /// It has more entries than allowed.
    TooMany,
    /// It is broken: the reason, with line and column where there is one.
    Corrupt(String),
}

/// Who reads: a writer must know all of a format, a reader may be allowed to know a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Read,
    Write,
}

impl<'t> Document<'t> {
    pub(crate) fn parse(
        bytes: &'t [u8],
        purpose: Purpose,
        known: &mut Known,
    ) -> Result<Document<'t>, Unreadable> {
        match plain::parse(bytes, known) {
            Some(document) => Ok(document),
            None => Document::parse_any(bytes, purpose),
        }
    }

    fn parse_any(bytes: &'t [u8], purpose: Purpose) -> Result<Document<'t>, Unreadable> {
        let mut found = Found::default();
        let mut input = serde_json::Deserializer::from_slice(bytes);
        let read = input
            .deserialize_map(Collect(&mut found))
            .and_then(|()| input.end());
        if read.is_err() {
            // Something that is wrong by the rules of this version may have hidden the version.
            found.origin = Origin::seek(bytes);
        }
        found.origin.check(purpose)?;
        if found.too_many {
            return Err(Unreadable::TooMany);
        }
        read.map_err(|error| Unreadable::Corrupt(error.to_string()))?;
        let mut entries = found.entries.iter().flatten();
        let mut values = found.unknown.iter().map(|(_, value)| *value);
        let is_too_deep = entries.any(|entry| is_deeper(entry.value(), MOST_DEPTH - 2))
            || values.any(|value| is_deeper(value.get(), MOST_DEPTH - 1))
            || found
                .writer
                .is_some_and(|value| is_deeper(value.get(), MOST_DEPTH - 1));
        if is_too_deep {
            return Err(Unreadable::Corrupt(format!(
                "nested deeper than {MOST_DEPTH}"
            )));
        }
        let mut entries = found
            .entries
            .ok_or_else(|| Unreadable::Corrupt("no entries".into()))?;
        mark_repeated(&mut entries);
        Ok(Document {
            generation: found.generation.unwrap_or(0),
            boot_id: found.boot_id.unwrap_or_default(),
            entries,
            unknown: found.unknown,
        })
    }

    /// The bytes to be written.
    pub(crate) fn render(&self) -> Vec<u8> {
        let size: usize = self.entries.iter().map(|it| it.line.len() + 2).sum();
        let mut out = Vec::with_capacity(size + 512);
        out.extend_from_slice(b"{\"schema\":");
        json(&mut out, SCHEMA);
        let numbers = format!(
            ",\"version\":{VERSION},\"min_reader\":{VERSION},\"generation\":{},\"boot_id\":",
            self.generation
        );
        out.extend_from_slice(numbers.as_bytes());
        json(&mut out, &*self.boot_id);
        out.extend_from_slice(b",\"written_by\":");
        json(&mut out, concat!("portkeeper ", env!("CARGO_PKG_VERSION")));
        out.extend_from_slice(b",\"entries\":{");
        for (at, entry) in self.entries.iter().enumerate() {
            out.extend_from_slice(if at == 0 { b"\n" } else { b",\n" });
            out.extend_from_slice(entry.line.as_bytes());
        }
        out.push(b'}');
        for (key, value) in &self.unknown {
            out.push(b',');
            json(&mut out, &**key);
            out.push(b':');
            out.extend_from_slice(value.get().as_bytes());
        }
        out.extend_from_slice(b"}\n");
        out
    }
}

/// What a file says of itself, whatever its version and however broken it is.
pub(crate) fn about(bytes: &[u8]) -> About {
    Origin::seek(bytes).about(bytes.len())
}

fn json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(out, value)
        .expect("strings and our own structs can be written to memory");
}

/// What has been found so far: whatever follows, these fields have been read.
#[derive(Default)]
struct Found<'t> {
    origin: Origin<'t>,
    generation: Option<u64>,
    boot_id: Option<Cow<'t, str>>,
    entries: Option<Vec<Entry<'t>>>,
    unknown: Vec<(Cow<'t, str>, &'t RawValue)>,
    writer: Option<&'t RawValue>,
    names: HashSet<Cow<'t, str>>,
    too_many: bool,
}

struct Collect<'f, 't>(&'f mut Found<'t>);

impl<'t> Visitor<'t> for Collect<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<(), A::Error> {
        let found = self.0;
        while let Some(Key(key)) = map.next_key()? {
            if !found.names.insert(key.clone()) {
                return Err(A::Error::custom(format_args!("duplicate field {key:?}")));
            }
            match &*key {
                "schema" => found.origin.schema = Some(map.next_value()?),
                "version" => found.origin.version = Some(map.next_value()?),
                "min_reader" => found.origin.min_reader = Some(map.next_value()?),
                "generation" => found.generation = Some(map.next_value()?),
                "boot_id" => found.boot_id = Some(map.next_value::<Key<'t>>()?.0),
                // Of whoever writes next.
                "written_by" => found.writer = Some(map.next_value()?),
                "entries" => {
                    let Entries { list, too_many } = map.next_value()?;
                    (found.entries, found.too_many) = (Some(list), too_many);
                }
                _ => found.unknown.push((key, map.next_value()?)),
            }
        }
        Ok(())
    }
}

/// A string that borrows from the text where it has no escapes.
#[derive(Deserialize)]
struct Key<'t>(#[serde(borrow)] Cow<'t, str>);

struct Entries<'t> {
    list: Vec<Entry<'t>>,
    too_many: bool,
}

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct List;
        impl<'t> Visitor<'t> for List {
            type Value = Entries<'t>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of entries")
            }

            fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Entries<'t>, A::Error> {
                let mut list = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    if list.len() == MOST_ENTRIES {
                        // The rest is only skipped, so that the fields behind it are seen.
                        map.next_value::<IgnoredAny>()?;
                        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                        return Ok(Entries {
                            list,
                            too_many: true,
                        });
                    }
                    let raw: &RawValue = map.next_value()?;
                    list.push(Entry::foreign(key, raw.get()));
                }
                Ok(Entries {
                    list,
                    too_many: false,
                })
            }
        }
        input.deserialize_map(List)
    }
}

impl<'t> Entry<'t> {
    /// One that stands in a text as this program writes it.
    fn written(key: &'t str, line: &'t str, place: Option<EntryKey>) -> Entry<'t> {
        Entry {
            place,
            key: Cow::Borrowed(key),
            line: Cow::Borrowed(line),
            // Two quotes and a colon.
            value_at: key.len() + 3,
            again: false,
        }
    }

    /// One that stands in any text.
    fn foreign(key: Cow<'t, str>, value: &'t str) -> Entry<'t> {
        let place = EntryKey::parse(&key);
        let mut line = Vec::with_capacity(key.len() + value.len() + 3);
        json(&mut line, &*key);
        line.push(b':');
        let value_at = line.len();
        line.extend_from_slice(value.as_bytes());
        let line = String::from_utf8(line).expect("JSON is UTF-8");
        Entry {
            place,
            key,
            line: Cow::Owned(line),
            value_at,
            again: false,
        }
    }
}

/// Says of each entry whether an earlier one has its key.
fn mark_repeated(entries: &mut [Entry<'_>]) {
    // Keys of different ports are different: mostly there is nothing to compare.
    let mut seen = [0_u64; 1 << 10];
    let is_new = |entry: &Entry<'_>| {
        let port = usize::from(entry.place?.port.number());
        let (word, bit) = (&mut seen[port / 64], 1 << (port % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new.then_some(())
    };
    if entries.iter().map(is_new).all(|it| it.is_some()) {
        return;
    }
    let mut keys = HashSet::with_capacity(entries.len());
    let repeated: Vec<bool> = entries.iter().map(|it| !keys.insert(&*it.key)).collect();
    for (entry, again) in entries.iter_mut().zip(repeated) {
        entry.again = again;
    }
}

impl Entry<'_> {
    pub(crate) fn new(reservation: &Reservation) -> Entry<'static> {
        let place = EntryKey::of(reservation);
        let key = place.to_string();
        // What can be read as a place has no character that must be escaped.
        let mut line = format!("\"{key}\":").into_bytes();
        let value_at = line.len();
        json(&mut line, &Record::of(reservation));
        let line = String::from_utf8(line).expect("JSON is UTF-8");
        Entry {
            key: Cow::Owned(key),
            place: Some(place),
            line: Cow::Owned(line),
            value_at,
            again: false,
        }
    }

    /// The value, as JSON.
    fn value(&self) -> &str {
        &self.line[self.value_at..]
    }

    /// The entry, typed.
    ///
    /// # Errors
    /// What is wrong with it. It is then kept as it is.
    pub(crate) fn reservation(&self) -> Result<Reservation, String> {
        if self.again {
            return Err("its key stands twice in the file".into());
        }
        let record: Record<'_> =
            serde_json::from_str(self.value()).map_err(|error| printable(&error.to_string()))?;
        let reservation = record.into_reservation()?;
        match self.place {
            Some(place) if place == EntryKey::of(&reservation) => Ok(reservation),
            _ => Err("its key names another port than its fields".into()),
        }
    }

    /// Whether it could have a field with this text, which consists of letters, digits and `-_./`
    /// alone: cheap, and never wrong when it says no.
    pub(crate) fn may_have(&self, text: &str) -> bool {
        // Such a text need not be escaped; whoever did it all the same wrote a `\`.
        self.value().contains(text) || self.value().contains('\\')
    }

    /// The port that it is about, if that much can be read: a damaged entry takes its port as well.
    pub(crate) fn port(&self) -> Option<Port> {
        #[derive(Deserialize)]
        struct Only {
            port: u16,
        }
        let field = || serde_json::from_str::<Only>(self.value()).ok();
        self.place
            .map(|place| place.port)
            .or_else(|| field().and_then(|only| Port::new(only.port)))
    }
}

/// A message about foreign bytes, which may quote them.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match reservation::is_unprintable(character) {
            true => out.extend(character.escape_unicode()),
            false => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests;
