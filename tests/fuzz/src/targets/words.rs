//! Small things that people write: what is printed can be written again.

use std::ffi::OsString;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use pk_config::json::JsonFile;
use portkeeper::registry::Owner;
use portkeeper::registry::reservation::is_unprintable;
use portkeeper::{Host, Port, PortRange, Protocol, Settings, Template, Ttl, fuzzing};

use super::check_message;
use crate::target::{Source, Target};

pub(super) const TARGET: Target = Target {
    name: "words",
    about: "ports, ranges, hosts, times, owners and templates are read as they are printed",
    source: Source::Bytes(&[
        "localhost",
        "127.0.0.1",
        "::1",
        "::",
        "0.0.0.0",
        "[::1]",
        "::ffff:1.2.3.4",
        "fe80::1%2",
        "8080",
        "65535",
        "65536",
        "-",
        "20000-29999",
        "tcp",
        "udp",
        "both",
        "never",
        "90s",
        "15m",
        "24h",
        "7d",
        "250ms",
        "1001ms",
        "59s",
        "61m",
        "ms",
        "h",
        "0",
        "99999999999999999999",
        "{port}",
        "{host}",
        "/",
        "~0",
        "~1",
        " ",
        "+",
        "\u{202e}",
        "é",
    ]),
    check,
};

fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    again::<Port>(&text);
    again::<PortRange>(&text);
    again::<Host>(&text);
    again::<Protocol>(&text);
    again::<Ttl>(&text);
    if let Ok(template) = text.parse::<Template>() {
        let port = Port::new(8080).unwrap();
        let value = template.fill(Host::default(), port);
        assert!(
            !value.contains("{port}") && !value.chars().any(is_unprintable),
            "{value:?}"
        );
    }
    match Owner::new(text.clone()) {
        Ok(owner) => assert_eq!(owner.as_str(), text),
        Err(error) => check_message(&error.to_string()),
    }
    if let Some(tag) = fuzzing::tag_again(&text) {
        assert_eq!(fuzzing::tag_again(&tag).as_ref(), Some(&tag), "{text:?}");
    }
    let empty = JsonFile::parse(b"{}").unwrap();
    if let Err(error) = empty.get(&text) {
        assert!(error.is_usage(), "{error}");
        check_message(&error.to_string());
    }
    for (name, _) in Settings::VARIABLES {
        if let Err(error) = Settings::from_pairs([(name.into(), OsString::from(&*text))]) {
            check_message(&pk_cli::chain(&error));
        }
    }
}

/// What is read and printed is read as the same; what is not, is explained.
fn again<T: FromStr<Err: Display> + Display + PartialEq + Debug>(text: &str) {
    match text.parse::<T>() {
        Err(error) => check_message(&error.to_string()),
        Ok(value) => {
            let printed = value.to_string();
            assert_eq!(
                printed.parse().ok().as_ref(),
                Some(&value),
                "{printed:?} of {text:?}"
            );
        }
    }
}
