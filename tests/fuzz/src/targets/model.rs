//! Sequences of operations, against the model: one operation a line, as JSON.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use proptest_state_machine::{ReferenceStateMachine as _, StateMachineTest as _};

use crate::hunt::{Finding, Watch};
use crate::model::{Against, Command, Library, Machine, Model, Op, World};
use crate::target::{Source, Target};

/// The longest sequence.
const LONGEST: usize = 50;

pub(super) const LIBRARY: Target = Target {
    name: "model",
    about: "after any operations the library's registry, sockets and files agree with the model",
    source: Source::Cases(case::<Library>),
    check: replay::<Library>,
};

pub(super) const PROGRAM: Target = Target {
    name: "model-program",
    about: "after any operations the program's registry, sockets and files agree with the model",
    source: Source::Cases(case::<Command>),
    check: replay::<Command>,
};

fn case<W: World + 'static>(runner: &mut TestRunner, watch: &Watch) -> Option<Finding> {
    let tree = Machine::<W>::sequential_strategy(1..=LONGEST)
        .new_tree(runner)
        .unwrap();
    let check = |ops: Vec<Op>, seen| {
        let text = written(&ops);
        watch.over(&text, || {
            Against::<W>::test_sequential(Config::default(), Model::of(W::MODE), ops, seen);
        })
    };
    let test = |(_, ops, seen)| check(ops, seen).map_err(TestCaseError::fail);
    let current = tree.current().1;
    if runner.config().max_shrink_iters == 0 {
        let input = written(&current);
        return check(current, None).err().map(|why| Finding { input, why });
    }
    match runner.run_one(tree, test) {
        Ok(_) => None,
        Err(TestError::Fail(why, (_, ops, _))) => Some(Finding {
            input: written(&ops),
            why: why.message().into(),
        }),
        Err(TestError::Abort(why)) => Some(Finding {
            input: written(&current),
            why: why.message().into(),
        }),
    }
}

fn written(ops: &[Op]) -> Vec<u8> {
    let line = |op| serde_json::to_string(op).unwrap() + "\n";
    ops.iter().map(line).collect::<String>().into_bytes()
}

fn replay<W: World + 'static>(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let ops: Vec<Op> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    Against::<W>::test_sequential(Config::default(), Model::of(W::MODE), ops, None);
}
