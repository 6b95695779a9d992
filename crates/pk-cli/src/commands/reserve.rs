//! `portkeeper reserve`.

use portkeeper::{Force, Kept, PortKeeper, Preview, Record, Selection};

use super::wish;
use crate::args::{Format, Reserve};
use crate::error::Error;
use crate::output::{self, human, json};

pub(crate) fn run(
    args: &Reserve,
    keeper: &PortKeeper,
    format: Option<Format>,
) -> Result<(), Error> {
    let request = wish::request(&args.wish, keeper)?;
    let request = match args.hold {
        true => request.hold(),
        false => request,
    };
    if args.dry_run {
        let preview = request.preview()?;
        preview
            .warnings
            .iter()
            .for_each(|warning| output::warn(warning));
        return output::print(&preview_text(&preview, args, format)).map_err(Error::unprinted);
    }
    if args.foreground {
        let held = request.hold_here()?;
        let numbers = numbers(&held.kept().reservations);
        return match answer(held.kept(), args, keeper, format) {
            Ok(()) => Ok(held.until_end()?),
            Err(source) => {
                held.release();
                let undone = format!("; port {numbers} was released again");
                Err(Error::Output { source, undone })
            }
        };
    }
    let kept = request.keep()?;
    answer(&kept, args, keeper, format).map_err(|source| take_back(&kept, keeper, source))
}

fn answer(
    kept: &Kept,
    args: &Reserve,
    keeper: &PortKeeper,
    format: Option<Format>,
) -> std::io::Result<()> {
    kept.warnings
        .iter()
        .for_each(|warning| output::warn(warning));
    for written in &kept.files {
        output::warn_all(&written.path, &written.warnings);
    }
    let text = match format {
        None | Some(Format::Json) => json::reserved(kept, keeper.path(), args.wish.count > 1),
        Some(Format::Port) => ports(kept.reservations.iter().map(|it| it.port.number())),
        Some(Format::Text) => human::reserved(kept),
    };
    output::print(&text)
}

fn preview_text(preview: &Preview, args: &Reserve, format: Option<Format>) -> String {
    match format {
        None | Some(Format::Json) => {
            json::preview(preview, args.hold || args.foreground, args.wish.count > 1)
        }
        Some(Format::Port) => ports(preview.ports.iter().map(|(_, port)| port.number())),
        Some(Format::Text) => human::preview(preview),
    }
}

fn ports(ports: impl Iterator<Item = u16>) -> String {
    ports.map(|port| format!("{port}\n")).collect()
}

/// `8888, 8889`
fn numbers(records: &[Record]) -> String {
    let ports: Vec<_> = records
        .iter()
        .map(|record| record.port.to_string())
        .collect();
    ports.join(", ")
}

/// Nobody has read the answer. Where nobody knows of the reservation it must not stay; where a file
/// names its port, somebody will read that, and it must not go.
fn take_back(kept: &Kept, keeper: &PortKeeper, source: std::io::Error) -> Error {
    let ports = numbers(&kept.reservations);
    if let Some(written) = kept.files.first() {
        let undone = format!(
            "; port {ports} is reserved, and written into {}",
            written.path.display()
        );
        return Error::Output { source, undone };
    }
    if kept.made.is_empty() {
        // It was there before.
        let undone = format!("; port {ports} is reserved");
        return Error::Output { source, undone };
    }
    let released = kept.made.iter().all(|record| {
        let selection = Selection {
            ports: vec![record.port],
            fence: Some(record.fence),
            ..Selection::default()
        };
        keeper
            .release(&selection, Force::Yes)
            .is_ok_and(|released| released.failed.is_empty())
    });
    let undone = match released {
        true => format!("; port {ports} was released again"),
        false => format!("; port {ports} is reserved"),
    };
    Error::Output { source, undone }
}
