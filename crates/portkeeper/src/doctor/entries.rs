//! What the registry says, and whether that is still so. Never drops an entry.

use std::error::Error as _;
use std::path::Path;
use std::time::Duration;

use pk_core::{Machine, Port, PortRange, machine};
use pk_fs::{folder, utc};
use pk_registry::{Error, Kind, Listed, Registry, Reservation, Snapshot, Verdict, Warning};

use super::finding::{Cure, Finding, Remedy};
use super::look::Look;
use super::place::stop_or_wake;
use crate::holder::client;
use crate::keeper::{InUse, Unused};

/// How old a lease is before somebody should have used it.
const UNUSED: Duration = Duration::from_secs(3600);

/// How many ports are told one by one.
const MOST: usize = 20;

/// Reads the registry.
pub(super) fn read(look: &mut Look<'_>, path: &Path) -> Option<Snapshot> {
    let registry = Registry::at(path);
    match registry.about() {
        Ok(Some(about)) => {
            let told = |number: Option<u64>| number.map_or("?".into(), |it| it.to_string());
            let (version, generation) = (told(about.version), told(about.generation));
            let by = about.written_by.unwrap_or_else(|| "?".into());
            let value = format!(
                "{version}, generation {generation}, {} bytes, written by {by}",
                about.bytes
            );
            look.fact("version", value);
        }
        Ok(None) => look.fact_that("version", "not there yet", "nothing is reserved"),
        // Said below.
        Err(_) => {}
    }
    match registry.read(&look.here) {
        Ok(snapshot) => {
            look.fact("kind", "private");
            look.fact("reservations", snapshot.entries.len().to_string());
            for warning in &snapshot.warnings {
                look.find(warned(warning));
            }
            Some(snapshot)
        }
        Err(error) => {
            let finding = unreadable(&error, path);
            look.find(finding);
            None
        }
    }
}

fn warned(warning: &Warning) -> Finding {
    match warning {
        Warning::Empty { path } => Finding::note("empty-registry", warning.to_string()).at(path),
        Warning::Older { path, .. } => Finding::problem("older-copy", warning.to_string())
            .at(path)
            .cured_by(Cure::Collect),
        Warning::Unreadable { path, .. } => {
            Finding::problem("corrupt-registry", warning.to_string())
                .at(path)
                .cured_by(Cure::Collect)
        }
        other => Finding::problem("registry-warning", other.to_string()),
    }
}

fn unreadable(error: &Error, path: &Path) -> Finding {
    let what = match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    let problem = |code| Finding::problem(code, what.clone()).at(path);
    match error {
        Error::Shared { folder, .. } => {
            let private = Remedy::Mode {
                path: folder.clone(),
                mode: 0o700,
            };
            Finding::problem("unsafe-folder", what)
                .at(folder)
                .helped_by(private)
        }
        Error::Unsafe { .. } => problem("no-plain-file").helped_by(Remedy::MoveAway(path.into())),
        Error::TooLarge { .. } => {
            problem("large-registry").helped_by(Remedy::MoveAway(path.into()))
        }
        Error::Foreign { .. } => problem("newer-registry"),
        Error::Folder(folder::Error::Io { path, .. }) => {
            Finding::problem("closed-folder", what).at(path)
        }
        _ => problem("unreadable-registry"),
    }
}

/// Looks at every entry.
pub(super) fn check(look: &mut Look<'_>, snapshot: &Snapshot) {
    ended(look, snapshot);
    damaged(look, snapshot);
    let alive: Vec<&Reservation> = snapshot.entries.iter().filter_map(alive).collect();
    uses(look, snapshot, &alive);
    holders(look, &alive);
}

fn alive(entry: &Listed) -> Option<&Reservation> {
    match entry {
        Listed::Sound {
            reservation,
            verdict: Verdict::Alive,
        } => Some(reservation),
        _ => None,
    }
}

fn ended(look: &mut Look<'_>, snapshot: &Snapshot) {
    let mut reasons = Vec::new();
    let ended = snapshot.entries.iter().filter_map(|entry| match entry {
        Listed::Sound {
            reservation,
            verdict: Verdict::Stale(reason),
        } => {
            reasons.push(*reason);
            Some(reservation)
        }
        _ => None,
    });
    let ended: Vec<_> = ended.collect();
    let Some(first) = reasons.first() else {
        return;
    };
    let why = match reasons.iter().all(|reason| reason == first) {
        true => format!(" ({first})"),
        false => String::new(),
    };
    let what = format!("reservations that have ended: {}{why}", listed(&ended));
    let finding = Finding::note("ended-reservations", what).at(&snapshot.path);
    look.find(finding.on(only(&ended)).cured_by(Cure::Collect));
}

fn damaged(look: &mut Look<'_>, snapshot: &Snapshot) {
    let finding = |what, port| {
        let finding = Finding::problem("damaged-entry", what).at(&snapshot.path);
        let remedy = Remedy::Edit(snapshot.path.clone());
        finding.on(port).helped_by(remedy)
    };
    let mut count = 0;
    for entry in &snapshot.entries {
        if let Listed::Damaged { key, port, reason } = entry {
            count += 1;
            if count <= MOST {
                let what = format!("the entry {key} can't be read: {reason}");
                look.find(finding(what, *port));
            }
        }
    }
    if count > MOST {
        let what = format!("{} more entries can't be read", count - MOST);
        look.find(finding(what, None));
    }
}

/// Leases that nobody uses, and those that the kernel may give to somebody else.
fn uses(look: &mut Look<'_>, snapshot: &Snapshot, alive: &[&Reservation]) {
    let Ok(in_use) = InUse::ask(Unused::Drop(UNUSED)) else {
        look.fact_that(
            "sockets",
            "not told",
            "the kernel does not list who has bound which port",
        );
        return;
    };
    let here = &look.here;
    let unused: Vec<_> = alive
        .iter()
        .copied()
        .filter(|it| it.uid == here.uid && in_use.drops(it, here).is_some())
        .collect();
    let kept_back = machine::reserved_ranges();
    let ephemeral = machine::ephemeral_range();
    let is_given_out = |port: Port| {
        ephemeral.is_some_and(|range| range.contains(port))
            && !kept_back.iter().any(|range| range.contains(port))
    };
    let exposed: Vec<_> = alive
        .iter()
        .copied()
        .filter(|it| it.kind == Kind::Leased && is_given_out(it.port) && !in_use.has(it))
        .collect();
    if !unused.is_empty() {
        let what = format!(
            "leases of more than an hour that nobody uses: {}",
            listed(&unused)
        );
        let finding = Finding::note("unused-leases", what).at(&snapshot.path);
        look.find(
            finding
                .on(only(&unused))
                .helped_by(Remedy::CollectUnused(UNUSED)),
        );
    }
    if let Some(range) = ephemeral.filter(|_| !exposed.is_empty()) {
        let what = format!(
            "reserved but not held, while the kernel gives {range} to outgoing connections: {}",
            listed(&exposed)
        );
        let mut keep = kept_back;
        keep.extend(
            exposed
                .iter()
                .filter_map(|it| PortRange::new(it.port, it.port).ok()),
        );
        let finding = Finding::note("exposed-ports", what).at(&snapshot.path);
        look.find(
            finding
                .on(only(&exposed))
                .helped_by(Remedy::KeepFromKernel(keep)),
        );
    }
}

/// Asks each holder of this user's whether it is there.
fn holders(look: &mut Look<'_>, alive: &[&Reservation]) {
    let me = look.here.uid;
    let held = alive
        .iter()
        .filter(|it| it.kind == Kind::Held && (it.uid == me || me == 0));
    for reservation in held {
        if client::answers(reservation) {
            continue;
        }
        let port = reservation.port;
        let pid = visible(reservation, &look.here.machine);
        let holder = pid.map_or("a process that can't be seen from here".into(), |pid| {
            format!("process {pid}")
        });
        let what = format!(
            "the holder of port {port}, {holder}, does not answer; it holds it since {}",
            utc::rfc3339(reservation.created)
        );
        let remedy = match pid.map(stop_or_wake) {
            Some(Remedy::Wake(pid)) => Remedy::Wake(pid),
            _ => Remedy::ReleaseByForce(port),
        };
        look.find(
            Finding::problem("silent-holder", what)
                .on(Some(port))
                .helped_by(remedy),
        );
    }
}

/// The number of the process that has a reservation, where it is the same from here.
fn visible(reservation: &Reservation, machine: &Machine) -> Option<u32> {
    let process = reservation.process?;
    (process.namespace == machine.processes).then_some(process.pid)
}

/// `8080, 8081 and 7 others`.
fn listed(reservations: &[&Reservation]) -> String {
    let ports = reservations.iter().take(MOST).map(|it| it.port.to_string());
    let ports: Vec<_> = ports.collect();
    match reservations.len().saturating_sub(MOST) {
        0 => ports.join(", "),
        more => format!("{} and {more} others", ports.join(", ")),
    }
}

fn only(reservations: &[&Reservation]) -> Option<Port> {
    match reservations {
        [one] => Some(one.port),
        _ => None,
    }
}
