//! Operations as command lines, and what the program answers to them. Never runs one.

use serde_json::Value;

use super::library::{index, number};
use super::{Answer, Op, Wish};

/// What a sequence may take on the machine's clock, in milliseconds.
const SLACK: u64 = 10_000_000;

/// `reserve`, for as long as this process lives where it is tied to one.
pub(super) fn reserve(wish: &Wish, process: Option<u32>) -> String {
    let (first, last) = (number(wish.range.start), number(wish.range.end - 1));
    let protocol = wish.protocol.of().name();
    let count = wish.count;
    let mut words = vec![format!(
        "reserve --format json --range {first} {last} --proto {protocol} --count {count}"
    )];
    let preferred = |port| format!("--preferred {}", number(port));
    words.extend(wish.preferred.map(preferred));
    words.extend(
        wish.except
            .map(|port| format!("--exclude {}", number(port))),
    );
    words.push(ttl(wish.ttl));
    words.extend(process.map(|pid| format!("--pid {pid}")));
    let (in_env, in_json) = (wish.write.is_in_env(), wish.write.is_in_json());
    for (is_said, word) in [
        (wish.strict, "--strict"),
        (wish.hold, "--hold"),
        (in_env, "--write-env PORT"),
        (in_json, "--write-json config.json#/server/port"),
    ] {
        words.extend(is_said.then(|| word.to_owned()));
    }
    words.join(" ")
}

fn ttl(ttl: Option<u64>) -> String {
    match ttl {
        None => "--ttl never".into(),
        Some(time) => format!("--ttl {}ms", time + SLACK),
    }
}

pub(super) fn renew(port: u8, time: Option<u64>) -> String {
    format!("renew --format json {} {}", ttl(time), number(port))
}

pub(super) fn release(port: u8) -> String {
    format!("release --format json {}", number(port))
}

/// The command line of an operation that is one.
pub(super) fn line(op: &Op) -> String {
    match op {
        Op::Reserve(wish) => reserve(wish, None),
        Op::Release { port, .. } => release(*port),
        Op::Collect => "gc --format json".into(),
        _ => unreachable!("no command of its own: {op:?}"),
    }
}

/// What the program answers to that line.
pub(super) fn answer(op: &Op, said: pk_tests::Answer) -> Answer {
    match op {
        Op::Reserve(_) => granted(said).map_or(Answer::Refused, |granted| {
            Answer::Granted(granted.iter().map(port_of).collect())
        }),
        Op::Release { .. } => Answer::Released {
            mine: released(said),
            theirs: false,
            ended: false,
        },
        _ => {
            said.ok();
            Answer::Done
        }
    }
}

/// What was granted; `None` where there were not enough ports.
pub(super) fn granted(said: pk_tests::Answer) -> Option<Vec<Value>> {
    let said = said.sane();
    if said.code == Some(3) {
        return None;
    }
    let granted = said.ok().json();
    let list = granted.as_array().cloned();
    Some(list.unwrap_or_else(|| vec![granted]))
}

/// How many reservations were released.
pub(super) fn released(said: pk_tests::Answer) -> usize {
    let said = said.sane();
    assert!(matches!(said.code, Some(0 | 4)), "{said:?}");
    let released = said.json()["released"].as_array().unwrap().len();
    assert_eq!(said.code == Some(4), released == 0, "{said:?}");
    released
}

/// The index of the port of an entry.
pub(super) fn port_of(entry: &Value) -> u8 {
    index(u16::try_from(entry["port"].as_u64().unwrap()).unwrap())
}
