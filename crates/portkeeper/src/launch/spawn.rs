//! The command line and the environment of a program that is given ports. Never starts it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use pk_core::handoff::child::Telling;
use pk_core::{Host, Port};

/// The number of the first inherited socket.
const FIRST: usize = 3;

/// An argument with its tokens filled in: `{port}`, `{host}` and `{fd}` of the first port,
/// `{port1}`, `{host1}`, `{fd1}` of the second, and so on. Everything else stays as it is.
pub(super) fn fill(argument: &OsStr, ports: &[(Host, Port)]) -> OsString {
    replace(argument, |name| {
        let (what, at) = token(name)?;
        let (host, port) = ports.get(at)?;
        Some(match what {
            Token::Port => port.to_string(),
            Token::Host => host.to_string(),
            Token::Socket => (FIRST + at).to_string(),
        })
    })
}

/// Whether an argument has a place for the number of an inherited socket.
pub(super) fn asks_for_socket(argument: &OsStr) -> bool {
    let mut found = false;
    replace(argument, |name| {
        found |= matches!(token(name), Some((Token::Socket, _)));
        None
    });
    found
}

/// How a program is told of the sockets that it inherits: once.
pub(super) fn telling(program: &[OsString]) -> Telling {
    match program.iter().any(|word| asks_for_socket(word)) {
        true => Telling::ByArguments,
        false => Telling::ByEnvironment,
    }
}

enum Token {
    Port,
    Host,
    Socket,
}

fn token(name: &str) -> Option<(Token, usize)> {
    let word = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let at = match &name[word.len()..] {
        "" => 0,
        digits => digits.parse().ok()?,
    };
    let what = match word {
        "port" | "PORT" => Token::Port,
        "host" => Token::Host,
        "fd" => Token::Socket,
        _ => return None,
    };
    Some((what, at))
}

/// Puts values in the place of names in braces; those that have none stay.
fn replace(argument: &OsStr, mut value: impl FnMut(&str) -> Option<String>) -> OsString {
    let mut filled = Vec::with_capacity(argument.len());
    let mut rest = argument.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let end = behind
            .iter()
            .position(|byte| *byte == b'}')
            .filter(|_| first == b'{');
        let name = end.and_then(|end| std::str::from_utf8(&behind[..end]).ok());
        match name.and_then(|name| Some((value(name)?, name.len()))) {
            Some((value, length)) => {
                filled.extend_from_slice(value.as_bytes());
                rest = &behind[length + 1..];
            }
            None => {
                filled.push(first);
                rest = behind;
            }
        }
    }
    OsString::from_vec(filled)
}

/// All variables of the program: those of this process, with those of the ports in the place of others of their names.
pub(super) fn environment(
    inherited: &[(OsString, OsString)],
    keys: &[(String, usize)],
    ports: &[(Host, Port)],
) -> Vec<(OsString, OsString)> {
    let is_ours = |name: &OsStr| keys.iter().any(|(key, _)| name == key.as_str());
    let given = keys
        .iter()
        .filter_map(|(key, at)| Some((key.into(), ports.get(*at)?.1.to_string().into())));
    inherited
        .iter()
        .filter(|(name, _)| !is_ours(name))
        .cloned()
        .chain(given)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports() -> Vec<(Host, Port)> {
        vec![
            (Host::default(), 8080.try_into().unwrap()),
            ("::1".parse().unwrap(), 8081.try_into().unwrap()),
        ]
    }

    #[test]
    fn tokens_are_filled_in_and_nothing_else_is_touched() {
        let check = |argument: &str, expect: &str| {
            assert_eq!(fill(OsStr::new(argument), &ports()), *expect, "{argument}");
        };
        check("--port={port}", "--port=8080");
        check("{PORT}", "8080");
        check("http://{host}:{port}/{port1}", "http://127.0.0.1:8080/8081");
        check("fd://{fd} fd://{fd1}", "fd://3 fd://4");
        check("[{host1}]", "[::1]");
        check("{port2} {porta} {} { {port", "{port2} {porta} {} { {port");
        check(r#"{"port":{port}}"#, r#"{"port":8080}"#);
        check("{{port}}", "{8080}");
        let bytes = OsStr::from_bytes(b"\xff{port}\xfe");
        assert_eq!(fill(bytes, &ports()).as_bytes(), b"\xff8080\xfe");
    }

    #[test]
    fn who_asks_for_a_socket() {
        for (argument, expect) in [
            ("{fd}", true),
            ("fd://{fd1}", true),
            ("{{fd}", true),
            ("{port}", false),
            ("{fd", false),
            ("fd}", false),
            ("{fdx}", false),
        ] {
            assert_eq!(asks_for_socket(OsStr::new(argument)), expect, "{argument}");
        }
    }

    #[test]
    fn the_environment_has_each_key_once() {
        let keys = [("PATH".to_owned(), 0), ("WEB_PORT".to_owned(), 1)];
        let inherited =
            [("PATH", "/bin"), ("HOME", "/")].map(|(name, value)| (name.into(), value.into()));
        let all = environment(&inherited, &keys, &ports());
        let values = |key: &str| -> Vec<_> {
            all.iter()
                .filter(|(name, _)| name == key)
                .map(|(_, value)| value)
                .collect()
        };
        assert_eq!(values("PATH"), ["8080"]);
        assert_eq!(values("WEB_PORT"), ["8081"]);
    }
}
