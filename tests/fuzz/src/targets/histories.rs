//! Histories of several clients at once: one event a line, as JSON.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use crate::hunt::{Finding, Watch};
use crate::model::{Event, check_history, clients, record};
use crate::target::{Source, Target};

pub(super) const TARGET: Target = Target {
    name: "histories",
    about: "what processes are told that run at once, and are killed, could be told one after the other",
    source: Source::Cases(case),
    check: replay,
};

/// What is found can't be had again by doing the same: the history itself is kept, as it was.
fn case(runner: &mut TestRunner, watch: &Watch) -> Option<Finding> {
    let clients = clients().new_tree(runner).unwrap().current();
    let mut history = Vec::new();
    let judged = watch
        .over(b"", || history = record(&clients))
        .and_then(|()| watch.over(&written(&history), || check_history(&history)));
    judged.err().map(|why| Finding {
        input: written(&history),
        why,
    })
}

fn written(history: &[Event]) -> Vec<u8> {
    let line = |event| serde_json::to_string(event).unwrap() + "\n";
    history.iter().map(line).collect::<String>().into_bytes()
}

fn replay(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let history: Vec<Event> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    check_history(&history);
}
