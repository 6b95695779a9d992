//! A disk that fails in the middle of `prepare`, and a process that is killed there.

use std::fs;

use super::{all_files, write};
use pk_tests::TestEnv;

const PROJECT: &str = "[ports.web]\n[ports.held]\nhold = true\n\
                       [[outputs]]\ntype = 'env'\npath = '.env'\n\
                       [[outputs]]\ntype = 'json'\npath = 'c.json'\nmap.'/port' = '${WEB_PORT}'\n\
                       [[outputs]]\ntype = 'toml'\npath = 'c.toml'\nmap.'/port' = '${HELD_PORT}'\n";

fn project() -> Option<TestEnv> {
    let env = TestEnv::with_failpoints()?;
    write(&env, "portkeeper.toml", PROJECT);
    write(&env, ".env", "A=1\n");
    write(&env, "c.json", "{}\n");
    Some(env)
}

fn stumbling(env: &TestEnv, rule: &str) -> pk_tests::Answer {
    let mut command = env.portkeeper("prepare");
    command.env("PORTKEEPER_FAILPOINTS", rule);
    env.run(command)
}

#[test]
fn a_file_that_can_not_be_replaced_takes_everything_back() {
    for turn in 1..=3 {
        let Some(env) = project() else { return };
        env.pk("reserve --name other").ok();
        let (files, entries) = (all_files(&env.path("")), env.reservations());
        stumbling(&env, &format!("durable.replace@{turn}=return(ENOSPC)")).refused(7);
        let contents = |files| -> Vec<(String, Vec<u8>)> {
            let files: std::collections::BTreeMap<String, (u64, Vec<u8>)> = files;
            files
                .into_iter()
                .map(|(name, (_, bytes))| (name, bytes))
                .collect()
        };
        assert_eq!(
            contents(all_files(&env.path(""))),
            contents(files),
            "{turn}"
        );
        assert_eq!(env.reservations(), entries, "{turn}");
        env.pk("prepare").ok();
        env.pk("prepare --check").ok();
    }
}

#[test]
fn killed_between_two_files_the_next_command_takes_it_back() {
    let Some(env) = project() else { return };
    let answer = stumbling(&env, "config.replaced=kill");
    assert_eq!(answer.code, None, "{answer:?}");
    env.pk("env set Z=1 --file z.env --create").ok();
    assert_eq!(fs::read_to_string(env.path(".env")).unwrap(), "A=1\n");
    assert_eq!(fs::read_to_string(env.path("c.json")).unwrap(), "{}\n");
    assert!(!env.path("c.toml").exists());
    assert_eq!(env.reserved(), [0_u16; 0]);
    env.pk("prepare").ok();
    env.pk("prepare --check").ok();
}

#[test]
fn what_was_reserved_before_outlives_a_kill() {
    let Some(env) = project() else { return };
    env.pk("prepare").ok();
    let ports = env.reserved();
    write(&env, ".env", "A=1\n");
    write(&env, "c.json", "{}\n");
    let answer = stumbling(&env, "config.replaced=kill");
    assert_eq!(answer.code, None, "{answer:?}");
    env.pk("env set Z=1 --file z.env --create").ok();
    assert_eq!(fs::read_to_string(env.path(".env")).unwrap(), "A=1\n");
    assert_eq!(env.reserved(), ports);
    env.pk("prepare").ok();
    assert_eq!(env.reserved(), ports);
    env.pk("prepare --check").ok();
}
