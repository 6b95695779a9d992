//! Giving reservations more time. Never makes one that has ended live again.

use pk_registry::{Reservation, Verdict};

use crate::error::Error;
use crate::holder::client;
use crate::keeper::PortKeeper;
use crate::release::Selection;
use crate::ttl::Ttl;

impl PortKeeper {
    /// Lets reservations of this user (root: of any) last `ttl` from now on, 24 hours where nothing is
    /// said, and returns them as they are then. A holder takes notice within a second.
    ///
    /// # Errors
    /// [`Error::NotReserved`], [`Error::NoSuchName`], [`Error::NotYours`],
    /// [`Error::ProgramRuns`], [`Error::Registry`]; nothing is changed then.
    pub fn renew(
        &self,
        selection: &Selection,
        ttl: Option<Ttl>,
    ) -> Result<Vec<Reservation>, Error> {
        let here = self.here();
        let lease = self.lease(ttl, &here);
        let updated = self.update(&here, |transaction| {
            let all: Vec<_> = transaction.reservations().collect();
            let meant = all.into_iter().filter(|(reservation, verdict)| {
                *verdict == Verdict::Alive && selection.covers(reservation)
            });
            let mut renewed = Vec::new();
            for (reservation, _) in meant {
                let Reservation { port, uid, .. } = reservation;
                let reservation = Reservation {
                    lease,
                    ..reservation
                };
                if client::runs_program(&reservation) {
                    // Its supervisor knows when it is to end, and hears of nothing else.
                    let pid = reservation.process.map_or(0, |process| process.pid);
                    return Err(Error::ProgramRuns { port, pid });
                }
                let is_others = uid != here.uid && here.uid != 0;
                if is_others || !transaction.replace(&reservation) {
                    return Err(Error::NotYours { port, uid });
                }
                renewed.push(reservation);
            }
            match (renewed.is_empty(), &selection.name) {
                (false, _) => Ok(renewed),
                (true, Some(name)) => Err(Error::NoSuchName { name: name.clone() }),
                (true, None) => Err(Error::NotReserved {
                    ports: selection.ports.clone(),
                }),
            }
        })?;
        Ok(updated.value)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pk_registry::Lease;
    use tempfile::TempDir;

    use super::*;
    use crate::reservation::Kept;

    #[test]
    fn what_was_renewed_stays_renewed_when_it_is_kept() {
        let folder = TempDir::new().unwrap();
        let keeper = PortKeeper::at(folder.path().join("registry.json")).unwrap();
        let seconds = |number| Ttl::For(Duration::from_secs(number));
        let lease = || match keeper.status().unwrap().entries.as_slice() {
            [pk_registry::Listed::Sound { reservation, .. }] => reservation.lease,
            entries => panic!("{entries:?}"),
        };
        let guard = keeper.request().ttl(seconds(30)).reserve().unwrap();
        let (first, selection) = (lease(), Selection::only(guard.record()));
        let renewed = keeper.renew(&selection, Some(seconds(3600))).unwrap();
        assert_eq!(guard.keep().unwrap(), Kept::Leased);
        assert_eq!(lease(), renewed[0].lease);
        assert_ne!(lease(), first);
        assert!(matches!(lease(), Lease::Until(_)), "{first:?}");
    }
}
