//! The steps of a request: what is wanted, taking it and writing it down, and taking it back. Never
//! answers anybody.

use std::cell::OnceCell;
use std::os::unix::ffi::OsStrExt;

use pk_core::{Candidate, Fallback, Host, Machine, Origin, Port, PortRange, ProcessId};
use pk_core::{Protocol, Walk, Wish, machine};
use pk_fs::failpoint;
use pk_registry::{Here, Reservation as Record};
use tracing::debug;

use super::{Holding, Request, contradiction};
use crate::draft::{Draft, Granted, Standby, Terms};
use crate::error::Error;
use crate::files::{Tag, Written};
use crate::holder::client;
use crate::patience;
use crate::pick::{self, Grip, InUse, Search, Taken, Wanted};
use crate::places;
use crate::ttl::Ttl;
use crate::warning::Warning;

/// Ports that were taken and written down.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) ports: Vec<Granted>,
    /// Where and when.
    pub(super) here: Here,
    /// What a person should know about the registry.
    pub(super) warnings: Vec<Warning>,
}

/// Where a request begins, and the first steps of its search.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) machine: Machine,
    walk: Walk,
}

impl Request<'_> {
    /// Takes the ports and writes them down, one as each of `drafts`, all or none; waits for them if
    /// that was asked for.
    pub(super) fn grant<D: AsRef<Draft>>(
        &self,
        grip: Grip,
        ttl: Ttl,
        drafts: &[D],
        start: &mut Start,
    ) -> Result<Grant, Error> {
        let wanted = self.wanted(grip)?;
        wanted.prepare();
        patience::wait(self.wait, &self.keeper.registry, || {
            self.grant_now(&wanted, ttl, drafts, start)
        })
    }

    fn grant_now<D: AsRef<Draft>>(
        &self,
        wanted: &Wanted,
        ttl: Ttl,
        drafts: &[D],
        start: &mut Start,
    ) -> Result<Grant, Error> {
        let here = self.keeper.here_on(&start.machine);
        let terms = Terms {
            host: self.host,
            protocol: self.protocol,
            owner: self.owner.as_ref(),
            lease: self.keeper.lease(Some(ttl), &here),
            until: self.until_process(&here.machine)?,
            here: &here,
        };
        let mut in_use = None;
        loop {
            let updated = self.keeper.update(&here, |transaction| {
                let search = pick::search(
                    transaction,
                    &mut start.walk,
                    wanted,
                    in_use.as_ref(),
                    here.wall,
                )?;
                let Search::Found(taken) = search else {
                    return Ok(None);
                };
                for ended in transaction.ended() {
                    client::tidy(&ended.reservation, &here.machine);
                }
                let record =
                    |(taken, draft): (Taken, &D)| draft.as_ref().record(transaction, &terms, taken);
                taken
                    .into_iter()
                    .zip(drafts)
                    .map(record)
                    .collect::<Result<_, _>>()
                    .map(Some)
            })?;
            let Some(ports) = updated.value else {
                in_use = Some(InUse::ask(self.protocol));
                continue;
            };
            let warnings = updated.warnings.into_iter().map(Warning::Registry);
            return Ok(Grant {
                ports,
                warnings: warnings.collect(),
                here,
            });
        }
    }

    /// Finds what is wrong with the files before a port is taken, and ends what belongs to changes
    /// that were cut short.
    pub(super) fn rehearse(&self) -> Result<Start, Error> {
        let walk = Walk::prepared(self.protocol);
        let here = self.keeper.here_on(&Machine::of_walk(&walk));
        if !self.targets.is_empty() {
            self.keeper.recover_files(&here)?;
            let any = PortRange::DEFAULT.first();
            self.diffs(&vec![(self.host, any); self.count])?;
        }
        let machine = here.machine;
        Ok(Start { machine, walk })
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

    pub(super) fn write(&self, here: &Here, records: &[Record]) -> Result<Vec<Written>, Error> {
        if self.targets.is_empty() {
            return Ok(Vec::new());
        }
        let state = self.keeper.state()?;
        let ports: Vec<_> = records
            .iter()
            .map(|record| (record.host, record.port))
            .collect();
        let mut transaction = self
            .targets
            .transaction(&state, &ports)
            .wait(self.keeper.wait());
        let tag = Tag {
            registry: self.keeper.path().into(),
            ids: records.iter().map(|record| record.id.clone()).collect(),
        };
        if let Some(tag) = tag.write() {
            transaction = transaction.tag(tag);
        }
        Ok(transaction.commit(here.wall)?)
    }

    pub(super) fn wanted(&self, grip: Grip) -> Result<Wanted, Error> {
        if self.count == 0 {
            return Err(contradiction("a count of 0 ports asks for nothing"));
        }
        if self.wish.fallback == Fallback::Nothing && self.wish.preferred.is_none() {
            return Err(contradiction("strict needs a preferred port"));
        }
        self.targets.check(self.count)?;
        let mut wish = self.wish.clone();
        if wish.ranges.is_empty() {
            wish.ranges.extend(self.keeper.settings.range);
        }
        if wish.preferred.is_none() {
            wish.preferred = self
                .targets
                .present()
                .filter(|port| is_suggestion(*port, &wish));
        }
        let folder = std::env::current_dir().unwrap_or_default();
        Ok(Wanted {
            wish,
            seed: pick::seed(
                rustix::process::geteuid().as_raw(),
                folder.as_os_str().as_bytes(),
            ),
            host: self.host,
            protocol: self.protocol,
            count: self.count,
            grip,
            ephemeral: OnceCell::new(),
        })
    }

    pub(super) fn until_process(&self, machine: &Machine) -> Result<Option<ProcessId>, Error> {
        let Some(pid) = self.until else {
            return Ok(None);
        };
        let process = ProcessId::of(pid, machine).map_err(Error::io("examine a process"))?;
        process.map(Some).ok_or(Error::NoProcess { pid })
    }

    pub(super) fn start_holders(&self, machine: &Machine) -> Result<Vec<Standby>, Error> {
        let Some(command) = &self.keeper.holder else {
            return Err(contradiction(
                "no holder command is known, so a hold can't be kept",
            ));
        };
        let folder = places::control_folder()?;
        (0..self.count)
            .map(|_| Standby::start(command, &folder, machine))
            .collect()
    }

    pub(super) fn warnings(&self, granted: impl Iterator<Item = Candidate>) -> Vec<Warning> {
        let asked: Vec<_> = granted.filter(|it| it.origin != Origin::Default).collect();
        let ephemeral = match self.hold {
            // What is held is never handed out by the kernel.
            Holding::No if !asked.is_empty() => machine::ephemeral_range(),
            _ => None,
        };
        let of_port = |candidate: &Candidate| {
            let port = candidate.port;
            let is_blocked = port.is_browser_blocked() && self.protocol != Protocol::Udp;
            let blocked = is_blocked.then_some(Warning::BrowserBlocked { port });
            let range = ephemeral.filter(|range| range.contains(port));
            let ephemeral = range.map(|range| Warning::Ephemeral { port, range });
            blocked.into_iter().chain(ephemeral)
        };
        asked.iter().flat_map(of_port).collect()
    }

    /// Takes back what was reserved, and returns the error that made it necessary.
    pub(super) fn undo(&self, records: &[Record], here: &Here, cause: Error) -> Error {
        debug!(%cause, "taking the reservation back");
        failpoint!("request.undo");
        match self.keeper.take_back(records, here) {
            Ok(()) => cause,
            Err(undo) => Error::NotUndone {
                cause: Box::new(cause),
                ports: records.iter().map(|record| record.port).collect(),
                undo: Box::new(undo),
            },
        }
    }
}

/// Whether a number that a file has already is good enough to be tried first: it was not asked for.
fn is_suggestion(port: Port, wish: &Wish) -> bool {
    match wish.ranges.as_slice() {
        [] => port.number() >= 1024 && !port.is_browser_blocked(),
        ranges => ranges.iter().any(|range| range.contains(port)),
    }
}
