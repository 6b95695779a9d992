//! The live table of reservations, laid out for a screen. Never larger than that.

use std::collections::HashSet;
use std::time::Duration;

use portkeeper::listeners::Listeners;
use portkeeper::{Here, Lease, Listed, Port, Snapshot, Verdict};
use unicode_width::UnicodeWidthStr;

use super::table::{cut, joined};
use super::{json, name, plural, printable, short};
use crate::output::HEADING;
use crate::output::screen::Size;

const COLUMNS: [&str; 8] = [
    "PORT", "PROTO", "STATE", "NAME", "OWNER", "AGE", "LEFT", "LISTENS",
];
const OWNER: usize = 4;
/// Columns that may be wider than their heading, the last first to be cut.
const LAST: usize = COLUMNS.len() - 1;
/// A heading for the whole, and those of the columns.
const ABOVE: usize = 2;

/// The lines of a screen, and what the command lines of [`Listeners`] are needed for: who is not on
/// the screen need not be looked for.
pub(crate) fn frame(
    snapshot: &Snapshot,
    listeners: &mut Listeners,
    size: Size,
    is_bold: bool,
) -> Vec<String> {
    let here = Here::now();
    let count = snapshot.entries.len();
    let path = printable(&snapshot.path.to_string_lossy());
    let title = format!("{count} reservation{} in {path}; q ends", plural(count));
    let mut lines = vec![cut(&title, size.columns)];
    for warning in &snapshot.warnings {
        let warning = printable(&format!("warning: {warning}"));
        lines.push(cut(&warning, size.columns));
    }
    let room = size.rows.saturating_sub(lines.len() + ABOVE - 1);
    // The last row tells of what has none.
    let shown = match count <= room {
        true => count,
        false => room.saturating_sub(1),
    };
    let visible = &snapshot.entries[..shown];
    let ports: HashSet<Port> = visible.iter().filter_map(port).collect();
    listeners.look(&ports);
    let rows: Vec<Vec<String>> = visible
        .iter()
        .map(|entry| row(entry, &here, listeners).into())
        .collect();
    let headings = COLUMNS.map(str::to_owned);
    let widths = widths(&headings, &rows, size.columns);
    let heading = cut(&joined(&headings, &widths), size.columns);
    lines.push(match is_bold {
        true => format!("{HEADING}{heading}{HEADING:#}"),
        false => heading,
    });
    lines.extend(
        rows.iter()
            .map(|row| cut(&joined(row, &widths), size.columns)),
    );
    if shown < count {
        lines.push(cut(&format!("… {} more", count - shown), size.columns));
    }
    lines.truncate(size.rows);
    lines
}

fn port(entry: &Listed) -> Option<Port> {
    match entry {
        Listed::Sound { reservation, .. } => Some(reservation.port),
        Listed::Damaged { port, .. } => *port,
    }
}

fn row(entry: &Listed, here: &Here, listeners: &Listeners) -> [String; COLUMNS.len()] {
    let nothing = || "-".to_owned();
    let listens = |port: Port| match listeners.command(port) {
        None => nothing(),
        Some("") => "?".into(),
        Some(command) => printable(command),
    };
    match entry {
        Listed::Sound {
            reservation,
            verdict,
        } => {
            let age = here.wall.duration_since(reservation.created);
            [
                reservation.port.to_string(),
                reservation.protocol.to_string(),
                json::state(reservation.kind, *verdict).to_owned(),
                name(entry).map_or_else(nothing, printable),
                reservation.owner.as_deref().map_or_else(nothing, printable),
                short(age.unwrap_or_default()),
                match (verdict, reservation.lease) {
                    (Verdict::Stale(reason), _) => reason.to_string(),
                    (_, Lease::Never) => "never".into(),
                    (_, Lease::Until(end)) => {
                        short(Duration::from_millis(end.saturating_sub(here.boot_ms)))
                    }
                },
                listens(reservation.port),
            ]
        }
        Listed::Damaged { port, reason, .. } => [
            port.map_or_else(nothing, |port| port.to_string()),
            nothing(),
            "damaged".into(),
            nothing(),
            nothing(),
            nothing(),
            printable(reason),
            port.map_or_else(nothing, listens),
        ],
    }
}

/// As wide as they have to be; where that is too much the commands are cut, and then the owners.
fn widths(headings: &[String], rows: &[Vec<String>], columns: usize) -> Vec<usize> {
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row[at].width());
        cells.chain([headings[at].width()]).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..headings.len()).map(width).collect();
    for at in [LAST, OWNER] {
        let all = widths.iter().sum::<usize>() + 2 * LAST;
        let too_much = all.saturating_sub(columns);
        let least = headings[at].width();
        widths[at] = widths[at].saturating_sub(too_much).max(least);
    }
    widths
}
