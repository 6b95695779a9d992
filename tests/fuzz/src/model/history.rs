//! Several clients at once, each a process after the other: what each was told, and when it began
//! and ended. Never judges that: `linear.rs` does.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use pk_tests::{TestEnv, process};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::operations::wish;
use super::{Answer, Mode, Op, PORTS, Wish, Write, words};
use crate::{hunt, worlds};

/// What a client does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Step {
    /// An operation.
    Do(Op),
    /// The same by a process that is killed after so many microseconds.
    Doomed(Op, u64),
    /// It looks at the list.
    Look,
}

/// What a client has seen of a step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Seen {
    /// The answer.
    Answer(Answer),
    /// The ports that are listed, in order, each with its protocol.
    Listed(Vec<(u8, String)>),
    /// It was killed before it could tell.
    Nothing,
}

/// A step as it was done, in microseconds since the first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Before its process was started.
    pub start: u64,
    /// After its process had ended.
    pub end: u64,
    /// What was done.
    pub step: Step,
    /// What came of it.
    pub seen: Seen,
}

/// What each of some clients does.
pub fn clients() -> impl Strategy<Value = Vec<Vec<Step>>> {
    // Leases: what is held is not freed at one instant.
    let plain = wish(Mode::Command).prop_map(|wish| Wish {
        hold: false,
        guarded: false,
        tied: false,
        ttl: None,
        write: Write::Nowhere,
        ..wish
    });
    let op = prop_oneof![
        6 => plain.prop_map(Op::Reserve),
        4 => (0..PORTS).prop_map(|port| Op::Release { user: 0, port }),
        1 => Just(Op::Collect),
    ];
    let step = (op, 0..20_u8, 0..8_000_u64).prop_map(|(op, kind, time)| match kind {
        0 => Step::Doomed(op, time),
        1..=4 => Step::Look,
        _ => Step::Do(op),
    });
    vec(vec(step, 1..=6), 2..=4)
}

/// Lets the clients work in a world of their own.
#[must_use]
pub fn record(clients: &[Vec<Step>]) -> Vec<Event> {
    let env = worlds::new();
    let begun = Instant::now();
    let client = |steps: &[Step]| -> Vec<Event> {
        let now = || u64::try_from(begun.elapsed().as_micros()).expect("a short time");
        let event = |step: &Step| {
            let (start, step) = (now(), step.clone());
            hunt::step();
            hunt::command();
            let seen = act(&env, &step);
            let end = now();
            Event {
                start,
                end,
                step,
                seen,
            }
        };
        steps.iter().map(event).collect()
    };
    thread::scope(|scope| {
        let working: Vec<_> = clients
            .iter()
            .map(|steps| scope.spawn(move || client(steps)))
            .collect();
        let done = working.into_iter();
        done.flat_map(|client| client.join().unwrap()).collect()
    })
}

fn act(env: &TestEnv, step: &Step) -> Seen {
    match step {
        Step::Do(op) => Seen::Answer(words::answer(op, env.pk(words::line(op)))),
        Step::Doomed(op, time) => {
            let mut command = env.portkeeper(words::line(op));
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = process::spawn(&mut command).unwrap();
            thread::sleep(Duration::from_micros(*time));
            child.kill().unwrap();
            child.wait().unwrap();
            Seen::Nothing
        }
        Step::Look => {
            let entries = env.reservations();
            let shown = |entry: &serde_json::Value| {
                let protocol = entry["proto"].as_str().unwrap().to_owned();
                (words::port_of(entry), protocol)
            };
            let mut listed: Vec<_> = entries.iter().map(shown).collect();
            listed.sort();
            Seen::Listed(listed)
        }
    }
}
