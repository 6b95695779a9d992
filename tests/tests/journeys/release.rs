//! Giving ports back, by number, by owner, all at once; and finding them again in `status`.

use pk_tests::{Ports, TestEnv, is_free};

fn three_reserved() -> (TestEnv, Ports) {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    env.pk(format!("reserve --preferred {} --owner shop", ports.at(0)))
        .ok();
    env.pk(format!(
        "reserve --preferred {} --owner blog --hold",
        ports.at(1)
    ))
    .ok();
    env.pk(format!("reserve --preferred {} --owner shop", ports.at(2)))
        .ok();
    (env, ports)
}

#[test]
fn by_port() {
    let (env, ports) = three_reserved();
    env.pk(format!("release {} {}", ports.at(0), ports.at(1)))
        .ok();
    assert_eq!(env.reserved(), [ports.at(2)]);
    assert!(is_free(ports.at(1)), "its holder has gone");
    let again = env
        .pk(format!("reserve --strict --preferred {}", ports.at(0)))
        .ok();
    assert_eq!(again.port(), ports.at(0));
}

#[test]
fn by_owner() {
    let (env, ports) = three_reserved();
    let released = env.pk("release --owner shop").ok().json();
    assert_eq!(released["released"].as_array().map(Vec::len), Some(2));
    assert_eq!(env.reserved(), [ports.at(1)]);
    // Nothing is left to be done, which is what was asked for.
    let released = env.pk("release --owner shop").ok().json();
    assert_eq!(released["released"].as_array().map(Vec::len), Some(0));
}

#[test]
fn all_of_mine() {
    let (env, ports) = three_reserved();
    let released = env.pk("release --mine").ok().json();
    assert_eq!(released["released"].as_array().map(Vec::len), Some(3));
    assert_eq!(env.reserved(), [0_u16; 0]);
    assert!(ports.all().all(is_free));
}

#[test]
fn an_unknown_port_is_exit_4() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.pk(format!("release {}", ports.at(0)))
        .refused(4)
        .says(ports.at(0).to_string());
    assert!(!env.registry().exists(), "nothing was there to write");
}

#[test]
fn several_with_an_unknown_one_do_what_they_can() {
    let (env, ports) = three_reserved();
    let (known, unknown) = (ports.at(0), ports.at(2));
    env.pk(format!("release {unknown}")).ok();
    let answer = env
        .pk(format!("release {unknown} {known}"))
        .refused(4)
        .says(unknown.to_string());
    assert!(!answer.stderr.contains(&known.to_string()), "{answer:?}");
    assert_eq!(answer.json()["released"][0]["port"], known);
    assert_eq!(env.reserved(), [ports.at(1)]);
}

#[test]
fn by_host() {
    let (env, ports) = three_reserved();
    env.pk(format!("release {} --host 127.0.0.9", ports.at(0)))
        .refused(4);
    env.pk(format!("release {} --host 127.0.0.1", ports.at(0)))
        .ok();
    assert_eq!(env.reserved(), [ports.at(1), ports.at(2)]);
}

#[test]
fn status_can_be_narrowed() {
    let (env, ports) = three_reserved();
    let check = |filter: &str, expect: &[u16]| {
        let status = env.pk(format!("status {filter}")).ok().json();
        let entries = status["reservations"].as_array().unwrap();
        let found: Vec<_> = entries
            .iter()
            .map(|entry| entry["port"].as_u64().unwrap())
            .collect();
        assert_eq!(
            found,
            expect
                .iter()
                .map(|&port| u64::from(port))
                .collect::<Vec<_>>(),
            "{filter}"
        );
    };
    check("", &[ports.at(0), ports.at(1), ports.at(2)]);
    check(&ports.at(1).to_string(), &[ports.at(1)]);
    check(
        &format!("{} {}", ports.at(0), ports.at(2)),
        &[ports.at(0), ports.at(2)],
    );
    check("--owner shop", &[ports.at(0), ports.at(2)]);
    check("--owner nobody", &[]);
}

/// What another user reserved stays, whoever can write the file.
#[test]
fn what_another_user_has_is_not_mine_to_release() {
    let Some(env) = TestEnv::plain_user() else {
        return;
    };
    let ports = Ports::claim(1);
    env.pk(format!("reserve --preferred {}", ports.at(0))).ok();
    let registry = std::fs::read_to_string(env.registry()).unwrap();
    let theirs = registry.replace("\"uid\":61001", "\"uid\":61002");
    assert_ne!(registry, theirs);
    std::fs::write(env.registry(), theirs).unwrap();
    env.pk(format!("release {}", ports.at(0))).refused(4);
    assert_eq!(env.reserved(), ports.all().collect::<Vec<_>>());
}
