//! Holding ports in this very process until it is told to end. Never starts another one.

use std::time::Duration;

use pk_core::{Coverage, ProcessId};
use pk_fs::lock::Wait;
use pk_registry::Reservation as Record;
use rustix::process::Signal;
use tracing::debug;

use super::Request;
use crate::draft::Draft;
use crate::error::Error;
use crate::holder::serve::{self, Holder};
use crate::keep::{self, Kept, Reserved};
use crate::keeper::PortKeeper;
use crate::order::{self, Grant, Keeps};
use crate::pick::Grip;
use crate::places;
use crate::signals::{self, Signals};
use crate::ttl::Ttl;

/// How long the registry's lock is waited for when all is over: the ports are free by then, and
/// everybody can see that an entry which has to stay has ended.
const PATIENCE: Duration = Duration::from_secs(1);

/// Ports that this process holds, and that it stops holding when this is dropped.
#[derive(Debug)]
#[must_use = "the ports are released when this is dropped"]
pub struct HeldHere {
    keeper: PortKeeper,
    kept: Kept,
    holders: Vec<Holder>,
    signals: Signals,
}

impl Request<'_> {
    /// Reserves as many ports as are wanted, or none, and holds them in this process: see
    /// [`HeldHere::until_end`]. They have no lease where nothing is said.
    ///
    /// From here on the process no longer dies of INT, TERM and HUP (which stays ignored where it was,
    /// as under nohup(1)).
    ///
    /// # Errors
    /// As [`Request::reserve`].
    pub fn hold_here(self) -> Result<HeldHere, Error> {
        let this = self.hold();
        let mut start = this.rehearse()?;
        let machine = start.here.machine.clone();
        let (process, folder) = (ProcessId::this(&machine), places::control_folder()?);
        let drafts: Vec<_> = (0..this.count)
            .map(|_| Draft::held(process, &folder))
            .collect();
        let ttl = this.keeper.ttl(this.ttl).unwrap_or(Ttl::Never);
        let recall = this.recall();
        let grip = Grip::Hold(Coverage::Everywhere);
        let order = [this.order(grip, Keeps::Program, ttl, &recall)?];
        let grant = order::grant(this.keeper, &order, &drafts, &mut start, this.wait)?;
        // Before, a signal ends the command as any other; from here on, in good order.
        let signals = Signals::new(&ends()).map_err(Error::io("catch signals"));
        let Grant {
            ports,
            here,
            mut warnings,
        } = grant;
        warnings.extend(order::warnings(&order, &ports));
        let (reservations, before) = keep::made_and_before(&ports);
        let begun = || {
            let mut holders = Vec::new();
            for (granted, draft) in ports.into_iter().zip(drafts) {
                let (record, kit) = granted.into_made()?.into_kit(draft)?;
                let holder = Holder::here(&record, this.keeper.path(), &machine, kit);
                holders.push(holder.map_err(Error::io("keep a port"))?);
            }
            let files = this.write(&here, &Reserved::new(&reservations))?;
            Ok((holders, signals?, files))
        };
        // A failure drops the holders, which lets go of the ports.
        let begun = begun();
        let (holders, signals, files) = begun
            .map_err(|cause| keep::put_back(this.keeper, &reservations, &before, &here, cause))?;
        warnings.extend(this.remember(&recall, &here, &order, &reservations));
        Ok(HeldHere {
            keeper: this.keeper.clone(),
            kept: Kept {
                made: reservations.clone(),
                reservations,
                here,
                files,
                warnings,
            },
            holders,
            signals,
        })
    }
}

impl HeldHere {
    /// What was reserved, and which files were changed.
    #[must_use]
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Holds the ports until a signal (INT, TERM or HUP) comes, their lease or the process ends that
    /// they were tied to, or all of them were released by somebody else; then releases what is left.
    ///
    /// # Errors
    /// [`Error::Io`] when it can't wait; they are released then, too.
    pub fn until_end(mut self) -> Result<(), Error> {
        let holders = std::mem::take(&mut self.holders);
        let left = serve::keep(holders, Some(&mut self.signals)).map_err(Error::io("wait"))?;
        self.kept.reservations.retain(|it| left.contains(&it.id));
        self.forget(Wait::UpTo(PATIENCE));
        Ok(())
    }

    /// Releases them.
    pub fn release(mut self) {
        self.holders.clear();
        self.forget(Wait::UpTo(PATIENCE));
    }

    fn forget(&mut self, wait: Wait) {
        let records: Vec<Record> = std::mem::take(&mut self.kept.reservations);
        if records.is_empty() {
            return;
        }
        let here = pk_registry::Here::now();
        let removed = self.keeper.registry.update(wait, &here, |transaction| {
            for record in &records {
                transaction.remove(record.port, &record.id);
            }
            Ok::<_, pk_registry::Error>(())
        });
        if let Err(error) = removed {
            debug!(%error, "the entries stay, as ones that have ended");
        }
    }
}

impl Drop for HeldHere {
    fn drop(&mut self) {
        self.holders.clear();
        self.forget(Wait::Never);
    }
}

/// The signals that end it. Who is told to ignore HUP outlives its terminal.
fn ends() -> Vec<i32> {
    [Signal::INT, Signal::TERM, Signal::HUP]
        .map(Signal::as_raw)
        .into_iter()
        .filter(|&signal| signal != Signal::HUP.as_raw() || !signals::is_ignored(signal))
        .collect()
}
