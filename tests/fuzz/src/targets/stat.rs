//! `/proc/PID/stat`: a command can call itself anything.

use crate::target::{Source, Target};

pub(super) const TARGET: Target = Target {
    name: "stat",
    about: "/proc/PID/stat is read from the last parenthesis, whatever a command is called",
    source: Source::Bytes(&[
        "7 (",
        ") S ",
        ") Z ",
        "(",
        ")",
        " 1",
        " -1",
        " 18446744073709551616",
        " 153593",
        "\n",
    ]),
    check,
};

fn check(input: &[u8]) {
    assert_eq!(
        pk_core::fuzzing::stat(input),
        read(input),
        "another reading"
    );
    // As the name of a command.
    let front = [
        b"7 (",
        input,
        b") S 1 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 153593 99 1\n",
    ];
    let stat = pk_core::fuzzing::stat(&front.concat());
    assert_eq!(
        stat,
        Some((false, 1, 153_593)),
        "a name changes what is read"
    );
}

/// The same, read in the plainest way.
fn read(input: &[u8]) -> Option<(bool, u32, u64)> {
    let text = input.rsplit(|&byte| byte == b')').next()?;
    let text = std::str::from_utf8(text)
        .ok()
        .filter(|_| input.contains(&b')'))?;
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let ended = ["Z", "X", "x"].contains(fields.first()?);
    Some((
        ended,
        fields.get(1)?.parse().ok()?,
        fields.get(19)?.parse().ok()?,
    ))
}
