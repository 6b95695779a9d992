//! Faults and threats, one row each, tried on the real program with real processes: run by
//! `cargo xtask torture`, which names the program in `PK_BIN`. Never changes anything outside of the
//! temporary folder, and never signals a process that it did not start.
//!
//! A row is a process of its own, where it needs that in a namespace of its own: what it mounts goes
//! with it, and what it takes in descriptors and memory is nobody else's. A row fails by panicking,
//! as a test does.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a failed step is a failed row, plain files set the scene, and its answers are lines"
)]

mod big;
mod client;
mod contention;
mod crowd;
mod damage;
mod dice;
mod figures;
mod leaks;
mod ledger;
mod lies;
mod locks;
mod options;
mod plants;
mod power;
mod row;
mod space;
mod storm;
mod sys;
mod worlds;

use std::process::ExitCode;

use options::Options;
use row::Row;

/// All rows, in the order in which they run.
const FAMILIES: &[&[Row]] = &[
    storm::ROWS,
    contention::ROWS,
    locks::ROWS,
    power::ROWS,
    space::ROWS,
    big::ROWS,
    damage::ROWS,
    lies::ROWS,
    plants::ROWS,
    worlds::ROWS,
    leaks::ROWS,
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["client", client @ ..] = words.as_slice() {
        client::play(client);
        return ExitCode::SUCCESS;
    }
    let rows: Vec<&Row> = FAMILIES.iter().copied().flatten().collect();
    if words == ["--list"] {
        for row in rows {
            println!("{:<5} {}", row.name, row.about);
        }
        return ExitCode::SUCCESS;
    }
    match Options::parse(&words) {
        Ok(options) => row::run(&rows, &options),
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(2)
        }
    }
}
