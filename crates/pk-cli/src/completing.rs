//! What a shell offers when somebody presses Tab: the words of the command line, and what is in the
//! registry at the moment. Never changes anything; where it fails it offers nothing.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;

use clap::builder::StyledStr;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};
use portkeeper::{Listed, PortKeeper, Project, Record};

use crate::args::{self, Shell};
use crate::env_vars;

/// The variable by which a shell's script asks.
const VARIABLE: &str = "COMPLETE";
const NAME: &str = "portkeeper";

/// Answers a shell, if it is one that asks.
pub(crate) fn answer(arguments: &[OsString]) -> bool {
    let folder = std::env::current_dir().ok();
    CompleteEnv::with_factory(args::definition)
        .var(VARIABLE)
        .bin(NAME)
        .completer(NAME)
        .try_complete(arguments.iter().cloned(), folder.as_deref())
        // Whatever is wrong, the middle of somebody's line is no place to say so.
        .unwrap_or(true)
}

/// What a shell reads to ask this program from then on.
pub(crate) fn script(shell: Shell) -> io::Result<Vec<u8>> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let completer = shells.completer(shell.name());
    completer
        .ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?
        .write_registration(VARIABLE, NAME, NAME, NAME, &mut script)?;
    Ok(script)
}

/// The reserved ports, each with its owner and state.
pub(crate) fn ports() -> Vec<CompletionCandidate> {
    let candidate = |(it, state): (Record, &str)| {
        let owner = it.owner.as_deref().unwrap_or("no owner");
        CompletionCandidate::new(it.port.to_string())
            .help(Some(StyledStr::from(format!("{state}, {owner}"))))
    };
    entries().into_iter().map(candidate).collect()
}

/// The labels that are in use.
pub(crate) fn owners() -> Vec<CompletionCandidate> {
    let owners: BTreeSet<_> = entries()
        .into_iter()
        .filter_map(|(it, _)| it.owner)
        .collect();
    owners.into_iter().map(CompletionCandidate::new).collect()
}

/// What this project calls its reservations.
pub(crate) fn names() -> Vec<CompletionCandidate> {
    let Ok(project) = Project::here() else {
        return Vec::new();
    };
    let project = project.id();
    let is_here = |it: &Record| it.project.as_ref() == Some(&project);
    let entries = entries().into_iter();
    let candidate = |(it, state): (Record, &str)| {
        let help = StyledStr::from(format!("{}, {state}", it.port));
        let name = it.name.as_ref().filter(|_| is_here(&it))?;
        Some(CompletionCandidate::new(name).help(Some(help)))
    };
    entries.filter_map(candidate).collect()
}

fn entries() -> Vec<(Record, &'static str)> {
    let snapshot = env_vars::read(std::env::vars_os())
        .into_settings()
        .ok()
        .and_then(|(settings, ..)| PortKeeper::open(settings).ok())
        .and_then(|keeper| keeper.status().ok());
    let sound = |entry| match entry {
        Listed::Sound {
            reservation,
            verdict,
        } => {
            let state = crate::state(reservation.kind, verdict);
            Some((reservation, state))
        }
        Listed::Damaged { .. } => None,
    };
    snapshot
        .map(|snapshot| snapshot.entries.into_iter().filter_map(sound).collect())
        .unwrap_or_default()
}
