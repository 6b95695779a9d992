//! The commands, one file each: from arguments to a question to the library, from its answer to
//! what is printed.

mod backup;
mod completions;
mod doctor;
mod env;
mod gc;
mod init;
mod json;
mod man;
mod prepare;
mod release;
mod renew;
mod reserve;
mod run;
mod setup;
mod status;
mod wait;
mod why;
mod wish;

use std::time::SystemTime;

use portkeeper::config::edit::Edits;
use portkeeper::config::{Rewrite, Transaction};
use portkeeper::{HolderCommand, Name, PortKeeper, Project, Settings, Written};

use crate::args::{Cli, Command, Form, Format, Global, Write};
use crate::env_vars::Environment;
use crate::error::Error;
use crate::output::{human, json as json_output};
use crate::{logging, output};

pub(crate) fn run(
    cli: Cli,
    environment: Environment,
    holder: Option<HolderCommand>,
) -> Result<(), Error> {
    let Cli { global, command } = cli;
    output::set_up(global.color, global.quiet);
    logging::set_up(global.verbose, environment.log.as_deref())?;
    match &command {
        Command::Completions(args) => return completions::run(args),
        Command::Man(args) => return man::run(args),
        _ => environment.warn(),
    }
    if let Command::Doctor(args) = &command {
        return doctor::run(args, &global, environment);
    }
    portkeeper::doctor::own_rights()?;
    let (settings, search, step) = environment.into_settings()?;
    let settings = with_options(&global, settings);
    let (form, is_verbose) = (global.format, global.verbose > 0);
    // Where it is none, only a command that has variables to tell was parsed.
    let format = form.and_then(Form::format);
    let keeper = || open(&settings, holder);
    match command {
        Command::Reserve(args) => reserve::run(&args, &keeper()?, form, &step),
        Command::Run(args) => run::run(&args, &keeper()?, search, is_verbose),
        Command::Take(args) => run::take(&args, &keeper()?, search, is_verbose),
        Command::Release(args) => release::run(&args, &keeper()?, format),
        Command::Init(args) => init::run(&args, &keeper()?, format),
        Command::Prepare(args) => prepare::run(&args, &keeper()?, form, &step),
        Command::Down(args) => prepare::down(&args, &keeper()?, format),
        Command::Renew(args) => renew::run(&args, &keeper()?, format),
        Command::Status(args) => status::run(&args, &keeper()?, format),
        Command::Why(args) => why::run(&args, &keeper()?, format),
        Command::Wait(args) => wait::run(&args, &keeper()?, format),
        Command::Gc(args) => gc::run(&args, &keeper()?, format),
        Command::Env(args) => env::run(&args, &keeper()?, format),
        Command::Json(args) => json::run(&args, &keeper()?, format),
        Command::Backup(args) => backup::run(&args, &keeper()?, format),
        // Needs no registry, and no home to derive the place of one from.
        Command::Setup(args) => setup::run(&args, &settings, format),
        // Answered above, before anything was opened.
        Command::Completions(_) | Command::Man(_) | Command::Doctor(_) => Ok(()),
    }
}

/// In which project a name is meant that somebody says here.
fn project_of(name: Option<&Name>) -> Result<Option<Project>, Error> {
    Ok(name.map(|_| Project::here()).transpose()?)
}

/// Changes one file, or with `--dry-run` shows the change, and answers.
fn change<E: Edits + 'static>(
    rewrite: Rewrite<E>,
    args: &Write,
    keeper: &PortKeeper,
    format: Option<Format>,
) -> Result<(), Error> {
    let rewrite = args.writing.options().apply(rewrite);
    if args.dry_run {
        let state = keeper.state()?;
        let previews = Transaction::new(&state).add(rewrite).preview()?;
        previews
            .iter()
            .for_each(|preview| output::warn_all(&preview.path, &preview.warnings));
        let text = human::diffs(previews.iter().map(|preview| preview.diff.as_str()));
        return output::print(&text).map_err(Error::unprinted);
    }
    keeper.recover()?;
    let state = keeper.state()?;
    let transaction = Transaction::new(&state).wait(keeper.wait());
    let written = transaction.add(rewrite).commit(SystemTime::now())?;
    output::print(&wrote(&written, format)).map_err(|source| Error::Output {
        source,
        undone: "; the file is written".into(),
    })
}

/// The answer to a change of files.
fn wrote(written: &[Written], format: Option<Format>) -> String {
    written
        .iter()
        .for_each(|written| output::warn_all(&written.path, &written.warnings));
    match output::format_for_people(format) {
        Format::Text => human::written(written),
        _ => json_output::written(written),
    }
}

/// What is said on the command line goes before what the environment says.
fn with_options(global: &Global, settings: Settings) -> Settings {
    Settings {
        registry: global.registry.clone().or(settings.registry),
        lock_timeout: global.lock_timeout.or(settings.lock_timeout),
        ..settings
    }
}

fn open(settings: &Settings, holder: Option<HolderCommand>) -> Result<PortKeeper, Error> {
    let keeper = PortKeeper::open(settings.clone())?;
    Ok(match holder {
        Some(holder) => keeper.with_holder(holder),
        None => keeper,
    })
}
