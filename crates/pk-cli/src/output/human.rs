//! Answers for people: tables and sentences. Never wider than the terminal where that can be helped.

mod doctor;
mod project;
mod setup;
mod table;
mod watch;
mod why;

use std::time::Duration;

use portkeeper::config::backup::Backup;
use portkeeper::registry::Sharing;
use portkeeper::users::Users;
use portkeeper::{
    Collected, Here, Kept, Kind, Lease, Listed, Port, Preview, Protocol, Record, Released,
    Snapshot, Strategy, Verdict, Written,
};

use super::{json, printable};

pub(crate) use doctor::{checkup, command, ports};
pub(crate) use project::{checked, drafted, forecast, prepared};
pub(crate) use setup::{set_up_for_all, set_up_for_group};
pub(crate) use table::Layout;
pub(crate) use watch::frame;
pub(crate) use why::why;

pub(crate) fn reserved(kept: &Kept) -> String {
    let mut text = String::new();
    for record in &kept.reservations {
        let (host, port) = (record.host, named(record.port, record.protocol));
        let held = match (record.kind, record.process) {
            (Kind::Held, Some(holder)) => format!(", held by process {}", holder.pid),
            _ => String::new(),
        };
        line(&mut text, &format!("reserved {port} on {host}{held}"));
    }
    text + &written(&kept.files)
}

pub(crate) fn written(files: &[Written]) -> String {
    let mut text = String::new();
    for written in files {
        let path = written.path.display();
        let what = match written.keys.as_slice() {
            [] => path.to_string(),
            keys => format!("{} in {path}", keys.join(", ")),
        };
        let done = match (written.changed, written.strategy) {
            (false, _) => format!("{what} is as asked already"),
            (true, Strategy::Rename) => format!("wrote {what}"),
            (true, Strategy::InPlace) => format!("wrote {what}, in place"),
        };
        line(&mut text, &done);
    }
    text
}

pub(crate) fn backups(backups: &[Backup]) -> String {
    let mut text = String::new();
    for Backup { of, id, bytes, .. } in backups {
        line(
            &mut text,
            &format!("{id}  {bytes:>8} bytes  {}", of.display()),
        );
    }
    text
}

/// Each line of a diff is made harmless by itself.
pub(crate) fn diffs<'d>(diffs: impl Iterator<Item = &'d str>) -> String {
    let mut text = String::new();
    diffs
        .flat_map(str::lines)
        .for_each(|part| line(&mut text, part));
    text
}

pub(crate) fn preview(preview: &Preview) -> String {
    let mut text = String::new();
    for (host, port) in &preview.ports {
        let port = named(*port, preview.protocol);
        line(&mut text, &format!("would reserve {port} on {host}"));
    }
    text + &diffs(preview.diffs.iter().map(String::as_str))
}

pub(crate) fn released(answer: &Released) -> String {
    let mut text = String::new();
    for record in &answer.released {
        let port = named(record.port, record.protocol);
        line(&mut text, &format!("released {port} on {}", record.host));
    }
    if answer.released.is_empty() && answer.failed.is_empty() {
        line(&mut text, "nothing to release");
    }
    text
}

pub(crate) fn renewed(renewed: &[Record]) -> String {
    let here = Here::now();
    let mut text = String::new();
    for record in renewed {
        let port = named(record.port, record.protocol);
        let end = match record.lease {
            Lease::Never => "until it is released".into(),
            Lease::Until(end) => {
                let left = end.saturating_sub(here.boot_ms);
                format!("for {}", short(Duration::from_millis(left)))
            }
        };
        line(&mut text, &format!("{port} on {} lasts {end}", record.host));
    }
    text
}

pub(crate) fn collected(collected: &Collected, dry_run: bool) -> String {
    let mut text = String::new();
    let done = if dry_run { "would drop" } else { "dropped" };
    for ended in &collected.removed {
        let record = &ended.reservation;
        let port = named(record.port, record.protocol);
        let owner = record
            .owner
            .as_ref()
            .map(|owner| format!(" ({owner})"))
            .unwrap_or_default();
        line(
            &mut text,
            &format!("{done} {port}{owner}: {}", ended.reason),
        );
    }
    let leftovers = match collected.leftovers {
        0 => String::new(),
        count => format!(", swept {count} leftover file{}", plural(count)),
    };
    let count = collected.removed.len();
    let kept = collected.kept;
    line(
        &mut text,
        &format!(
            "{done} {count} reservation{}, kept {kept}{leftovers}",
            plural(count)
        ),
    );
    text
}

pub(crate) fn status(snapshot: &Snapshot, layout: Layout) -> String {
    let path = printable(&snapshot.path.to_string_lossy());
    let shared_by = match snapshot.sharing {
        Sharing::Private => "",
        Sharing::Group => " (shared by a group)",
        Sharing::Machine => " (shared by all users)",
    };
    if snapshot.entries.is_empty() {
        return format!("no reservations in {path}{shared_by}\n");
    }
    let here = Here::now();
    let mut headings = COLUMNS.to_vec();
    let mut rows: Vec<Vec<String>> = snapshot
        .entries
        .iter()
        .map(|entry| row(entry, &here).into())
        .collect();
    if snapshot.entries.iter().any(|entry| name(entry).is_some()) {
        headings.insert(OWNER, "NAME");
        for (row, entry) in rows.iter_mut().zip(&snapshot.entries) {
            row.insert(OWNER, name(entry).map_or_else(|| "-".into(), printable));
        }
    }
    if shared_by.is_empty() {
        return table::drawn(&headings, &rows, layout);
    }
    // Whose they are is of interest where they are not all one's own.
    let users = Users::read();
    let pid = headings.iter().position(|it| *it == "PID").unwrap_or(0);
    headings.insert(pid, "USER");
    for (row, entry) in rows.iter_mut().zip(&snapshot.entries) {
        row.insert(pid, user(entry, &users));
    }
    format!(
        "{path}{shared_by}\n{}",
        table::drawn(&headings, &rows, layout)
    )
}

/// What its project calls it.
fn name(entry: &Listed) -> Option<&str> {
    match entry {
        Listed::Sound { reservation, .. } => reservation.name.as_deref(),
        Listed::Damaged { .. } => None,
    }
}

/// The name of the user, else the number.
fn user(entry: &Listed, users: &Users) -> String {
    match entry {
        Listed::Sound { reservation, .. } => match users.name(reservation.uid) {
            Some(name) => printable(name),
            None => reservation.uid.to_string(),
        },
        Listed::Damaged { .. } => "-".into(),
    }
}

const COLUMNS: [&str; 8] = [
    "PORT", "PROTO", "HOST", "STATE", "OWNER", "PID", "AGE", "EXPIRES",
];
const OWNER: usize = 4;

fn row(entry: &Listed, here: &Here) -> [String; COLUMNS.len()] {
    let nothing = || "-".to_owned();
    match entry {
        Listed::Sound {
            reservation,
            verdict,
        } => {
            let process = reservation.process.or(reservation.until);
            let age = here
                .wall
                .duration_since(reservation.created)
                .unwrap_or_default();
            [
                reservation.port.to_string(),
                reservation.protocol.to_string(),
                reservation.host.to_string(),
                json::state(reservation.kind, *verdict).to_owned(),
                reservation.owner.as_deref().map_or_else(nothing, printable),
                process.map_or_else(nothing, |process| process.pid.to_string()),
                short(age),
                match (verdict, reservation.lease) {
                    (Verdict::Stale(reason), _) => reason.to_string(),
                    (_, Lease::Never) => "never".into(),
                    (_, Lease::Until(end)) => {
                        let left = end.saturating_sub(here.boot_ms);
                        format!("in {}", short(Duration::from_millis(left)))
                    }
                },
            ]
        }
        Listed::Damaged { port, reason, .. } => [
            port.map_or_else(nothing, |port| port.to_string()),
            nothing(),
            nothing(),
            "damaged".into(),
            nothing(),
            nothing(),
            nothing(),
            printable(reason),
        ],
    }
}

/// A length of time in its two largest units: `2d3h`.
fn short(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// `port 8888`, `udp port 8888`, `tcp and udp port 8888`
fn named(port: Port, protocol: Protocol) -> String {
    match protocol {
        Protocol::Tcp => format!("port {port}"),
        Protocol::Udp => format!("udp port {port}"),
        Protocol::Both => format!("tcp and udp port {port}"),
    }
}

fn line(text: &mut String, sentence: &str) {
    text.push_str(&printable(sentence));
    text.push('\n');
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_short() {
        for (seconds, expect) in [
            (5, "5s"),
            (61, "1m01s"),
            (3700, "1h01m"),
            (200_000, "2d07h"),
        ] {
            assert_eq!(short(Duration::from_secs(seconds)), expect);
        }
    }
}
