//! The bytes of the file of names, format version 1: one name a line. Never decides what is
//! remembered.

use std::path::Path;

use pk_core::Port;
use serde::{Deserialize, Serialize};
use tracing::debug;

use super::{Memory, Place};

/// What the first field says.
const SCHEMA: &str = "portkeeper/names";
/// The version that this code writes.
const VERSION: u64 = 1;

#[derive(Deserialize)]
struct Head {
    schema: String,
    version: u64,
}

#[derive(Deserialize)]
struct Document {
    names: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    project: String,
    name: String,
    port: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preferred: Option<u16>,
    day: u64,
}

/// What the bytes say; nothing where they make no sense.
pub(super) fn parse(bytes: &[u8], path: &Path) -> Memory {
    let nothing = |why: &dyn std::fmt::Display| {
        debug!(path = %path.display(), %why, "no names are remembered");
        Memory::default()
    };
    match serde_json::from_slice::<Head>(bytes) {
        Ok(head) if head.schema != SCHEMA => return nothing(&"another schema"),
        Ok(head) if head.version > VERSION => {
            return Memory {
                is_newer: true,
                ..nothing(&"a newer version")
            };
        }
        Ok(_) => {}
        Err(error) => return nothing(&error),
    }
    match serde_json::from_slice::<Document>(bytes) {
        Ok(document) => Memory {
            places: document.names.into_iter().filter_map(Line::place).collect(),
            is_newer: false,
        },
        Err(error) => nothing(&error),
    }
}

/// The bytes to be written.
pub(super) fn render(memory: &Memory) -> Vec<u8> {
    let mut text = format!("{{\"schema\":\"{SCHEMA}\",\"version\":{VERSION},\"names\":[");
    for (at, place) in memory.places.iter().enumerate() {
        let line = serde_json::to_string(&Line::of(place));
        text.push_str(if at == 0 { "\n" } else { ",\n" });
        text.push_str(&line.expect("strings and numbers are JSON"));
    }
    text.push_str("]}\n");
    text.into_bytes()
}

impl Line {
    fn of(place: &Place) -> Line {
        Line {
            project: place.project.clone(),
            name: place.name.clone(),
            port: place.port.number(),
            preferred: place.preferred.map(Port::number),
            day: place.day,
        }
    }

    fn place(self) -> Option<Place> {
        Some(Place {
            project: self.project,
            name: self.name,
            port: Port::new(self.port)?,
            preferred: self.preferred.and_then(Port::new),
            day: self.day,
        })
    }
}
