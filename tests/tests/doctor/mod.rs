//! `doctor`: each thing that it can find, made for real, found, and mended as it says. Never a finding
//! that looking has made.

mod answers;
mod entries;
mod files;
mod litter;
mod place;

use pk_tests::TestEnv;
use serde_json::Value;

/// Who mends a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mended {
    /// `--fix`.
    Fix,
    /// The command that is given with it.
    Command,
    /// Somebody who knows what it should be.
    Hand,
}

/// What `doctor` answers after the shell has done `before`.
#[track_caller]
fn doctor(env: &TestEnv, before: &str, options: &str) -> Value {
    let sudo = "sudo() { \"$@\"; };";
    let line = format!("{sudo} {before} portkeeper doctor --format json {options}");
    let answer = env.sh(&line).sane();
    assert!(matches!(answer.code, Some(0 | 1)), "{answer:#?}");
    let checkup = answer.json();
    let left = findings(&checkup).any(|finding| finding["fixed"] == false);
    assert_eq!(answer.code, Some(i32::from(left)), "{answer:#?}");
    checkup
}

fn findings(checkup: &Value) -> impl Iterator<Item = &Value> {
    checkup["findings"].as_array().expect("a list").iter()
}

/// The finding of this name.
fn found<'c>(checkup: &'c Value, code: &str) -> Option<&'c Value> {
    findings(checkup).find(|finding| finding["code"] == code)
}

/// What a fact says.
#[track_caller]
fn fact<'c>(checkup: &'c Value, name: &str) -> &'c str {
    let facts = checkup["facts"].as_array().expect("a list");
    let fact = facts.iter().find(|fact| fact["name"] == name);
    fact.and_then(|it| it["value"].as_str()).expect("a text")
}

/// Checks that something is found that was made, that looking changes nothing, and that it is mended
/// in this way. Gives back what was found.
#[track_caller]
fn check(env: &TestEnv, before: &str, code: &str, severity: &str, mended: Mended) -> Value {
    let untouched = env.everything();
    let checkup = doctor(env, before, "");
    assert_eq!(env.everything(), untouched, "looking changes nothing");
    let finding = found(&checkup, code).unwrap_or_else(|| panic!("no {code}: {checkup:#}"));
    assert_eq!(finding["severity"], severity, "{finding}");
    assert_eq!(finding["fixed"], false, "{finding}");
    match mended {
        Mended::Fix => {
            let fixed = doctor(env, before, "--fix");
            let finding = found(&fixed, code).unwrap_or_else(|| panic!("not told: {fixed:#}"));
            assert_eq!(finding["fixed"], true, "{fixed:#}");
        }
        Mended::Command => {
            let command = finding["mend"].as_str().expect("a command");
            let after = doctor(env, &format!("{before} {command} >&2 ;"), "");
            assert_eq!(found(&after, code), None, "after {command}: {after:#}");
            return finding.clone();
        }
        Mended::Hand => {
            let after = doctor(env, before, "--fix");
            let left = found(&after, code).map(|finding| &finding["fixed"]);
            assert_eq!(left, Some(&Value::Bool(false)), "{after:#}");
            return finding.clone();
        }
    }
    let after = doctor(env, before, "");
    assert_eq!(found(&after, code), None, "{after:#}");
    finding.clone()
}
