//! `portkeeper prepare` and `portkeeper down`.

use std::env;

use portkeeper::project::{self, Definition};
use portkeeper::{Force, PortKeeper, Released, Selection};

use crate::args::{Down, Form, Format, Prepare, Project};
use crate::env_vars::StepPaths;
use crate::error::{self, Error};
use crate::output::variables::Teller;
use crate::output::{self, human, json};

pub(crate) fn run(
    args: &Prepare,
    keeper: &PortKeeper,
    form: Option<Form>,
    step: &StepPaths,
) -> Result<(), Error> {
    let syntax = form.and_then(Form::syntax);
    let teller = syntax
        .map(|syntax| Teller::open(syntax, step))
        .transpose()?;
    let format = form.and_then(Form::format);
    let definition = definition(&args.project)?;
    let config = definition.path.clone();
    let prepare = keeper.prepare(definition)?;
    let prepare = prepare
        .ttl(args.ttl)
        .wait(args.wait.unwrap_or_default())
        .write_options(args.writing.options());
    if let Some(teller) = &teller {
        teller.check(&prepare.foreseen()?, args.writing.options().guards)?;
    }
    if args.check || args.dry_run {
        let forecast = prepare.preview()?;
        forecast
            .warnings
            .iter()
            .for_each(|warning| output::warn(warning));
        let text = match (output::format_for_people(format), args.check) {
            (Format::Port, _) => ports(&forecast.ports),
            (Format::Text, true) => human::checked(&forecast),
            (Format::Text, false) => human::forecast(&forecast),
            (Format::Json, _) => json::forecast(&forecast, &config),
        };
        match &teller {
            Some(teller) => teller.tell(&forecast.variables, Vec::new)?,
            None => output::print(&text).map_err(Error::unprinted)?,
        }
        return match args.check && !forecast.is_up_to_date() {
            true => Err(Error::No {
                message: format!("{} is not prepared", config.display()),
                hint: "portkeeper prepare does it, and with --dry-run shows it".into(),
            }),
            false => Ok(()),
        };
    }
    let prepared = prepare.commit()?;
    let kept = &prepared.kept;
    kept.warnings
        .iter()
        .for_each(|warning| output::warn(warning));
    for written in &kept.files {
        output::warn_all(&written.path, &written.warnings);
    }
    let told = match (&teller, output::format_for_people(format)) {
        // The outputs of a step are the variables of those that follow.
        (Some(teller), _) => teller.tell(&prepared.variables, || prepared.variables.clone()),
        (None, Format::Port) => print(&ports(&prepared.ports)),
        (None, Format::Text) => print(&human::prepared(&prepared)),
        (None, Format::Json) => print(&json::prepared(&prepared, &config)),
    };
    told.map_err(|error| error.undone("; the ports are reserved, and the files written".into()))
}

fn print(text: &str) -> Result<(), Error> {
    output::print(text).map_err(Error::unprinted)
}

fn ports(ports: &[project::PreparedPort]) -> String {
    let line = |it: &project::PreparedPort| format!("{}\n", it.record.port);
    ports.iter().map(line).collect()
}

pub(crate) fn down(args: &Down, keeper: &PortKeeper, format: Option<Format>) -> Result<(), Error> {
    let force = if args.force { Force::Yes } else { Force::No };
    let released = match &args.project.profile {
        // Whatever the file says by now.
        None => {
            let file = file(&args.project)?;
            let folder = file.parent().unwrap_or(&file);
            let project = Some(portkeeper::Project::of(folder)?);
            let selection = Selection {
                project,
                ..Selection::default()
            };
            keeper.release(&selection, force)?
        }
        Some(_) => {
            let prepare = keeper.prepare(definition(&args.project)?)?;
            prepare.release(force)?
        }
    };
    answer(&released, format)
}

fn answer(released: &Released, format: Option<Format>) -> Result<(), Error> {
    released
        .warnings
        .iter()
        .for_each(|warning| output::warn(warning));
    let text = match output::format_for_people(format) {
        Format::Text => human::released(released),
        _ => json::released(released),
    };
    let printed = output::print(&text);
    error::report_all(&released.failed)?;
    printed.map_err(|source| Error::Output {
        source,
        undone: "; the ports are released".into(),
    })
}

fn file(args: &Project) -> Result<std::path::PathBuf, Error> {
    match &args.config {
        Some(file) => Ok(std::path::absolute(file).unwrap_or_else(|_| file.clone())),
        None => {
            let here = env::current_dir().unwrap_or_else(|_| ".".into());
            Ok(project::file_for(&here)?)
        }
    }
}

/// What the project's file says.
pub(super) fn definition(args: &Project) -> Result<Definition, Error> {
    Ok(Definition::read(&file(args)?, args.profile.as_deref())?)
}
