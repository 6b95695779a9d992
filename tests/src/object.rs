//! A JSON object that remembers the order of its fields, which plain JSON values do not.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The fields of a JSON object, first to last, each as it was written.
#[derive(Debug)]
pub struct Object(Vec<(String, Box<RawValue>)>);

impl Object {
    /// The names of the fields, first to last.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The objects in the list of this name.
    ///
    /// # Panics
    /// There is no such list, or something else is in it.
    #[track_caller]
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<Object> {
        let field = self.0.iter().find(|(field, _)| field == name);
        let (_, list) = field.unwrap_or_else(|| panic!("no {name} in {:?}", self.names()));
        serde_json::from_str(list.get()).unwrap_or_else(|error| panic!("{error}: {list}"))
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}
