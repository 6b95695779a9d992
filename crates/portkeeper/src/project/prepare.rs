//! A project's ports and what is written about them, all or nothing. Never prints.

use std::path::PathBuf;
use std::time::Duration;

use pk_config::State;
use pk_core::{PortRange, Protocol};
use pk_registry::{Here, Kind, Lease, Reservation as Record};

use super::format::Definition;
use super::outputs::{self, Target};
use super::{Project, variables::Variables};
use crate::error::Error;
use crate::files::{WriteOptions, Written};
use crate::keep::{self, Kept, Reserved};
use crate::keeper::PortKeeper;
use crate::names::Recall;
use crate::order::{self, Order, Start};
use crate::release::{Force, Released, Selection};
use crate::ttl::Ttl;
use crate::warning::Warning;

/// The ports of a project, to be had. Made by [`PortKeeper::prepare`].
#[derive(Debug)]
#[must_use = "nothing is reserved before `commit`"]
pub struct Prepare<'k> {
    pub(super) keeper: &'k PortKeeper,
    pub(super) definition: Definition,
    pub(super) project: Project,
    options: WriteOptions,
    ttl: Option<Ttl>,
    pub(super) wait: Duration,
}

/// A project whose ports are reserved and whose outputs are written.
#[derive(Debug)]
#[non_exhaustive]
pub struct Prepared {
    /// Its ports, in the order of its file.
    pub ports: Vec<PreparedPort>,
    /// The names and values of all its variables.
    pub variables: Vec<(String, String)>,
    /// Their reservations, the files, and what a person should know.
    pub kept: Kept,
}

/// A port of a project.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PreparedPort {
    /// What the file calls it.
    pub label: String,
    /// The variable that has its number.
    pub env: String,
    /// Its reservation. In a preview it is one that could be made.
    pub record: Record,
    /// Whether it was reserved now, and not already.
    pub is_new: bool,
}

/// What [`Prepare::commit`] would come to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Forecast {
    /// The ports, in the order of the file.
    pub ports: Vec<PreparedPort>,
    /// The names and values of all its variables.
    pub variables: Vec<(String, String)>,
    /// The changes of files, as unified diffs.
    pub diffs: Vec<String>,
    /// The files that would change.
    pub files: Vec<PathBuf>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

impl Forecast {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_up_to_date(&self) -> bool {
        self.files.is_empty() && self.ports.iter().all(|port| !port.is_new)
    }
}

impl PortKeeper {
    /// What a project's file asks for, to be had.
    ///
    /// # Errors
    /// [`Error::NoFolder`] when the file's path can't be resolved.
    pub fn prepare(&self, definition: Definition) -> Result<Prepare<'_>, Error> {
        Ok(Prepare {
            project: Project::of(definition.folder())?,
            keeper: self,
            definition,
            options: WriteOptions::default(),
            ttl: None,
            wait: Duration::ZERO,
        })
    }
}

impl Prepare<'_> {
    /// How files are written.
    pub fn write_options(mut self, options: WriteOptions) -> Self {
        self.options = options;
        self
    }

    /// How long the reservations last; 24 hours where nothing is said.
    pub fn ttl(mut self, ttl: Option<Ttl>) -> Self {
        self.ttl = ttl;
        self
    }

    /// Wait at most this long for all ports to become free, instead of failing at once.
    pub fn wait(mut self, time: Duration) -> Self {
        self.wait = time;
        self
    }

    /// Reserves all ports and writes all outputs, or does nothing. What is as it should be is not
    /// touched.
    ///
    /// # Errors
    /// [`Error::Project`] with what is wrong in the file or with an output, [`Error::NoFreePort`],
    /// [`Error::Named`] and the rest of [`Error`]. The registry and all files are as they were then.
    pub fn commit(&self) -> Result<Prepared, Error> {
        let start = Start::now(self.keeper, Protocol::Tcp);
        self.keeper.recover_files(&start.here)?;
        let recall = Recall::of(&self.keeper.settings);
        let orders = self.orders(&recall)?;
        let state = self.keeper.state()?;
        let machine = start.here.machine.clone();
        let rehearse = || {
            let records: Vec<_> = expected(&orders, &self.keeper.here_on(&machine));
            let targets = self.targets(&records)?;
            outputs::preview(&targets, &state, self.options).map(|_| ())
        };
        let write = |here: &Here, reserved: &Reserved<'_>| self.write(here, reserved, &state);
        let kept = keep::keep(
            self.keeper,
            &orders,
            &recall,
            start,
            self.wait,
            rehearse,
            write,
        )?;
        Ok(Prepared {
            variables: self.variables(&kept.reservations)?.into_pairs(),
            ports: self.ports(&kept.reservations, |record| {
                kept.made.iter().any(|made| made.id == record.id)
            }),
            kept,
        })
    }

    /// Ends the reservations of the project that its file names.
    ///
    /// # Errors
    /// [`Error::Registry`] when nothing could be done at all.
    pub fn release(&self, force: Force) -> Result<Released, Error> {
        let mut all = Released::default();
        for port in &self.definition.ports {
            let selection = Selection {
                project: Some(self.project.clone()),
                name: Some(port.name.clone()),
                ..Selection::default()
            };
            let released = self.keeper.release(&selection, force)?;
            all.released.extend(released.released);
            all.warnings.extend(released.warnings);
            // What is not there need not be given back.
            let failed = released.failed.into_iter();
            all.failed
                .extend(failed.filter(|it| !matches!(it, Error::NoSuchName { .. })));
        }
        Ok(all)
    }

    /// What [`Prepare::commit`] would come to. Changes nothing.
    ///
    /// # Errors
    /// As there.
    pub fn preview(&self) -> Result<Forecast, Error> {
        let here = self.keeper.here();
        let recall = Recall::of(&self.keeper.settings);
        let orders = self.orders(&recall)?;
        let standing = order::standing(self.keeper, &orders, &here)?;
        let (records, is_new, warnings) = match standing {
            Some(records) => (records, Vec::new(), Vec::new()),
            None => {
                let given = order::preview(self.keeper, &orders, &here)?;
                let made = given.iter().filter(|it| it.is_made());
                let is_new = made.map(|it| it.record().id.clone()).collect();
                let warnings = order::warnings(&orders, &given);
                let records = given.iter().map(|it| it.record().clone()).collect();
                (records, is_new, warnings)
            }
        };
        let state = self.keeper.state()?;
        let previews = outputs::preview(&self.targets(&records)?, &state, self.options)?;
        let changed = previews.into_iter().filter(|it| !it.diff.is_empty());
        let (diffs, files) = changed.map(|it| (it.diff, it.path)).unzip();
        Ok(Forecast {
            variables: self.variables(&records)?.into_pairs(),
            ports: self.ports(&records, |record| is_new.contains(&record.id)),
            diffs,
            files,
            warnings,
        })
    }

    /// The names and values of all its variables as they will be, but for the numbers of ports that
    /// nobody can know yet.
    ///
    /// # Errors
    /// [`Error::Project`] when one can't be filled in.
    pub fn foreseen(&self) -> Result<Vec<(String, String)>, Error> {
        let orders = self.orders(&Recall::nothing())?;
        let records = expected(&orders, &self.keeper.here());
        Ok(self.variables(&records)?.into_pairs())
    }

    /// What the variables of the project stand for, the numbers of its ports among them.
    pub(super) fn variables(&self, records: &[Record]) -> Result<Variables, Error> {
        Ok(outputs::variables(&self.definition, records)?)
    }

    fn targets(&self, records: &[Record]) -> Result<Vec<Target>, Error> {
        outputs::targets(&self.definition, &self.variables(records)?)
    }

    fn write(
        &self,
        here: &Here,
        reserved: &Reserved<'_>,
        state: &State,
    ) -> Result<Vec<Written>, Error> {
        let targets = self.targets(reserved.all)?;
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let mut transaction = outputs::transaction(&targets, state, self.options)?;
        if let Some(tag) = reserved.tag(self.keeper.path()) {
            transaction = transaction.tag(tag);
        }
        Ok(transaction.wait(self.keeper.wait()).commit(here.wall)?)
    }

    pub(super) fn orders(&self, recall: &Recall) -> Result<Vec<Order>, Error> {
        let ttl = self.keeper.ttl(self.ttl).unwrap_or(Ttl::DEFAULT);
        let mut orders = Vec::with_capacity(self.definition.ports.len());
        for port in &self.definition.ports {
            let keys = &port.keys;
            let mut request = self.keeper.request().name(port.name.clone());
            request = request.project(self.project.clone());
            if let Some(preferred) = keys.preferred {
                request = request.preferred(preferred);
            }
            for range in &keys.ranges {
                request = request.range(*range);
            }
            if let Some(host) = keys.host {
                request = request.host(host);
            }
            if let Some(protocol) = keys.protocol {
                request = request.protocol(protocol);
            }
            if keys.hold == Some(true) {
                request = request.hold();
            }
            let (grip, keeps) = request.kept();
            orders.push(request.order(grip, keeps, ttl, recall)?);
        }
        Ok(orders)
    }

    fn ports(&self, records: &[Record], is_new: impl Fn(&Record) -> bool) -> Vec<PreparedPort> {
        let ports = self.definition.ports.iter().zip(records);
        let port = |(port, record): (&super::format::PortOf, &Record)| PreparedPort {
            label: port.label.clone(),
            env: port.env.clone(),
            is_new: is_new(record),
            record: record.clone(),
        };
        ports.map(port).collect()
    }
}

/// Reservations as they will be, but for numbers that nobody can know yet: each of these is another
/// one, so that what is written about them can be tried.
fn expected(orders: &[Order], here: &Here) -> Vec<Record> {
    let numbers = PortRange::DEFAULT.ports();
    let record = |(order, number): (&Order, _)| {
        let wish = &order.wanted.wish;
        let known = wish.remembered.first().copied().or(wish.preferred);
        Record {
            id: String::new(),
            port: known.unwrap_or(number),
            host: order.wanted.host,
            protocol: order.wanted.protocol,
            owner: None,
            name: None,
            project: None,
            notes: std::collections::BTreeMap::new(),
            uid: here.uid,
            fence: 0,
            created: here.wall,
            kind: Kind::Leased,
            network: here.machine.network,
            time: here.machine.time,
            lease: Lease::Never,
            process: None,
            until: None,
            control: None,
        }
    };
    orders.iter().zip(numbers).map(record).collect()
}
