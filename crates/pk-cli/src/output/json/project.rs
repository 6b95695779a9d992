//! Answers about whole projects. The shapes are part of the interface.

use std::path::Path;

use portkeeper::project::{Draft, Forecast, Prepared, PreparedPort};
use portkeeper::{Here, Kind};
use serde::Serialize;

use super::{Changed, Reservation, changed, holder, line};

#[derive(Serialize)]
struct Port<'a> {
    label: &'a str,
    env: &'a str,
    #[serde(flatten)]
    reservation: Reservation<'a>,
    holder_pid: Option<u32>,
    new: bool,
}

#[derive(Serialize)]
struct PreparedAnswer<'a> {
    config: String,
    ports: Vec<Port<'a>>,
    files: Vec<Changed>,
}

#[derive(Serialize)]
struct DraftAnswer {
    config: String,
}

#[derive(Serialize)]
struct Planned<'a> {
    label: &'a str,
    env: &'a str,
    host: String,
    port: u16,
    new: bool,
}

#[derive(Serialize)]
struct ForecastAnswer<'a> {
    config: String,
    up_to_date: bool,
    ports: Vec<Planned<'a>>,
    files: Vec<String>,
    diffs: &'a [String],
}

pub(crate) fn prepared(prepared: &Prepared, config: &Path) -> String {
    let here = &prepared.kept.here;
    line(&PreparedAnswer {
        config: config.to_string_lossy().into_owned(),
        ports: prepared.ports.iter().map(|it| port(it, here)).collect(),
        files: prepared.kept.files.iter().flat_map(changed).collect(),
    })
}

pub(crate) fn drafted(draft: &Draft) -> String {
    line(&DraftAnswer {
        config: draft.path.to_string_lossy().into_owned(),
    })
}

pub(crate) fn forecast(forecast: &Forecast, config: &Path) -> String {
    let file = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
    line(&ForecastAnswer {
        config: config.to_string_lossy().into_owned(),
        up_to_date: forecast.is_up_to_date(),
        ports: forecast.ports.iter().map(planned).collect(),
        files: forecast.files.iter().map(file).collect(),
        diffs: &forecast.diffs,
    })
}

fn planned(port: &PreparedPort) -> Planned<'_> {
    Planned {
        label: &port.label,
        env: &port.env,
        host: port.record.host.to_string(),
        port: port.record.port.number(),
        new: port.is_new,
    }
}

fn port<'a>(port: &'a PreparedPort, here: &Here) -> Port<'a> {
    let record = &port.record;
    Port {
        label: &port.label,
        env: &port.env,
        reservation: Reservation::new(record, record.kind == Kind::Held, here),
        holder_pid: holder(record),
        new: port.is_new,
    }
}
