//! What can't be done is not begun: every file and the registry are as they were, and it is said
//! which output it was.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::{all_files, write};
use pk_tests::TestEnv;

const PORTS: &str =
    "[ports.web]\n[ports.held]\nhold = true\n[[outputs]]\ntype = 'env'\npath = '.env'\n";

/// A project whose second output is `output`, refused with `code` and `says`.
fn check(files: &[(&str, &str)], output: &str, code: i32, says: &str) {
    let env = TestEnv::new();
    write(
        &env,
        "portkeeper.toml",
        &format!("{PORTS}[[outputs]]\n{output}\n"),
    );
    write(&env, ".env", "A=1\n");
    for (name, text) in files {
        write(&env, name, text);
        if name.contains("read-only") {
            fs::set_permissions(env.path(name), Permissions::from_mode(0o444)).unwrap();
        }
    }
    env.pk("reserve --name other").ok();
    let before = (all_files(&env.path("")), fs::read(env.registry()).unwrap());
    for line in ["prepare", "run --project -- false"] {
        env.pk(line).refused(code).says(says);
        let after = (all_files(&env.path("")), fs::read(env.registry()).unwrap());
        assert!(before == after, "{line}: {output}");
    }
    env.pk("prepare --dry-run").refused(code).says(says);
}

#[test]
fn a_read_only_file() {
    check(
        &[("read-only.env", "A=1\n")],
        "type = 'env'\npath = 'read-only.env'",
        8,
        "output 2 (env, read-only.env)",
    );
}

#[test]
fn a_pointer_through_a_text() {
    check(
        &[("c.json", "{\"a\": \"b\"}\n")],
        "type = 'json'\npath = 'c.json'\nmap.'/a/b' = '${WEB_PORT}'",
        6,
        "output 2 (json, c.json)",
    );
    check(
        &[("c.toml", "a = 'b'\n")],
        "type = 'toml'\npath = 'c.toml'\nmap.'/a/b' = '${WEB_PORT}'",
        6,
        "output 2 (toml, c.toml)",
    );
}

#[test]
fn what_is_no_pointer() {
    for kind in ["json", "toml", "compose", "js"] {
        check(
            &[],
            &format!("type = '{kind}'\npath = 'c'\nmap.'a' = 'b'"),
            2,
            &format!("output 2 ({kind}, c)"),
        );
    }
}

#[test]
fn a_missing_folder_and_a_missing_template() {
    check(
        &[],
        "type = 'env'\npath = 'none/.env'",
        7,
        "output 2 (env, none/.env)",
    );
    check(
        &[],
        "type = 'template'\npath = 'x'\ntemplate = 'x.in'",
        7,
        "output 2 (template, x)",
    );
}

#[test]
fn a_variable_that_is_not_set() {
    check(
        &[],
        "type = 'env'\npath = 'b.env'\nmap.X = '${WEB_PROT}'",
        6,
        "portkeeper.toml:10:9: WEB_PROT is not set; did you mean WEB_PORT?",
    );
    check(
        &[("x.in", "a\n  ${NONE}\n")],
        "type = 'template'\npath = 'x'\ntemplate = 'x.in'",
        6,
        "x.in:2:3: NONE is not set",
    );
}

#[test]
fn two_values_for_one_key() {
    check(
        &[],
        "type = 'env'\npath = './.env'\nmap.WEB_PORT = '${HELD_PORT}'",
        6,
        "output 1 (env, .env) and output 2 (env, ./.env) disagree",
    );
    check(
        &[],
        "type = 'json'\npath = '.env'\nmap.'/a' = 'b'",
        6,
        "the type in",
    );
}

#[test]
fn what_somebody_else_wrote_is_not_replaced() {
    check(
        &[("compose.override.yaml", "services: {}\n")],
        "type = 'compose'\npath = 'compose.override.yaml'\nmap.'/services/web/ports/0' = '${WEB_PORT}:80'",
        8,
        "was not written by portkeeper",
    );
}

#[test]
fn no_port_for_one_of_them() {
    let env = TestEnv::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    write(
        &env,
        "portkeeper.toml",
        &format!(
            "[ports.a]\n[ports.b]\nrange = [{port}, {port}]\n[[outputs]]\ntype = 'env'\npath = '.env'\n"
        ),
    );
    env.pk("prepare").refused(3).says("port b: no free port");
    assert_eq!(env.reserved(), [0_u16; 0]);
    assert!(!env.path(".env").exists());
}

#[test]
fn a_file_that_means_nothing() {
    let env = TestEnv::new();
    env.pk("prepare")
        .refused(2)
        .says("no portkeeper.toml in")
        .says("portkeeper init");
    write(&env, "portkeeper.toml", "[ports.web]\nprefered = 1\n");
    env.pk("prepare")
        .refused(6)
        .says("portkeeper.toml:2:1: unknown key prefered; did you mean preferred?");
    write(&env, "portkeeper.yaml", "ports: {web: {}}\n");
    env.pk("prepare")
        .refused(6)
        .says("two files tell of this project");
    env.pk("prepare --config portkeeper.yaml").ok();
}
