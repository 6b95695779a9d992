//! The answer of `setup` as JSON.

use std::path::Path;

use portkeeper::registry::Sharing;
use portkeeper::setup::{Done, Step};
use serde::Serialize;

use super::line;

#[derive(Serialize)]
struct SetupAnswer<'a> {
    kind: &'static str,
    folder: String,
    registry: String,
    group: Option<&'a str>,
    gid: Option<u32>,
    steps: Vec<DoneStep>,
}

#[derive(Serialize)]
struct DoneStep {
    did: &'static str,
    path: String,
}

pub(crate) fn set_up(done: &Done, group: Option<(&str, u32)>) -> String {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let step = |step: &Step| DoneStep {
        did: step.did.name(),
        path: text(&step.path),
    };
    line(&SetupAnswer {
        kind: match group {
            Some(_) => Sharing::Group.name(),
            None => Sharing::Machine.name(),
        },
        folder: text(&done.folder),
        registry: text(&done.registry),
        group: group.map(|(name, _)| name),
        gid: group.map(|(_, gid)| gid),
        steps: done.steps.iter().map(step).collect(),
    })
}
