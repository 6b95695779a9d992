//! The steps of a request: what it asks for in full, and what it writes into files. Never takes a
//! port.

use std::cell::OnceCell;
use std::os::unix::ffi::OsStrExt;

use pk_core::{Coverage, Fallback, Host, Port, PortRange, Wish};
use pk_registry::{Here, Reservation as Record};

use super::{Holding, Request, contradiction};
use crate::error::Error;
use crate::files::Written;
use crate::keep::Reserved;
use crate::names::{Named, Recall};
use crate::order::{self, Keeps, Order, Start};
use crate::pick::{self, Grip, Wanted};
use crate::project::Project;
use crate::ttl::Ttl;
use crate::warning::Warning;

impl Request<'_> {
    /// How a port is taken that is to last.
    pub(crate) fn kept(&self) -> (Grip, Keeps) {
        match self.hold {
            Holding::No => (Grip::Record, Keeps::Lease),
            Holding::Yes => (Grip::Hold(Coverage::Everywhere), Keeps::Holder),
        }
    }

    /// What is remembered, where a name is asked for.
    pub(super) fn recall(&self) -> Recall {
        match self.name {
            Some(_) => Recall::of(&self.keeper.settings),
            None => Recall::nothing(),
        }
    }

    pub(super) fn remember(
        &self,
        recall: &Recall,
        here: &Here,
        orders: &[Order],
        records: &[Record],
    ) -> Option<Warning> {
        order::remember(self.keeper, recall, here, orders, records)
    }

    /// Finds what is wrong with the files before a port is taken, and ends what belongs to changes
    /// that were cut short.
    pub(super) fn rehearse(&self) -> Result<Start, Error> {
        let start = Start::now(self.keeper, self.protocol);
        if !self.targets.is_empty() {
            self.keeper.recover_files(&start.here)?;
            let any = PortRange::DEFAULT.first();
            self.diffs(&vec![(self.host, any); self.count])?;
        }
        Ok(start)
    }

    /// What would change in the files.
    pub(super) fn diffs(&self, ports: &[(Host, Port)]) -> Result<Vec<String>, Error> {
        if self.targets.is_empty() {
            return Ok(Vec::new());
        }
        let state = self.keeper.state()?;
        let previews = self.targets.transaction(&state, ports).preview()?;
        Ok(previews.into_iter().map(|preview| preview.diff).collect())
    }

    pub(super) fn write(
        &self,
        here: &Here,
        reserved: &Reserved<'_>,
    ) -> Result<Vec<Written>, Error> {
        if self.targets.is_empty() {
            return Ok(Vec::new());
        }
        let state = self.keeper.state()?;
        let ports: Vec<_> = reserved
            .all
            .iter()
            .map(|record| (record.host, record.port))
            .collect();
        let mut transaction = self
            .targets
            .transaction(&state, &ports)
            .wait(self.keeper.wait());
        if let Some(tag) = reserved.tag(self.keeper.path()) {
            transaction = transaction.tag(tag);
        }
        Ok(transaction.commit(here.wall)?)
    }

    /// What is asked for, with all that is known beforehand.
    pub(crate) fn order(
        &self,
        grip: Grip,
        keeps: Keeps,
        ttl: Ttl,
        recall: &Recall,
    ) -> Result<Order, Error> {
        if self.count == 0 {
            return Err(contradiction("a count of 0 ports asks for nothing"));
        }
        if self.wish.fallback == Fallback::Nothing && self.wish.preferred.is_none() {
            return Err(contradiction("strict needs a preferred port"));
        }
        if self.name.is_some() && self.count > 1 {
            return Err(contradiction("a name is that of one port, not of several"));
        }
        self.targets.check(self.count)?;
        let mut wish = self.wish.clone();
        if wish.ranges.is_empty() {
            wish.ranges.extend(self.keeper.settings.range);
        }
        let named = self.named()?;
        if let Some(named) = &named {
            recall.complete(named, &mut wish);
        }
        if wish.preferred.is_none() {
            let present = self.targets.present();
            let present = present.filter(|port| is_suggestion(*port, &wish));
            match named {
                // What somebody has written there since counts more than what is remembered.
                Some(_) => wish.remembered.splice(0..0, present).for_each(drop),
                None => wish.remembered.extend(present),
            }
        }
        let folder = std::env::current_dir().unwrap_or_default();
        let seed = pick::seed(
            rustix::process::geteuid().as_raw(),
            folder.as_os_str().as_bytes(),
        );
        Ok(Order {
            wanted: Wanted {
                wish,
                avoid: recall.ports(),
                seed,
                host: self.host,
                protocol: self.protocol,
                count: self.count,
                grip,
                ephemeral: OnceCell::new(),
            },
            keeps,
            named,
            preferred: self.wish.preferred,
            owner: self.owner.clone(),
            notes: self.notes.clone(),
            ttl,
            until: self.until,
        })
    }

    fn named(&self) -> Result<Option<Named>, Error> {
        let Some(name) = self.name.clone() else {
            return Ok(None);
        };
        let project = match &self.project {
            Some(project) => project.clone(),
            None => Project::here()?,
        };
        Ok(Some(Named { name, project }))
    }
}

/// Whether a number that a file has already is good enough to be tried first: it was not asked for.
fn is_suggestion(port: Port, wish: &Wish) -> bool {
    match wish.ranges.as_slice() {
        [] => port.number() >= 1024 && !port.is_browser_blocked(),
        ranges => ranges.iter().any(|range| range.contains(port)),
    }
}
