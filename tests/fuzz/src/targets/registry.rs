//! The registry file: the input is the file.

use std::collections::BTreeSet;

use pk_registry::fuzzing::{self, Content, Refused};
use pk_registry::reservation::is_unprintable;
use serde_json::Value;

use super::check_message;
use crate::target::{Source, Target};

pub(super) const TARGET: Target = Target {
    name: "registry",
    about: "a registry that is read and written again says the same, to old readers too",
    source: Source::Bytes(&[
        "{",
        "}",
        "\"schema\":\"portkeeper/registry\"",
        "\"version\":1",
        "\"version\":2",
        "\"min_reader\":1",
        "\"generation\":417",
        "\"boot_id\":\"b\"",
        "\"written_by\":\"x\"",
        "\"entries\":{",
        "\"tcp/127.0.0.1:8080@4026\":{",
        "\"id\":\"k3v9\"",
        "\"port\":8080",
        "\"host\":\"127.0.0.1\"",
        "\"proto\":\"tcp\"",
        "\"owner\":\"shop\"",
        "\"uid\":1000",
        "\"fence\":12",
        "\"created\":\"2026-11-22T12:00:00Z\"",
        "\"kind\":\"leased\"",
        "\"kind\":\"held\"",
        "\"kind\":\"\\u202e\"",
        "\"netns\":4026",
        "\"timens\":1",
        "\"expires_boot_ms\":93600000",
        "\"process\":{\"pid\":4712,\"start\":153593,\"pidns\":4026531836}",
        "\"until\":null",
        "\"control\":\"/run/x.sock\"",
        "\"x\":12345678901234567890123",
        ",",
        ":",
        "null",
        "[",
        "]",
        "\"\\u001b\"",
        "\\ud800",
        "1e400",
        "-1",
        "65536",
        "\u{1b}",
        "\0",
        "both/:::1@0",
    ]),
    check,
};

fn check(input: &[u8]) {
    let looked = fuzzing::look(input);
    match fuzzing::read(input) {
        Ok(content) => {
            assert!(looked.is_ok(), "who may write may read");
            check_content(&content, input);
        }
        Err(Refused::Foreign(why) | Refused::Corrupt(why)) => check_message(&why),
        Err(Refused::TooMany) => {}
    }
}

fn check_content(content: &Content, input: &[u8]) {
    let written = &content.again;
    let again = fuzzing::read(written).expect("what is written is read");
    assert_eq!(again.again, *written, "the second time changes nothing");
    assert_eq!(again.entries, content.entries, "entries stay");
    assert_eq!(
        (again.generation, &again.boot_id),
        (content.generation, &content.boot_id)
    );
    check_foreign(input, written);
    check_old_reader(content);
    for item in &content.entries {
        match &item.reservation {
            Err(why) => check_message(why),
            Ok(reservation) => {
                assert_eq!(item.port, Some(reservation.port));
                let alone = fuzzing::write(1, "b", std::slice::from_ref(reservation));
                let read = fuzzing::read(&alone).expect("what is written is read");
                assert_eq!(read.entries[0].reservation.as_ref(), Ok(reservation));
            }
        }
    }
}

/// What this version does not know stays: fields of the document and of the entries.
fn check_foreign(input: &[u8], written: &[u8]) {
    let Ok(before) = serde_json::from_slice::<Value>(input) else {
        return;
    };
    let after: Value = serde_json::from_slice(written).expect("it was JSON before");
    let ours = [
        "schema",
        "version",
        "min_reader",
        "generation",
        "boot_id",
        "written_by",
    ];
    for (name, value) in before.as_object().unwrap() {
        if !ours.contains(&name.as_str()) {
            assert_eq!(after.get(name), Some(value), "{name} is lost");
        }
    }
}

/// The reader of version 1, as it was described when it was released: it must go on to understand
/// what later versions write under that number.
fn check_old_reader(content: &Content) {
    let file: Value = match serde_json::from_slice(&content.again) {
        Ok(file) => file,
        // Foreign numbers that serde_json does not hold.
        Err(_) => return,
    };
    assert_eq!(file["schema"], "portkeeper/registry");
    assert_eq!(file["version"], 1);
    assert_eq!(file["generation"], content.generation);
    assert_eq!(file["boot_id"], content.boot_id);
    let keys: Vec<&str> = content
        .entries
        .iter()
        .map(|item| item.key.as_str())
        .collect();
    let once = keys.iter().collect::<BTreeSet<_>>().len() == keys.len();
    for item in content.entries.iter().filter(|_| once) {
        let (Ok(reservation), entry) = (&item.reservation, &file["entries"][&item.key]) else {
            continue;
        };
        assert_eq!(entry["id"], reservation.id);
        assert_eq!(entry["port"], reservation.port.number());
        assert_eq!(entry["host"], reservation.host.to_string());
        assert_eq!(entry["proto"], reservation.protocol.name());
        assert_eq!(entry["uid"], reservation.uid);
        assert_eq!(entry["fence"], reservation.fence);
        assert_eq!(entry["netns"], reservation.network);
        let owner = reservation.owner.as_deref();
        assert_eq!(entry["owner"].as_str(), owner);
        // Shown by whoever lists it, and only then made harmless.
        let _ = owner.map(|owner| owner.chars().any(is_unprintable));
    }
}
