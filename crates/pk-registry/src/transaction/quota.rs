//! How many entries there may be: of all users together, and of one where others share the registry.
//! Never refuses before what has ended was dropped.

use super::{OWN, Slot, Transaction};
use crate::error::Error;
use crate::format::MOST_ENTRIES;
use crate::snapshot::Sharing;

/// The most entries of one user in a registry that is shared.
pub(crate) const QUOTA: usize = 256;

impl Transaction<'_> {
    /// How many more entries this user may have, at least one.
    pub(super) fn room(&mut self) -> Result<usize, Error> {
        if let Some(room @ 1..) = self.room {
            return Ok(room);
        }
        let path = self.registry.path().to_owned();
        let all = MOST_ENTRIES.saturating_sub(self.len());
        if all == 0 {
            let what = format!("{MOST_ENTRIES} entries, the most there may be");
            return Err(Error::TooLarge { path, what });
        }
        if self.sharing() == Sharing::Private {
            return Ok(all);
        }
        if self.mine() >= QUOTA {
            self.sweep(|_| None);
        }
        let uid = self.here.uid;
        match QUOTA.saturating_sub(self.mine()) {
            0 => Err(Error::Quota { path, uid }),
            room => Ok(room.min(all)),
        }
    }

    /// How many entries count as this user's.
    fn mine(&self) -> usize {
        let is_mine = |slot: &&Slot<'_>| match self.sharing() {
            // Of each user's file others read so many entries, whatever these are.
            Sharing::Machine => slot.shard == OWN && slot.entry.is_some(),
            Sharing::Private | Sharing::Group => {
                self.typed(slot).is_some_and(|it| it.uid == self.here.uid)
            }
        };
        self.slots.iter().filter(is_mine).count()
    }
}
