//! The options of everything that writes into people's files.

use std::path::PathBuf;

use clap::Args;
use portkeeper::config::{Guards, InPlace, Keep};
use portkeeper::{Template, WriteOptions};

/// How files are written, by a command that does nothing else.
#[derive(Debug, Args)]
pub(crate) struct Write {
    #[command(flatten)]
    pub(crate) writing: Writing,
    /// Only tell what would be done
    #[arg(long, help_heading = WRITING)]
    pub(crate) dry_run: bool,
}

/// How files are written.
#[derive(Debug, Args)]
pub(crate) struct Writing {
    /// Keep no copy of what the file held
    #[arg(long, help_heading = WRITING)]
    no_backup: bool,
    /// Write a read-only file, or a key that decides which programs run, such as PATH
    #[arg(long, help_heading = WRITING)]
    force: bool,
    /// Overwrite the file where it is: for one that is mounted into a running container
    #[arg(long, help_heading = WRITING)]
    in_place: bool,
    /// Rather fail than overwrite a file where it is
    #[arg(long, conflicts_with = "in_place", help_heading = WRITING)]
    no_in_place: bool,
}

const WRITING: &str = "Writing files";

impl Writing {
    pub(crate) fn options(&self) -> WriteOptions {
        WriteOptions {
            keep: if self.no_backup {
                Keep::Nothing
            } else {
                Keep::Backup
            },
            guards: if self.force { Guards::Down } else { Guards::Up },
            in_place: match (self.in_place, self.no_in_place) {
                (true, _) => InPlace::Always,
                (_, true) => InPlace::Never,
                _ => InPlace::IfNeeded,
            },
        }
    }
}

/// `KEY`, or `KEY=TEMPLATE`.
#[derive(Debug, Clone)]
pub(crate) struct KeyAs {
    pub(crate) key: String,
    pub(crate) value: Template,
}

pub(crate) fn key_as(text: &str) -> Result<KeyAs, String> {
    let (key, value) = match text.split_once('=') {
        None => (text, Template::port()),
        Some((key, value)) => (key, value.parse().map_err(|error| format!("{error}"))?),
    };
    Ok(KeyAs {
        key: key.into(),
        value,
    })
}

/// `FILE#/pointer`.
#[derive(Debug, Clone)]
pub(crate) struct PlaceInJson {
    pub(crate) path: PathBuf,
    pub(crate) pointer: String,
}

/// The last `#/` divides: a file's name may have one, too.
pub(crate) fn place_in_json(text: &str) -> Result<PlaceInJson, String> {
    match text.rfind("#/") {
        Some(at) if at > 0 => Ok(PlaceInJson {
            path: text[..at].into(),
            pointer: text[at + 1..].into(),
        }),
        _ => Err("FILE#/pointer is needed, such as config.json#/server/port".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_port_goes() {
        let place = place_in_json("a#b.json#/server/port").unwrap();
        assert_eq!(place.path.to_str(), Some("a#b.json"));
        assert_eq!(place.pointer, "/server/port");
        for bad in ["config.json", "#/port", "config.json#port", ""] {
            assert!(place_in_json(bad).is_err(), "{bad}");
        }
        assert!(key_as("PORT").unwrap().value.is_port());
        let url = key_as("URL=http://{host}:{port}/?a=b").unwrap();
        assert_eq!(url.key, "URL");
        let filled = url
            .value
            .fill("127.0.0.1".parse().unwrap(), 80.try_into().unwrap());
        assert_eq!(filled, "http://127.0.0.1:80/?a=b");
        assert!(key_as("A=B\nEVIL").is_err());
    }
}
