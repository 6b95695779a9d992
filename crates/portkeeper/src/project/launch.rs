//! Running a program with the ports of a project. Never binds a port that is not to be held: the
//! server that wants it may be nobody's child, as one in a container is.

use pk_core::Protocol;
use pk_registry::{Here, Kind, Reservation as Record};
use tracing::debug;

use super::Prepare;
use crate::error::Error;
use crate::holder::launch::Control;
use crate::holder::{Role, client};
use crate::keep::{self, Reserved};
use crate::launch::{Ending, HandOver, Launch, Notice};
use crate::names::Recall;
use crate::order::Start;
use crate::places;
use crate::reservation::Reservation;

impl Prepare<'_> {
    /// Prepares the project, and runs a program with all its variables in the environment until
    /// nothing of it is left. Ports that are to be held are handed over to it, as
    /// [`crate::Request::launch`] does. What was reserved only for this is released then; what was
    /// prepared before stays.
    ///
    /// Meant for a process that does nothing else: see there.
    ///
    /// # Errors
    /// Those of [`Prepare::commit`] and of [`Reservation::launch`].
    pub fn launch(
        &self,
        mut launch: Launch,
        notice: &mut dyn FnMut(Notice),
    ) -> Result<Ending, Error> {
        launch.find()?;
        let prepared = self.commit()?;
        let (made, here) = (&prepared.kept.made, &prepared.kept.here);
        let (mut held, mut stays) = (Vec::new(), false);
        for port in &prepared.ports {
            if port.record.kind == Kind::Held {
                launch = launch.env(&port.env);
                held.push(&port.record);
                stays |= !port.is_new;
            }
        }
        if held.is_empty() {
            // There is nothing to be handed over.
            launch = launch.hand_over(HandOver::Relaxed);
        }
        for (name, value) in self.variables(&prepared.kept.reservations)?.all() {
            launch = launch.variable(name, value);
        }
        let warnings = prepared.kept.warnings.iter().cloned();
        warnings.for_each(|warning| notice(Notice::Warning(warning)));
        let ended = self.run(&launch, &prepared.kept.reservations, &held, here, notice);
        let leases: Vec<Record> = made
            .iter()
            .filter(|record| record.kind == Kind::Leased)
            .cloned()
            .collect();
        let released = self.keeper.forget(&leases, here);
        if stays {
            self.hold_again();
        }
        let ended = ended?;
        released.map(|()| ended)
    }

    fn run(
        &self,
        launch: &Launch,
        all: &[Record],
        held: &[&Record],
        here: &Here,
        notice: &mut dyn FnMut(Notice),
    ) -> Result<Ending, Error> {
        launch.check(held.len())?;
        let holder = self.keeper.holder()?;
        if let Some(record) = held.iter().find(|record| client::runs_program(record)) {
            let pid = record.process.map_or(0, |process| process.pid);
            return Err(Error::ProgramRuns {
                port: record.port,
                pid,
            });
        }
        let waiting = launch.prepare(holder)?;
        let id = &held.first().copied().unwrap_or(&all[0]).id;
        let folder = places::control_folder()?;
        let control = Control::bind(&Control::path_of(
            &folder,
            id,
            Role::Run,
            std::process::id(),
        ))?;
        let mut taken: Vec<Reservation> = Vec::with_capacity(held.len());
        for record in held {
            let taken_over = self.keeper.take_over(here, record, |record| Record {
                control: Some(control.path().into()),
                ..record
            });
            taken.push(taken_over?);
        }
        launch.run(holder, taken, control, waiting, &here.machine, notice)
    }

    /// Ports that were held before are held again.
    fn hold_again(&self) {
        let recall = Recall::of(&self.keeper.settings);
        let again = self.orders(&recall).and_then(|orders| {
            let nothing = |_: &Here, _: &Reserved<'_>| Ok(Vec::new());
            keep::keep(
                self.keeper,
                &orders,
                &recall,
                Start::now(self.keeper, Protocol::Tcp),
                self.wait,
                || Ok(()),
                nothing,
            )
        });
        if let Err(error) = again {
            debug!(%error, "the ports are not held any more");
        }
    }
}
