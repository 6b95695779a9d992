//! The answers of `setup` for people: what was done, and what that means.

use portkeeper::setup::{Done, Group, Step};

use super::line;

pub(crate) fn set_up_for_group(made: &Group, name: &str) -> String {
    let mut text = steps(&made.done);
    let sentence = match made.done.steps.is_empty() {
        true => "is ready for the group",
        false => "is now for the group",
    };
    let folder = made.done.folder.display();
    line(&mut text, &format!("{folder} {sentence} {name}"));
    let registry = made.done.registry.display();
    let how = format!("its members use it with: export PORTKEEPER_REGISTRY={registry}");
    line(&mut text, &how);
    text
}

pub(crate) fn set_up_for_all(done: &Done, undone: bool) -> String {
    let mut text = steps(done);
    let sentence = match (undone, done.steps.is_empty()) {
        (true, true) => "there was no machine-wide registry",
        (true, false) => "every user has a registry of their own again",
        (false, true) => "the machine-wide registry is as it should be",
        (false, false) => "every user's portkeeper uses the machine-wide registry now",
    };
    line(&mut text, sentence);
    text
}

fn steps(done: &Done) -> String {
    let mut text = String::new();
    for Step { did, path } in &done.steps {
        line(&mut text, &format!("{} {}", did.name(), path.display()));
    }
    text
}
