//! Files that are broken, foreign or too large: each is told apart, and nothing panics, overflows
//! the stack or takes for ever.

use super::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Sound,
    Foreign,
    TooMany,
    Corrupt,
}

use State::{Corrupt, Foreign, Sound, TooMany};

fn state(bytes: &[u8], purpose: Purpose) -> (State, String) {
    match Document::parse(bytes, purpose, &mut Known::default()) {
        Ok(document) => {
            for entry in &document.entries {
                let _ = (entry.reservation(), entry.port());
            }
            document.render();
            (Sound, String::new())
        }
        Err(Unreadable::Foreign(why)) => (Foreign, why),
        Err(Unreadable::TooMany) => (TooMany, String::new()),
        Err(Unreadable::Corrupt(why)) => (Corrupt, why),
    }
}

/// What a writer makes of it.
#[track_caller]
fn check(bytes: impl AsRef<[u8]>, expect: State, reason: &str) {
    let bytes = bytes.as_ref();
    let (state, why) = state(bytes, Purpose::Write);
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]);
    assert_eq!(state, expect, "{shown}: {why}");
    assert!(why.contains(reason), "{shown}: {why}");
}

#[test]
fn torn_anywhere_it_is_corrupt() {
    let bytes = rendered(&[reservation(8080), reservation(8081), reservation(8082)]);
    for end in 0..bytes.len() - 1 {
        check(&bytes[..end], Corrupt, "EOF");
        let mut padded = bytes[..end].to_vec();
        padded.resize(bytes.len(), 0);
        check(&padded, Corrupt, "at line");
    }
    check(&bytes[..bytes.len() - 1], Sound, "");
}

#[test]
fn what_is_no_registry() {
    for text in [
        "\0",
        "null",
        "[]",
        "[{}]",
        "7",
        "\"x\"",
        "{",
        "{]",
        "{\"entries\":{}}x",
        "hello",
        "\u{feff}{}",
    ] {
        check(text, Corrupt, "line 1 column");
    }
    check("\n\n \n", Corrupt, "line 4 column 0");
    check([0; 4096], Corrupt, "line 1 column 1");
    let whole = String::from_utf8(rendered(&[reservation(8080)])).unwrap();
    check(
        format!("<<<<<<< ours\n{whole}=======\n{whole}>>>>>>> theirs\n"),
        Corrupt,
        "line 1 column 1",
    );
    let merged = whole.replace('\n', "\n<<<<<<< ours\n");
    check(merged, Corrupt, "line 2 column 1");
    check(
        whole.repeat(2),
        Corrupt,
        "trailing characters at line 3 column 1",
    );
    check("{}", Corrupt, "no entries");
    for entries in ["[]", "null", "\"x\"", "7"] {
        check(
            format!("{{\"entries\":{entries}}}"),
            Corrupt,
            "line 1 column",
        );
    }
    for field in [
        "\"generation\":-1",
        "\"generation\":1.5",
        "\"generation\":\"1\"",
        "\"boot_id\":7",
    ] {
        check(
            format!("{{{field},\"entries\":{{}}}}"),
            Corrupt,
            "line 1 column",
        );
    }
}

#[test]
fn a_field_that_stands_twice() {
    for field in [
        "entries",
        "generation",
        "boot_id",
        "written_by",
        "version",
        "min_reader",
        "unknown",
    ] {
        let value = match field {
            "entries" => "{}",
            "boot_id" => "\"b\"",
            _ => "1",
        };
        let text = format!("{{\"{field}\":{value},\"{field}\":{value},\"entries\":{{}}}}");
        check(
            text,
            Corrupt,
            &format!("duplicate field \"{field}\" at line 1 column"),
        );
    }
    check(
        "{\"x\":1,\"\\u0078\":2,\"entries\":{}}",
        Corrupt,
        "duplicate field \"x\"",
    );
}

#[test]
fn bad_utf_8_wherever_it_stands() {
    let whole = rendered(&[reservation(8080)]);
    let at = |what: &str| {
        whole
            .windows(what.len())
            .position(|it| it == what.as_bytes())
            .unwrap()
    };
    for place in ["shop", "tcp/", "317c8ed4", "portkeeper 0", "generation"] {
        for bad in [0xff, 0xc0, 0x80] {
            let mut bytes = whole.clone();
            bytes[at(place) + 1] = bad;
            check(bytes, Corrupt, "");
        }
    }
}

#[test]
fn what_is_no_object_is_told_what_it_should_be() {
    check("1", Corrupt, "expected one object");
    check("{\"entries\":1}", Corrupt, "expected an object of entries");
}

#[test]
fn nested_too_deeply() {
    for depth in [65, 200, 100_000] {
        for (open, close) in [("[", "]"), ("{\"x\":", "}")] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for text in [
                format!("{{\"x\":{deep},\"entries\":{{}}}}"),
                format!("{{\"entries\":{{\"k\":{{\"x\":{deep}}}}}}}"),
                format!("{{\"entries\":{{\"k\":{deep}}}}}"),
                format!("{{\"generation\":{deep},\"entries\":{{}}}}"),
                format!("{{\"boot_id\":{deep},\"entries\":{{}}}}"),
                format!("{{\"written_by\":{deep},\"entries\":{{}}}}"),
                format!("{{\"entries\":{deep}}}"),
                deep,
            ] {
                check(text, Corrupt, "");
            }
            check(open.repeat(depth), Corrupt, "");
            check(
                format!("{{\"version\":99,\"x\":{}", open.repeat(depth)),
                Foreign,
                "version 99",
            );
        }
    }
    let deepest = format!(
        "{{\"x\":{}1{},\"entries\":{{}}}}",
        "[".repeat(63),
        "]".repeat(63)
    );
    check(deepest, Sound, "");
    let deepest = format!(
        "{{\"entries\":{{\"k\":{}1{}}}}}",
        "[".repeat(62),
        "]".repeat(62)
    );
    check(deepest, Sound, "");
    let in_field = |name: &str, depth| {
        let deep = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        format!("{{\"{name}\":{deep},\"entries\":{{}}}}")
    };
    for name in ["written_by", "x"] {
        check(in_field(name, 63), Sound, "");
        check(in_field(name, 64), Corrupt, "nested deeper than 64");
    }
    check("{\"x\":\"[[\\\"[[[\\\\\",\"entries\":{}}", Sound, "");
}

#[test]
fn what_a_newer_version_or_another_program_wrote() {
    let entries = "\"entries\":{}";
    for version in [
        "99",
        "2",
        "0",
        "-1",
        "1.0",
        "\"1\"",
        "null",
        "[1]",
        "18446744073709551616",
    ] {
        check(
            format!("{{\"version\":{version},{entries}}}"),
            Foreign,
            &format!("version {version}"),
        );
    }
    for schema in ["\"other\"", "\"\"", "7", "null", "{}"] {
        check(
            format!("{{\"schema\":{schema},\"version\":1,{entries}}}"),
            Foreign,
            &format!("schema {schema}"),
        );
    }
    check(
        "{\"schema\":\"\u{1b}[2J\",\"entries\":{}}",
        Corrupt,
        "control character",
    );
    check(
        "{\"schema\":\"\u{202e}\",\"entries\":{}}",
        Foreign,
        "schema \"\\u{202e}\"",
    );
    check(
        format!("{{\"schema\":\"portkeeper\\/registry\",\"version\":1,{entries}}}"),
        Sound,
        "",
    );
    check(format!("{{{entries}}}"), Sound, "");
}

#[test]
fn the_version_counts_even_if_the_rest_is_broken() {
    for rest in [
        "",
        ",",
        ",\"entries\":[]",
        ",\"entries\":{",
        ",\"generation\":\"x\",\"entries\":{}}",
        "}}",
        "\0",
        ",\"version\":99}",
        ",\"entries\":{},\"entries\":{}}",
        ",\"x\":1}",
    ] {
        check(format!("{{\"version\":99{rest}"), Foreign, "version 99");
    }
    check(b"{\"version\":99,\"x\":\"\xff\"}", Foreign, "version 99");
    // What another version may have changed stands before it, as in a file with sorted keys.
    for before in [
        "\"entries\":[]",
        "\"generation\":\"x\"",
        "\"boot_id\":7",
        "\"a\":1,\"a\":1",
        "\"entries\":7",
    ] {
        check(
            format!("{{{before},\"version\":99}}"),
            Foreign,
            "version 99",
        );
        check(
            format!("{{{before},\"schema\":\"other\"}}"),
            Foreign,
            "schema \"other\"",
        );
        check(format!("{{{before},\"version\":1}}"), Corrupt, "");
    }
    check("{\"entries\":{,\"version\":99}", Corrupt, "");
}

#[test]
fn a_reader_may_read_what_allows_it() {
    let read = |fields: &str| {
        let text = format!("{{{fields},\"entries\":{{}}}}");
        check(&text, Foreign, "version");
        state(text.as_bytes(), Purpose::Read).0
    };
    assert_eq!(read("\"version\":99,\"min_reader\":1"), Sound);
    assert_eq!(read("\"min_reader\":0,\"version\":2"), Sound);
    for fields in [
        "\"version\":99",
        "\"version\":99,\"min_reader\":2",
        "\"version\":99,\"min_reader\":\"1\"",
        "\"version\":0,\"min_reader\":1",
        "\"version\":\"2\",\"min_reader\":1",
    ] {
        assert_eq!(read(fields), Foreign, "{fields}");
    }
}

#[test]
fn too_many_entries() {
    let document = |count: usize, behind: &str| {
        let entries: Vec<String> = (0..count)
            .map(|number| format!("\"{number}\":{{}}"))
            .collect();
        format!("{{\"entries\":{{{}}}{behind}}}", entries.join(","))
    };
    check(document(MOST_ENTRIES, ""), Sound, "");
    check(document(MOST_ENTRIES + 1, ""), TooMany, "");
    check(
        document(MOST_ENTRIES + 2, ",\"version\":99"),
        Foreign,
        "version 99",
    );
}

/// Compared each with each, these would keep a computer busy for minutes.
#[test]
fn many_unknown_fields() {
    let fields: Vec<String> = (0..200_000)
        .map(|number| format!("\"x{number}\":0"))
        .collect();
    check(
        format!("{{{},\"entries\":{{}}}}", fields.join(",")),
        Sound,
        "",
    );
}

proptest! {
    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..200)) {
        state(&bytes, Purpose::Read);
        state(&bytes, Purpose::Write);
    }

    #[test]
    fn a_valid_file_with_a_few_changes(
        changes in vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 1..6),
    ) {
        let mut bytes = rendered(&[reservation(8080), reservation(8081)]);
        for (at, how, byte) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.extend_from_within(at..),
            }
        }
        for purpose in [Purpose::Read, Purpose::Write] {
            state(&bytes, purpose);
        }
    }
}
