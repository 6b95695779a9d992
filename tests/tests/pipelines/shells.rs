//! What each form says, and what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::{Files, step};
use pk_tests::{Ports, TestEnv};

#[test]
fn variables_are_named_after_key_or_name() {
    let ports = Ports::claim_short(3);
    let [a, b, c] = [0, 1, 2].map(|at| ports.at(at));
    let check = |args: &str, expect: &str| {
        let env = TestEnv::new();
        let dry = env
            .pk(format!(
                "reserve --preferred {a} {} {args} --dry-run",
                ports.range()
            ))
            .ok();
        assert_eq!(env.reserved(), [0_u16; 0], "{args}");
        let answer = env
            .pk(format!("reserve --preferred {a} {} {args}", ports.range()))
            .ok();
        assert_eq!(answer.stdout, expect, "{args}");
        assert_eq!(dry.stdout, expect, "{args}");
        assert!(!env.reserved().is_empty());
    };
    check("--format env", &format!("PORT={a}\n"));
    check(
        "--format env --name web/api-2",
        &format!("WEB_API_2_PORT={a}\n"),
    );
    check(
        "--format shell --name 2",
        &format!("export _2_PORT='{a}'\n"),
    );
    check(
        "--format fish --count 3",
        &format!("set -gx PORT0 '{a}';\nset -gx PORT1 '{b}';\nset -gx PORT2 '{c}';\n"),
    );
    check(
        "--format env --write-env A --write-env U=http://{host}:{port}",
        &format!("A={a}\nU=http://127.0.0.1:{a}\n"),
    );
    check(
        "--format env --count 2 --write-env A --write-env B",
        &format!("A={a}\nB={b}\n"),
    );
}

#[test]
fn projects_tell_all_their_variables() {
    let env = TestEnv::new();
    let text = "[ports.web]\n[ports.db]\nhost = '::1'\nenv = 'PGPORT'\n[vars]\nURL = 'http://${WEB_HOST}:${WEB_PORT}'\n";
    fs::write(env.path("portkeeper.toml"), text).unwrap();
    let answer = env.pk("prepare --format env").ok().stdout;
    let said: BTreeMap<_, _> = answer.lines().filter_map(|it| it.split_once('=')).collect();
    let names: Vec<_> = said.keys().copied().collect();
    assert_eq!(names, ["DB_HOST", "PGPORT", "URL", "WEB_HOST", "WEB_PORT"]);
    assert_eq!(said["DB_HOST"], "::1");
    assert_eq!(
        said["URL"],
        format!("http://127.0.0.1:{}", said["WEB_PORT"])
    );
    for options in ["", "--check", "--dry-run"] {
        let again = env.pk(format!("prepare {options} --format env")).ok();
        assert_eq!(again.stdout, answer, "{options}");
    }
    let files = Files::new(&env);
    let told = step(&env, &files, &["prepare", "--format", "github"]).ok();
    assert_eq!(told.stdout, "");
    let (variables, outputs) = files.read();
    assert_eq!(variables, outputs);
    let pair = |(name, value): (&&str, &&str)| ((*name).to_owned(), (*value).to_owned());
    assert_eq!(variables, said.iter().map(pair).collect());
}

#[test]
fn a_step_has_variables_and_outputs() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    let files = Files::new(&env);
    // What an earlier line has left open is no part of ours.
    fs::write(&files.env, "OLD=1").unwrap();
    let (first, last) = (ports.at(0).to_string(), ports.at(1).to_string());
    let range = ["reserve", "--range", &first, &last, "--format", "github"];
    let told = step(&env, &files, &range).ok();
    assert_eq!((told.stdout.as_str(), told.stderr.as_str()), ("", ""));
    let entry = &env.reservations()[0];
    let (variables, outputs) = files.read();
    let port = entry["port"].to_string();
    assert_eq!(variables["OLD"], "1");
    assert_eq!(variables["PORT"], port);
    assert_eq!(variables.len(), 2);
    assert_eq!(outputs["port"], port);
    assert_eq!(outputs["host"], "127.0.0.1");
    assert_eq!(entry["id"], outputs["id"].as_str());
    assert_eq!(outputs.len(), 3);

    let (env, files) = (TestEnv::new(), Files::new(&env));
    let several = [&range[..], &["--count", "2"]].concat();
    let _ = step(&env, &files, &several).ok();
    let (variables, outputs) = files.read();
    let (zero, one) = (&variables["PORT0"], &variables["PORT1"]);
    assert_eq!(outputs["ports"], format!("[{zero},{one}]"));
    assert_eq!([&outputs["port0"], &outputs["port1"]], [zero, one]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let env = TestEnv::new();
    for command in [
        "status",
        "release --mine",
        "gc",
        "down",
        "renew 8080",
        "why 8080",
        "run -- true",
        "doctor",
        "env get A",
    ] {
        for form in ["env", "shell", "fish", "github"] {
            let (head, tail) = command.split_once(" --").unwrap_or((command, ""));
            let tail = if tail.is_empty() {
                String::new()
            } else {
                format!("--{tail}")
            };
            env.pk(format!("{head} --format {form} {tail}"))
                .refused(2)
                .says(format!("invalid value '{form}' for '--format <FORMAT>'"))
                .says("hint: portkeeper ");
        }
    }
    env.pk("reserve --count 2 --write-env A --write-env A --format env")
        .refused(2)
        .says("A in .env can't have two ports");
    env.pk("reserve --write-env A --write-env A={host} --format env")
        .refused(2)
        .says("the variable A is given twice");
    env.pk("reserve --format github --dry-run").refused(2);
    fs::write(env.path("portkeeper.toml"), "[ports.web]\n").unwrap();
    env.pk("prepare --format github --check").refused(2);
    assert_eq!(env.reserved(), [0_u16; 0]);
    assert!(!env.path(".env").exists());
}

/// Nothing is reserved, and nothing is written to the file that is as it should be.
#[test]
fn a_step_whose_files_are_not_there_reserves_nothing() {
    let check = |env: &TestEnv, prepare: &dyn Fn(&Files), code: i32, part: &str| {
        fs::write(env.path("portkeeper.toml"), "[ports.web]\n").unwrap();
        let _ = fs::remove_dir_all(env.path("github-output"));
        let files = Files::new(env);
        if env.uid() != 0 {
            for path in [&files.env, &files.output] {
                std::os::unix::fs::chown(path, Some(env.uid()), None).unwrap();
            }
        }
        prepare(&files);
        for args in [
            &["reserve", "--format", "github"][..],
            &["reserve", "--hold", "--count", "2", "--format", "github"],
            &["reserve", "--write-env", "A", "--format", "github"],
            &["prepare", "--format", "github"],
        ] {
            step(env, &files, args).refused(code).says(part);
        }
        assert_eq!(fs::read_to_string(&files.env).unwrap(), "");
        assert_eq!(env.reserved(), [0_u16; 0]);
        assert!(!env.path(".env").exists());
    };
    let env = TestEnv::new();
    let remove = |files: &Files| fs::remove_file(&files.output).unwrap();
    check(&env, &remove, 7, "github-output: No such file");
    let folder = |files: &Files| {
        remove(files);
        fs::create_dir(&files.output).unwrap();
    };
    check(&env, &folder, 8, "github-output is a directory");
    for name in ["GITHUB_ENV", "GITHUB_OUTPUT"] {
        for value in [None, Some("")] {
            let env = TestEnv::new();
            let files = Files::new(&env);
            let mut command = env.portkeeper("reserve --format github");
            command
                .env("GITHUB_ENV", &files.env)
                .env("GITHUB_OUTPUT", &files.output);
            match value {
                None => command.env_remove(name),
                Some(value) => command.env(name, value),
            };
            env.run(command)
                .refused(2)
                .says(format!("{name} is not set"));
        }
    }
    let Some(env) = TestEnv::plain_user() else {
        return;
    };
    let close = |files: &Files| {
        fs::set_permissions(&files.output, fs::Permissions::from_mode(0o444)).unwrap();
    };
    check(&env, &close, 8, "github-output: Permission denied");
}

#[test]
fn a_step_whose_disk_is_full_gives_the_ports_back() {
    let env = TestEnv::new();
    let files = Files::new(&env);
    fs::create_dir(env.path("full")).unwrap();
    let full = env.path("full").display().to_string();
    let output = format!("{full}/output");
    let mount = format!(
        "mount -t tmpfs -o size=4k tmpfs {full} && : > {output} && head -c 4096 /dev/zero > {full}/all"
    );
    for line in ["", "--hold --count 2", "--foreground"] {
        let mut command = env.portkeeper(format!("reserve --format github {line}"));
        command
            .env("GITHUB_ENV", &files.env)
            .env("GITHUB_OUTPUT", &output);
        let Some(command) = env.unshared("-m", &mount, &command) else {
            return;
        };
        env.run(command)
            .refused(7)
            .says("No space left on device")
            .says("released again");
        assert_eq!(env.reserved(), [0_u16; 0], "{line}");
        assert_eq!(fs::read_to_string(&files.env).unwrap(), "");
    }
}
