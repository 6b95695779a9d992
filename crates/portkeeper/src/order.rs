//! Carrying out what is wanted: one order or several in one change of the registry, all or none.
//! Never touches the files of users.

use std::time::Duration;

use pk_core::{Candidate, Machine, Origin, Port, ProcessId, Protocol, Walk, Wish, machine};
use pk_registry::{Here, Kind, Lease, Listed, Note, Owner, Reservation as Record};
use pk_registry::{Transaction, Verdict};

use crate::draft::{Draft, Given, Terms};
use crate::error::Error;
use crate::holder::client;
use crate::keeper::PortKeeper;
use crate::names::{self, Named, Recall};
use crate::patience;
use crate::pick::{self, Grip, InUse, Search, Wanted};
use crate::project;
use crate::ttl::Ttl;
use crate::warning::Warning;

/// Ports that are wanted on the same terms.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) wanted: Wanted,
    pub(crate) keeps: Keeps,
    pub(crate) named: Option<Named>,
    /// What was preferred by whoever asks, and not only taken from a file.
    pub(crate) preferred: Option<Port>,
    pub(crate) owner: Option<Owner>,
    pub(crate) notes: Vec<Note>,
    pub(crate) ttl: Ttl,
    pub(crate) until: Option<u32>,
}

/// What makes a reservation last that is made for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// Its entry.
    Lease,
    /// A value in this process.
    Guard,
    /// A holder.
    Holder,
    /// This process, or a program that it runs.
    Program,
}

/// Ports that were taken and written down, or were there under their names.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) ports: Vec<Given>,
    /// Where and when.
    pub(crate) here: Here,
    /// What a person should know.
    pub(crate) warnings: Vec<Warning>,
}

/// Where and when it begins, and the first steps of the search.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) here: Here,
    walks: Walks,
}

impl Start {
    pub(crate) fn now(keeper: &PortKeeper, protocol: Protocol) -> Start {
        let walk = Walk::prepared(protocol);
        Start {
            here: keeper.here_on(&Machine::of_walk(&walk)),
            walks: Walks(vec![(protocol, walk)]),
        }
    }
}

/// The walks, each for the orders of one protocol.
#[derive(Debug, Default)]
struct Walks(Vec<(Protocol, Walk)>);

impl Walks {
    fn of(&mut self, protocol: Protocol) -> &mut Walk {
        let known = self.0.iter().position(|(of, _)| *of == protocol);
        let at = known.unwrap_or_else(|| {
            self.0.push((protocol, Walk::new(protocol)));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }
}

/// Why a change of the registry is given up.
enum Halt {
    /// So many ports of this protocol are in use that the kernel is to be asked for all of them.
    Crowded(Protocol),
    Failed(Error),
}

/// What a reservation that is there under the name is worth.
enum Standing {
    /// It is what is wanted.
    Enough,
    /// It is, if it is given more time.
    Renewed(Lease),
    /// Its number is wanted, and more than it is.
    Number,
}

/// Takes the ports of all orders and writes them down, each as the draft at its place; waits for
/// them if that is wanted.
pub(crate) fn grant<D: AsRef<Draft>>(
    keeper: &PortKeeper,
    orders: &[Order],
    drafts: &[D],
    start: &mut Start,
    wait: Duration,
) -> Result<Grant, Error> {
    orders.iter().for_each(|order| order.wanted.prepare());
    patience::wait(wait, &keeper.registry, || {
        let here = keeper.here_on(&start.here.machine);
        grant_now(keeper, orders, drafts, here, &mut start.walks)
    })
}

fn grant_now<D: AsRef<Draft>>(
    keeper: &PortKeeper,
    orders: &[Order],
    drafts: &[D],
    here: Here,
    walks: &mut Walks,
) -> Result<Grant, Error> {
    // A process that is not there is noticed before anything is locked, or made.
    for order in orders {
        order.until_process(&here)?;
    }
    let mut in_use = Vec::new();
    loop {
        let granted = keeper.registry.update(keeper.wait(), &here, |transaction| {
            let mut attempt = Attempt {
                keeper,
                in_use: &in_use,
                here: &here,
                walks,
            };
            let ports = attempt.take_all(orders, drafts, transaction)?;
            for ended in transaction.ended() {
                client::tidy(&ended.reservation, &here.machine);
            }
            Ok(ports)
        });
        match granted {
            Ok(updated) => {
                let warnings = updated.warnings.into_iter().map(Warning::Registry);
                return Ok(Grant {
                    ports: updated.value,
                    warnings: warnings.collect(),
                    here,
                });
            }
            Err(Halt::Crowded(protocol)) => in_use.push((protocol, InUse::ask(protocol))),
            Err(Halt::Failed(error)) => return Err(error),
        }
    }
}

/// What [`grant`] would come to. Changes nothing.
pub(crate) fn preview(
    keeper: &PortKeeper,
    orders: &[Order],
    here: &Here,
) -> Result<Vec<Given>, Error> {
    let count = orders.iter().map(|order| order.wanted.count).sum();
    let drafts: Vec<_> = (0..count).map(|_| Draft::leased()).collect();
    let mut in_use = Vec::new();
    for order in orders {
        let protocol = order.wanted.protocol;
        if !in_use.iter().any(|(asked, _)| *asked == protocol) {
            in_use.push((protocol, InUse::ask(protocol)));
        }
    }
    let found = keeper.registry.preview(here, |transaction| {
        let mut attempt = Attempt {
            keeper,
            in_use: &in_use,
            here,
            walks: &mut Walks::default(),
        };
        attempt.take_all(orders, &drafts, transaction)
    });
    found.map_err(|halt| match halt {
        Halt::Failed(error) => error,
        Halt::Crowded(_) => Error::Request {
            why: "still crowded".into(),
        },
    })
}

/// The reservations that all orders have already, if that is so and none of them needs anything.
/// Takes no lock, and writes nothing.
pub(crate) fn standing(
    keeper: &PortKeeper,
    orders: &[Order],
    here: &Here,
) -> Result<Option<Vec<Record>>, Error> {
    if orders.is_empty() || orders.iter().any(|order| order.named.is_none()) {
        return Ok(None);
    }
    let snapshot = keeper.registry.read(here)?;
    let mut found = Vec::with_capacity(orders.len());
    for order in orders {
        let is_meant = |entry: &&Listed| match entry {
            Listed::Sound {
                reservation,
                verdict: Verdict::Alive,
            } => order.is_of(reservation, here),
            _ => false,
        };
        let Some(Listed::Sound { reservation, .. }) = snapshot.entries.iter().find(is_meant) else {
            return Ok(None);
        };
        let lease = keeper.lease(Some(order.ttl), here);
        match order.judge(reservation, lease, here)? {
            Standing::Enough => found.push(reservation.clone()),
            Standing::Renewed(_) | Standing::Number => return Ok(None),
        }
    }
    Ok(Some(found))
}

/// What a person should know about ports that were granted.
pub(crate) fn warnings(orders: &[Order], ports: &[Given]) -> Vec<Warning> {
    let mut ports = ports.iter();
    let mut warnings = Vec::new();
    for order in orders {
        for given in ports.by_ref().take(order.wanted.count) {
            if let Given::Made(granted) = given {
                warnings.extend(order.warnings(granted.taken.candidate));
            }
        }
    }
    warnings
}

/// Remembers the numbers of those that have a name.
pub(crate) fn remember(
    keeper: &PortKeeper,
    recall: &Recall,
    here: &Here,
    orders: &[Order],
    records: &[Record],
) -> Option<Warning> {
    let mut records = records.iter();
    let named = orders.iter().filter_map(|order| {
        let record = records.by_ref().take(order.wanted.count).last()?;
        Some((order.named.as_ref()?, order.preferred, record))
    });
    recall.remember(keeper.wait(), here, named)
}

/// What there is to go by, while the registry is locked.
struct Attempt<'a> {
    keeper: &'a PortKeeper,
    in_use: &'a [(Protocol, InUse)],
    here: &'a Here,
    walks: &'a mut Walks,
}

impl Attempt<'_> {
    fn take_all<D: AsRef<Draft>>(
        &mut self,
        orders: &[Order],
        drafts: &[D],
        transaction: &mut Transaction<'_>,
    ) -> Result<Vec<Given>, Halt> {
        let mut ports = Vec::with_capacity(drafts.len());
        let mut drafts = drafts.iter().map(AsRef::as_ref);
        for order in orders {
            let drafts: Vec<&Draft> = drafts.by_ref().take(order.wanted.count).collect();
            let taken = order.take(self, transaction, &drafts, &mut ports);
            taken.map_err(|halt| match (halt, &order.named) {
                (Halt::Failed(source), Some(named)) if orders.len() > 1 => {
                    let name = named.name.clone();
                    let source = Box::new(source);
                    Halt::Failed(project::Error::Port { name, source }.into())
                }
                (halt, _) => halt,
            })?;
        }
        Ok(ports)
    }
}

impl Order {
    fn take(
        &self,
        attempt: &mut Attempt<'_>,
        transaction: &mut Transaction<'_>,
        drafts: &[&Draft],
        ports: &mut Vec<Given>,
    ) -> Result<(), Halt> {
        let (protocol, here) = (self.wanted.protocol, attempt.here);
        let lease = attempt.keeper.lease(Some(self.ttl), here);
        let found = self
            .named
            .as_ref()
            .and_then(|named| transaction.named(named.name.as_str(), &named.project.id()));
        let mut before = None;
        if let Some(record) = found {
            match self.judge(&record, lease, here)? {
                Standing::Enough => {
                    ports.push(Given::Found(record));
                    return Ok(());
                }
                Standing::Renewed(lease) => {
                    let record = Record { lease, ..record };
                    transaction.replace(&record);
                    ports.push(Given::Found(record));
                    return Ok(());
                }
                Standing::Number => before = transaction.remove(record.port, &record.id),
            }
        }
        let wanted = match &before {
            Some(record) => &self.wanted.only(record.port),
            None => &self.wanted,
        };
        let mut known = attempt.in_use.iter();
        let known = known.find(|(asked, _)| *asked == protocol);
        let known = known.map(|(_, in_use)| in_use);
        let walk = attempt.walks.of(protocol);
        let search = pick::search(transaction, walk, wanted, known, here.wall);
        let taken = match (search, &before) {
            (Ok(Search::Found(taken)), _) => taken,
            (Ok(Search::Crowded), _) => return Err(Halt::Crowded(protocol)),
            (Err(error), None) => return Err(error.into()),
            (Err(error), Some(record)) => {
                return Err(self.unfit(record, &format!("and {error}")).into());
            }
        };
        // What was said before and is not said anew still holds.
        let said = before
            .as_ref()
            .map(|it| (it.owner.clone(), it.notes.clone()));
        let (owner, mut notes) = said.unwrap_or_default();
        let owner = self.owner.clone().map(String::from).or(owner);
        let new = self.notes.iter();
        notes.extend(new.map(|note| (note.key.as_str().to_owned(), note.value.clone())));
        let terms = Terms {
            host: self.wanted.host,
            protocol,
            owner,
            named: self.named.as_ref(),
            notes,
            lease,
            until: self.until_process(here)?,
            here,
        };
        for (taken, draft) in taken.into_iter().zip(drafts) {
            let mut granted = draft.record(transaction, &terms, taken)?;
            granted.before = before.take();
            ports.push(Given::Made(granted));
        }
        Ok(())
    }

    fn warnings(&self, candidate: Candidate) -> impl Iterator<Item = Warning> {
        let Candidate { port, origin } = candidate;
        let is_asked = origin != Origin::Default;
        let is_blocked =
            is_asked && port.is_browser_blocked() && self.wanted.protocol != Protocol::Udp;
        let ephemeral = match self.wanted.grip {
            Grip::Record if is_asked => machine::ephemeral_range(),
            // What is held is never handed out by the kernel.
            _ => None,
        };
        let range = ephemeral.filter(|range| range.contains(port));
        let blocked = is_blocked.then_some(Warning::BrowserBlocked { port });
        let ephemeral = range.map(|range| Warning::Ephemeral { port, range });
        blocked.into_iter().chain(ephemeral)
    }

    /// Whether it has the name and the project of this order, and may be this user's.
    fn is_of(&self, record: &Record, here: &Here) -> bool {
        self.named.as_ref().is_some_and(|named| {
            record.name.as_deref() == Some(named.name.as_str())
                && record.uid == here.uid
                && record.project.as_ref() == Some(&named.project.id())
        })
    }

    fn judge(&self, record: &Record, lease: Lease, here: &Here) -> Result<Standing, Error> {
        let Wanted { host, protocol, .. } = self.wanted;
        let pid = record.process.map_or(0, |process| process.pid);
        if record.host != host {
            return Err(self.unfit(record, &format!("on {}", record.host)));
        }
        if record.protocol != protocol {
            return Err(self.unfit(record, &format!("for {}", record.protocol)));
        }
        let wish = Wish {
            preferred: self.preferred,
            ..self.wanted.wish.clone()
        };
        names::would_take(&wish, record.port).map_err(|why| self.unfit(record, &why))?;
        let holds = matches!(self.wanted.grip, Grip::Hold(_));
        match (record.kind, self.keeps) {
            (Kind::Guarded, _) => Err(self.unfit(record, &format!("by process {pid}"))),
            (Kind::Leased, Keeps::Holder | Keeps::Program) => Ok(Standing::Number),
            (Kind::Held, Keeps::Program) => {
                Err(self.unfit(record, &format!("and held by process {pid}")))
            }
            (Kind::Held, Keeps::Guard) if holds => {
                Err(self.unfit(record, &format!("and held by process {pid}")))
            }
            (_, Keeps::Guard) => Ok(Standing::Enough),
            (Kind::Held, _) if client::runs_program(record) => Ok(Standing::Enough),
            (Kind::Leased | Kind::Held, _) => Ok(match is_short(record.lease, lease, here) {
                true => Standing::Renewed(lease),
                false => Standing::Enough,
            }),
        }
    }

    fn unfit(&self, record: &Record, why: &str) -> Error {
        let name = self.named.as_ref().map(|named| named.name.clone());
        Error::Named {
            name: name.expect("only what has a name is found by it"),
            port: record.port,
            why: why.into(),
        }
    }

    fn until_process(&self, here: &Here) -> Result<Option<ProcessId>, Error> {
        let Some(pid) = self.until else {
            return Ok(None);
        };
        let process = ProcessId::of(pid, &here.machine);
        let process = process.map_err(Error::io("examine a process"))?;
        process.map(Some).ok_or(Error::NoProcess { pid })
    }
}

/// Whether less than half of what is asked for is left.
fn is_short(lease: Lease, asked: Lease, here: &Here) -> bool {
    match (lease, asked) {
        (Lease::Never, _) => false,
        (Lease::Until(_), Lease::Never) => true,
        (Lease::Until(end), Lease::Until(asked)) => {
            let (left, whole) = (
                end.saturating_sub(here.boot_ms),
                asked.saturating_sub(here.boot_ms),
            );
            left < whole / 2
        }
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Halt {
        Halt::Failed(error)
    }
}

impl From<pk_registry::Error> for Halt {
    fn from(error: pk_registry::Error) -> Halt {
        Halt::Failed(error.into())
    }
}
