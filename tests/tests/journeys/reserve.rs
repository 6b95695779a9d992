//! Choosing a port: what was asked for, what is free, what others have.

use std::net::{TcpListener, TcpStream};
use std::path::Path;

use pk_tests::process::undisturbed;
use pk_tests::{Ports, TestEnv, is_free};

/// The command that the project began with, number for number but for the port's.
#[test]
fn the_first_command_of_the_readme_works() {
    let (env, ports) = (TestEnv::new(), Ports::claim(101));
    let (first, last) = (ports.at(0), ports.at(100));
    let line = format!("reserve --preferred {first} --range {first} {last} --hold --owner myapp");
    let grant = env.pk(&line).ok().json();
    assert_eq!(grant["port"], first);
    assert_eq!(grant["held"], true);
    assert_eq!(grant["owner"], "myapp");
    assert_eq!(
        env.pk(&line).ok().port(),
        first + 1,
        "the preferred one is taken now"
    );
}

#[test]
fn every_option_of_the_original_works() {
    let (env, ports) = (TestEnv::new(), Ports::claim(4));
    let (first, last) = (ports.at(0), ports.at(3));
    assert_eq!(
        env.pk(format!("reserve --preferred {first}")).ok().port(),
        first
    );
    assert_eq!(
        env.pk(format!("reserve --range {first} {last}"))
            .ok()
            .port(),
        first + 1
    );
    let env_file = format!(
        "reserve --range {first} {last} --host 127.0.0.1 --owner me --write-env PORT --env-path app.env"
    );
    assert_eq!(env.pk(env_file).ok().port(), first + 2);
    assert_eq!(
        std::fs::read_to_string(env.path("app.env")).unwrap(),
        format!("PORT={}\n", first + 2)
    );
    env.pk("status").ok();
    env.pk(format!("release {first}")).ok();
    env.pk("gc").ok();
    assert_eq!(env.reserved(), [first + 1, first + 2]);
}

#[test]
fn without_a_wish_the_port_is_of_the_default_range() {
    let env = TestEnv::new();
    let port = env.pk("reserve").ok().port();
    assert!((20_000..=29_999).contains(&port), "{port}");
    assert_ne!(
        env.pk("reserve").ok().port(),
        port,
        "every call is a new reservation"
    );
}

#[test]
fn ranges_are_written_in_two_ways() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    let (first, last) = (ports.at(0), ports.at(2));
    assert_eq!(
        env.pk(format!("reserve --range {first} {last}"))
            .ok()
            .port(),
        first
    );
    assert_eq!(
        env.pk(format!("reserve --range {first}-{last}"))
            .ok()
            .port(),
        first + 1
    );
    let both = format!("reserve --range {first} {first} --range {last}-{last}");
    assert_eq!(env.pk(&both).ok().port(), last);
    env.pk(both).refused(3);
}

#[test]
fn a_full_range_is_exit_3_and_names_the_range() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    let line = format!("reserve {} --owner shop", ports.range());
    env.pk(&line).ok();
    env.pk(&line).ok();
    env.pk(&line)
        .refused(3)
        .says(format!("{}-{}", ports.at(0), ports.at(1)));
    assert_eq!(env.reserved().len(), 2);
}

#[test]
fn a_port_in_use_is_passed_over() {
    let (env, ports) = (TestEnv::new(), Ports::claim(5));
    let _servers = [
        TcpListener::bind(("127.0.0.1", ports.at(0))).unwrap(),
        TcpListener::bind(("0.0.0.0", ports.at(1))).unwrap(),
    ];
    assert_eq!(
        env.pk(format!("reserve {}", ports.range())).ok().port(),
        ports.at(2)
    );
    if pk_tests::has_ipv6() {
        let _server = TcpListener::bind(("::1", ports.at(3))).unwrap();
        assert_eq!(
            env.pk(format!("reserve {}", ports.range())).ok().port(),
            ports.at(4)
        );
    }
}

#[test]
fn preferred_falls_back_but_strict_does_not() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    let _server = TcpListener::bind(("127.0.0.1", ports.at(0))).unwrap();
    let line = format!("reserve --preferred {}", ports.at(0));
    let port = env.pk(&line).ok().port();
    assert!(
        (20_000..=29_999).contains(&port),
        "the default range: {port}"
    );
    assert_eq!(
        env.pk(format!("{line} {}", ports.range())).ok().port(),
        ports.at(1)
    );
    env.pk(format!("{line} --strict"))
        .refused(3)
        .says(ports.at(0).to_string());
    env.pk(format!("{line} --strict {}", ports.range()))
        .refused(3);

    let line = format!("reserve --strict --preferred {}", ports.at(2));
    env.pk(&line).ok();
    env.pk(&line).refused(3).says(ports.at(2).to_string());
}

#[test]
fn count_is_all_or_nothing() {
    let (env, ports) = (TestEnv::new(), Ports::claim(4));
    env.pk(format!("reserve --count 5 {}", ports.range()))
        .refused(3);
    assert_eq!(env.reserved(), [0_u16; 0]);
    env.pk(format!("reserve --count 5 --hold {}", ports.range()))
        .refused(3);
    assert!(ports.all().all(is_free), "no holder is left");
    env.pk(format!("reserve --count 4 --hold {}", ports.range()))
        .ok();
    assert_eq!(env.reserved(), ports.all().collect::<Vec<_>>());
}

/// The original handed the same port out twice, and lost it with the end of the command.
#[test]
fn a_reservation_outlives_its_command_everywhere() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    let line = format!("reserve --preferred {} {}", ports.at(0), ports.range());
    assert_eq!(env.pk(&line).ok().port(), ports.at(0));
    assert!(is_free(ports.at(0)), "it is reserved, not held");
    for (folder, expect) in [(Path::new("/"), ports.at(1)), (env.root(), ports.at(2))] {
        let mut elsewhere = env.portkeeper(&line);
        elsewhere
            .current_dir(folder)
            .env_remove("PORTKEEPER_REGISTRY");
        assert_eq!(env.run(elsewhere).ok().port(), expect);
    }
    assert_eq!(env.reserved(), ports.all().collect::<Vec<_>>());
}

#[test]
fn localhost_has_one_owner_under_all_its_names() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let line = format!("reserve --strict --preferred {}", ports.at(0));
    env.pk(format!("{line} --host localhost")).ok();
    for host in ["127.0.0.1", "localhost", "0.0.0.0"] {
        env.pk(format!("{line} --host {host}")).refused(3);
    }
    if pk_tests::has_ipv6() {
        env.pk(format!("{line} --host ::1")).refused(3);
        env.pk(format!("{line} --host ::")).refused(3);
    }
}

/// A server that died leaves its connections behind for a minute; its port is not busy for that.
#[test]
fn a_port_in_time_wait_is_granted_by_number() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    let leave_time_wait = |port| {
        let server = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (served, _) = server.accept().unwrap();
        drop((served, server));
        drop(client);
    };
    undisturbed(|| ports.all().for_each(leave_time_wait));
    let line = |port| format!("reserve --strict --preferred {port}");
    assert_eq!(env.pk(line(ports.at(0))).ok().port(), ports.at(0));
    let held = format!("{} --hold", line(ports.at(1)));
    assert_eq!(env.pk(held).ok().port(), ports.at(1));
    assert!(!is_free(ports.at(1)), "it is held");
}

#[test]
fn a_dry_run_touches_nothing() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    let line = format!("reserve --dry-run {} --write-env PORT", ports.range());
    let answer = env.pk(&line).ok();
    assert_eq!(answer.port(), ports.at(0));
    assert!(!env.state_folder().exists(), "no registry, no lock");
    assert!(!env.path(".env").exists());
    env.pk(format!("{line} --hold")).ok();
    assert!(ports.all().all(is_free), "no holder");

    env.pk(format!("reserve {}", ports.range())).ok();
    let before = std::fs::read(env.registry()).unwrap();
    assert_eq!(env.pk(&line).ok().port(), ports.at(1));
    assert_eq!(std::fs::read(env.registry()).unwrap(), before);
}

#[test]
fn format_port_prints_numbers_alone() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    let answer = env
        .pk(format!("reserve --format port {}", ports.range()))
        .ok();
    assert_eq!(answer.stdout, format!("{}\n", ports.at(0)));
    let answer = env
        .pk(format!("--format port reserve --count 2 {}", ports.range()))
        .ok();
    assert_eq!(answer.stdout, format!("{}\n{}\n", ports.at(1), ports.at(2)));
}

#[test]
fn the_registry_is_where_it_was_asked_for() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    let elsewhere = env.path("deep/down/ports.json");
    let option = format!("--registry {}", elsewhere.display());
    env.pk(format!("{option} reserve {}", ports.range())).ok();
    assert!(elsewhere.is_file() && !env.registry().exists());

    let mut by_variable = env.portkeeper(format!("reserve {}", ports.range()));
    by_variable.env("PORTKEEPER_REGISTRY", &elsewhere);
    assert_eq!(env.run(by_variable).ok().port(), ports.at(1));
    // After the command as well as before it; the option wins over the variable.
    let answer = env.pk(format!("reserve {} {option}", ports.range())).ok();
    assert_eq!(answer.port(), ports.at(2));
    assert!(!env.registry().exists());
    assert_eq!(
        env.pk(format!("status {option}")).ok().json()["registry"],
        elsewhere.to_str().unwrap()
    );
}

#[test]
fn the_lock_variable_of_the_original_is_ignored_with_a_warning() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let mut command = env.portkeeper(format!("reserve {}", ports.range()));
    command.env("PORTKEEPER_LOCK", env.path("x.lock"));
    env.run(command).ok().says("PORTKEEPER_LOCK");
    assert!(!env.path("x.lock").exists());
}
