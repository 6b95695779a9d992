//! Registries that no PortKeeper wrote: cut off, mixed up, made to do harm. Never valid ones alone.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use pk_tests::{Ports, TestEnv};

use crate::dice::Dice;
use crate::options::Options;
use crate::row::{Needs, Outcome, Row};

pub(crate) const ROWS: &[Row] = &[Row {
    name: "f19",
    about: "a registry changed at random: refused or put aside whole, and what is whole in it kept",
    needs: Needs::Nothing,
    run: damage,
}];

/// What is done to a damaged registry; `{range}` is filled in.
const COMMANDS: [&str; 5] = [
    "status",
    "reserve {range}",
    "gc",
    "release --mine",
    "doctor",
];

/// What does harm to careless readers.
const POISON: [&[u8]; 12] = [
    b"\0\0\0\0",
    b"\xff\xfe",
    b"<<<<<<< HEAD\n",
    b"{\"$serde_json::private::Number\":\"1\"}",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"1e999999",
    b"-0",
    b"\"\\ud800\"",
    b"\x1b]0;x\x07",
    b"65536",
    b"null",
    b",",
];

fn damage(options: &Options) -> Outcome {
    let rounds = options.rounds([400, 3_000, 100_000]);
    let (env, ports) = (TestEnv::new(), Ports::claim(8));
    let mut dice = options.dice(0);
    env.pk(format!("reserve --count 4 {}", ports.range())).ok();
    let whole = fs::read(env.registry()).unwrap();
    let (mut aside, mut refused, mut read, mut told_of) = (0_u64, 0_u64, 0_u64, 0_u64);
    while let Some(round) = rounds.next() {
        let bytes = spoilt(&whole, &mut dice);
        fs::write(env.registry(), &bytes).unwrap();
        let line = COMMANDS[round as usize % COMMANDS.len()];
        let answer = env.pk(line.replace("{range}", &ports.range())).sane();
        let told = format!("{line}: {answer:?}\n{}", String::from_utf8_lossy(&bytes));
        assert!(answer.took < Duration::from_secs(10), "{told}");
        assert!(
            !answer.stdout.contains('\x1b') && !answer.stderr.contains('\x1b'),
            "{told}"
        );
        let now = fs::read(env.registry()).unwrap_or_default();
        let copies = aside_copies(&env);
        match answer.code {
            // `doctor` has found something.
            Some(1) if line == "doctor" => {
                assert_eq!(now, bytes, "{told}");
                told_of += 1;
            }
            Some(0) if copies.is_empty() => read += 1,
            Some(0) => {
                assert!(
                    copies.iter().any(|it| fs::read(it).unwrap() == bytes),
                    "{told}"
                );
                aside += 1;
            }
            Some(code) => {
                assert!([3, 4, 6, 8, 9].contains(&code), "{told}");
                assert!(
                    now == bytes || !copies.is_empty() || code == 3 || code == 4,
                    "{told}"
                );
                refused += 1;
            }
            None => panic!("{told}"),
        }
        // Whatever it was, the next registry works.
        let _ = fs::remove_file(env.registry());
        for copy in copies {
            fs::remove_file(copy).unwrap();
        }
        if round % 50 == 0 {
            env.pk(format!("reserve {}", ports.range())).ok();
            env.pk("release --mine").ok();
        }
    }
    Ok(format!(
        "{} registries: {read} read, {aside} put aside, {refused} refused, {told_of} told of",
        rounds.done()
    ))
}

/// `whole`, with some bytes cut off, changed, doubled or replaced.
fn spoilt(whole: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + dice.below(40)).min(bytes.len());
        match dice.below(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..end, dice.pick(&POISON).iter().copied())),
            3 => {
                let copy = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, copy));
            }
            4 if at < bytes.len() => bytes[at] = dice.throw() as u8,
            _ => bytes.extend_from_slice(dice.pick(&POISON)),
        }
    }
    bytes
}

/// What was put aside.
fn aside_copies(env: &TestEnv) -> Vec<PathBuf> {
    let entries = fs::read_dir(env.state_folder()).unwrap().flatten();
    let is_copy = |path: &PathBuf| path.to_string_lossy().contains(".corrupt-");
    entries.map(|it| it.path()).filter(is_copy).collect()
}
