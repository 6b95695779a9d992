//! Completions, asked for as the shells' own scripts do it.

use pk_tests::{Ports, TestEnv, has, skipped};

#[test]
fn bash_completes_live_ports() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    if !has("bash") {
        return skipped("completion: no bash");
    }
    env.pk(format!("reserve {} --owner shop", ports.range()))
        .ok();
    let check = |words: &str, expect: &[&str]| {
        let script = format!(
            "source <(portkeeper completions bash)
             COMP_WORDS=({words}) COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 )) COMP_TYPE=9
             _clap_complete_portkeeper
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let mut bash = env.command("bash");
        bash.args(["-c", &script]);
        let answer = env.run(bash).ok();
        let offered: Vec<&str> = answer.stdout.lines().map(str::trim).collect();
        for word in expect {
            assert!(offered.contains(word), "{words}: {offered:?}");
        }
    };
    let port = ports.at(0).to_string();
    check("portkeeper rel", &["release"]);
    check("portkeeper release ''", &[&port]);
    check("portkeeper why ''", &[&port]);
    check("portkeeper take ''", &[&port]);
    check("portkeeper wait ''", &[&port]);
    check("portkeeper status --owner ''", &["shop"]);
    env.pk("reserve --name web").ok();
    check("portkeeper release --name ''", &["web"]);
    check("portkeeper run --name ''", &["web"]);
    check("portkeeper renew --name ''", &["web"]);
    check("portkeeper completions ''", &["bash", "zsh", "fish"]);
}

#[test]
fn fish_completes_live_ports_and_names() {
    completes("fish", &["--no-config", "-c"], |line| {
        format!("portkeeper completions fish | source; complete -C '{line}'")
    });
}

/// Zsh completes at a prompt alone; so its line and its list of offers are played here.
#[test]
fn zsh_completes_live_ports_and_names() {
    completes("zsh", &["-f", "-c"], |line| {
        format!(
            "compdef() {{ completer=$1 }}
             _describe() {{ print -rl -- \"${{(@P)3}}\" }}
             source <(portkeeper completions zsh)
             words=({line}'')
             CURRENT=$#words
             $completer"
        )
    });
}

/// Checks what `shell` offers after a line, for which `script` makes what it runs.
fn completes(shell: &str, options: &[&str], script: impl Fn(&str) -> String) {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    if !has(shell) {
        return skipped(format_args!("completion: no {shell}"));
    }
    env.pk(format!("reserve {} --owner shop --name web", ports.range()))
        .ok();
    let check = |line: &str, expect: &str| {
        let mut command = env.command(shell);
        command.args(options).arg(script(line));
        let answer = env.run(command).ok();
        // Behind the word stands what it means.
        let mut offered = answer.stdout.lines().map(|it| it.split(['\t', ':']).next());
        assert!(offered.any(|it| it == Some(expect)), "{line}: {answer:?}");
    };
    let port = ports.at(0).to_string();
    check("portkeeper release ", &port);
    check("portkeeper why ", &port);
    check("portkeeper release --name ", "web");
    check("portkeeper status --owner ", "shop");
}

#[test]
fn every_shell_gets_a_script_that_it_can_read() {
    let env = TestEnv::new();
    for (shell, check) in [
        ("bash", &["-n"][..]),
        ("zsh", &["-n"]),
        ("fish", &["--no-execute"]),
        ("elvish", &["-compileonly"]),
        ("powershell", &[]),
    ] {
        let script = env.pk(format!("completions {shell}")).ok().stdout;
        assert!(script.contains("COMPLETE"), "{shell}: {script}");
        if check.is_empty() || !has(shell) {
            continue;
        }
        std::fs::write(env.path(shell), script).unwrap();
        let mut command = env.command(shell);
        command.args(check).arg(env.path(shell));
        env.run(command).ok();
    }
}

#[test]
fn a_registry_that_cannot_be_read_spoils_no_line() {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.registry()).unwrap();
    for line in ["release ''", "status --owner ''"] {
        let answer = env.sh(&format!("COMPLETE=fish portkeeper -- portkeeper {line}"));
        let answer = answer.ok();
        assert_eq!(answer.stderr, "", "{answer:?}");
    }
}

#[test]
fn an_unknown_shell_is_refused() {
    let env = TestEnv::new();
    env.pk("completions tcsh")
        .refused(2)
        .says("[possible values: ");
}
