//! What the program and the library cost: every command as a whole process beside the floor, the
//! library beside the bare system calls, many processes at once, and other programs that give out
//! ports. Run by `cargo xtask bench`. Never part of the tests: what it finds depends on the machine.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it talks to the terminal, what fails here has no result, and plain files set the scene"
)]

mod commands;
mod contention;
mod figures;
mod library;
mod micro;
mod peers;
mod plot;
mod report;
mod scene;
mod stopwatch;
mod tools;
mod walk;

use tools::Tools;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == contention::WORKER) {
        return contention::work(&words[1..]);
    }
    if words.first().is_some_and(|word| word == walk::LISTENERS) {
        return walk::listeners(&words[1..]);
    }
    let after = |name: &str| {
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1)
    };
    let suite = after("--suite").map_or("tables", String::as_str);
    let rounds = after("--rounds").map(|word| word.parse().expect("a number of rounds"));
    let is_asked = |name| suite == "tables" || suite == name;
    let Some(tools) = Tools::make() else {
        return;
    };
    if is_asked("commands") {
        commands::measure(&tools, rounds.unwrap_or(200));
    }
    if is_asked("library") {
        library::measure(&tools, rounds.unwrap_or(200));
    }
    if is_asked("parts") {
        micro::measure(&tools);
    }
    if is_asked("walk") {
        walk::measure(&tools, rounds.unwrap_or(20));
    }
    if is_asked("peers") {
        peers::measure(&tools, rounds.unwrap_or(30));
    }
    if is_asked("contention") {
        contention::measure(&tools, rounds.unwrap_or(50) as usize);
    }
    if suite == "tables" {
        report::write(&tools);
    }
}
