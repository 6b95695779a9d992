//! Registries that are too large, too new, too old, too deep.

use std::fs::{self, File};

use pk_tests::{Imprint, Ports, TestEnv};

use super::prepared;

const HEAD: &str = r#"{"schema":"portkeeper/registry","version":1,"min_reader":1"#;

/// With less memory than the file would take.
#[test]
fn f21_a_sparse_file_of_3_gb_is_refused_unread() {
    let env = prepared();
    File::create(env.registry())
        .unwrap()
        .set_len(3 << 30)
        .unwrap();
    for line in ["status", "reserve", "release --mine", "gc", "why 8080"] {
        let answer = env.sh(&format!("ulimit -v 1000000; exec portkeeper {line}"));
        answer.refused(6).sane();
    }
    let answer = env.sh("ulimit -v 1000000; exec portkeeper doctor");
    assert_eq!(answer.json()["findings"][0]["code"], "large-registry");
    assert_eq!(fs::metadata(env.registry()).unwrap().len(), 3 << 30);
}

#[test]
fn f22_a_newer_registry_is_read_as_far_as_it_allows_and_never_written() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.pk(format!("reserve --owner shop {}", ports.range()))
        .ok();
    let ours = fs::read_to_string(env.registry()).unwrap();
    let check = |version: &str, min_reader: &str, readable: bool| {
        let newer = ours
            .replace(
                "\"version\":1",
                &format!("\"version\":{version},\"x\":[1e400]"),
            )
            .replace("\"min_reader\":1", &format!("\"min_reader\":{min_reader}"))
            .replace("\"port\":", "\"lane\":7,\"port\":");
        fs::write(env.registry(), newer).unwrap();
        let before = Imprint::of(&env.registry());
        for line in ["reserve", "release --mine", "gc", "reserve --hold"] {
            env.pk(line).refused(9).says("version");
        }
        match readable {
            true => assert_eq!(env.reserved(), ports.all().collect::<Vec<_>>()),
            false => drop(env.pk("status").refused(9)),
        }
        assert_eq!(
            Imprint::of(&env.registry()),
            before,
            "{version} {min_reader}"
        );
    };
    check("2", "1", true);
    check("99", "1", true);
    check("2", "2", false);
    check("18446744073709551616", "1", false);
    check("\"2\"", "1", false);
    fs::write(env.registry(), ours).unwrap();
    env.pk("release --mine").ok();
}

/// What each release has written, and nothing that none has.
#[test]
fn f23_every_released_version_is_read_and_no_other() {
    let version_1 = include_str!("registry-v1.json");
    let (env, ports) = (prepared(), Ports::claim(1));
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let adapted = version_1
        .replace("BOOT_ID", boot.trim())
        .replace("8080", &ports.at(0).to_string());
    fs::write(env.registry(), &adapted).unwrap();
    let listed = env.reservations();
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert_eq!(listed[0]["port"], ports.at(0));
    assert_eq!(listed[0]["owner"], "shop/web");
    assert_eq!(listed[0]["fence"], 12);
    // Of a network that is not this one.
    assert_eq!(listed[0]["state"], "elsewhere");
    env.pk(format!("reserve --preferred {}", ports.at(0))).ok();
    let written = fs::read_to_string(env.registry()).unwrap();
    for line in adapted.lines().filter(|line| line.starts_with("\"tcp/")) {
        let entry = line.trim_end_matches(['}', ',']);
        assert!(written.contains(entry), "{entry} in {written}");
    }
    assert!(written.contains("\"generation\":418"), "{written}");
    fs::write(
        env.registry(),
        adapted.replace("\"version\":1", "\"version\":0"),
    )
    .unwrap();
    let before = Imprint::of(&env.registry());
    env.pk("reserve").refused(9);
    env.pk("status").refused(9);
    assert_eq!(Imprint::of(&env.registry()), before);
}

/// Nested 100 000 deep, in fields that are known and in others, with a stack of 256 kB.
#[test]
fn f25_deep_nesting_overflows_no_stack() {
    const DEEP: usize = 100_000;
    let arrays = format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP));
    let objects = format!("{}1{}", "{\"a\":".repeat(DEEP), "}".repeat(DEEP));
    let open = "[".repeat(DEEP);
    let check = |text: String| {
        let (env, ports) = (prepared(), Ports::claim(1));
        let what = text[..text.len().min(100)].to_owned();
        fs::write(env.registry(), text).unwrap();
        for line in [
            "status",
            "why 8080",
            "doctor",
            &format!("reserve {}", ports.range()),
        ] {
            let answer = env
                .sh(&format!("ulimit -s 256; exec portkeeper {line}"))
                .sane();
            assert!(matches!(answer.code, Some(0 | 1)), "{what}: {answer:?}");
        }
        assert_eq!(env.reserved(), ports.all().collect::<Vec<_>>(), "{what}");
        let kept = fs::read_dir(env.state_folder()).unwrap().flatten();
        let is_kept = |name: String| name.starts_with("registry.json.corrupt-");
        let mut kept = kept.map(|it| it.file_name().into_string().unwrap());
        assert!(kept.any(is_kept), "{what}");
    };
    for deep in [&arrays, &objects, &open] {
        check(deep.clone());
        check(format!("{HEAD},\"x\":{deep},\"entries\":{{}}}}"));
        check(format!("{HEAD},\"entries\":{deep}}}"));
        check(format!(
            "{HEAD},\"entries\":{{\"tcp/127.0.0.1:1@1\":{deep}}}}}"
        ));
        check(format!(
            "{HEAD},\"entries\":{{\"tcp/127.0.0.1:1@1\":{{\"owner\":{deep}}}}}}}"
        ));
    }
}
