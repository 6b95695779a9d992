//! What the files of a registry say, and which of it counts. Never reads or writes one.
//!
//! Of several files of one user the one with the highest generation counts: an old one, which
//! somebody has kept by a hard link, is never that. So nobody can forge, alter or hide what another
//! user has written, whatever `fs.protected_hardlinks` says.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;
use std::path::PathBuf;

use tracing::debug;

use super::page::Page;
use super::{Here, Site};
use crate::error::Error;
use crate::format::{Document, Known, MOST_ENTRIES, Purpose, Unreadable};
use crate::reservation::Reservation;
use crate::snapshot::Warning;
use crate::transaction::QUOTA;

/// What a file says.
#[derive(Debug)]
pub(crate) struct Shard<'t> {
    pub(crate) document: Document<'t>,
    pub(crate) rights: Rights,
    /// Whether this user has changed it.
    pub(crate) changed: bool,
    /// Why the file can't be read, if it can't: it is to be begun anew.
    pub(super) broken: Option<String>,
    /// Which page it is from.
    pub(super) page: usize,
    of: Option<u32>,
}

/// What this user may do with a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights {
    Write,
    Read,
}

impl<'t> Shard<'t> {
    /// One that is not there.
    pub(super) fn none() -> Shard<'static> {
        Shard {
            document: Document::default(),
            rights: Rights::Write,
            changed: false,
            broken: None,
            page: 0,
            of: None,
        }
    }

    /// Whether there is something to write.
    pub(super) fn is_to_be_written(&self) -> bool {
        self.changed || self.broken.is_some()
    }

    /// Whether the owner of the file may say so.
    pub(crate) fn believes(&self, reservation: &Reservation) -> bool {
        self.of.is_none_or(|uid| uid == reservation.uid)
    }

    /// What the pages say. The first page and the first shard are this user's own.
    pub(super) fn parse_all(
        site: &Site<'_>,
        pages: &'t [Page],
        here: &Here,
        purpose: Purpose,
    ) -> Result<(Vec<Shard<'t>>, Vec<Warning>), Error> {
        let mut warnings = Vec::new();
        let mut best: BTreeMap<Option<u32>, Shard<'t>> = BTreeMap::new();
        for (at, page) in pages.iter().enumerate() {
            let path = site.path_of(&page.name);
            let parsed = if page.of == pages[0].of {
                Shard::own(page, site, path, purpose)?
            } else {
                match Shard::of_another(page, here) {
                    Ok((shard, over)) => {
                        warnings.extend(over.map(|reason| Warning::Ignored { path, reason }));
                        shard
                    }
                    Err(reason) => {
                        warnings.push(Warning::Ignored { path, reason });
                        continue;
                    }
                }
            };
            let shard = Shard { page: at, ..parsed };
            match best.entry(page.of) {
                Place::Vacant(place) => _ = place.insert(shard),
                Place::Occupied(mut place) if shard.rank() > place.get().rank() => {
                    place.insert(shard);
                }
                Place::Occupied(_) => debug!(name = ?page.name, "an old file of that user"),
            }
        }
        let own = best.remove(&pages[0].of);
        Ok((
            own.into_iter().chain(best.into_values()).collect(),
            warnings,
        ))
    }

    fn rank(&self) -> (bool, u64) {
        (self.broken.is_none(), self.document.generation)
    }

    fn own(
        page: &'t Page,
        site: &Site<'_>,
        path: PathBuf,
        purpose: Purpose,
    ) -> Result<Shard<'t>, Error> {
        let none = Shard {
            of: page.of,
            ..Shard::none()
        };
        if page.bytes.is_empty() {
            return Ok(none);
        }
        // Nobody waits: a fork has copies of locks that nobody will ever let go of.
        let parsed = match site.registry.known.try_lock() {
            Ok(mut known) => Document::parse(&page.bytes, purpose, &mut known),
            Err(_) => Document::parse(&page.bytes, purpose, &mut Known::default()),
        };
        match parsed {
            Ok(document) => Ok(Shard { document, ..none }),
            Err(Unreadable::Corrupt(reason)) => Ok(Shard {
                broken: Some(reason),
                ..none
            }),
            Err(Unreadable::Foreign(what)) => Err(Error::Foreign { path, what }),
            Err(Unreadable::TooMany) => Err(Error::TooLarge {
                path,
                what: too_many(),
            }),
        }
    }

    /// What another user says, and a word about what of it does not count. Only root may change it,
    /// and only where all of it is understood.
    fn of_another(page: &'t Page, here: &Here) -> Result<(Shard<'t>, Option<String>), String> {
        let parse = |purpose| Document::parse(&page.bytes, purpose, &mut Known::default());
        let none = Shard {
            of: page.of,
            rights: Rights::Read,
            ..Shard::none()
        };
        if page.bytes.is_empty() {
            return Ok((none, None));
        }
        let mut shard = match parse(Purpose::Write) {
            Ok(document) if here.uid == 0 => Shard {
                document,
                rights: Rights::Write,
                ..none
            },
            Ok(document) => Shard { document, ..none },
            Err(_) => match parse(Purpose::Read) {
                Ok(document) => Shard { document, ..none },
                Err(Unreadable::Corrupt(reason)) => return Err(reason),
                Err(Unreadable::Foreign(what)) => {
                    return Err(format!(
                        "written by a newer version or another program ({what})"
                    ));
                }
                Err(Unreadable::TooMany) => return Err(too_many()),
            },
        };
        let count = shard.document.entries.len();
        if count <= QUOTA {
            return Ok((shard, None));
        }
        shard.document.entries.truncate(QUOTA);
        shard.rights = Rights::Read;
        let over = format!("beyond its first {QUOTA} entries: it has {count}");
        Ok((shard, Some(over)))
    }
}

fn too_many() -> String {
    format!("more than {MOST_ENTRIES} entries")
}
