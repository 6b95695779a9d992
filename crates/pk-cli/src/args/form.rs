//! The forms of an answer. Never prints one.

use clap::ValueEnum;
use clap::error::ErrorKind;

use super::{Cli, Command};

/// What `--format` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// One JSON value on one line
    Json,
    /// The port numbers, one a line
    Port,
    /// A table or a sentence, for people
    Text,
    /// reserve, prepare: KEY=VALUE, one a line, without quotes (GitLab's dotenv reports)
    Env,
    /// reserve, prepare: for eval "$(…)" in sh, bash, zsh
    Shell,
    /// reserve, prepare: for … | source in fish
    Fish,
    /// reserve, prepare: into $GITHUB_ENV and $GITHUB_OUTPUT; prints nothing
    Github,
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON value on one line.
    Json,
    /// The port numbers, one a line.
    Port,
    /// A table or a sentence, for people.
    Text,
}

/// How variables are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// `KEY=VALUE`, and no quotes.
    Env,
    /// For POSIX shells.
    Shell,
    /// For fish.
    Fish,
    /// For the files of a step in GitHub Actions.
    Github,
}

impl Form {
    /// How the answer is printed, where it is an answer.
    pub(crate) fn format(self) -> Option<Format> {
        match self {
            Form::Json => Some(Format::Json),
            Form::Port => Some(Format::Port),
            Form::Text => Some(Format::Text),
            Form::Env | Form::Shell | Form::Fish | Form::Github => None,
        }
    }

    /// How variables are said, where it is variables.
    pub(crate) fn syntax(self) -> Option<Syntax> {
        match self {
            Form::Json | Form::Port | Form::Text => None,
            Form::Env => Some(Syntax::Env),
            Form::Shell => Some(Syntax::Shell),
            Form::Fish => Some(Syntax::Fish),
            Form::Github => Some(Syntax::Github),
        }
    }
}

/// Refuses a form that the command has no answer in.
pub(super) fn check(cli: Cli) -> Result<Cli, clap::Error> {
    let Some(form) = cli.global.format.filter(|it| it.syntax().is_some()) else {
        return Ok(cli);
    };
    let is_dry = match &cli.command {
        Command::Reserve(args) => args.dry_run,
        Command::Prepare(args) => args.dry_run || args.check,
        _ => {
            let value = form.to_possible_value();
            let value = value.as_ref().map_or("", |it| it.get_name());
            let why = format!(
                "invalid value '{value}' for '--format <FORMAT>': only reserve and prepare have \
                 variables to tell\n"
            );
            return Err(clap::Error::raw(ErrorKind::InvalidValue, why));
        }
    };
    if is_dry && form == Form::Github {
        let why = "--format github writes into files: --format env shows the variables\n";
        return Err(clap::Error::raw(ErrorKind::ArgumentConflict, why));
    }
    Ok(cli)
}
