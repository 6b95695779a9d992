//! `portkeeper reserve`.

use portkeeper::{Force, Kept, PortKeeper, Preview, Record, Request, Selection};

use crate::args::{Format, KeyAs, PlaceInJson, Reserve};
use crate::error::Error;
use crate::output::{self, human, json};

pub(crate) fn run(
    args: &Reserve,
    keeper: &PortKeeper,
    format: Option<Format>,
) -> Result<(), Error> {
    let request = request(args, keeper)?;
    if args.write.dry_run {
        let preview = request.preview()?;
        preview
            .warnings
            .iter()
            .for_each(|warning| output::warn(warning));
        return output::print(&preview_text(&preview, args, format)).map_err(Error::unprinted);
    }
    let kept = request.keep()?;
    kept.warnings
        .iter()
        .for_each(|warning| output::warn(warning));
    for written in &kept.files {
        output::warn_all(&written.path, &written.warnings);
    }
    let text = match format {
        None | Some(Format::Json) => json::reserved(&kept, keeper.path(), args.count > 1),
        Some(Format::Port) => ports(kept.reservations.iter().map(|it| it.port.number())),
        Some(Format::Text) => human::reserved(&kept),
    };
    output::print(&text).map_err(|source| take_back(&kept, keeper, source))
}

fn request<'k>(args: &Reserve, keeper: &'k PortKeeper) -> Result<Request<'k>, Error> {
    let mut request = keeper
        .request()
        .count(args.count)
        .write_options(args.write.options());
    for range in args.ranges()? {
        request = request.range(range);
    }
    for KeyAs { key, value } in &args.write_env {
        request = request.write_env_as(key, value.clone());
    }
    for PlaceInJson { path, pointer } in &args.write_json {
        request = request.write_json(path, pointer);
    }
    if let Some(port) = args.preferred {
        request = request.preferred(port);
    }
    if let Some(host) = args.host {
        request = request.host(host);
    }
    if let Some(owner) = &args.owner {
        request = request.owner(owner.clone());
    }
    if let Some(ttl) = args.ttl {
        request = request.ttl(ttl);
    }
    if let Some(pid) = args.pid {
        request = request.until(pid);
    }
    if let Some(path) = &args.env_path {
        request = request.env_path(path);
    }
    if args.hold {
        request = request.hold();
    }
    if args.strict {
        request = request.strict();
    }
    Ok(request)
}

fn preview_text(preview: &Preview, args: &Reserve, format: Option<Format>) -> String {
    match format {
        None | Some(Format::Json) => json::preview(preview, args.hold, args.count > 1),
        Some(Format::Port) => ports(preview.ports.iter().map(|(_, port)| port.number())),
        Some(Format::Text) => human::preview(preview),
    }
}

fn ports(ports: impl Iterator<Item = u16>) -> String {
    ports.map(|port| format!("{port}\n")).collect()
}

/// Nobody has read the answer, so nobody knows of the reservation: it must not stay.
fn take_back(kept: &Kept, keeper: &PortKeeper, source: std::io::Error) -> Error {
    let numbers = |records: &[Record]| {
        let ports: Vec<_> = records
            .iter()
            .map(|record| record.port.to_string())
            .collect();
        ports.join(", ")
    };
    let released = kept.reservations.iter().all(|record| {
        let selection = Selection {
            ports: vec![record.port],
            fence: Some(record.fence),
            ..Selection::default()
        };
        keeper
            .release(&selection, Force::Yes)
            .is_ok_and(|released| released.failed.is_empty())
    });
    let ports = numbers(&kept.reservations);
    let undone = match released {
        true => format!("; port {ports} was released again"),
        false => format!("; port {ports} is reserved"),
    };
    Error::Output { source, undone }
}
