//! `prepare` and `down` as they are meant.

use super::{all_files, port_of, read, write};
use pk_tests::process::is_alive;
use pk_tests::{Ports, TestEnv, is_free};

/// A project with an output of each kind.
fn everything(env: &TestEnv, ports: &Ports) {
    let (first, last) = (ports.at(0), ports.at(2));
    write(
        env,
        "portkeeper.toml",
        &format!(
            r#"
[ports.web]
preferred = {first}
range = [{first}, {last}]

[ports.api]
env = "API"
host = "localhost"
hold = true

[vars]
URL = "http://${{API_HOST}}:${{API}}"

[[outputs]]
type = "env"
path = ".env"

[[outputs]]
type = "env"
path = ".env"
map.SITE = "${{URL}}/v1"

[[outputs]]
type = "json"
path = "config.json"
map."/api/url" = "${{URL}}"
map."/web/port" = "${{WEB_PORT}}"
map."/web/host" = "${{HOST:-example}}"

[[outputs]]
type = "toml"
path = "deep/settings.toml"
map."/server/port" = "${{WEB_PORT}}"

[[outputs]]
type = "template"
template = "nginx.conf.in"
path = "nginx.conf"

[[outputs]]
type = "compose"
path = "compose.override.yaml"
map."/services/web/ports/0" = "${{WEB_PORT}}:80"

[[outputs]]
type = "js"
path = "config.js"
variable = "window.ENV"
map."/url" = "${{URL}}"
"#
        ),
    );
    write(env, ".env", "# ours\nDEBUG=1\nWEB_PORT=1 # web\n");
    write(
        env,
        "config.json",
        "{ // ours\n  \"web\": {\"port\": \"1\"}\n}\n",
    );
    write(env, "deep/settings.toml", "[server] # ours\nport = 1\n");
    write(env, "nginx.conf.in", "listen ${WEB_PORT}; # $host\n");
}

#[test]
fn every_kind_of_output_is_written_and_nothing_else_of_the_file() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    everything(&env, &ports);
    let answer = env.pk("prepare").ok().json();
    let (web, api) = (port_of(&answer, "web"), port_of(&answer, "api"));
    assert_eq!(web, ports.at(0));
    assert!(is_free(web) && !is_free(api));
    assert_eq!(
        read(&env, ".env"),
        format!(
            "# ours\nDEBUG=1\nWEB_PORT={web} # web\nAPI={api}\nSITE=http://localhost:{api}/v1\n"
        )
    );
    assert_eq!(
        read(&env, "config.json"),
        format!(
            "{{ // ours\n  \"web\": {{\"port\": \"{web}\", \"host\": \"example\"}},\n  \"api\": {{\n    \"url\": \"http://localhost:{api}\"\n  }}\n}}\n"
        )
    );
    assert_eq!(
        read(&env, "deep/settings.toml"),
        format!("[server] # ours\nport = {web}\n")
    );
    assert_eq!(read(&env, "nginx.conf"), format!("listen {web}; # $host\n"));
    let compose = read(&env, "compose.override.yaml");
    assert!(
        compose.ends_with(&format!(
            "services:\n  web:\n    ports: !override\n      - \"{web}:80\"\n"
        )),
        "{compose}"
    );
    let script = read(&env, "config.js");
    assert!(
        script.contains("window.ENV = {") && script.contains(&format!(":{api}\"")),
        "{script}"
    );
    assert_eq!(env.reserved(), {
        let mut both = [web, api];
        both.sort_unstable();
        both
    });
}

#[test]
fn again_it_changes_nothing_and_from_a_folder_below_as_well() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    everything(&env, &ports);
    env.pk("prepare --check").refused(1).says("is not prepared");
    env.pk("prepare").ok();
    let (files, registry) = (
        all_files(&env.path("")),
        std::fs::read(env.registry()).unwrap(),
    );
    let answer = env.pk("prepare").ok().json();
    let news = |of: &str, what: &str| {
        let items = answer[of].as_array().unwrap();
        items.iter().filter(|it| it[what] == true).count()
    };
    assert_eq!((news("ports", "new"), news("files", "changed")), (0, 0));
    let mut below = env.portkeeper("prepare");
    below.current_dir(env.path("deep"));
    env.run(below).ok();
    env.pk("prepare --check").ok();
    assert!(env.pk("prepare --dry-run").ok().json()["up_to_date"] == true);
    assert_eq!(all_files(&env.path("")), files);
    assert_eq!(std::fs::read(env.registry()).unwrap(), registry);
    // What somebody changes is noticed, and put right.
    write(&env, "nginx.conf", "listen 1;\n");
    env.pk("prepare --check --format text")
        .refused(1)
        .says("is not prepared");
    let shown = env.pk("prepare --dry-run --format text").ok().stdout;
    assert!(shown.contains("-listen 1;"), "{shown}");
    assert_eq!(read(&env, "nginx.conf"), "listen 1;\n", "only shown");
    env.pk("prepare").ok();
    env.pk("prepare --check").ok();
}

#[test]
fn what_would_be_done_is_shown_and_not_done() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    everything(&env, &ports);
    let before = all_files(env.root());
    let shown = env.pk("prepare --dry-run").ok().json();
    assert_eq!(port_of(&shown, "web"), ports.at(0));
    assert_eq!(shown["up_to_date"], false);
    assert_eq!(shown["files"].as_array().map(Vec::len), Some(6));
    assert_eq!(all_files(env.root()), before);
    let answer = env.pk("prepare").ok().json();
    assert_eq!(
        port_of(&answer, "api"),
        port_of(&shown, "api"),
        "as it was shown"
    );
}

#[test]
fn down_gives_everything_back_and_the_numbers_come_again() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    everything(&env, &ports);
    let first = env.pk("prepare").ok().json();
    let holder = env
        .reservations()
        .iter()
        .find_map(|it| it["holder_pid"].as_u64());
    let other = env.pk("reserve").ok().port();
    let down = env.pk("down").ok().json();
    assert_eq!(down["released"].as_array().map(Vec::len), Some(2));
    assert_eq!(env.reserved(), [other], "that of nobody's project stays");
    assert!(!is_alive(holder.unwrap().try_into().unwrap()));
    env.pk("down").ok();
    let files = all_files(&env.path(""));
    let again = env.pk("prepare").ok().json();
    for label in ["web", "api"] {
        assert_eq!(port_of(&again, label), port_of(&first, label));
    }
    assert_eq!(all_files(&env.path("")), files, "the files tell the same");
}

#[test]
fn a_profile_has_ports_and_files_of_its_own() {
    let env = TestEnv::new();
    write(
        &env,
        "portkeeper.toml",
        "[ports.web]\n[ports.db]\n[vars]\nMODE = 'dev'\n\
         [[outputs]]\ntype = 'env'\npath = '.env'\n\
         [profiles.test]\nonly = ['web']\nvars.MODE = 'test'\n\
         [[profiles.test.outputs]]\ntype = 'env'\npath = '.env.test'\nmap.WEB = '${WEB_PORT}/${MODE}'\n",
    );
    let dev = env.pk("prepare").ok().json();
    let test = env.pk("prepare --profile test").ok().json();
    let web = port_of(&test, "web");
    assert_ne!(web, port_of(&dev, "web"));
    assert_eq!(test["ports"].as_array().map(Vec::len), Some(1));
    assert_eq!(read(&env, ".env.test"), format!("WEB={web}/test\n"));
    assert!(!read(&env, ".env").contains(&web.to_string()));
    let status = env.pk("status --format text").ok().stdout;
    assert!(status.contains("test/web"), "{status}");
    env.pk("down --profile test").ok();
    assert_eq!(env.reserved().len(), 2);
    env.pk("prepare --profile tset")
        .refused(2)
        .says("has no profile tset");
}

#[test]
fn down_gives_back_whatever_the_project_has_a_name_for() {
    let env = TestEnv::new();
    write(
        &env,
        "portkeeper.toml",
        "[ports.web]\n[ports.db]\n[profiles.test]\n",
    );
    let _ = env.pk("prepare").ok();
    let _ = env.pk("prepare --profile test").ok();
    let _ = env.pk("reserve --name by-hand").ok();
    let nameless = env.pk("reserve").ok().port();
    // A profile's ports are that profile's alone.
    let _ = env.pk("down --profile test").ok();
    assert_eq!(env.reserved().len(), 4);
    // What stands no longer in the file is the project's all the same.
    write(&env, "portkeeper.toml", "[ports.web]\n");
    let _ = env.pk("down").ok();
    assert_eq!(env.reserved(), [nameless]);
}

#[test]
fn it_waits_for_ports_that_are_taken() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    write(
        &env,
        "portkeeper.toml",
        &format!("[ports.web]\nrange = [{port}, {port}]\n"),
    );
    let _ = env.pk(format!("reserve --preferred {port} --strict")).ok();
    env.pk("prepare --wait 200ms")
        .refused(3)
        .says("waited 0.2s");
    for line in ["prepare --wait 60s", "run --project --wait 60s -- true"] {
        let mut command = env.portkeeper(line);
        command.env("PORTKEEPER_LOG", "debug");
        let mut waiting = env.start(command);
        waiting.says("candidate rejected");
        let _ = env.pk(format!("release {port}")).ok();
        let _ = waiting.ends_with(0);
        if line.starts_with("prepare") {
            assert_eq!(env.reserved(), [port]);
            let _ = env.pk("down").ok();
            let _ = env.pk(format!("reserve --preferred {port} --strict")).ok();
        }
    }
    assert_eq!(env.reserved(), [0_u16; 0]);
}
