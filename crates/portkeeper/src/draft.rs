//! Reservations in the making: what is known before the port is, and what keeps them afterwards.
//! Never chooses a port.

use std::path::{Path, PathBuf};

use pk_core::{Host, Machine, ProcessId, Protocol};
use pk_fs::live::LiveFile;
use pk_registry::{Here, Kind, Lease, Owner, Reservation as Record, Transaction};

use crate::error::Error;
use crate::holder::HolderCommand;
use crate::holder::launch::{Control, Launched};
use crate::pick::Taken;

/// A reservation before its port is known.
#[derive(Debug)]
pub(crate) struct Draft {
    id: String,
    kind: Kind,
    process: Option<ProcessId>,
    control: Option<PathBuf>,
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
        let live = match self.kind {
            Kind::Leased => None,
            Kind::Guarded | Kind::Held => Some(
                transaction
                    .keep_alive(&self.id)
                    .map_err(pk_registry::Error::from)?,
            ),
        };
        let record = transaction.insert(Record {
            id: self.id.clone(),
            port: taken.candidate.port,
            host: terms.host,
            protocol: Protocol::Tcp,
            owner: terms.owner.map(|owner| owner.as_str().to_owned()),
            uid: terms.here.uid,
            fence: 0,
            created: terms.here.wall,
            kind: self.kind,
            network: terms.here.machine.network,
            time: terms.here.machine.time,
            lease: terms.lease,
            process: self.process,
            until: terms.until,
            control: self.control.clone(),
        })?;
        Ok(Granted {
            record,
            taken,
            live,
        })
    }
}

/// What is the same for all ports of a request.
pub(crate) struct Terms<'t> {
    pub(crate) host: Host,
    pub(crate) owner: Option<&'t Owner>,
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
}

/// A holder that waits for its port.
#[derive(Debug)]
pub(crate) struct Standby {
    id: String,
    launched: Launched,
    process: ProcessId,
    control: Control,
}

impl Standby {
    pub(crate) fn start(
        command: &HolderCommand,
        folder: &Path,
        machine: &Machine,
    ) -> Result<Standby, Error> {
        let launched = Launched::start(command)?;
        let process = launched.process(machine)?;
        let id = new_id();
        let control = Control::bind(folder, &id)?;
        Ok(Standby {
            id,
            launched,
            process,
            control,
        })
    }

    /// The reservation that it will keep.
    pub(crate) fn draft(&self) -> Draft {
        Draft {
            id: self.id.clone(),
            kind: Kind::Held,
            process: Some(self.process),
            control: Some(self.control.path().into()),
        }
    }

    /// Gives it what it is to keep.
    pub(crate) fn take(self, granted: Granted, registry: &Path) -> Result<(), Error> {
        let (Some(hold), Some(live)) = (granted.taken.hold, granted.live) else {
            return Err(Error::Request {
                why: "a port was not held that should be".into(),
            });
        };
        self.launched
            .hand_over(&granted.record, registry, &live, self.control, hold)?;
        Ok(())
    }
}

/// 128 random bits in 26 characters (Crockford's base 32, lower case).
fn new_id() -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the kernel has random numbers once the machine is up");
    let bits = u128::from_le_bytes(bytes);
    let digit = |at| char::from(DIGITS[(bits >> (5 * at)) as usize % 32]);
    (0..26).map(digit).collect()
}
