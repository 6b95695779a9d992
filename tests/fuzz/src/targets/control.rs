//! The control socket of a holder: what anybody of the same user may send there, and its orders.

use std::io::Write as _;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use portkeeper::fuzzing::{self, Message};

use crate::target::{Source, Target};

pub(super) const TARGET: Target = Target {
    name: "control",
    about: "a holder hears exactly the message that was sent, or refuses it",
    source: Source::Bytes(&[
        "{",
        "}",
        "\"ask\":",
        "\"release\"",
        "\"take\"",
        "\"letgo\"",
        "\"id\":",
        "\"k3v9\"",
        ",",
        "\n",
        "\"ready\"",
        "\"released\"",
        "\"freed\"",
        "\"given\"",
        "\"refused\"",
        "\"registry\":",
        "[47,114]",
        "\"control\":",
        "\"ends\":",
        "null",
        "\"until\":",
        "{\"pid\":1,\"start\":2,",
        "\"namespace\":3}",
        "18446744073709551615",
        "-1",
        "\\u0000",
        "[",
        "]",
    ]),
    check,
};

/// More than fits between two ends of a socket at once, and more than any message has.
const MOST: usize = 60_000;

fn check(input: &[u8]) {
    for kind in [Message::HolderOrders, Message::Ask, Message::Answer] {
        check_again(kind, input);
    }
    let Some(there) = sent(input) else { return };
    let heard = fuzzing::heard_ask(&there).ok();
    // One read may bring more than a line: what follows it is no message either.
    let is_whole = input.ends_with(b"\n");
    let expect = fuzzing::again(Message::Ask, input).filter(|_| is_whole);
    if input.len() < 1024 {
        assert_eq!(heard, expect, "what is heard is what was sent");
    }
}

/// Where all of an input arrives, and then its end; `None` where it does not fit.
pub(super) fn sent(input: &[u8]) -> Option<UnixStream> {
    if input.len() > MOST {
        return None;
    }
    let (mut here, there) = UnixStream::pair().unwrap();
    here.write_all(input).unwrap();
    here.shutdown(Shutdown::Write).unwrap();
    Some(there)
}

/// What is read and written again says the same.
pub(super) fn check_again(kind: Message, input: &[u8]) {
    if let Some(written) = fuzzing::again(kind, input) {
        let again = fuzzing::again(kind, &written);
        assert_eq!(
            again.as_ref(),
            Some(&written),
            "{kind:?} changes when it is written"
        );
        assert_eq!(written.iter().filter(|&&byte| byte == b'\n').count(), 1);
        assert!(written.ends_with(b"\n"), "{kind:?} is a line");
    }
}
