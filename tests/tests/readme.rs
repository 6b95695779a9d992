//! The README as its reader would type it: each `console` block, in order, on a terminal.

use std::path::Path;

use pk_tests::console::{matches, steps};
use pk_tests::{Ports, TestEnv};

/// The numbers that the README uses; a test must not use fixed ones, so they are moved.
const FIRST: u16 = 8888;
const COUNT: u16 = 101;

#[test]
fn every_console_block_is_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme =
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("README.md: {error}"));
    let (env, ports) = (TestEnv::new(), Ports::claim_short(COUNT));
    let steps = steps(&moved(&readme, &ports));
    assert!(!steps.is_empty(), "README.md has no console block");
    for step in steps {
        let answer = env.terminal(
            &step
                .command
                .replace("cargo run --release -- ", "portkeeper "),
        );
        let as_told = matches(&step.answer, &answer.stdout);
        let fails = step.answer.iter().any(|line| line.starts_with("error: "));
        assert!(
            as_told && fails == (answer.code != Some(0)),
            "README.md:{}: $ {}\n--- told\n{}\n--- answered, exit {:?}\n{}",
            step.line,
            step.command,
            step.answer.join("\n"),
            answer.code,
            answer.stdout
        );
    }
}

/// `text` with each number from 8888 to 8988 moved into `ports`, which has as many digits.
fn moved(text: &str, ports: &Ports) -> String {
    let mut moved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, digits) = rest.split_at(at);
        let length = digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len());
        let (number, after) = digits.split_at(length);
        let index = number
            .parse::<u16>()
            .ok()
            .and_then(|number| number.checked_sub(FIRST));
        moved += before;
        match index.filter(|index| *index < COUNT) {
            Some(index) => moved += &ports.at(index).to_string(),
            None => moved += number,
        }
        rest = after;
    }
    moved + rest
}
