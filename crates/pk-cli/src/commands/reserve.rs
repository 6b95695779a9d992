//! `portkeeper reserve`.

use portkeeper::{Force, Host, Kept, PortKeeper, PortRange, Preview, Record, Request, Selection};

use super::wish;
use crate::args::{Form, Format, Reserve};
use crate::env_vars::StepPaths;
use crate::error::Error;
use crate::output::variables::{Teller, github};
use crate::output::{self, human, json};

pub(crate) fn run(
    args: &Reserve,
    keeper: &PortKeeper,
    form: Option<Form>,
    step: &StepPaths,
) -> Result<(), Error> {
    let request = wish::request(&args.wish, keeper)?;
    let request = match args.hold {
        true => request.hold(),
        false => request,
    };
    let manner = match form.and_then(Form::syntax) {
        None => Manner::Answer(form.and_then(Form::format).unwrap_or(Format::Json)),
        Some(syntax) => {
            let teller = Teller::open(syntax, step)?;
            let any = (Host::default(), PortRange::DEFAULT.first());
            let guards = args.wish.writing.options().guards;
            teller.check(&request.variables(&vec![any; args.wish.count])?, guards)?;
            Manner::Variables(teller, Box::new(request.clone()))
        }
    };
    if args.dry_run {
        return preview(&request.preview()?, args, &manner);
    }
    if args.foreground {
        let held = request.hold_here()?;
        let numbers = numbers(&held.kept().reservations);
        return match answer(held.kept(), args, keeper, &manner) {
            Ok(()) => Ok(held.until_end()?),
            Err(error) => {
                held.release();
                Err(error.undone(format!("; port {numbers} was released again")))
            }
        };
    }
    let kept = request.keep()?;
    answer(&kept, args, keeper, &manner).map_err(|error| error.undone(take_back(&kept, keeper)))
}

/// How the answer is given.
enum Manner<'k> {
    /// Printed.
    Answer(Format),
    /// As variables, which the request names.
    Variables(Teller, Box<Request<'k>>),
}

fn answer(
    kept: &Kept,
    args: &Reserve,
    keeper: &PortKeeper,
    manner: &Manner<'_>,
) -> Result<(), Error> {
    kept.warnings
        .iter()
        .for_each(|warning| output::warn(warning));
    for written in &kept.files {
        output::warn_all(&written.path, &written.warnings);
    }
    let records = &kept.reservations;
    let text = match manner {
        Manner::Answer(Format::Json) => json::reserved(kept, keeper.path(), args.wish.count > 1),
        Manner::Answer(Format::Port) => ports(records.iter().map(|it| it.port.number())),
        Manner::Answer(Format::Text) => human::reserved(kept),
        Manner::Variables(teller, request) => {
            let ports: Vec<_> = records.iter().map(|it| (it.host, it.port)).collect();
            return teller.tell(&request.variables(&ports)?, || github::outputs(records));
        }
    };
    output::print(&text).map_err(Error::unprinted)
}

fn preview(preview: &Preview, args: &Reserve, manner: &Manner<'_>) -> Result<(), Error> {
    preview
        .warnings
        .iter()
        .for_each(|warning| output::warn(warning));
    let text = match manner {
        Manner::Answer(Format::Json) => {
            json::preview(preview, args.hold || args.foreground, args.wish.count > 1)
        }
        Manner::Answer(Format::Port) => ports(preview.ports.iter().map(|(_, port)| port.number())),
        Manner::Answer(Format::Text) => human::preview(preview),
        Manner::Variables(teller, request) => {
            return teller.tell(&request.variables(&preview.ports)?, Vec::new);
        }
    };
    output::print(&text).map_err(Error::unprinted)
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
/// names its port, somebody will read that, and it must not go. Tells what has become of it.
fn take_back(kept: &Kept, keeper: &PortKeeper) -> String {
    let ports = numbers(&kept.reservations);
    if let Some(written) = kept.files.first() {
        let path = written.path.display();
        return format!("; port {ports} is reserved, and written into {path}");
    }
    if kept.made.is_empty() {
        // It was there before.
        return format!("; port {ports} is reserved");
    }
    let released = kept.made.iter().all(|record| {
        keeper
            .release(&Selection::only(record), Force::Yes)
            .is_ok_and(|released| released.failed.is_empty())
    });
    match released {
        true => format!("; port {ports} was released again"),
        false => format!("; port {ports} is reserved"),
    }
}
