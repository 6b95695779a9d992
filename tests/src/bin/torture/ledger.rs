//! Who had which port from when to when, as each of many processes writes it down for itself, and
//! whether that can be true. Never asks the program under test.
//!
//! A grant begins when its answer has been read and ends before its release is asked for: within
//! that time nobody else can rightly have the port. All processes read the same clock.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use rustix::time::{ClockId, clock_gettime};

/// Where one process, or one thread, writes.
#[derive(Debug)]
pub(crate) struct Ledger(File);

/// What all of them wrote, found to be possible.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) grants: u64,
    /// Of leases: each is an update of its own.
    pub(crate) releases: u64,
    /// Of guards: where somebody else comes first it takes the entry out, too, and there is nothing
    /// left to update.
    pub(crate) let_go: u64,
    /// The ports that were not released.
    pub(crate) open: BTreeSet<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Interval {
    begin: u64,
    end: u64,
    /// 0: not known.
    fence: u64,
}

impl Ledger {
    /// A new file in `folder`.
    pub(crate) fn begin(folder: &Path, name: &str) -> Ledger {
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(folder.join(name));
        Ledger(file.expect("a ledger of our own"))
    }

    /// `port` has just been granted, with this fence (0: not known).
    pub(crate) fn granted(&mut self, port: u16, fence: u64) {
        writeln!(self.0, "+ {port} {} {fence}", now()).unwrap();
    }

    /// `port`, which is leased, is about to be released.
    pub(crate) fn releases(&mut self, port: u16) {
        writeln!(self.0, "- {port} {} 0", now()).unwrap();
    }

    /// `port`, which is guarded, is about to be let go of.
    pub(crate) fn lets_go(&mut self, port: u16) {
        writeln!(self.0, "~ {port} {} 0", now()).unwrap();
    }
}

/// Checks what was written into `folder`: no two had a port at a time, and no fence was given twice
/// or went backwards, as it would if an update of the registry were lost.
///
/// # Panics
/// Otherwise.
pub(crate) fn check(folder: &Path) -> History {
    let mut ports: BTreeMap<u16, Vec<Interval>> = BTreeMap::new();
    let mut history = History::default();
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let mut open: BTreeMap<u16, Interval> = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split(' ');
            let sign = words.next();
            let mut number = || {
                words
                    .next()
                    .and_then(|word| word.parse::<u64>().ok())
                    .expect(line)
            };
            let (port, time, fence) = (number(), number(), number());
            let port = u16::try_from(port).expect("a port");
            if sign == Some("+") {
                let twice = open.insert(
                    port,
                    Interval {
                        begin: time,
                        end: u64::MAX,
                        fence,
                    },
                );
                assert_eq!(twice, None, "{port} was granted to one process twice");
                history.grants += 1;
            } else {
                let interval = open.remove(&port).expect("granted before it was released");
                ports.entry(port).or_default().push(Interval {
                    end: time,
                    ..interval
                });
                match sign {
                    Some("~") => history.let_go += 1,
                    _ => history.releases += 1,
                }
            }
        }
        history.open.extend(open.keys());
        for (port, interval) in open {
            ports.entry(port).or_default().push(interval);
        }
    }
    let mut fences = HashSet::new();
    for (port, intervals) in &mut ports {
        intervals.sort_unstable();
        for pair in intervals.windows(2) {
            assert!(
                pair[0].end <= pair[1].begin,
                "two had {port} at a time: {pair:?}"
            );
        }
        let known: Vec<u64> = intervals
            .iter()
            .map(|it| it.fence)
            .filter(|it| *it > 0)
            .collect();
        assert!(
            known.is_sorted(),
            "the fences of {port} go backwards: {known:?}"
        );
        for fence in known {
            assert!(
                fences.insert(fence),
                "fence {fence} was given twice, once for {port}"
            );
        }
    }
    history
}

/// Nanoseconds of the clock that all processes share.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_tells_what_cannot_be() {
        let check = |ledgers: &[&str], expect: Option<(u64, &[u16])>| {
            let folder = tempfile::tempdir().unwrap();
            for (index, text) in ledgers.iter().enumerate() {
                fs::write(folder.path().join(index.to_string()), text).unwrap();
            }
            let found = std::panic::catch_unwind(|| check(folder.path())).ok();
            let expect = expect.map(|(grants, open)| (grants, open.to_vec()));
            let found = found.map(|it| (it.grants, it.open.into_iter().collect()));
            assert_eq!(found, expect, "{ledgers:?}");
        };
        check(&[], Some((0, &[])));
        check(&["+ 1 10 1\n- 1 20 0\n", "+ 1 20 2\n"], Some((2, &[1])));
        check(&["+ 1 10 1\n- 1 21 0\n", "+ 1 20 2\n"], None);
        check(&["+ 1 10 1\n", "+ 1 20 2\n"], None);
        check(&["+ 1 10 1\n", "+ 2 20 1\n"], None);
        check(&["+ 1 10 2\n- 1 11 0\n", "+ 1 20 1\n"], None);
        check(&["+ 1 10 0\n- 1 11 0\n+ 1 20 0\n"], Some((2, &[1])));
        check(&["- 1 10 0\n"], None);
        check(&["+ 1 10 0\n+ 1 11 0\n"], None);
    }
}
