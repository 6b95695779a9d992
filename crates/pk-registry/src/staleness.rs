//! Is a reservation still good? Pure: the answer follows from the entry, the time, and what the
//! system tells about two questions. What can't be known counts as alive.

use pk_core::{Machine, ProcessId, ProcessState};
use pk_fs::live::Life;

use crate::reservation::{Kind, Lease, Reservation};

/// Whether a reservation is still good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is, or nobody can tell from here.
    Alive,
    /// Its port is one of another network namespace: in nobody's way here.
    Elsewhere,
    /// It has ended.
    Stale(Reason),
}

/// Why a reservation has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The machine was booted since.
    Reboot,
    /// The process that guarded it has ended or let go of it.
    GuardGone,
    /// Its holder has ended.
    HolderGone,
    /// Its lease is over.
    LeaseOver,
    /// The process that it was tied to has ended.
    ProcessGone(u32),
    /// Nobody has bound its port for as long as was asked.
    Unused,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::Reboot => f.write_str("the machine was booted since"),
            Reason::GuardGone => f.write_str("the process that guarded it has ended"),
            Reason::HolderGone => f.write_str("its holder has ended"),
            Reason::LeaseOver => f.write_str("its lease is over"),
            Reason::ProcessGone(pid) => write!(f, "process {pid} has ended"),
            Reason::Unused => f.write_str("nobody uses its port"),
        }
    }
}

/// What is asked of the system, and only when an answer depends on it.
pub trait Facts {
    /// Whether the liveness file of this reservation is locked.
    fn life(&self, entry: &Reservation) -> Life;
    /// Whether this process lives.
    fn process(&self, process: &ProcessId) -> ProcessState;
}

/// Judges an entry that was written since the last boot, at `now` (milliseconds since boot).
///
/// Of two facts that would end a reservation the surer one is asked first: a lock that the kernel
/// took away with its process is certain, a clock is only comparable within its namespace.
#[must_use]
pub fn judge(entry: &Reservation, here: &Machine, now: u64, facts: &impl Facts) -> Verdict {
    if !here.is_in_network(entry.network) {
        return Verdict::Elsewhere;
    }
    let keeper = match entry.kind {
        Kind::Guarded => Some(Reason::GuardGone),
        Kind::Held => Some(Reason::HolderGone),
        Kind::Leased => None,
    };
    if let Some(reason) = keeper
        && facts.life(entry) == Life::Free
    {
        return Verdict::Stale(reason);
    }
    if let Lease::Until(end) = entry.lease
        && here.is_in_time(entry.time)
        && end <= now
    {
        return Verdict::Stale(Reason::LeaseOver);
    }
    if let Some(process) = &entry.until
        && facts.process(process) == ProcessState::Gone
    {
        return Verdict::Stale(Reason::ProcessGone(process.pid));
    }
    Verdict::Alive
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    struct Told(Life, ProcessState);

    impl Facts for Told {
        fn life(&self, _: &Reservation) -> Life {
            self.0
        }
        fn process(&self, _: &ProcessId) -> ProcessState {
            self.1
        }
    }

    fn here() -> Machine {
        Machine {
            boot_id: "b".into(),
            network: 1,
            time: 2,
            processes: 3,
        }
    }

    fn entry(kind: Kind) -> Reservation {
        Reservation {
            id: "k3v9".into(),
            port: pk_core::Port::new(8080).unwrap(),
            host: pk_core::Host::default(),
            protocol: pk_core::Protocol::Tcp,
            owner: None,
            name: None,
            project: None,
            notes: Default::default(),
            uid: 1000,
            fence: 1,
            created: SystemTime::UNIX_EPOCH,
            kind,
            network: 1,
            time: 2,
            lease: Lease::Until(100),
            process: None,
            until: Some(ProcessId {
                pid: 7,
                start: 1,
                namespace: 3,
            }),
            control: None,
        }
    }

    #[test]
    fn every_reason_is_a_sentence() {
        let check = |reason: Reason, expect: &str| assert_eq!(reason.to_string(), expect);
        check(Reason::Reboot, "the machine was booted since");
        check(Reason::GuardGone, "the process that guarded it has ended");
        check(Reason::HolderGone, "its holder has ended");
        check(Reason::LeaseOver, "its lease is over");
        check(Reason::ProcessGone(7), "process 7 has ended");
        check(Reason::Unused, "nobody uses its port");
    }

    #[test]
    fn the_order_of_the_facts() {
        use ProcessState::{Alive, Gone, Unknown};
        use Verdict::Stale;
        let check = |entry: &Reservation, now, life, process, expect| {
            let verdict = judge(entry, &here(), now, &Told(life, process));
            assert_eq!(verdict, expect, "{entry:?} at {now}, {life:?}, {process:?}");
        };
        let [guarded, held, leased] = [Kind::Guarded, Kind::Held, Kind::Leased].map(entry);
        check(&leased, 99, Life::Free, Alive, Verdict::Alive);
        check(&leased, 100, Life::Free, Alive, Stale(Reason::LeaseOver));
        check(&leased, 99, Life::Free, Gone, Stale(Reason::ProcessGone(7)));
        check(&leased, 99, Life::Free, Unknown, Verdict::Alive);
        check(&guarded, 99, Life::Free, Alive, Stale(Reason::GuardGone));
        check(&held, 99, Life::Free, Alive, Stale(Reason::HolderGone));
        check(&held, 100, Life::Free, Gone, Stale(Reason::HolderGone));
        check(&held, 99, Life::Held, Alive, Verdict::Alive);
        check(&held, 100, Life::Held, Alive, Stale(Reason::LeaseOver));
        check(&held, 99, Life::Unknown, Alive, Verdict::Alive);
        let forever = Reservation {
            lease: Lease::Never,
            ..leased.clone()
        };
        check(&forever, u64::MAX, Life::Free, Alive, Verdict::Alive);
        let other_clock = Reservation {
            time: 9,
            ..leased.clone()
        };
        check(&other_clock, 100, Life::Free, Alive, Verdict::Alive);
        let elsewhere = Reservation { network: 9, ..held };
        check(&elsewhere, 100, Life::Free, Gone, Verdict::Elsewhere);
    }
}
