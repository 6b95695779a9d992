//! The command line: words, each behind a NUL but the first.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::check_message;
use crate::target::{Source, Target};

pub(super) const TARGET: Target = Target {
    name: "arguments",
    about: "any words are understood, or refused in one printable line and a hint",
    source: Source::Bytes(&[
        "\0",
        "reserve",
        "release",
        "status",
        "gc",
        "why",
        "wait",
        "run",
        "take",
        "env",
        "set",
        "get",
        "unset",
        "json",
        "merge",
        "backup",
        "list",
        "restore",
        "--",
        "--help",
        "-h",
        "--version",
        "--preferred",
        "--range",
        "--count",
        "--host",
        "--proto",
        "--ttl",
        "--pid",
        "--owner",
        "--hold",
        "--strict",
        "--write-env",
        "--write-json",
        "--file",
        "--format",
        "--registry",
        "--lock-timeout",
        "--quiet",
        "-v",
        "--color",
        "--fence",
        "--dry-run",
        "--unused",
        "--wait",
        "--foreground",
        "--force",
        "--all",
        "--create",
        "--no-backup",
        "--in-place",
        "--env-path",
        "8080",
        "8888-8988",
        "65536",
        "never",
        "24h",
        "json",
        "text",
        "PORT",
        "PORT=http://{host}:{port}",
        "config.json#/server/port",
        "tcp",
        "both",
        "::1",
        "localhost",
        "0.0.0.0",
        "=",
        ",",
        "-",
        "\u{1b}[2J",
        "\u{202e}",
        "\n",
        "\n\n",
        "tip: ",
    ]),
    check,
};

/// The kernel hands no longer word to a program, execve(2).
const LONGEST: usize = (128 << 10) - 1;

fn check(input: &[u8]) {
    let words = input
        .split(|&byte| byte == 0)
        .map(|word| OsString::from_vec(word[..word.len().min(LONGEST)].to_vec()));
    let words: Vec<OsString> = [OsString::from("portkeeper")]
        .into_iter()
        .chain(words)
        .collect();
    let meant = pk_cli::fuzzing::parse(words.clone());
    match &meant {
        Ok(_) => {}
        Err((message, hint)) => {
            check_message(message);
            check_message(hint);
        }
    }
    if input.len() < 4096 {
        assert_eq!(
            pk_cli::fuzzing::parse(words),
            meant,
            "the same words mean the same"
        );
    }
}
