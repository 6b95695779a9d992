//! A change of a registry, made while it is locked and written in one go. Never touches the disk
//! itself, but for the liveness files of new reservations.
//!
//! What was written before the last boot is gone from the start; what turns out to have ended is
//! dropped when somebody looks at it.

use std::ffi::OsStr;
use std::ops::Range;

use pk_core::{Host, Port, Protocol};
use pk_fs::live::LiveFile;

use crate::error::Error;
use crate::format::{Entry, EntryKey};
use crate::liveness::Witness;
use crate::registry::{Here, Registry, Rights, Shard};
use crate::reservation::{Kind, Reservation};
use crate::snapshot::Sharing;
use crate::staleness::{self, Reason, Verdict};

mod quota;

pub(crate) use quota::QUOTA;

/// Where this user's own shard stands.
const OWN: usize = 0;

/// About how many of the entries in its way a search looks into.
const LOOKS: u64 = 2;

/// A change of a registry that is being put together.
#[derive(Debug)]
pub struct Transaction<'t> {
    /// The first is the one that this user's reservations go to.
    shards: Vec<Shard<'t>>,
    /// The entries of all, in the order of the files.
    slots: Vec<Slot<'t>>,
    /// Which slots are about which port, sorted when somebody asks: a walk along thousands of
    /// candidates looks at entries only where one may be in the way.
    by_port: Vec<(Port, usize)>,
    order: Order,
    here: &'t Here,
    witness: &'t Witness<'t>,
    registry: &'t Registry,
    ended: Vec<Ended>,
    /// How many more entries this user may have; `None` until somebody asks.
    room: Option<usize>,
    /// The liveness files that are of no use once this is written.
    spent: Vec<String>,
}

/// Whether a list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Sorted,
    Any,
}

#[derive(Debug)]
struct Slot<'t> {
    /// Which shard it is in.
    shard: usize,
    /// `None` once it was taken out.
    entry: Option<Entry<'t>>,
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
        mut shards: Vec<Shard<'t>>,
        here: &'t Here,
        witness: &'t Witness<'t>,
        registry: &'t Registry,
    ) -> Transaction<'t> {
        let entries = |shard: &mut Shard<'t>| std::mem::take(&mut shard.document.entries);
        let entries: Vec<_> = shards.iter_mut().map(entries).collect();
        let room = entries.iter().map(Vec::len).sum::<usize>() + 1;
        let mut transaction = Transaction {
            slots: Vec::with_capacity(room),
            by_port: Vec::with_capacity(room),
            order: Order::Any,
            shards,
            here,
            witness,
            registry,
            ended: Vec::new(),
            room: None,
            spent: Vec::new(),
        };
        for (shard, entries) in entries.into_iter().enumerate() {
            transaction.add_all(shard, entries);
        }
        transaction
    }

    fn add_all(&mut self, shard: usize, entries: Vec<Entry<'t>>) {
        let machine = &self.here.machine;
        let document = &mut self.shards[shard].document;
        let rebooted = !machine.is_of_boot(&document.boot_id);
        if !machine.boot_id.is_empty() {
            document.boot_id = machine.boot_id.clone().into();
        }
        for entry in entries {
            if !rebooted {
                self.push(shard, entry);
            } else if self.shards[shard].rights == Rights::Write {
                match entry.reservation() {
                    Ok(reservation) => {
                        let reason = Reason::Reboot;
                        self.end(
                            shard,
                            Ended {
                                reservation,
                                reason,
                            },
                        );
                    }
                    // Whatever it was, it was of that boot.
                    Err(_) => self.shards[shard].changed = true,
                }
            }
        }
    }

    fn push(&mut self, shard: usize, entry: Entry<'t>) {
        if let Some(port) = entry.port() {
            self.by_port.push((port, self.slots.len()));
        }
        self.slots.push(Slot {
            shard,
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
            let turn = self.shards[OWN].document.generation;
            if turn.wrapping_add(slot as u64).is_multiple_of(stride) {
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
    fn about(&mut self, port: Port) -> Range<usize> {
        if self.order == Order::Any {
            self.by_port.sort_unstable();
            self.order = Order::Sorted;
        }
        let first = self.by_port.partition_point(|&(other, _)| other < port);
        let rest = &self.by_port[first..];
        // Mostly none, and seldom more than one.
        first..first + rest.iter().take_while(|(other, _)| *other == port).count()
    }

    /// Whether there is an entry whose key overlaps what is asked for, or can't be read.
    fn concerns(&self, slot: &Slot<'_>, host: Host, protocol: Protocol) -> bool {
        let overlaps = |key: EntryKey| {
            self.here.machine.is_in_network(key.network)
                && key.protocol.overlaps(protocol)
                && key.host.overlaps(host)
        };
        slot.entry
            .as_ref()
            .is_some_and(|entry| entry.place.is_none_or(overlaps))
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
        if !self.shards[slot.shard].believes(&reservation) {
            return None;
        }
        match self.judge(&reservation) {
            Verdict::Alive => Some(Obstacle::Reserved(Box::new(reservation))),
            Verdict::Elsewhere => None,
            Verdict::Stale(reason) => {
                // That of others stays where it is, and is in nobody's way.
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
        self.slots.iter().filter_map(|slot| {
            let reservation = self.typed(slot)?;
            let verdict = self.judge(&reservation);
            Some((reservation, verdict))
        })
    }

    /// The reservation of this user's that has a name in a project and is alive here.
    #[must_use]
    pub fn named(&self, name: &str, project: &str) -> Option<Reservation> {
        let is_meant = |slot: &Slot<'_>| {
            slot.entry
                .as_ref()
                .filter(|entry| entry.may_have(project))?;
            let found = self.typed(slot).filter(|it| {
                it.name.as_deref() == Some(name) && it.project.as_deref() == Some(project)
            })?;
            let is_mine = self.sharing() == Sharing::Private || found.uid == self.here.uid;
            (is_mine && self.judge(&found) == Verdict::Alive).then_some(found)
        };
        self.slots.iter().find_map(is_meant)
    }

    /// The same, of the entries about these ports alone; where none is named, of all.
    pub fn reservations_of(&mut self, ports: &[Port]) -> Vec<(Reservation, Verdict)> {
        if ports.is_empty() {
            return self.reservations().collect();
        }
        let mut slots: Vec<usize> = Vec::new();
        for &port in ports {
            let about = self.about(port);
            slots.extend(self.by_port[about].iter().map(|&(_, slot)| slot));
        }
        // In the order of the file, each once.
        slots.sort_unstable();
        slots.dedup();
        let typed = slots.into_iter().filter_map(|at| {
            let reservation = self.typed(&self.slots[at])?;
            let verdict = self.judge(&reservation);
            Some((reservation, verdict))
        });
        typed.collect()
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

    /// Adds a reservation of this user's and gives it its fence.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when the registry is full, [`Error::Quota`] when others share it and this
    /// user has as many as one may have.
    pub fn insert(&mut self, mut reservation: Reservation) -> Result<Reservation, Error> {
        let room = self.room()?;
        self.room = Some(room - 1);
        let document = &self.shards[OWN].document;
        reservation.fence = document.generation.saturating_add(1);
        let at = self.about(reservation.port).end;
        self.by_port
            .insert(at, (reservation.port, self.slots.len()));
        self.slots.push(Slot {
            shard: OWN,
            entry: Some(Entry::new(&reservation)),
        });
        self.shards[OWN].changed = true;
        Ok(reservation)
    }

    /// Creates and locks the liveness file of a reservation, which then lives until the last copy
    /// of it is closed.
    ///
    /// # Errors
    /// [`Error::Folder`], [`Error::NotMachineWide`].
    pub fn keep_alive(&self, id: &str) -> Result<LiveFile, Error> {
        self.witness.create(id)
    }

    /// Puts `reservation` in the place of the one that has its id; `false` if there is none, or it is
    /// another user's and alive.
    pub fn replace(&mut self, reservation: &Reservation) -> bool {
        // Who comes back for one mostly put it there a moment ago.
        let mut slots = (0..self.slots.len()).rev();
        let Some((at, old)) = slots.find_map(|at| self.identify(at, &reservation.id)) else {
            return false;
        };
        // Nothing keeps a lease alive but its time.
        if old.kind != Kind::Leased && reservation.kind == Kind::Leased {
            self.spent.push(old.id);
        }
        let shard = self.slots[at].shard;
        self.slots[at] = Slot {
            shard,
            entry: Some(Entry::new(reservation)),
        };
        self.by_port.retain(|&(_, slot)| slot != at);
        self.by_port.push((reservation.port, at));
        self.order = Order::Any;
        self.shards[shard].changed = true;
        true
    }

    /// Takes the reservation of `port` with this id out and returns it; `None` if there is none, or it
    /// is another user's and alive.
    pub fn remove(&mut self, port: Port, id: &str) -> Option<Reservation> {
        let about = self.about(port);
        let mut slots = self.by_port[about].iter().map(|&(_, slot)| slot);
        let (at, reservation) = slots.find_map(|at| self.identify(at, id))?;
        self.slots[at].entry = None;
        self.spend(self.slots[at].shard, &reservation);
        Some(reservation)
    }

    /// Drops every reservation that has ended, or is this user's and `also` gives a reason to. In a
    /// machine-wide registry nobody but root drops those of others.
    pub fn sweep(&mut self, also: impl Fn(&Reservation) -> Option<Reason>) {
        for at in 0..self.slots.len() {
            let Some(reservation) = self.typed(&self.slots[at]) else {
                continue;
            };
            let reason = match self.judge(&reservation) {
                Verdict::Stale(reason) => Some(reason),
                Verdict::Alive if self.may_end(&reservation) => also(&reservation),
                Verdict::Alive | Verdict::Elsewhere => None,
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

    /// What it has come to, and the ids whose liveness files are of no use once that is written.
    pub(crate) fn finish(mut self) -> (Vec<Shard<'t>>, Vec<String>) {
        for shard in &mut self.shards {
            shard.document.generation = shard.document.generation.saturating_add(1);
        }
        if let [only] = &mut self.shards[..] {
            only.document.entries.reserve(self.slots.len());
        }
        for slot in self.slots {
            self.shards[slot.shard].document.entries.extend(slot.entry);
        }
        (self.shards, self.spent)
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

    /// What can be read, and is believed.
    fn typed(&self, slot: &Slot<'_>) -> Option<Reservation> {
        let reservation = slot.entry.as_ref()?.reservation().ok()?;
        self.shards[slot.shard]
            .believes(&reservation)
            .then_some(reservation)
    }

    /// What is there, if it has this id and this user may change it.
    fn identify(&self, at: usize, id: &str) -> Option<(usize, Reservation)> {
        let slot = &self.slots[at];
        slot.entry.as_ref().filter(|entry| entry.may_have(id))?;
        let reservation = self.typed(slot).filter(|it| it.id == id)?;
        let is_mine = self.shards[slot.shard].rights == Rights::Write
            && (self.may_end(&reservation) || self.judge(&reservation) != Verdict::Alive);
        is_mine.then_some((at, reservation))
    }

    /// Whether this user may end it while it is alive. What lies in a private registry is its user's
    /// own, whoever wrote it.
    fn may_end(&self, reservation: &Reservation) -> bool {
        let me = self.here.uid;
        self.sharing() == Sharing::Private || me == 0 || reservation.uid == me
    }

    fn sharing(&self) -> Sharing {
        self.witness.sharing()
    }

    /// Nothing happens to what this user may not write.
    fn drop_slot(&mut self, at: usize, ended: Ended) {
        let shard = self.slots[at].shard;
        if self.shards[shard].rights == Rights::Write {
            self.slots[at].entry = None;
            self.end(shard, ended);
        }
    }

    fn end(&mut self, shard: usize, ended: Ended) {
        self.spend(shard, &ended.reservation);
        self.ended.push(ended);
    }

    fn spend(&mut self, shard: usize, reservation: &Reservation) {
        if reservation.kind != Kind::Leased {
            self.spent.push(reservation.id.clone());
        }
        self.room = None;
        self.shards[shard].changed = true;
    }
}
