//! Arguments that try to be more than they seem.

use std::fs;
use std::time::Duration;

use pk_tests::strace::changes;
use pk_tests::{Ports, TestEnv};

/// Keys that decide which programs run, and keys and values that would be more than one line.
#[test]
fn a11_no_key_or_value_smuggles_anything_into_an_env_file() {
    let env = TestEnv::new();
    env.write(".env", "A=1\n");
    let before = env.imprint(".env");
    let check = |args: &[&str]| {
        drop(env.pk_args(args).sane().refused(2));
        assert_eq!(env.imprint(".env"), before, "{args:?}");
        assert_eq!(env.reserved(), [0_u16; 0], "{args:?}");
    };
    for key in [
        "PATH",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "LD_AUDIT",
        "BASH_ENV",
        "ENV",
        "IFS",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "NODE_OPTIONS",
        "PERL5OPT",
        "RUBYOPT",
        "JAVA_TOOL_OPTIONS",
        "GIT_SSH_COMMAND",
        "DYLD_INSERT_LIBRARIES",
        "PROMPT_COMMAND",
        "SHELLOPTS",
    ] {
        check(&["reserve", "--write-env", key]);
        check(&["env", "set", &format!("{key}=/tmp/evil")]);
    }
    for key in [
        "A\nB",
        "A\rB",
        "$(id)",
        "`id`",
        "A;id",
        "A B",
        "",
        "A#",
        "\u{feff}A",
    ] {
        check(&["reserve", "--write-env", key]);
        check(&["reserve", "--write-env", &format!("{key}={{port}}")]);
        check(&["env", "set", &format!("{key}=1")]);
        check(&["env", "unset", key]);
    }
    for value in [
        "{port}\nEVIL=1",
        "{port}\r",
        "\u{1b}[2J{port}",
        "\u{2028}{port}",
    ] {
        check(&["reserve", "--write-env", &format!("A={value}")]);
    }
    check(&[
        "reserve",
        "--write-env",
        "A={host}",
        "--host",
        "127.0.0.1\nEVIL=1",
    ]);
    check(&["reserve", "--write-env", "A", "--owner", "me\nEVIL=1"]);
    // With a word of force a dangerous key is a key, and injection is still none.
    env.pk("env set PATH=/bin --force").ok();
    drop(env.pk_args(&["env", "set", "A\nB=1", "--force"]).refused(2));
    assert_eq!(env.read(".env").as_deref(), Some("A=1\nPATH=/bin\n"));
}

/// One address has one name, and nobody is asked for it.
#[test]
fn a12_hosts_have_one_form_and_no_resolver() {
    let check = |host: &str, expect: Option<&str>| {
        let (env, ports) = (TestEnv::new(), Ports::claim(1));
        let port = ports.at(0).to_string();
        let args = ["reserve", "--strict", "--preferred", &port, "--host", host];
        match expect {
            Some(expect) => assert_eq!(env.pk_args(&args).ok().json()["host"], expect),
            None => drop(env.pk_args(&args).refused(2)),
        }
        if expect == Some("127.0.0.1") {
            // By whatever name: it is taken.
            for again in [
                "127.0.0.1",
                "localhost",
                "0.0.0.0",
                "::",
                "::ffff:127.0.0.1",
            ] {
                let args = ["reserve", "--strict", "--preferred", &port, "--host", again];
                env.pk_args(&args).refused(3);
            }
        }
    };
    check("127.0.0.1", Some("127.0.0.1"));
    check("::ffff:127.0.0.1", Some("127.0.0.1"));
    check("::FFFF:7f00:1", Some("127.0.0.1"));
    check("localhost", Some("localhost"));
    check("LOCALHOST", Some("localhost"));
    check("0.0.0.0", Some("0.0.0.0"));
    if pk_tests::has_ipv6() {
        check("::1", Some("::1"));
        check("0:0:0:0:0:0:0:1", Some("::1"));
        check("::", Some("::"));
    }
    for none in [
        "0x7f.1",
        "0x7f000001",
        "127.1",
        "2130706433",
        "127.0.0.01",
        "0177.0.0.1",
        "127.0.0.1.",
        "127.0.0.1 ",
        "127.0.0.1:80",
        "::1%lo",
        "localhost.",
        "localhost.evil.example",
        "example.org",
        "",
        "\u{ff11}27.0.0.1",
    ] {
        check(none, None);
    }
}

/// A hostile hosts file or name server is not even asked.
#[test]
fn a12_a_hostile_resolver_is_not_asked() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    fs::write(env.path("hosts"), "203.0.113.7 localhost\n").unwrap();
    fs::write(env.path("resolv.conf"), "nameserver 203.0.113.7\n").unwrap();
    let mount = format!(
        "mount --bind {0}/hosts /etc/hosts && mount --bind {0}/resolv.conf /etc/resolv.conf",
        env.path("").display()
    );
    let line = format!("reserve --host localhost --hold {}", ports.range());
    let Some(command) = env.unshared("-m", &mount, &env.portkeeper(line)) else {
        return;
    };
    let answer = env.run(command).ok();
    assert!(answer.took < Duration::from_secs(5), "{answer:?}");
    assert_eq!(answer.json()["host"], "localhost");
    assert!(std::net::TcpListener::bind(("127.0.0.1", ports.at(0))).is_err());
}

#[test]
fn a13_numbers_out_of_range_end_at_once() {
    let check = |args: &[&str]| {
        let env = TestEnv::new();
        let answer = env.pk_args(args).refused(2).sane();
        assert!(answer.took < Duration::from_secs(1), "{answer:?}");
        assert!(!env.state_folder().exists(), "{answer:?}");
    };
    for number in [
        "0",
        "-1",
        "65536",
        "99999999999",
        "4294967297",
        "18446744073709551617",
        "1e3",
        "0x50",
        "8080.5",
        "+80",
        " 80",
        "\u{661}\u{662}",
        "NaN",
        "",
    ] {
        check(&["reserve", "--preferred", number]);
        check(&["reserve", "--range", "1", number]);
        check(&["reserve", "--range", number, "2"]);
        check(&["reserve", "--exclude", number]);
        check(&["release", number]);
        check(&["why", number]);
        check(&["wait", number, "--free"]);
    }
    check(&["reserve", "--range", "1", "99999999999"]);
    check(&["reserve", "--range", "1-99999999999"]);
    check(&["reserve", "--range", "9", "1"]);
    check(&["reserve", "--range", "9-1"]);
    check(&["reserve", "--count", "4294967296"]);
    check(&["reserve", "--ttl", "18446744073709551615d"]);
    check(&["reserve", "--pid", "4294967295"]);
    check(&["release", "8080", "--fence", "-1"]);
}

/// Killed after the old bytes were kept and before the new ones are in their place.
#[test]
fn a23_a_kill_between_the_backup_and_the_rename_leaves_both() {
    const OLD: &str = "# mine\nA=1\n";
    let world = || {
        let env = TestEnv::new();
        env.write(".env", OLD);
        env
    };
    let line = "env set A=2";
    let Some(calls) = changes(&world(), line) else {
        return;
    };
    let mut between = 0;
    for call in &calls {
        let env = world();
        let killed = env.tampered(call, "signal=SIGKILL", line);
        let now = env.read(".env").unwrap();
        assert!(now == OLD || now == "# mine\nA=2\n", "{call}: {now}");
        let backups = env.backups();
        for backup in &backups {
            assert_eq!(fs::read_to_string(backup).unwrap(), OLD, "{call}");
        }
        // Never the new bytes without the old ones.
        assert!(now == OLD || backups.len() == 1, "{call}");
        between += usize::from(now == OLD && backups.len() == 1 && killed.code.is_none());
        env.pk(line).ok();
        assert_eq!(env.read(".env").as_deref(), Some("# mine\nA=2\n"), "{call}");
        env.pk("gc").ok();
        assert!(env.leftovers().is_empty(), "{call}: {:?}", env.leftovers());
    }
    assert!(between > 3, "{between} of {}", calls.len());
}
