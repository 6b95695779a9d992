//! Whose file is it? Asked before anything else: what a newer version wrote may look broken to this
//! one. Never looks at the rest of the file.

use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Key, Purpose, SCHEMA, Unreadable, VERSION, printable};
use crate::about::About;

/// The fields that say where a file comes from, as they stand in it.
#[derive(Debug, Default)]
pub(super) struct Origin<'t> {
    pub(super) schema: Option<&'t RawValue>,
    pub(super) version: Option<&'t RawValue>,
    pub(super) min_reader: Option<&'t RawValue>,
    /// Only known to those who seek.
    generation: Option<&'t RawValue>,
    written_by: Option<&'t RawValue>,
}

impl<'t> Origin<'t> {
    /// Finds the fields wherever they stand, up to the first place that is no JSON. The other
    /// fields may be of any type.
    pub(super) fn seek(bytes: &'t [u8]) -> Origin<'t> {
        let mut origin = Origin::default();
        let mut input = serde_json::Deserializer::from_slice(bytes);
        // Broken or not: what was found before counts.
        let _ = input.deserialize_map(Seek(&mut origin));
        origin
    }

    /// The same, for people.
    pub(super) fn about(&self, bytes: usize) -> About {
        About {
            bytes,
            schema: self.schema.and_then(text),
            version: self.version.and_then(number),
            generation: self.generation.and_then(number),
            written_by: self.written_by.and_then(text),
        }
    }

    /// # Errors
    /// [`Unreadable::Foreign`]. A file that does not say where it comes from is taken for ours.
    pub(super) fn check(&self, purpose: Purpose) -> Result<(), Unreadable> {
        if let Some(schema) = self.schema
            && text(schema).as_deref() != Some(SCHEMA)
        {
            return Err(foreign("schema", schema));
        }
        let Some(version) = self.version else {
            return Ok(());
        };
        match number(version) {
            Some(VERSION) => Ok(()),
            Some(newer) if newer > VERSION && purpose == Purpose::Read => {
                match self.min_reader.and_then(number) {
                    Some(oldest) if oldest <= VERSION => Ok(()),
                    _ => Err(foreign("version", version)),
                }
            }
            _ => Err(foreign("version", version)),
        }
    }
}

fn number(raw: &RawValue) -> Option<u64> {
    serde_json::from_str(raw.get()).ok()
}

fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

fn foreign(field: &str, value: &RawValue) -> Unreadable {
    let value: String = value.get().chars().take(80).collect();
    Unreadable::Foreign(format!("{field} {}", printable(&value)))
}

struct Seek<'o, 't>(&'o mut Origin<'t>);

impl<'t> Visitor<'t> for Seek<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            match &*key {
                "schema" => self.0.schema = Some(map.next_value()?),
                "version" => self.0.version = Some(map.next_value()?),
                "min_reader" => self.0.min_reader = Some(map.next_value()?),
                "generation" => self.0.generation = Some(map.next_value()?),
                "written_by" => self.0.written_by = Some(map.next_value()?),
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }
}
