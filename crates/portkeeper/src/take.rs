//! Taking a port over from the process that holds it: it is held by both for a moment, and at none
//! by nobody. Never takes one from a program that runs on it.

use pk_core::{Hold, Port, ProcessId};
use pk_fs::failpoint;
use pk_registry::{Here, Kind, Lease, Listed, Reservation as Record, Verdict};

use crate::error::Error;
use crate::holder::launch::Control;
use crate::holder::{Role, client};
use crate::keeper::PortKeeper;
use crate::launch::{Ending, Launch, Notice};
use crate::places;
use crate::reservation::Reservation;

impl PortKeeper {
    /// Takes a port over from its holder, which ends; from now on it is held by the answer.
    ///
    /// # Errors
    /// [`Error::NotReserved`], [`Error::NotYours`], [`Error::NotHeld`], [`Error::ProgramRuns`],
    /// [`Error::HolderSilent`], [`Error::Registry`]; the holder goes on holding then.
    pub fn take(&self, port: Port) -> Result<Reservation, Error> {
        let here = Here::now();
        let held = self.held(port, &here)?;
        self.take_over(&here, &held, |record| Record {
            kind: Kind::Guarded,
            control: None,
            ..record
        })
    }

    /// Takes a port over from its holder, which ends, and runs a program on it: as
    /// [`Reservation::launch`] does, but what is wrong with the program is noticed, as far as it can
    /// be, while the holder still holds.
    ///
    /// # Errors
    /// Those of [`PortKeeper::take`] and [`Reservation::launch`].
    pub fn take_for(
        &self,
        port: Port,
        launch: &Launch,
        notice: &mut dyn FnMut(Notice),
    ) -> Result<Ending, Error> {
        let here = Here::now();
        launch.check(1)?;
        launch.find()?;
        let held = self.held(port, &here)?;
        let holder = self.holder()?;
        let waiting = launch.prepare(holder)?;
        let control = Control::path_of(
            &places::control_folder()?,
            &held.id,
            Role::Run,
            std::process::id(),
        );
        let control = Control::bind(&control)?;
        let taken = self.take_over(&here, &held, |record| Record {
            control: Some(control.path().into()),
            ..record
        })?;
        launch.run(holder, vec![taken], control, waiting, &here.machine, notice)
    }

    /// Makes the port this process' own, in the registry and then in deed.
    pub(crate) fn take_over(
        &self,
        here: &Here,
        held: &Record,
        change: impl Fn(Record) -> Record,
    ) -> Result<Reservation, Error> {
        let port = held.port;
        let given = client::take(held, &here.machine).or_else(|error| {
            // Somebody may have been faster.
            self.held(port, here).and(Err(error))
        })?;
        failpoint!("take.given");
        let record = change(Record {
            lease: Lease::Never,
            process: Some(ProcessId::this(&here.machine)),
            ..held.clone()
        });
        self.update(here, |transaction| match transaction.replace(&record) {
            true => Ok(()),
            false => Err(Error::NotReserved { ports: vec![port] }),
        })?;
        failpoint!("take.recorded");
        let (life, sockets) = given.accept();
        failpoint!("take.accepted");
        let hold = Hold::from_descriptors(record.host, port, sockets)?;
        let machine = here.machine.clone();
        Ok(Reservation::new(
            self,
            machine,
            record,
            Some(hold),
            Some(life),
        ))
    }

    /// The reservation of this port that a holder keeps.
    fn held(&self, port: Port, here: &Here) -> Result<Record, Error> {
        let mut found = Err(Error::NotReserved { ports: vec![port] });
        for entry in self.registry.read(here)?.entries {
            let Listed::Sound {
                reservation,
                verdict,
            } = entry
            else {
                continue;
            };
            if reservation.port != port || verdict != Verdict::Alive {
                continue;
            }
            let uid = reservation.uid;
            if here.uid != 0 && uid != here.uid {
                found = Err(Error::NotYours { port, uid });
            } else if client::runs_program(&reservation) {
                let pid = reservation.process.map_or(0, |process| process.pid);
                found = Err(Error::ProgramRuns { port, pid });
            } else if reservation.kind == Kind::Held {
                return Ok(reservation);
            } else {
                found = Err(Error::NotHeld { port });
            }
        }
        found
    }
}
