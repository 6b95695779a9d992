//! Random sequences of commands, against the plainest model of them: a set of ports.

use std::collections::BTreeSet;

use pk_tests::{Ports, TestEnv};
use proptest::prelude::*;

/// The ports of a run. Few, so that sequences meet.
const PORTS: u16 = 5;

#[derive(Clone, Debug)]
enum Step {
    /// Any port.
    Reserve,
    /// This one, else the next free one.
    Prefer(u16),
    /// This one or none.
    Insist(u16),
    /// Several, or none at all.
    Several(usize),
    Release(u16),
    Gc,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Reserve),
        (0..PORTS).prop_map(Step::Prefer),
        (0..PORTS).prop_map(Step::Insist),
        (2_usize..4).prop_map(Step::Several),
        (0..PORTS).prop_map(Step::Release),
        (0..PORTS).prop_map(Step::Release),
        Just(Step::Gc),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn commands_do_what_a_set_does(steps in prop::collection::vec(step(), 1..20)) {
        let (env, ports) = (TestEnv::new(), Ports::claim(PORTS));
        let mut model = BTreeSet::new();
        for step in steps {
            run(&env, &ports, &mut model, &step);
            prop_assert_eq!(env.reserved(), model.iter().copied().collect::<Vec<_>>(), "{:?}", step);
        }
    }
}

/// Does one step with the program and with the model, and compares the answers.
fn run(env: &TestEnv, ports: &Ports, model: &mut BTreeSet<u16>, step: &Step) {
    let free: Vec<_> = ports.all().filter(|port| !model.contains(port)).collect();
    let (options, expect) = match step {
        Step::Reserve => (String::new(), free.iter().take(1).copied().collect()),
        Step::Prefer(index) => {
            let port = ports.at(*index);
            let granted = if model.contains(&port) {
                free.first().copied()
            } else {
                Some(port)
            };
            (format!("--preferred {port}"), granted.into_iter().collect())
        }
        Step::Insist(index) => {
            let port = ports.at(*index);
            let granted = free.contains(&port).then_some(port);
            (
                format!("--strict --preferred {port}"),
                granted.into_iter().collect(),
            )
        }
        Step::Several(count) => {
            let granted = free.get(..*count).unwrap_or_default().to_vec();
            (format!("--count {count}"), granted)
        }
        Step::Release(index) => {
            let port = ports.at(*index);
            let answer = env.pk(format!("release {port}"));
            let code = if model.remove(&port) { 0 } else { 4 };
            assert_eq!(answer.code, Some(code), "{answer:?}");
            return;
        }
        Step::Gc => {
            let kept = env.pk("gc").ok().json()["kept"].clone();
            assert_eq!(kept, model.len());
            return;
        }
    };
    let answer = env.pk(format!("reserve --format port {} {options}", ports.range()));
    let granted: Vec<u16> = answer
        .stdout
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    assert_eq!(granted, expect, "{answer:?}");
    assert_eq!(
        answer.code,
        Some(if expect.is_empty() { 3 } else { 0 }),
        "{answer:?}"
    );
    model.extend(granted);
}
