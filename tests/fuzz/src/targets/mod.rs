//! All targets. A new one is a module and a line in [`TARGETS`].

mod arguments;
mod control;
mod env;
mod histories;
mod json;
mod launch;
mod model;
mod order;
mod project;
mod registry;
mod stat;
mod words;

use crate::Target;

/// What `cargo xtask fuzz --list` lists.
pub const TARGETS: &[Target] = &[
    env::TARGET,
    json::TARGET,
    project::TARGET,
    registry::TARGET,
    stat::TARGET,
    arguments::TARGET,
    control::TARGET,
    launch::TARGET,
    words::TARGET,
    model::LIBRARY,
    model::PROGRAM,
    histories::TARGET,
    order::TARGET,
];

/// Cuts an input into a text for each NUL, and the rest: so that an input with several parts can be
/// written and read by people. Parts that are missing are empty.
fn parts<const N: usize>(input: &[u8]) -> ([String; N], &[u8]) {
    let mut rest = input;
    let texts = std::array::from_fn(|_| match rest.iter().position(|&byte| byte == 0) {
        Some(end) => {
            let text = String::from_utf8_lossy(&rest[..end]).into_owned();
            rest = &rest[end + 1..];
            text
        }
        None => String::new(),
    });
    (texts, rest)
}

/// Checks that a message to a person is one line that does a terminal no harm.
fn check_message(message: &str) {
    let harm = message
        .chars()
        .find(|&one| portkeeper::registry::reservation::is_unprintable(one));
    assert_eq!(
        harm, None,
        "a message with a control character: {message:?}"
    );
    assert!(!message.is_empty(), "a message that says nothing");
}
