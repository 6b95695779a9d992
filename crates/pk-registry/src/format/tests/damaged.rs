//! Entries that are damaged in a document that is not: kept as they are, and told why.

use super::*;

const KEY: &str = "tcp/127.0.0.1:8080@4026";

/// A sound entry, with one piece of its text exchanged.
fn changed(from: &str, to: &str) -> String {
    let raw = Entry::new(&reservation(8080)).value().to_owned();
    assert!(raw.contains(from), "{from} is not in {raw}");
    raw.replace(from, to)
}

/// Expects that an entry is damaged, and of which port, and that a rewrite leaves it as it is.
#[track_caller]
fn check(key: &str, raw: &str, port: Option<u16>, reason: &str) {
    let text = format!("{{\"entries\":{{\"{key}\":{raw}}}}}");
    let document = read(text.as_bytes());
    let [entry] = &document.entries[..] else {
        panic!("{document:?}")
    };
    let why = entry.reservation().unwrap_err();
    assert!(why.contains(reason), "{why}");
    assert!(!why.chars().any(reservation::is_unprintable), "{why:?}");
    assert_eq!(entry.port(), port.and_then(Port::new), "{raw}");
    let written = String::from_utf8(document.render()).unwrap();
    assert!(written.contains(&format!("\"{key}\":{raw}")), "{written}");
}

#[test]
fn the_port_is_none() {
    let sound = format!("{{\"entries\":{{\"{KEY}\":{}}}}}", changed("8080", "8080"));
    assert_eq!(
        read(sound.as_bytes()).entries[0].reservation(),
        Ok(reservation(8080))
    );
    for (port, reason) in [
        ("0", "its port is 0"),
        ("99999", "99999"),
        ("-1", "-1"),
        ("8080.5", "8080.5"),
        ("\"x\"", "string \"x\""),
        ("\"8080\"", "string \"8080\""),
        ("null", "null"),
        ("[8080]", "sequence"),
        ("99999999999999999999999", "u16"),
    ] {
        let raw = changed("\"port\":8080", &format!("\"port\":{port}"));
        // The key still says which port it is about, unless that is broken as well.
        check(KEY, &raw, Some(8080), reason);
        check("tcp/127.0.0.1@4026", &raw, None, reason);
    }
}

#[test]
fn a_field_is_missing_or_twice_or_of_a_wrong_type() {
    check(
        KEY,
        &changed("\"port\":8080,", ""),
        Some(8080),
        "missing field `port`",
    );
    check(
        KEY,
        &changed("\"port\":8080", "\"port\":8080,\"port\":8081"),
        Some(8080),
        "duplicate field `port`",
    );
    check(
        "x",
        &changed("\"port\":8080", "\"port\":8080,\"port\":8081"),
        None,
        "duplicate field `port`",
    );
    check(KEY, &changed("1000", "-1"), Some(8080), "u32");
    check(
        KEY,
        &changed("\"fence\":12", "\"fence\":12345678901234567890123"),
        Some(8080),
        "u64",
    );
    check(
        KEY,
        &changed("2026-", "yesterday"),
        Some(8080),
        "its time of creation is none",
    );
    check(
        KEY,
        &changed("2026-11", "0000-01"),
        Some(8080),
        "its time of creation is none",
    );
    check(
        KEY,
        &changed("\"tcp\"", "\"sctp\""),
        Some(8080),
        "not a protocol: sctp",
    );
    for raw in [
        "null",
        "7",
        "[]",
        "{}",
        "\"\"",
        "{\"x\":12345678901234567890123}",
    ] {
        check(KEY, raw, Some(8080), "");
        check("x", raw, None, "");
    }
}

#[test]
fn the_key_is_of_another_port_or_of_none() {
    let raw = changed("", "");
    let mismatch = "its key names another port than its fields";
    check("tcp/127.0.0.1:9090@4026", &raw, Some(9090), mismatch);
    check("tcp/127.0.0.1:8080@4027", &raw, Some(8080), mismatch);
    check("udp/127.0.0.1:8080@4026", &raw, Some(8080), mismatch);
    check("tcp/::1:8080@4026", &raw, Some(8080), mismatch);
    check("", &raw, Some(8080), mismatch);
    check("../../x", &raw, Some(8080), mismatch);
}

#[test]
fn the_host_is_not_canonical() {
    for host in ["LOCALHOST", "::ffff:127.0.0.1", "[::1]", "0:0:0:0:0:0:0:1"] {
        let raw = changed("127.0.0.1", host);
        check(
            &format!("tcp/{host}:8080@4026"),
            &raw,
            Some(8080),
            "its host is not canonical",
        );
    }
    check(
        KEY,
        &changed("127.0.0.1", "example.org"),
        Some(8080),
        "not a host: example.org",
    );
}

#[test]
fn the_id_would_name_a_file_elsewhere() {
    for id in [
        "../../x",
        "/etc/passwd",
        "",
        ".",
        "a b",
        "a\\u0000",
        "é",
        &"x".repeat(65),
    ] {
        check(KEY, &changed("id8080", id), Some(8080), "its id is none");
    }
}

#[test]
fn a_reason_quotes_nothing_that_moves_a_cursor() {
    for hostile in ["\\u001b[2J", "\\u009b31m", "\u{9b}31m", "\u{202e}", "\\n"] {
        for field in ["leased", "tcp", "127.0.0.1", "2026", "id8080"] {
            check(KEY, &changed(field, hostile), Some(8080), "");
        }
        check(
            KEY,
            &changed("8080,", &format!("\"{hostile}\",")),
            Some(8080),
            "",
        );
    }
}

#[test]
fn the_second_entry_of_a_key() {
    let (first, second) = (changed("", ""), changed("shop", "other"));
    // Written with an escape it is still the same key.
    for again in [KEY, "tcp\\u002f127.0.0.1:8080@4026"] {
        let text = format!("{{\"entries\":{{\"{KEY}\":{first},\"{again}\":{second}}}}}");
        let document = read(text.as_bytes());
        assert_eq!(document.entries[0].reservation(), Ok(reservation(8080)));
        let why = document.entries[1].reservation().unwrap_err();
        assert_eq!(why, "its key stands twice in the file");
        assert_eq!(document.entries[1].port(), Some(port(8080)));
        let written = String::from_utf8(document.render()).unwrap();
        assert!(
            written.contains(&format!("\"{KEY}\":{first},\n\"{KEY}\":{second}")),
            "{written}"
        );
    }
}
