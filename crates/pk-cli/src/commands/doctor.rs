//! `portkeeper doctor`.

use portkeeper::Settings;
use portkeeper::doctor::{self, Chosen};

use crate::args::{Doctor, Form, Format, Global};
use crate::env_vars::Environment;
use crate::error::{self, Error};
use crate::output::{self, human, json};

/// Asks of a registry that may not be there, in an environment that may make no sense: so it is not
/// opened first, as for all other commands.
pub(crate) fn run(args: &Doctor, global: &Global, environment: Environment) -> Result<(), Error> {
    let Environment {
        settings, refused, ..
    } = environment;
    let chosen = match (&global.registry, &settings.registry) {
        (Some(_), _) => Chosen::Argument,
        (None, Some(_)) => Chosen::Variable,
        (None, None) => Chosen::Default,
    };
    let settings = Settings {
        registry: global.registry.clone().or(settings.registry),
        lock_timeout: global.lock_timeout.or(settings.lock_timeout),
        ..settings
    };
    let doctor = doctor::Doctor::new(settings, chosen).refused(refused);
    let checkup = match args.fix {
        true => doctor.mend(),
        false => doctor.examine(),
    };
    for error in &checkup.failed {
        output::warn(&format_args!("not mended: {}", error::chain(error)));
    }
    let text = match output::format_for_people(global.format.and_then(Form::format)) {
        Format::Text => human::checkup(&checkup),
        Format::Port => human::ports(&checkup),
        Format::Json => json::checkup(&checkup),
    };
    output::print(&text).map_err(Error::unprinted)?;
    match checkup.is_healthy() {
        true => Ok(()),
        false => Err(Error::Several(1)),
    }
}
