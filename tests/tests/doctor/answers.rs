//! The shape of the answer, for programs and for people.

use std::fs;

use pk_tests::TestEnv;

#[test]
fn fields_and_their_order() {
    let env = TestEnv::new();
    env.pk("reserve").ok();
    fs::write(env.registry(), "garbage").unwrap();
    let answer = env.pk("doctor").sane();
    assert_eq!(answer.code, Some(1), "{answer:#?}");
    let object = answer.object();
    assert_eq!(
        object.names(),
        ["registry", "kind", "why", "findings", "facts"]
    );
    let [finding] = &object.list("findings")[..] else {
        panic!("{answer:#?}");
    };
    let fields = ["code", "severity", "what", "path", "mend", "fixed"];
    assert_eq!(finding.names(), fields);
    let fact = &object.list("facts")[0];
    assert_eq!(fact.names(), ["name", "value", "meaning"]);
}

#[test]
fn people_get_lines() {
    let env = TestEnv::new();
    env.pk("reserve").ok();
    let healthy = env.terminal("portkeeper doctor").ok();
    assert!(healthy.stdout.contains("nothing is wrong"), "{healthy:#?}");
    assert!(healthy.stdout.contains("0600, of "), "{healthy:#?}");
    fs::write(env.registry(), "garbage").unwrap();
    let ill = env.terminal("portkeeper doctor");
    assert_eq!(ill.code, Some(1), "{ill:#?}");
    let what = ill
        .stdout
        .lines()
        .skip_while(|line| !line.starts_with("problem: "));
    let what: Vec<_> = what.map(str::trim_end).collect();
    assert!(
        what[0].starts_with("problem: corrupt-registry: registry "),
        "{ill:#?}"
    );
    assert_eq!(what[1..], ["  portkeeper doctor --fix", "", "1 problem"]);
    let mended = env.terminal("portkeeper doctor --fix");
    assert!(
        mended.stdout.contains("fixed: corrupt-registry: "),
        "{mended:#?}"
    );
    assert!(mended.stdout.contains("1 note, 1 fixed"), "{mended:#?}");
}

#[test]
fn a_named_registry_is_named_in_the_commands() {
    let env = TestEnv::new();
    env.write("it's mine.json", "garbage");
    let answer = env.pk_args(&["doctor", "--registry", "it's mine.json"]);
    let mend = answer.json()["findings"][0]["mend"].clone();
    let path = env.path("it'\\''s mine.json").display().to_string();
    assert_eq!(mend, format!("portkeeper doctor --fix --registry '{path}'"));
    let mended = env.sh(mend.as_str().unwrap()).json();
    assert_eq!(mended["findings"][0]["fixed"], true, "{mended:#}");
}
