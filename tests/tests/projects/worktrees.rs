//! Many checkouts of one project, each with ports of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::{port_of, write};
use pk_tests::{Ports, TestEnv};

const TREES: usize = 30;

/// The ports of all checkouts, which are prepared at once.
fn prepared(env: &TestEnv) -> BTreeMap<usize, Vec<u16>> {
    std::thread::scope(|scope| {
        let prepare = |tree: usize| {
            let mut command = env.portkeeper("prepare");
            command.current_dir(env.path(&format!("tree{tree}")));
            let answer = env.run(command).ok().json();
            let ports = ["web", "api", "db"].map(|label| port_of(&answer, label));
            (tree, ports.to_vec())
        };
        let all: Vec<_> = (0..TREES)
            .map(|tree| scope.spawn(move || prepare(tree)))
            .collect();
        all.into_iter().map(|it| it.join().unwrap()).collect()
    })
}

#[test]
fn thirty_at_once_have_disjoint_ports_that_stay_theirs() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    for tree in 0..TREES {
        // As `git worktree add` makes them.
        write(&env, &format!("tree{tree}/.git"), "gitdir: elsewhere\n");
        let text = format!(
            "[ports.web]\npreferred = {}\n[ports.api]\n[ports.db]\n[[outputs]]\ntype = 'env'\npath = '.env'\n",
            ports.at(0)
        );
        write(&env, &format!("tree{tree}/portkeeper.toml"), &text);
    }
    let first = prepared(&env);
    let all: BTreeSet<u16> = first.values().flatten().copied().collect();
    assert_eq!(all.len(), 3 * TREES);
    assert!(all.contains(&ports.at(0)), "one got what all prefer");
    assert_eq!(env.reserved(), Vec::from_iter(all));
    for (tree, ports) in &first {
        let text = fs::read_to_string(env.path(&format!("tree{tree}/.env"))).unwrap();
        let expect = format!(
            "WEB_PORT={}\nAPI_PORT={}\nDB_PORT={}\n",
            ports[0], ports[1], ports[2]
        );
        assert_eq!(text, expect);
    }
    assert_eq!(prepared(&env), first, "while they last");
    env.pk("release --mine").ok();
    assert_eq!(prepared(&env), first, "after they were released");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let registry = fs::read_to_string(env.registry()).unwrap();
    let another = registry.replace(boot.trim(), "00000000-0000-4000-8000-000000000000");
    assert_ne!(registry, another);
    fs::write(env.registry(), another).unwrap();
    assert_eq!(prepared(&env), first, "after a boot");
}
