//! Ending reservations: which are meant, and whose. Never ends what is another user's and alive.

use pk_core::{Host, Port, Protocol};
use pk_fs::failpoint;
use pk_registry::{Here, Kind, Listed, Name, Reservation, Verdict, Warning};

use crate::error::Error;
use crate::holder::client;
use crate::keeper::PortKeeper;
use crate::project::Project;

/// Which reservations to release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Those of these ports. None: of all.
    pub ports: Vec<Port>,
    /// Those with this label.
    pub owner: Option<String>,
    /// Those of this project.
    pub project: Option<Project>,
    /// Those of this name, in whichever project where none is said.
    pub name: Option<Name>,
    /// Those for a host that overlaps this one.
    pub host: Option<Host>,
    /// Those for exactly this protocol; what is reserved for both is for neither alone.
    pub protocol: Option<Protocol>,
    /// The one that has this fence.
    pub fence: Option<u64>,
}

/// What to do with a holder that does not answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Force {
    /// Leave it, and say so.
    #[default]
    No,
    /// Kill it.
    Yes,
}

/// What a release came to.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Released {
    /// What was released.
    pub released: Vec<Reservation>,
    /// What could not be.
    pub failed: Vec<Error>,
    /// What a person should know about the registry.
    pub warnings: Vec<Warning>,
}

impl PortKeeper {
    /// Ends reservations of this user (root: of any whose port it names). Those that can't be ended
    /// are named in the answer, and do not keep the others.
    ///
    /// # Errors
    /// [`Error::Registry`] when nothing could be done at all.
    pub fn release(&self, selection: &Selection, force: Force) -> Result<Released, Error> {
        let here = self.here();
        let updated = self.update(&here, |transaction| {
            let mut sorted = Sorted::default();
            let all = transaction.reservations_of(&selection.ports);
            for (reservation, verdict) in all {
                if verdict == Verdict::Elsewhere || !selection.covers(&reservation) {
                    continue;
                }
                let Reservation { port, uid, .. } = reservation;
                // Root has to name what it takes from others.
                let is_root = here.uid == 0 && !selection.ports.is_empty();
                let is_others = uid != here.uid && !is_root;
                if is_others && verdict != Verdict::Alive {
                    // Whether there was anything to release is nobody's business but its user's.
                    continue;
                }
                sorted.found.push(port);
                if is_others {
                    // Those of others are no failure where everything of mine was asked for.
                    if !selection.ports.is_empty() {
                        sorted.failed.push(Error::NotYours { port, uid });
                    }
                } else if reservation.kind == Kind::Held && verdict == Verdict::Alive {
                    sorted.held.push(reservation);
                } else {
                    sorted
                        .released
                        .extend(transaction.remove(reservation.port, &reservation.id));
                }
            }
            Ok(sorted)
        })?;
        let Sorted {
            found,
            held,
            mut released,
            mut failed,
        } = updated.value;
        let missing: Vec<Port> = selection
            .ports
            .iter()
            .copied()
            .filter(|port| !found.contains(port))
            .collect();
        if !missing.is_empty() {
            failed.push(Error::NotReserved { ports: missing });
        }
        if let Some(name) = selection.name.as_ref().filter(|_| found.is_empty()) {
            failed.push(Error::NoSuchName { name: name.clone() });
        }
        failpoint!("release.sorted");
        let mut warnings = updated.warnings;
        let mut let_go = Vec::new();
        for reservation in held {
            match client::release(&reservation, &self.registry, &here.machine, force) {
                Ok(()) => let_go.push(reservation),
                Err(_) if self.was_taken(&reservation, &here)? => {
                    let mut again = self.release(&Selection::only(&reservation), force)?;
                    released.append(&mut again.released);
                    failed.append(&mut again.failed);
                    warnings.append(&mut again.warnings);
                }
                Err(error) => failed.push(error),
            }
        }
        failpoint!("release.let-go");
        self.forget(&let_go, &here)?;
        for reservation in &released {
            client::tidy(reservation, &here.machine);
        }
        released.append(&mut let_go);
        Ok(Released {
            released,
            failed,
            warnings,
        })
    }

    /// Whether another process has taken a reservation over from the one that it names.
    fn was_taken(&self, before: &Reservation, here: &Here) -> Result<bool, Error> {
        let now = self.registry.read(here)?.entries;
        Ok(now.iter().any(|entry| match entry {
            Listed::Sound { reservation, .. } => {
                reservation.id == before.id && reservation.process != before.process
            }
            Listed::Damaged { .. } => false,
        }))
    }
}

impl Selection {
    /// This one alone.
    #[must_use]
    pub fn only(reservation: &Reservation) -> Selection {
        Selection {
            ports: vec![reservation.port],
            fence: Some(reservation.fence),
            ..Selection::default()
        }
    }

    pub(crate) fn covers(&self, reservation: &Reservation) -> bool {
        let is_of = |project: &Project| reservation.project.as_deref() == Some(&*project.id());
        let is_called = |name: &Name| reservation.name.as_deref() == Some(name.as_str());
        (self.ports.is_empty() || self.ports.contains(&reservation.port))
            && self
                .owner
                .as_ref()
                .is_none_or(|owner| reservation.owner.as_ref() == Some(owner))
            && self.project.as_ref().is_none_or(is_of)
            && self.name.as_ref().is_none_or(is_called)
            && self.host.is_none_or(|host| host.overlaps(reservation.host))
            && self
                .protocol
                .is_none_or(|protocol| protocol == reservation.protocol)
            && self.fence.is_none_or(|fence| fence == reservation.fence)
    }

    /// Whether a listed entry is one of these.
    #[must_use]
    pub fn lists(&self, entry: &Listed) -> bool {
        match entry {
            Listed::Sound { reservation, .. } => self.covers(reservation),
            Listed::Damaged { port, .. } => {
                self.owner.is_none()
                    && self.project.is_none()
                    && self.name.is_none()
                    && self.protocol.is_none()
                    && (self.ports.is_empty()
                        || port.is_some_and(|port| self.ports.contains(&port)))
            }
        }
    }
}

/// What was found to be released.
#[derive(Default)]
struct Sorted {
    found: Vec<Port>,
    held: Vec<Reservation>,
    released: Vec<Reservation>,
    failed: Vec<Error>,
}
