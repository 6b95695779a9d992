//! What a supervisor is told, line by line, and its orders.

use portkeeper::fuzzing::{self, Message};

use super::control::{check_again, sent};
use crate::target::{Source, Target};

pub(super) const TARGET: Target = Target {
    name: "launch",
    about: "a supervisor hears every line that is a message, up to the first that is none",
    source: Source::Bytes(&[
        "\"start\"\n",
        "{\"signal\":15}\n",
        "\"resume\"\n",
        "\"end\"\n",
        "\n",
        "\"ready\"",
        "{\"started\":{\"pid\":1,\"rung\":\"adopted\",\"because\":null}}",
        "{\"failed\":{",
        "\"what\":\"program\",",
        "\"handover\"",
        "\"errno\":2,",
        "\"why\":\"x\"",
        "}}",
        "{\"listening\":{\"port\":80,\"address\":\"::1\",\"pid\":1}}",
        "{\"stopped\":19}",
        "{\"ended\":{\"status\":{\"exited\":0},\"cause\":\"itself\"}}",
        "null",
        "{",
        "}",
        "65536",
        "\"ids\":[]",
        "\"ports\":[{\"host\":\"::\",\"port\":1,\"sockets\":2}]",
        "\"hand_over\":\"auto\"",
    ]),
    check,
};

fn check(input: &[u8]) {
    for kind in [Message::LaunchOrders, Message::Told, Message::Said] {
        check_again(kind, input);
    }
    let Some(there) = sent(input) else { return };
    let (heard, why) = fuzzing::heard_told(there).unwrap();
    let mut expect = Vec::new();
    for line in input.split_inclusive(|&byte| byte == b'\n') {
        match fuzzing::again(Message::Told, line).filter(|_| line.ends_with(b"\n")) {
            Some(message) => expect.push(message),
            None => break,
        }
    }
    assert_eq!(heard, expect, "every message is heard, and no other");
    assert!(why.is_some(), "the end is noticed");
}
