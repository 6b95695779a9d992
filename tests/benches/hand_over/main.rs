//! How often a port is lost while it is handed over, for each way of doing it and each kind of rival
//! that wants it too; and what it costs a program to be run so. Run by `cargo xtask bench hand-over`.
//! Never part of the tests: what it counts for the ways that let go of the port is a matter of luck.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "it talks to the terminal, and what fails here has no result"
)]

mod cost;
mod rival;
mod ways;

use std::process::{Command, ExitCode};

use pk_tests::{has, skipped};

use rival::{Kind, Rival};
use ways::Way;

/// As many hand-overs as the kernel's behaviour was first measured with.
const ROUNDS: u32 = 1_000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| {
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1)
    };
    let rounds = after("--rounds").map_or(ROUNDS, |word| word.parse().expect("a number of rounds"));
    if words.iter().any(|word| word == "--in-namespace") {
        let lost = column(Kind::Ephemeral, rounds);
        println!("{}", lost.map(|it| it.to_string()).join(" "));
        return ExitCode::SUCCESS;
    }
    let lost = table(rounds);
    let is_slower = cost::print();
    match lost == 0 && !is_slower {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Prints how many of the hand-overs were lost; gives back how many of those that never may be.
fn table(rounds: u32) -> u32 {
    println!(
        "lost hand-overs, of {rounds} ({} by the program):\n",
        Way::Run.rounds(rounds)
    );
    let columns = Kind::ALL.map(|kind| match kind {
        Kind::Ephemeral => column_in_namespace(rounds),
        kind => Some(column(kind, rounds)),
    });
    print!("{:34}", "");
    Kind::ALL
        .iter()
        .for_each(|kind| print!("{:>16}", kind.name()));
    println!();
    let mut broken = 0;
    for (at, way) in Way::ALL.into_iter().enumerate() {
        print!("{:34}", way.name());
        for column in &columns {
            match column {
                Some(lost) => print!("{:>16}", lost[at]),
                None => print!("{:>16}", "-"),
            }
            if way.keeps_the_port() {
                broken += column.map_or(0, |lost| lost[at]);
            }
        }
        println!();
    }
    println!();
    if broken > 0 {
        println!("FAILED: {broken} were lost in ways that never let go of the port\n");
    }
    broken
}

/// How many were lost to a rival of this kind, for each way.
fn column(kind: Kind, rounds: u32) -> [u32; Way::ALL.len()] {
    let mut rival = Rival::new(kind);
    Way::ALL.map(|way| {
        let rounds = 0..way.rounds(rounds);
        let lost = rounds.filter(|_| way.is_lost(&mut rival));
        u32::try_from(lost.count()).expect("as many as rounds")
    })
}

/// The same in a network of its own, where the kernel has few ports to give out.
fn column_in_namespace(rounds: u32) -> Option<[u32; Way::ALL.len()]> {
    let ours = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.arg("--net");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command
        .args(["sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
        .arg(ours)
        .args(["--in-namespace", "--rounds", &rounds.to_string()]);
    let output = match (has("unshare"), has("ip")) {
        (true, true) => command.output().ok(),
        _ => None,
    };
    let said = output.filter(|it| it.status.success()).map(|it| it.stdout);
    let Some(said) = said else {
        skipped("bind(0): no network namespace of our own (unshare, ip)");
        return None;
    };
    let said = String::from_utf8(said).unwrap();
    let lost: Vec<u32> = said
        .split_whitespace()
        .map(|it| it.parse().unwrap())
        .collect();
    Some(lost.try_into().expect("one number for each way"))
}
