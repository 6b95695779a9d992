//! What stays in a process that reserves all day: descriptors and memory. Never another process.

use std::fs;

use pk_tests::{Ports, TestEnv};
use portkeeper::{PortKeeper, PortRange};

use crate::options::Options;
use crate::row::{Needs, Outcome, Row};

pub(crate) const ROWS: &[Row] = &[Row {
    name: "d18",
    about: "a process that reserves and releases all day: descriptors and memory stay as they are",
    needs: Needs::Nothing,
    run: day,
}];

/// What a process may grow by, whatever it did: the allocator keeps some pages.
const SLACK: u64 = 512 * 1024;
/// After so many it has all that it needs.
const WARM: u64 = 500;

fn day(options: &Options) -> Outcome {
    let rounds = options.rounds([20_000, 200_000, 1_000_000]);
    let (env, ports) = (TestEnv::new(), Ports::claim(8));
    let keeper = PortKeeper::at(env.registry()).expect("an absolute path");
    let range: PortRange = ports.span().parse().expect("a range");
    let mut before = None;
    while let Some(round) = rounds.next() {
        let reservation = keeper.request().range(range).reserve().expect("a port");
        reservation.release().expect("released");
        if round == WARM {
            before = Some(used());
        }
    }
    let (memory, descriptors) = before.expect("more than it takes to get warm");
    let (now, open) = used();
    assert_eq!(open, descriptors, "descriptors");
    assert!(now <= memory + SLACK, "memory: {memory} bytes, then {now}");
    Ok(format!(
        "{} times: {open} descriptors as before, {} KiB more memory",
        rounds.done(),
        now.saturating_sub(memory) / 1024
    ))
}

/// Bytes of memory and descriptors of this process.
fn used() -> (u64, usize) {
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kilobytes: u64 = kilobytes
        .and_then(|it| it.trim().parse().ok())
        .expect("a number");
    let open = fs::read_dir("/proc/self/fd").expect("/proc").count();
    (kilobytes * 1024, open)
}
