//! Reservations in the making: what is known before the port is, and what keeps them afterwards.
//! Never chooses a port.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pk_core::{Hold, Host, Machine, ProcessId, Protocol};
use pk_fs::live::LiveFile;
use pk_registry::{Here, Kind, Lease, Reservation as Record, Transaction};

use crate::error::Error;
use crate::holder::launch::{Control, Launched};
use crate::holder::{HolderCommand, Role};
use crate::names::Named;
use crate::pick::Taken;

/// A reservation before its port is known.
#[derive(Debug)]
pub(crate) struct Draft {
    id: String,
    kind: Kind,
    process: Option<ProcessId>,
    control: Option<Door>,
}

/// Whose control socket answers for a reservation.
#[derive(Debug)]
enum Door {
    Own(Place),
    /// That of another reservation of the same program.
    Shared(PathBuf),
}

/// Where a control socket will be. It is made when the port is there: whoever is interrupted while
/// it waits for one leaves none behind.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    control: OnceCell<Control>,
}

impl Draft {
    /// One that lasts as long as a value in this process.
    pub(crate) fn guarded(machine: &Machine) -> Draft {
        let process = Some(ProcessId::this(machine));
        Draft {
            id: new_id(),
            kind: Kind::Guarded,
            process,
            control: None,
        }
    }

    /// One that `process` holds, with a control socket in `folder`.
    pub(crate) fn held(process: ProcessId, folder: &Path) -> Draft {
        let id = new_id();
        let place = Place::new(folder, &id, Role::Hold, process.pid);
        Draft {
            id,
            kind: Kind::Held,
            process: Some(process),
            control: Some(Door::Own(place)),
        }
    }

    /// Those of a program that `process` is about to run: the supervisor that keeps them all answers
    /// at the control socket of the first.
    pub(crate) fn for_program(count: usize, process: ProcessId, folder: &Path) -> Vec<Draft> {
        let draft = |id, door| Draft {
            id,
            kind: Kind::Held,
            process: Some(process),
            control: Some(door),
        };
        let first = new_id();
        let place = Place::new(folder, &first, Role::Run, process.pid);
        let path = place.path.clone();
        let others = (1..count).map(|_| draft(new_id(), Door::Shared(path.clone())));
        [draft(first, Door::Own(place))]
            .into_iter()
            .chain(others)
            .collect()
    }

    /// One that nothing but its entry keeps.
    pub(crate) fn leased() -> Draft {
        Draft {
            id: new_id(),
            kind: Kind::Leased,
            process: None,
            control: None,
        }
    }

    /// Writes it down for a port that was taken.
    pub(crate) fn record(
        &self,
        transaction: &mut Transaction<'_>,
        terms: &Terms<'_>,
        taken: Taken,
    ) -> Result<Granted, Error> {
        let control = match &self.control {
            Some(Door::Own(place)) => Some(place.make()?.path().into()),
            Some(Door::Shared(path)) => Some(path.clone()),
            None => None,
        };
        let record = transaction.insert(Record {
            id: self.id.clone(),
            port: taken.candidate.port,
            host: terms.host,
            protocol: terms.protocol,
            owner: terms.owner.clone(),
            name: terms.named.map(|it| it.name.as_str().to_owned()),
            project: terms.named.map(|it| it.project.id()),
            notes: terms.notes.clone(),
            uid: terms.here.uid,
            fence: 0,
            created: terms.here.wall,
            kind: self.kind,
            network: terms.here.machine.network,
            time: terms.here.machine.time,
            lease: terms.lease,
            process: self.process,
            until: terms.until,
            control,
        })?;
        // Not before it has its place in the registry, or those who get none leave their files.
        let live = match self.kind {
            Kind::Leased => None,
            Kind::Guarded | Kind::Held => Some(transaction.keep_alive(&self.id)?),
        };
        Ok(Granted {
            record,
            taken: taken.recorded(),
            live,
            before: None,
        })
    }

    /// The control socket of one that was written down.
    pub(crate) fn into_control(self) -> Option<Control> {
        match self.control? {
            Door::Own(place) => place.control.into_inner(),
            Door::Shared(_) => None,
        }
    }
}

impl Place {
    fn new(folder: &Path, id: &str, role: Role, process: u32) -> Place {
        Place {
            path: Control::path_of(folder, id, role, process),
            control: OnceCell::new(),
        }
    }

    fn make(&self) -> Result<&Control, Error> {
        if let Some(made) = self.control.get() {
            return Ok(made);
        }
        let made = Control::bind(&self.path)?;
        Ok(self.control.get_or_init(|| made))
    }
}

impl AsRef<Draft> for Draft {
    fn as_ref(&self) -> &Draft {
        self
    }
}

/// What is the same for all ports of a request.
pub(crate) struct Terms<'t> {
    pub(crate) host: Host,
    pub(crate) protocol: Protocol,
    pub(crate) owner: Option<String>,
    pub(crate) named: Option<&'t Named>,
    pub(crate) notes: BTreeMap<String, String>,
    pub(crate) lease: Lease,
    pub(crate) until: Option<ProcessId>,
    pub(crate) here: &'t Here,
}

/// A port that was taken and written down.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) record: Record,
    pub(crate) taken: Taken,
    pub(crate) live: Option<LiveFile>,
    /// The reservation of the same name whose place it took.
    pub(crate) before: Option<Record>,
}

/// A port as it was given to whoever asked for it.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are few, and most are made"
)]
pub(crate) enum Given {
    /// It was taken now.
    Made(Granted),
    /// Its name had it already.
    Found(Record),
}

impl Given {
    pub(crate) fn record(&self) -> &Record {
        match self {
            Given::Made(granted) => &granted.record,
            Given::Found(record) => record,
        }
    }

    pub(crate) fn is_made(&self) -> bool {
        matches!(self, Given::Made(_))
    }

    /// One that was taken now, as everything is that this process itself keeps.
    pub(crate) fn into_made(self) -> Result<Granted, Error> {
        match self {
            Given::Made(granted) => Ok(granted),
            Given::Found(_) => Err(Error::not_held()),
        }
    }
}

/// What it takes to keep a port held.
#[derive(Debug)]
pub(crate) struct Kit {
    pub(crate) control: Control,
    pub(crate) live: LiveFile,
    pub(crate) hold: Hold,
}

impl Granted {
    /// What there is to keep, once `draft` was written down as this.
    pub(crate) fn into_kit(self, draft: Draft) -> Result<(Record, Kit), Error> {
        let (Some(control), Some(live), Some(hold)) =
            (draft.into_control(), self.live, self.taken.hold)
        else {
            return Err(Error::not_held());
        };
        let kit = Kit {
            control,
            live,
            hold,
        };
        Ok((self.record, kit))
    }
}

/// A holder that waits for its port.
#[derive(Debug)]
pub(crate) struct Standby {
    launched: Launched,
    /// The reservation that it will keep.
    draft: Draft,
}

impl AsRef<Draft> for Standby {
    fn as_ref(&self) -> &Draft {
        &self.draft
    }
}

impl Standby {
    pub(crate) fn start(
        command: &HolderCommand,
        folder: &Path,
        machine: &Machine,
    ) -> Result<Standby, Error> {
        let launched = Launched::start(command)?;
        let draft = Draft::held(launched.process(machine)?, folder);
        Ok(Standby { launched, draft })
    }

    /// Gives it what it is to keep.
    pub(crate) fn take(self, granted: Granted, registry: &Path) -> Result<(), Error> {
        let (record, kit) = granted.into_kit(self.draft)?;
        let Kit {
            control,
            live,
            hold,
        } = kit;
        self.launched
            .hand_over(&record, registry, &live, control, hold)?;
        Ok(())
    }
}

/// How many characters an id has.
pub(crate) const ID_LENGTH: usize = 26;

/// 128 random bits in 26 characters (Crockford's base 32, lower case).
fn new_id() -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the kernel has random numbers once the machine is up");
    let bits = u128::from_le_bytes(bytes);
    let digit = |at| char::from(DIGITS[(bits >> (5 * at)) as usize % 32]);
    (0..ID_LENGTH).map(digit).collect()
}
