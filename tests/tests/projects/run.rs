//! `run --project`: a command with all ports of a project.

use super::{read, write};
use pk_tests::{TestEnv, has, is_free, skipped};

const PROJECT: &str = "[ports.web]\n[ports.api]\nhold = true\n[vars]\nMODE = 'x-${WEB_PORT}'\n\
                       [[outputs]]\ntype = 'env'\npath = '.env'\n";

#[test]
fn the_command_has_all_variables_and_the_ports_end_with_it() {
    let env = TestEnv::new();
    write(&env, "portkeeper.toml", PROJECT);
    let mut run = env.portkeeper("run --project -- sh -c");
    run.arg("echo WEB_PORT=$WEB_PORT; echo API_PORT=$API_PORT; echo $MODE $WEB_HOST >&2; portkeeper status --format port | wc -l >&2; exit 7");
    let ran = env.run(run);
    assert_eq!(ran.code, Some(7), "{ran:?}");
    assert_eq!(ran.stdout, read(&env, ".env"));
    assert!(
        ran.stderr.contains("127.0.0.1") && ran.stderr.contains("x-2"),
        "{ran:?}"
    );
    assert!(
        ran.stderr.trim_end().ends_with('2'),
        "both are reserved meanwhile: {ran:?}"
    );
    assert_eq!(env.reserved(), [0_u16; 0]);
}

#[test]
fn what_was_prepared_before_stays() {
    let env = TestEnv::new();
    write(&env, "portkeeper.toml", PROJECT);
    env.pk("prepare").ok();
    let before = env.reserved();
    let held = env
        .reservations()
        .into_iter()
        .find(|it| it["held"] == true)
        .unwrap();
    let port = u16::try_from(held["port"].as_u64().unwrap()).unwrap();
    env.pk("run --project -- true").ok();
    assert_eq!(env.reserved(), before);
    assert_eq!(env.state(port).as_deref(), Some("held"));
    assert!(!is_free(port));
    env.pk("down").ok();
    assert_eq!(env.reserved(), [0_u16; 0]);
}

#[test]
fn a_server_gets_a_held_port_and_another_binds_one_that_is_not() {
    if !has("python3") {
        skipped("servers: no python3");
        return;
    }
    let env = TestEnv::new();
    write(&env, "portkeeper.toml", PROJECT);
    let script = "import http.server, os, threading, urllib.request\n\
        for key in ('WEB_PORT', 'API_PORT'):\n\
        \x20   server = http.server.HTTPServer(('127.0.0.1', int(os.environ[key])), http.server.SimpleHTTPRequestHandler)\n\
        \x20   threading.Thread(target=server.serve_forever, daemon=True).start()\n\
        \x20   print(urllib.request.urlopen(f'http://127.0.0.1:{os.environ[key]}/.env').read().decode().count(os.environ[key]))\n";
    let mut run = env.portkeeper("run --project -- python3 -c");
    run.arg(script);
    let ran = env.run(run).ok();
    assert_eq!(ran.stdout, "1\n1\n");
}

#[test]
fn options_of_one_port_are_refused() {
    let env = TestEnv::new();
    write(&env, "portkeeper.toml", PROJECT);
    env.pk("run --project --preferred 8080 -- true").refused(2);
    env.pk("run --profile x -- true").refused(2);
}
