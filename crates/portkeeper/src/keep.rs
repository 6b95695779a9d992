//! Reservations that last beyond the process that makes them, and what is written about them into
//! files: all of it, or nothing. Never decides what is written.

use std::path::Path;
use std::time::Duration;

use pk_fs::failpoint;
use pk_registry::{Here, Reservation as Record};
use tracing::debug;

use crate::draft::{Draft, Given, Standby};
use crate::error::Error;
use crate::files::{Tag, Written};
use crate::keeper::PortKeeper;
use crate::names::Recall;
use crate::order::{self, Grant, Keeps, Order, Start};
use crate::places;
use crate::warning::Warning;

/// What was reserved, to last beyond the process that asked for it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Kept {
    /// The reservations, as they stand in the registry.
    pub reservations: Vec<Record>,
    /// Those of them that were made now. The others were there already, under their names.
    pub made: Vec<Record>,
    /// Where and when they were made.
    pub here: Here,
    /// The files that were changed.
    pub files: Vec<Written>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

/// What is written into files is about all; if that is cut short, those that were made go with it.
#[derive(Debug)]
pub(crate) struct Reserved<'r> {
    pub(crate) all: &'r [Record],
    pub(crate) made: &'r [Record],
}

impl<'r> Reserved<'r> {
    /// All of which were made.
    pub(crate) fn new(all: &'r [Record]) -> Reserved<'r> {
        Reserved { all, made: all }
    }

    /// What the journal of a change of files keeps; nothing where nothing would have to go.
    pub(crate) fn tag(&self, registry: &Path) -> Option<String> {
        let tag = Tag {
            registry: registry.into(),
            ids: self.made.iter().map(|record| record.id.clone()).collect(),
        };
        tag.write().filter(|_| !self.made.is_empty())
    }
}

/// Carries out the orders and then `write`, which is told of all reservations. When that fails, what
/// was reserved is taken back. Before anything is reserved, `rehearse` may find what is wrong.
pub(crate) fn keep(
    keeper: &PortKeeper,
    orders: &[Order],
    recall: &Recall,
    mut start: Start,
    wait: Duration,
    rehearse: impl FnOnce() -> Result<(), Error>,
    write: impl FnOnce(&Here, &Reserved<'_>) -> Result<Vec<Written>, Error>,
) -> Result<Kept, Error> {
    if let Some(reservations) = order::standing(keeper, orders, &start.here)? {
        let here = start.here;
        let reserved = Reserved {
            all: &reservations,
            made: &[],
        };
        let files = write(&here, &reserved)?;
        let warnings = order::remember(keeper, recall, &here, orders, &reservations);
        return Ok(Kept {
            reservations,
            made: Vec::new(),
            here,
            files,
            warnings: warnings.into_iter().collect(),
        });
    }
    rehearse()?;
    let seats = seats(keeper, orders, &start.here)?;
    let Grant {
        ports,
        here,
        mut warnings,
    } = order::grant(keeper, orders, &seats, &mut start, wait)?;
    warnings.extend(order::warnings(orders, &ports));
    let reservations: Vec<Record> = ports.iter().map(|it| it.record().clone()).collect();
    let (made, before) = made_and_before(&ports);
    failpoint!("request.granted", |error| {
        let cause = Error::io("go on")(error);
        return Err(undo(keeper, &made, &before, &here, cause));
    });
    let kept = || -> Result<Vec<Written>, Error> {
        for (given, seat) in ports.into_iter().zip(seats) {
            if let (Given::Made(granted), Seat::Holder(standby)) = (given, seat) {
                standby.take(granted, keeper.path())?;
            }
        }
        let reserved = Reserved {
            all: &reservations,
            made: &made,
        };
        write(&here, &reserved)
    };
    match kept() {
        Ok(files) => {
            failpoint!("request.kept");
            warnings.extend(order::remember(
                keeper,
                recall,
                &here,
                orders,
                &reservations,
            ));
            Ok(Kept {
                reservations,
                made,
                here,
                files,
                warnings,
            })
        }
        Err(cause) => Err(undo(keeper, &made, &before, &here, cause)),
    }
}

/// What was made, and what had the same names until then.
pub(crate) fn made_and_before(ports: &[Given]) -> (Vec<Record>, Vec<Record>) {
    let (mut made, mut before) = (Vec::new(), Vec::new());
    for given in ports {
        if let Given::Made(granted) = given {
            made.push(granted.record.clone());
            before.extend(granted.before.clone());
        }
    }
    (made, before)
}

/// What a reservation will be written down as, and who will keep it.
enum Seat {
    Lease(Draft),
    Holder(Standby),
}

impl AsRef<Draft> for Seat {
    fn as_ref(&self) -> &Draft {
        match self {
            Seat::Lease(draft) => draft,
            Seat::Holder(standby) => standby.as_ref(),
        }
    }
}

fn seats(keeper: &PortKeeper, orders: &[Order], here: &Here) -> Result<Vec<Seat>, Error> {
    let mut seats = Vec::new();
    for order in orders {
        for _ in 0..order.wanted.count {
            seats.push(match order.keeps {
                Keeps::Holder => {
                    let (command, folder) = (keeper.holder()?, places::control_folder()?);
                    Seat::Holder(Standby::start(command, &folder, &here.machine)?)
                }
                Keeps::Lease | Keeps::Guard | Keeps::Program => Seat::Lease(Draft::leased()),
            });
        }
    }
    Ok(seats)
}

/// Takes back what was reserved, puts back what was there `before`, and returns the error that made
/// it necessary.
fn undo(
    keeper: &PortKeeper,
    made: &[Record],
    before: &[Record],
    here: &Here,
    cause: Error,
) -> Error {
    debug!(%cause, "taking the reservation back");
    failpoint!("request.undo");
    match keeper.take_back(made, here) {
        Ok(()) if before.is_empty() => cause,
        Ok(()) => put_back(keeper, made, before, here, cause),
        Err(undo) => not_undone(cause, made, undo),
    }
}

/// The same for what this process itself has kept, and has let go of.
pub(crate) fn put_back(
    keeper: &PortKeeper,
    made: &[Record],
    before: &[Record],
    here: &Here,
    cause: Error,
) -> Error {
    let put_back = keeper.update(here, |transaction| {
        for record in made {
            transaction.remove(record.port, &record.id);
        }
        for record in before {
            transaction.insert(record.clone())?;
            // With the fence that it had: whoever remembers that means this reservation.
            transaction.replace(record);
        }
        Ok(())
    });
    match put_back {
        Ok(_) => cause,
        Err(undo) => not_undone(cause, made, undo),
    }
}

fn not_undone(cause: Error, made: &[Record], undo: Error) -> Error {
    Error::NotUndone {
        cause: Box::new(cause),
        ports: made.iter().map(|record| record.port).collect(),
        undo: Box::new(undo),
    }
}
