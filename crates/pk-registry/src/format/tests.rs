//! The file format: what is written is read, what is foreign survives, what is broken is noticed.

mod broken;
mod damaged;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use pk_core::{Host, ProcessId, Protocol};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::reservation::{Kind, Lease};

fn port(number: u16) -> Port {
    Port::new(number).unwrap()
}

/// A plain reservation of a port.
fn reservation(number: u16) -> Reservation {
    Reservation {
        id: format!("id{number}"),
        port: port(number),
        host: Host::default(),
        protocol: Protocol::Tcp,
        owner: Some("shop/web".into()),
        name: None,
        project: None,
        notes: Default::default(),
        uid: 1000,
        fence: 12,
        created: UNIX_EPOCH + Duration::from_secs(1_795_348_800),
        kind: Kind::Leased,
        network: 4026,
        time: 4_026_531_834,
        lease: Lease::Until(93_600_000),
        process: Some(ProcessId {
            pid: 4712,
            start: 153_593,
            namespace: 4_026_531_836,
        }),
        until: None,
        control: None,
    }
}

/// The bytes of a registry with these reservations.
fn rendered(reservations: &[Reservation]) -> Vec<u8> {
    let document = Document {
        generation: 417,
        boot_id: "317c8ed4".into(),
        entries: reservations.iter().map(Entry::new).collect(),
        ..Document::default()
    };
    document.render()
}

#[test]
fn what_is_written_is_read_in_one_pass() {
    for count in [0, 1, 3] {
        let all: Vec<_> = (0..count).map(|at| reservation(8080 + at)).collect();
        let known = &mut Known::default();
        assert!(plain::parse(&rendered(&all), known).is_some(), "{count}");
    }
}

fn read(bytes: &[u8]) -> Document<'_> {
    Document::parse(bytes, Purpose::Write, &mut Known::default()).unwrap()
}

#[test]
fn the_file_looks_like_this() {
    let text = String::from_utf8(rendered(&[reservation(8080), reservation(8081)])).unwrap();
    let entry = |port| {
        format!(
            r#""tcp/127.0.0.1:{port}@4026":{{"id":"id{port}","port":{port},"host":"127.0.0.1","proto":"tcp","owner":"shop/web","uid":1000,"fence":12,"created":"2026-11-22T12:00:00Z","kind":"leased","netns":4026,"timens":4026531834,"expires_boot_ms":93600000,"process":{{"pid":4712,"start":153593,"pidns":4026531836}}}}"#
        )
    };
    let head = r#"{"schema":"portkeeper/registry","version":1,"min_reader":1,"generation":417,"boot_id":"317c8ed4","written_by":"portkeeper "#;
    let version = env!("CARGO_PKG_VERSION");
    let expect = format!(
        "{head}{version}\",\"entries\":{{\n{},\n{}}}}}\n",
        entry(8080),
        entry(8081)
    );
    assert_eq!(text, expect);
}

fn any_host() -> impl Strategy<Value = Host> {
    prop_oneof![
        Just(Host::Localhost),
        any::<[u8; 4]>().prop_map(|octets| Host::Address(octets.into())),
        // The canonical form of a mapped address is another one.
        any::<[u8; 16]>()
            .prop_map(|octets| { Host::Address(std::net::IpAddr::from(octets).to_canonical()) }),
    ]
}

fn any_process() -> impl Strategy<Value = ProcessId> {
    any::<(u32, u64, u64)>().prop_map(|(pid, start, namespace)| ProcessId {
        pid,
        start,
        namespace,
    })
}

fn any_reservation() -> impl Strategy<Value = Reservation> {
    let protocol = prop_oneof![
        Just(Protocol::Tcp),
        Just(Protocol::Udp),
        Just(Protocol::Both)
    ];
    let kind = prop_oneof![Just(Kind::Guarded), Just(Kind::Held), Just(Kind::Leased)];
    let lease = option::of(any::<u64>());
    let what = (
        "[a-z0-9]{1,26}",
        1_u16..,
        any_host(),
        protocol,
        option::of(any::<String>()),
    );
    let when = (
        0_u64..253_402_300_799,
        lease,
        kind,
        any::<(u32, u64, u64, u64)>(),
    );
    let who = (
        option::of(any_process()),
        option::of(any_process()),
        option::of(any::<String>()),
    );
    let labels = (
        option::of(any::<String>()),
        option::of("[0-9a-f]{16}"),
        btree_map(any::<String>(), any::<String>(), 0..3),
    );
    (what, when, who, labels).prop_map(|(what, when, who, labels)| {
        let (id, number, host, protocol, owner) = what;
        let (name, project, notes) = labels;
        let (created, lease, kind, (uid, fence, network, time)) = when;
        let (process, until, control) = who;
        Reservation {
            id,
            port: port(number),
            host,
            protocol,
            owner,
            name,
            project,
            notes,
            uid,
            fence,
            created: UNIX_EPOCH + Duration::from_secs(created),
            kind,
            network,
            time,
            lease: lease.map_or(Lease::Never, Lease::Until),
            process,
            until,
            control: control.map(PathBuf::from),
        }
    })
}

/// Any JSON value, as text.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|it| it.to_string()),
        "-?[1-9][0-9]{22}",
        "[0-9]\\.[0-9]{1,30}[eE][+-][0-9]{1,3}",
        any::<String>().prop_map(|it| serde_json::to_string(&it).unwrap()),
        Just("\"\\ud800 \\u00e9 \\/\"".to_owned()),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|list| format!("[ {} ]", list.join(" ,"))),
            vec(inner, 0..4).prop_map(|list| {
                let pairs = list.iter().map(|value| format!("\"x\" : {value}"));
                format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(all in vec(any_reservation(), 0..12), generation: u64, boot_id: String) {
        let entries: Vec<Entry<'_>> = all.iter().map(Entry::new).collect();
        let document = Document { generation, boot_id: boot_id.into(), entries, ..Document::default() };
        let bytes = document.render();
        let again = read(&bytes);
        prop_assert_eq!(again.generation, generation);
        prop_assert_eq!(&again.boot_id, &document.boot_id);
        prop_assert_eq!(again.entries.len(), all.len());
        let mut keys = HashSet::new();
        for (entry, expect) in again.entries.iter().zip(&all) {
            let first = keys.insert(EntryKey::of(expect).to_string());
            prop_assert_eq!(entry.reservation().ok(), first.then(|| expect.clone()));
            prop_assert_eq!(entry.port(), Some(expect.port));
        }
        prop_assert_eq!(again.render(), bytes);
    }

    #[test]
    fn what_is_read_in_one_pass_is_what_the_parser_reads(
        all in vec(any_reservation(), 0..6),
        again in option::of(0_usize..6),
        damage in option::of((any::<prop::sample::Index>(), any::<u8>())),
        cut in option::of(any::<prop::sample::Index>()),
    ) {
        let mut entries: Vec<Entry<'_>> = all.iter().map(Entry::new).collect();
        if let Some(at) = again.filter(|at| *at < all.len()) {
            entries.push(Entry::new(&all[at]));
        }
        let before = Document { entries, ..Document::default() }.render();
        let mut after = before.clone();
        if let Some((at, byte)) = damage {
            let at = at.index(after.len());
            after[at] = byte;
        }
        if let Some(from) = cut {
            let from = from.index(after.len());
            let line = after[from..].iter().position(|&byte| byte == b'\n').unwrap_or(0);
            after.drain(from..from + line);
        }
        let known = &mut Known::default();
        for bytes in [&before, &before, &after, &before, &after] {
            if let Some(plain) = plain::parse(bytes, known) {
                let parsed = Document::parse_any(bytes, Purpose::Write);
                prop_assert_eq!(format!("{plain:?}"), format!("{:?}", parsed.unwrap()));
            }
        }
    }

    #[test]
    fn what_is_foreign_survives_byte_for_byte(
        fields in btree_map("x[a-z]{1,8}", any_json(), 0..6),
        entries in btree_map("[^\"\\\\\\pC]{0,20}", any_json(), 0..6),
    ) {
        let join = |pairs: &BTreeMap<String, String>| -> String {
            let pairs = pairs.iter().map(|(key, value)| format!("\"{key}\":{value}"));
            pairs.collect::<Vec<_>>().join(",")
        };
        let comma = if fields.is_empty() { "" } else { "," };
        let text = format!("{{{}{comma}\"entries\" : {{ {} }} }}", join(&fields), join(&entries));
        let written = String::from_utf8(read(text.as_bytes()).render()).unwrap();
        for (key, value) in fields.iter().chain(&entries) {
            let pair = format!("\"{key}\":{value}");
            prop_assert!(written.contains(&pair), "{pair} is not in {written}");
        }
        prop_assert_eq!(read(written.as_bytes()).render(), written.as_bytes());
    }
}

#[test]
fn a_control_path_that_is_not_utf_8_is_left_out() {
    use std::os::unix::ffi::OsStringExt;
    let path = PathBuf::from(std::ffi::OsString::from_vec(vec![b'/', 0xff]));
    let bytes = rendered(&[Reservation {
        control: Some(path),
        ..reservation(8080)
    }]);
    assert_eq!(read(&bytes).entries[0].reservation(), Ok(reservation(8080)));
}

#[test]
fn keys_have_one_meaning() {
    let check = |text: &str, expect: Option<&str>| {
        let key = EntryKey::parse(text).map(|key| key.to_string());
        assert_eq!(key.as_deref(), expect, "{text}");
    };
    for text in [
        "tcp/127.0.0.1:8080@4026",
        "both/:::1@0",
        "udp/localhost:65535@18446744073709551615",
    ] {
        check(text, Some(text));
    }
    check("tcp/[::1]:80@1", Some("tcp/::1:80@1"));
    for text in [
        "",
        "tcp",
        "tcp/",
        "tcp/127.0.0.1:8080",
        "tcp/127.0.0.1@1",
        "tcp/127.0.0.1:0@1",
        "TCP/::1:80@1",
        "tcp/127.0.0.1:65536@1",
        "tcp/127.0.0.1:-1@1",
        "tcp/example.org:80@1",
        "tcp/::1:80@x",
        "tcp/::1:80@18446744073709551616",
    ] {
        check(text, None);
    }
}
