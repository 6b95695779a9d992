//! A change of a registry, made while it is locked and written in one go. Never touches the disk
//! itself, but for the liveness files of new reservations.
//!
//! What was written before the last boot is gone from the start; what turns out to have ended is
//! dropped when somebody looks at it.

use std::ffi::OsStr;
use std::ops::Range;

use pk_core::{Host, Port, Protocol};
use pk_fs::folder;
use pk_fs::live::LiveFile;

use crate::error::Error;
use crate::format::{Document, Entry, EntryKey, MOST_ENTRIES};
use crate::liveness::Witness;
use crate::registry::Here;
use crate::reservation::{Kind, Reservation};
use crate::staleness::{self, Reason, Verdict};

/// About how many of the entries in its way a search looks into.
const LOOKS: u64 = 8;

/// A change of a registry that is being put together.
#[derive(Debug)]
pub struct Transaction<'t> {
    document: Document<'t>,
    /// The entries, in the order of the file.
    slots: Vec<Slot<'t>>,
    /// Which slots are about which port, sorted: a walk along thousands of candidates looks at
    /// entries only where one may be in the way.
    by_port: Vec<(Port, usize)>,
    here: &'t Here,
    witness: &'t Witness<'t>,
    path: &'t std::path::Path,
    ended: Vec<Ended>,
    /// The liveness files that are of no use once this is written.
    spent: Vec<String>,
    changed: bool,
}

#[derive(Debug)]
struct Slot<'t> {
    /// `None` once it was taken out.
    entry: Option<Entry<'t>>,
    key: Option<EntryKey>,
}

/// A reservation that has ended and was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The reservation.
    pub reservation: Reservation,
    /// Why it has ended.
    pub reason: Reason,
}

/// Why a port may not be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Somebody has it.
    Reserved(Box<Reservation>),
    /// An entry that can't be read may be about it.
    Damaged {
        /// The entry's key, printable.
        key: String,
    },
}

impl<'t> Transaction<'t> {
    pub(crate) fn new(
        mut document: Document<'t>,
        here: &'t Here,
        witness: &'t Witness<'t>,
        path: &'t std::path::Path,
    ) -> Transaction<'t> {
        let entries = std::mem::take(&mut document.entries);
        let mut transaction = Transaction {
            slots: Vec::with_capacity(entries.len() + 1),
            by_port: Vec::with_capacity(entries.len() + 1),
            document,
            here,
            witness,
            path,
            ended: Vec::new(),
            spent: Vec::new(),
            changed: false,
        };
        let rebooted = transaction.document.boot_id != here.machine.boot_id;
        transaction.document.boot_id = here.machine.boot_id.clone().into();
        for entry in entries {
            if !rebooted {
                transaction.push(entry);
            } else if let Ok(reservation) = entry.reservation() {
                transaction.end(Ended {
                    reservation,
                    reason: Reason::Reboot,
                });
            }
        }
        transaction.by_port.sort_unstable();
        transaction
    }

    fn push(&mut self, entry: Entry<'t>) {
        let key = EntryKey::parse(&entry.key);
        if let Some(port) = key.map(|key| key.port).or_else(|| entry.port()) {
            self.by_port.push((port, self.slots.len()));
        }
        self.slots.push(Slot {
            key,
            entry: Some(entry),
        });
    }

    /// Whether an entry is about `port`: whoever has others to choose from need not know more. Most
    /// entries are taken at their word, and each time some others are looked into, so that those
    /// that have ended are dropped in time.
    pub fn is_spoken_for(&mut self, host: Host, port: Port, protocol: Protocol) -> bool {
        let stride = (self.slots.len() as u64 / LOOKS).max(1);
        for at in self.about(port) {
            let slot = self.by_port[at].1;
            if self
                .document
                .generation
                .wrapping_add(slot as u64)
                .is_multiple_of(stride)
            {
                if self.look_into(slot, host, protocol).is_some() {
                    return true;
                }
            } else if self.concerns(&self.slots[slot], host, protocol) {
                return true;
            }
        }
        false
    }

    /// What forbids to grant `port`, if anything does. What has ended is dropped on the way.
    pub fn obstacle(&mut self, host: Host, port: Port, protocol: Protocol) -> Option<Obstacle> {
        self.about(port)
            .find_map(|at| self.look_into(self.by_port[at].1, host, protocol))
    }

    /// Where in `by_port` the entries of a port are.
    fn about(&self, port: Port) -> Range<usize> {
        let first = self.by_port.partition_point(|&(other, _)| other < port);
        let rest = &self.by_port[first..];
        first..first + rest.partition_point(|&(other, _)| other == port)
    }

    /// Whether there is an entry whose key overlaps what is asked for, or can't be read.
    fn concerns(&self, slot: &Slot<'_>, host: Host, protocol: Protocol) -> bool {
        let overlaps = |key: EntryKey| {
            key.network == self.here.machine.network
                && key.protocol.overlaps(protocol)
                && key.host.overlaps(host)
        };
        slot.entry.is_some() && slot.key.is_none_or(overlaps)
    }

    /// Drops the entry if it has ended.
    fn look_into(&mut self, at: usize, host: Host, protocol: Protocol) -> Option<Obstacle> {
        let slot = &self.slots[at];
        let entry = slot.entry.as_ref()?;
        if !self.concerns(slot, host, protocol) {
            return None;
        }
        let Ok(reservation) = entry.reservation() else {
            let key = entry.key.escape_debug().to_string();
            return Some(Obstacle::Damaged { key });
        };
        match self.judge(&reservation) {
            Verdict::Alive => Some(Obstacle::Reserved(Box::new(reservation))),
            Verdict::Elsewhere => None,
            Verdict::Stale(reason) => {
                let ended = Ended {
                    reservation,
                    reason,
                };
                self.drop_slot(at, ended);
                None
            }
        }
    }

    /// Every entry that can be read, with what is to be thought of it.
    pub fn reservations(&self) -> impl Iterator<Item = (Reservation, Verdict)> {
        self.entries().filter_map(|entry| {
            let reservation = entry.reservation().ok()?;
            let verdict = self.judge(&reservation);
            Some((reservation, verdict))
        })
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries().count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries().next().is_none()
    }

    /// Adds a reservation and gives it its fence.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when the registry is full.
    pub fn insert(&mut self, mut reservation: Reservation) -> Result<Reservation, Error> {
        if self.len() >= MOST_ENTRIES {
            let what = format!("{MOST_ENTRIES} entries, the most there may be");
            return Err(Error::TooLarge {
                path: self.path.into(),
                what,
            });
        }
        reservation.fence = self.document.generation.saturating_add(1);
        self.push(Entry::new(&reservation));
        self.by_port.sort_unstable();
        self.changed = true;
        Ok(reservation)
    }

    /// Creates and locks the liveness file of a reservation, which then lives until the last copy
    /// of it is closed.
    ///
    /// # Errors
    /// [`Error::Folder`].
    pub fn keep_alive(&self, id: &str) -> Result<LiveFile, folder::Error> {
        self.witness.create(id)
    }

    /// Puts `reservation` in the place of the one that has its id; `false` if there is none.
    pub fn replace(&mut self, reservation: &Reservation) -> bool {
        let Some((at, _)) = self.find(&reservation.id) else {
            return false;
        };
        self.slots[at] = Slot {
            entry: Some(Entry::new(reservation)),
            key: Some(EntryKey::of(reservation)),
        };
        self.by_port.retain(|&(_, slot)| slot != at);
        self.by_port.push((reservation.port, at));
        self.by_port.sort_unstable();
        self.changed = true;
        true
    }

    /// Takes a reservation out and returns it; `None` if there is none with that id.
    pub fn remove(&mut self, id: &str) -> Option<Reservation> {
        let (at, reservation) = self.find(id)?;
        self.slots[at].entry = None;
        self.spend(&reservation);
        Some(reservation)
    }

    /// Drops every reservation that has ended, or of which `also` gives a reason to.
    pub fn sweep(&mut self, also: impl Fn(&Reservation) -> Option<Reason>) {
        for at in 0..self.slots.len() {
            let Some(Ok(reservation)) = self.slots[at].entry.as_ref().map(Entry::reservation)
            else {
                continue;
            };
            let reason = match self.judge(&reservation) {
                Verdict::Stale(reason) => Some(reason),
                Verdict::Alive => also(&reservation),
                Verdict::Elsewhere => None,
            };
            if let Some(reason) = reason {
                self.drop_slot(
                    at,
                    Ended {
                        reservation,
                        reason,
                    },
                );
            }
        }
    }

    /// What was dropped so far because it has ended.
    #[must_use]
    pub fn ended(&self) -> &[Ended] {
        &self.ended
    }

    /// Removes the files that killed processes left in the liveness folder; returns how many.
    ///
    /// # Errors
    /// The system's reason.
    pub fn sweep_liveness(&self) -> std::io::Result<usize> {
        let known: std::collections::HashSet<String> = self
            .reservations()
            .map(|(reservation, _)| reservation.id)
            .collect();
        self.witness
            .sweep(|name: &OsStr| name.to_str().is_some_and(|name| known.contains(name)))
    }

    /// Whether there is something to write.
    pub(crate) fn is_changed(&self) -> bool {
        self.changed
    }

    /// The document to be written, and the ids whose liveness files are of no use then.
    pub(crate) fn finish(mut self) -> (Document<'t>, Vec<String>) {
        self.document.generation = self.document.generation.saturating_add(1);
        self.document.entries = self
            .slots
            .into_iter()
            .filter_map(|slot| slot.entry)
            .collect();
        (self.document, self.spent)
    }

    fn entries(&self) -> impl Iterator<Item = &Entry<'t>> {
        self.slots.iter().filter_map(|slot| slot.entry.as_ref())
    }

    fn judge(&self, reservation: &Reservation) -> Verdict {
        staleness::judge(
            reservation,
            &self.here.machine,
            self.here.boot_ms,
            self.witness,
        )
    }

    fn find(&self, id: &str) -> Option<(usize, Reservation)> {
        self.slots.iter().enumerate().find_map(|(at, slot)| {
            let entry = slot.entry.as_ref().filter(|entry| entry.may_be(id))?;
            let reservation = entry.reservation().ok()?;
            (reservation.id == id).then_some((at, reservation))
        })
    }

    fn drop_slot(&mut self, at: usize, ended: Ended) {
        self.slots[at].entry = None;
        self.end(ended);
    }

    fn end(&mut self, ended: Ended) {
        self.spend(&ended.reservation);
        self.ended.push(ended);
    }

    fn spend(&mut self, reservation: &Reservation) {
        if reservation.kind != Kind::Leased {
            self.spent.push(reservation.id.clone());
        }
        self.changed = true;
    }
}
