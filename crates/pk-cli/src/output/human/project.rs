//! Whole projects, for people.

use portkeeper::project::{Draft, Forecast, Prepared, PreparedPort};
use portkeeper::{Kind, Written};

use super::table::{self, Layout};
use super::{diffs, line, printable};

pub(crate) fn prepared(prepared: &Prepared) -> String {
    let mut text = table(&prepared.ports, |port| {
        match (port.is_new, port.record.kind) {
            (true, Kind::Held) => "new, held",
            (true, _) => "new",
            (false, Kind::Held) => "held",
            (false, _) => "reserved",
        }
    });
    let mut files: Vec<&Written> = prepared.kept.files.iter().collect();
    files.dedup_by(|a, b| a.path == b.path);
    for written in files {
        let path = written.path.display();
        let sentence = match written.changed {
            true => format!("wrote {path}"),
            false => format!("{path} is as it should be"),
        };
        line(&mut text, &sentence);
    }
    text
}

pub(crate) fn forecast(forecast: &Forecast) -> String {
    let text = table(&forecast.ports, |port| match port.is_new {
        true => "would be reserved",
        false => "reserved",
    });
    text + &diffs(forecast.diffs.iter().map(String::as_str))
}

pub(crate) fn drafted(draft: &Draft) -> String {
    let mut text = String::new();
    line(&mut text, &format!("wrote {}", draft.path.display()));
    line(&mut text, "look it through; then: portkeeper prepare");
    text
}

pub(crate) fn checked(forecast: &Forecast) -> String {
    let mut text = String::new();
    for port in forecast.ports.iter().filter(|port| port.is_new) {
        line(&mut text, &format!("{} is not reserved", port.label));
    }
    for path in &forecast.files {
        line(&mut text, &format!("{} is out of date", path.display()));
    }
    if text.is_empty() {
        line(&mut text, "everything is as it should be");
    }
    text
}

fn table(ports: &[PreparedPort], state: impl Fn(&PreparedPort) -> &'static str) -> String {
    let headings = ["NAME", "PORT", "PROTO", "HOST", "VARIABLE", "STATE"];
    let row = |port: &PreparedPort| {
        vec![
            printable(&port.label),
            port.record.port.to_string(),
            port.record.protocol.to_string(),
            port.record.host.to_string(),
            port.env.clone(),
            state(port).to_owned(),
        ]
    };
    let rows: Vec<_> = ports.iter().map(row).collect();
    table::drawn(&headings, &rows, Layout::Columns)
}
