//! Names: the same reservation while it lasts, the same number afterwards, of each project its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pk_tests::process::{eventually, is_alive};
use pk_tests::{Answer, Ports, TestEnv, has, is_free, skipped};

fn reserve_in(env: &TestEnv, folder: &Path, line: &str) -> Answer {
    let mut command = env.portkeeper(format!("reserve {line}"));
    command.current_dir(folder);
    env.run(command)
}

/// The folder of a project, as git marks it.
fn project(env: &TestEnv, name: &str) -> PathBuf {
    let folder = env.path(name);
    fs::create_dir_all(folder.join(".git")).unwrap();
    folder
}

#[test]
fn asked_again_it_is_the_same_reservation() {
    let env = TestEnv::new();
    let first = env.pk("reserve --name web --owner shop --note a=1").ok();
    let registry = fs::read(env.registry()).unwrap();
    let again = env.pk("reserve --name web").ok();
    assert_eq!(first.json(), again.json());
    assert_eq!(
        fs::read(env.registry()).unwrap(),
        registry,
        "nothing is written"
    );
    assert_eq!(
        (
            first.json()["name"].as_str(),
            first.json()["notes"]["a"].as_str()
        ),
        (Some("web"), Some("1"))
    );
    let other = env.pk("reserve --name api").ok();
    assert_ne!(other.port(), first.port());
    assert_eq!(env.reserved().len(), 2);
    let shown = env.pk("status --format text").ok().stdout;
    assert!(shown.contains("NAME") && shown.contains("api"), "{shown}");
    // A reservation without a name is a new one each time.
    assert_ne!(env.pk("reserve").ok().port(), env.pk("reserve").ok().port());
}

#[test]
fn its_number_comes_back_after_a_release_and_after_a_boot() {
    let env = TestEnv::new();
    let port = env.pk("reserve --name web").ok().port();
    env.pk("release --name web").ok();
    assert_eq!(env.reserved(), [0_u16; 0]);
    // Whoever looks for a port leaves it what names are used to have.
    let neighbour = project(&env, "neighbour");
    let line = format!("--name other --range {port} {}", port + 1);
    assert_eq!(reserve_in(&env, &neighbour, &line).ok().port(), port + 1);
    assert_eq!(env.pk("reserve --name web").ok().port(), port);
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let registry = fs::read_to_string(env.registry()).unwrap();
    let another = registry.replace(boot.trim(), "00000000-0000-4000-8000-000000000000");
    assert_ne!(registry, another);
    fs::write(env.registry(), another).unwrap();
    let ports = Ports::claim(1);
    assert_eq!(env.pk("reserve --name web").ok().port(), port);
    assert_eq!(env.reserved(), [port]);
    // Another preference is a wish to change.
    env.pk("release --name web").ok();
    let line = format!("reserve --name web --preferred {}", ports.at(0));
    assert_eq!(env.pk(&line).ok().port(), ports.at(0));
    env.pk("release --name web").ok();
    assert_eq!(env.pk("reserve --name web").ok().port(), ports.at(0));
}

#[test]
fn a_folder_below_is_the_same_project_and_another_one_is_not() {
    let env = TestEnv::new();
    let (shop, blog) = (project(&env, "shop"), project(&env, "blog"));
    let below = shop.join("src/web");
    fs::create_dir_all(&below).unwrap();
    let port = reserve_in(&env, &shop, "--name web").ok().port();
    assert_eq!(reserve_in(&env, &below, "--name web").ok().port(), port);
    assert_ne!(reserve_in(&env, &blog, "--name web").ok().port(), port);
    let mut release = env.portkeeper("release --name web");
    release.current_dir(&below);
    env.run(release).ok();
    assert_eq!(env.reserved().len(), 1, "that of the other project stays");
    env.pk("release --name web")
        .refused(4)
        .says("not reserved: web");
}

#[test]
fn a_worktree_is_a_project_of_its_own() {
    if !has("git") {
        skipped("a worktree: no git");
        return;
    }
    let env = TestEnv::new();
    let git = "git -c user.name=a -c user.email=a@b";
    env.sh(&format!(
        "{git} init -q main && cd main && {git} commit -q --allow-empty -m x && {git} worktree add -q ../tree"
    ))
    .ok();
    let port = |folder| {
        reserve_in(&env, &env.path(folder), "--name web")
            .ok()
            .port()
    };
    let (main, tree) = (port("main"), port("tree"));
    assert_ne!(main, tree);
    assert_eq!((port("main"), port("tree")), (main, tree));
}

#[test]
fn thirty_at_once_get_one() {
    let env = TestEnv::new();
    let answers: BTreeSet<u16> = std::thread::scope(|scope| {
        let ask = || env.pk("reserve --name web").ok().port();
        let all: Vec<_> = (0..30).map(|_| scope.spawn(ask)).collect();
        all.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert_eq!(answers.len(), 1);
    assert_eq!(env.reserved().len(), 1);
}

#[test]
fn held_and_then_run_under_the_same_name_it_keeps_its_number() {
    let env = TestEnv::new();
    let leased = env.pk("reserve --name web --note a=1").ok();
    let held = env.pk("reserve --name web --hold").ok();
    assert_eq!(held.port(), leased.port());
    assert!(!is_free(held.port()));
    assert_eq!(held.json()["notes"]["a"], "1");
    let again = env.pk("reserve --name web --hold").ok();
    assert_eq!(again.holder(), held.holder());
    // Whoever does not need it held is content with one that is.
    assert_eq!(env.pk("reserve --name web").ok().holder(), held.holder());
    env.pk("run --name web -- true")
        .refused(3)
        .says(format!("web is reserved as port {}", held.port()));
    env.pk("release --name web").ok();
    assert!(!is_alive(held.holder()));
    let mut run = env.portkeeper("run --name web -- sh -c");
    run.arg("echo $PORT");
    let ran = env.run(run).ok();
    assert_eq!(ran.stdout.trim(), leased.port().to_string());
    assert_eq!(env.reserved(), [0_u16; 0]);
}

#[test]
fn what_contradicts_it_is_refused_and_changes_nothing() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    let [first, second, third] = [ports.at(0), ports.at(1), ports.at(2)];
    env.pk(format!("reserve --name web --preferred {first}"))
        .ok();
    let before = fs::read(env.registry()).unwrap();
    for (line, why) in [
        ("--proto udp".to_owned(), "for tcp".to_owned()),
        ("--host 127.0.0.2".into(), "on 127.0.0.1".into()),
        (format!("--exclude {first}"), "which is excluded".into()),
        (
            format!("--range {second} {third}"),
            format!("not in {second}-{third}"),
        ),
        (
            format!("--strict --preferred {second}"),
            format!("not {second}"),
        ),
    ] {
        env.pk(format!("reserve --name web {line}"))
            .refused(3)
            .says(why)
            .says("hint: portkeeper release --name web");
    }
    env.pk("reserve --name web --count 2").refused(2);
    env.pk_args(&["reserve", "--name", "my web"])
        .refused(2)
        .says("not a name");
    assert_eq!(fs::read(env.registry()).unwrap(), before);
}

#[test]
fn excluded_ports_are_never_taken() {
    let (env, ports) = (TestEnv::new(), Ports::claim(4));
    let [first, second, third, last] = [0, 1, 2, 3].map(|at| ports.at(at));
    let line = format!(
        "reserve --preferred {first} --range {first} {last} --exclude {first} --exclude {second}-{third}"
    );
    assert_eq!(env.pk(&line).ok().port(), last);
    env.pk(&line).refused(3);
    env.pk(format!("{line} --exclude {last}-{first}"))
        .refused(2);
}

#[test]
fn a_renewal_gives_a_lease_and_a_hold_more_time() {
    let env = TestEnv::new();
    let held = env.pk("reserve --name web --hold --ttl 2s").ok();
    env.pk(format!("renew {} --ttl never", held.port())).ok();
    let renewed = env.pk("renew --name web --ttl 1h").ok().json();
    assert_eq!(renewed["renewed"][0]["port"], held.port());
    let begun = std::time::Instant::now();
    eventually(
        Duration::from_secs(10),
        "the first lease would be over",
        || begun.elapsed() > Duration::from_millis(3500),
    );
    assert!(is_alive(held.holder()) && !is_free(held.port()));
    assert_eq!(env.state(held.port()).as_deref(), Some("held"));
    // And less.
    env.pk("renew --name web --ttl 1s").ok();
    eventually(Duration::from_secs(10), "the holder ends", || {
        !is_alive(held.holder()) && is_free(held.port())
    });
    env.pk("renew --name web")
        .refused(4)
        .says("not reserved: web");
    env.pk(format!("renew {}", held.port())).refused(4);
    env.pk("renew").refused(2);
}

#[test]
fn nobody_renews_what_is_anothers() {
    // Root may.
    let Some(env) = TestEnv::plain_user() else {
        return;
    };
    let port = env.pk("reserve --ttl 1h").ok().port();
    let registry = fs::read_to_string(env.registry()).unwrap();
    let mine = format!("\"uid\":{}", env.uid());
    assert!(registry.contains(&mine), "{registry}");
    let theirs = registry.replace(&mine, &format!("\"uid\":{}", env.uid() + 1));
    fs::write(env.registry(), &theirs).unwrap();
    env.pk(format!("renew {port} --ttl never")).refused(4);
    assert_eq!(fs::read_to_string(env.registry()).unwrap(), theirs);
}

#[test]
fn the_number_in_the_file_goes_before_the_remembered_one() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let line = "reserve --name web --write-env PORT";
    let first = env.pk(line).ok().port();
    env.pk("release --name web").ok();
    assert_eq!(env.pk(line).ok().port(), first);
    env.pk("release --name web").ok();
    fs::write(env.path(".env"), format!("PORT={}\n", ports.at(0))).unwrap();
    assert_eq!(env.pk(line).ok().port(), ports.at(0));
}

#[test]
fn asked_for_again_late_it_lasts_longer() {
    let env = TestEnv::new();
    let port = env.pk("reserve --name web --ttl 10m").ok().port();
    let expires = || env.reservations()[0]["expires"].clone();
    let first = expires();
    env.pk("reserve --name web --ttl 15m").ok();
    assert_eq!(expires(), first, "more than half is left");
    assert_eq!(env.pk("reserve --name web --ttl 24h").ok().port(), port);
    assert_ne!(expires(), first);
}

#[test]
fn without_a_state_folder_nothing_is_remembered_and_it_is_said() {
    let env = TestEnv::new();
    fs::create_dir_all(env.state_folder()).unwrap();
    fs::create_dir(env.state_folder().join("names.json")).unwrap();
    env.pk("reserve --name web")
        .ok()
        .says("the number is not remembered");
    assert_eq!(env.reserved().len(), 1);
}
