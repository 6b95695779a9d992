//! What is known about names: the number that one had, and those that are others'. Never decides
//! which port a name gets.

use std::collections::HashSet;
use std::sync::Arc;

use pk_core::{Fallback, Port, Wish};
use pk_fs::lock::Wait;
use pk_registry::names::{Memory, Names, Place};
use pk_registry::{Here, Name, Reservation as Record};
use tracing::debug;

use crate::places;
use crate::project::Project;
use crate::settings::Settings;
use crate::warning::Warning;

/// A name, and the project in which it means something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: Name,
    pub(crate) project: Project,
}

/// What is remembered of all names.
#[derive(Debug)]
pub(crate) struct Recall {
    /// `None` where there is no state folder: nothing is remembered then.
    names: Option<Names>,
    memory: Memory,
    ports: Arc<HashSet<Port>>,
}

impl Recall {
    /// Reads it. What can't be read is nothing.
    pub(crate) fn of(settings: &Settings) -> Recall {
        let names = match places::state_dir(settings) {
            Ok(folder) => Some(Names::of_state(folder)),
            Err(error) => {
                debug!(%error, "no names are remembered");
                None
            }
        };
        let memory = names.as_ref().map(Names::read).unwrap_or_default();
        let ports = memory.places().iter().map(|place| place.port).collect();
        Recall {
            names,
            memory,
            ports: Arc::new(ports),
        }
    }

    /// Nothing, for those who ask for no name.
    pub(crate) fn nothing() -> Recall {
        Recall {
            names: None,
            memory: Memory::default(),
            ports: Arc::default(),
        }
    }

    /// The numbers that names had. They are left to them as long as there are others.
    pub(crate) fn ports(&self) -> Arc<HashSet<Port>> {
        Arc::clone(&self.ports)
    }

    /// Adds to a wish what is known about the name: its number, if that was not asked for under
    /// another preference and lies where it is looked for now, and where its search begins.
    pub(crate) fn complete(&self, named: &Named, wish: &mut Wish) {
        wish.place = Some(named.project.place(&named.name));
        let (project, name) = (named.project.text(), named.name.as_str());
        let Some(place) = self.memory.place(&project, name) else {
            return;
        };
        let is_same_wish = wish.preferred.is_none() || wish.preferred == place.preferred;
        let is_in_range =
            wish.ranges.is_empty() || wish.ranges.iter().any(|it| it.contains(place.port));
        if is_same_wish && (is_in_range || wish.preferred == Some(place.port)) {
            wish.remembered.push(place.port);
        }
    }

    /// Remembers which numbers names have, and which were preferred.
    pub(crate) fn remember<'n>(
        &self,
        wait: Wait,
        here: &Here,
        news: impl Iterator<Item = (&'n Named, Option<Port>, &'n Record)>,
    ) -> Option<Warning> {
        let day = here.wall.duration_since(std::time::UNIX_EPOCH);
        let day = day.map_or(0, |time| time.as_secs() / 86_400);
        let places: Vec<_> = news
            .map(|(named, preferred, record)| Place {
                project: named.project.text(),
                name: named.name.as_str().to_owned(),
                port: record.port,
                preferred,
                day,
            })
            .collect();
        if places.is_empty() {
            return None;
        }
        let why = match &self.names {
            None => "there is no state folder".to_owned(),
            Some(names) => names.remember(wait, &places).err()?.to_string(),
        };
        Some(Warning::NotRemembered { why })
    }
}

/// Whether a port is one that a wish can mean, so that a reservation that has it will do.
pub(crate) fn would_take(wish: &Wish, port: Port) -> Result<(), String> {
    if wish.excludes(port) {
        return Err("which is excluded".into());
    }
    if wish.preferred == Some(port) {
        return Ok(());
    }
    if let (Fallback::Nothing, Some(preferred)) = (wish.fallback, wish.preferred) {
        return Err(format!("not {preferred}"));
    }
    match wish.ranges.is_empty() || wish.ranges.iter().any(|range| range.contains(port)) {
        true => Ok(()),
        false => {
            let ranges: Vec<_> = wish.ranges.iter().map(ToString::to_string).collect();
            Err(format!("which is not in {}", ranges.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_wish_would_take() {
        let check = |preferred: u16, range: &str, strict: bool, port: u16, expect: &str| {
            let wish = Wish {
                preferred: Port::new(preferred),
                ranges: range.parse().into_iter().collect(),
                excluded: vec!["7-7".parse().unwrap()],
                fallback: if strict {
                    Fallback::Nothing
                } else {
                    Fallback::Search
                },
                ..Wish::default()
            };
            let found = would_take(&wish, Port::new(port).unwrap());
            assert_eq!(found.err().unwrap_or_default(), expect, "{wish:?}");
        };
        check(0, "", false, 5, "");
        check(0, "", false, 7, "which is excluded");
        check(5, "10-20", false, 5, "");
        check(5, "10-20", false, 11, "");
        check(5, "10-20", false, 21, "which is not in 10-20");
        check(5, "", true, 6, "not 5");
        check(7, "", true, 7, "which is excluded");
    }
}
