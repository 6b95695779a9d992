//! What the user can say. Never does anything with it: parsing makes no system call.

mod backup;
mod completions;
mod doctor;
mod env;
mod form;
mod gc;
mod help;
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
mod write;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use portkeeper::{Settings, ttl};

pub(crate) use backup::Backup;
pub(crate) use completions::{Completions, Shell};
pub(crate) use doctor::Doctor;
pub(crate) use env::Env;
pub(crate) use form::{Form, Format, Syntax};
pub(crate) use gc::Gc;
pub(crate) use init::Init;
pub(crate) use json::{Json, Set as JsonSet};
pub(crate) use man::Man;
pub(crate) use prepare::{Down, Prepare, Project};
pub(crate) use release::Release;
pub(crate) use renew::Renew;
pub(crate) use reserve::Reserve;
pub(crate) use run::{Program, Run, Take};
pub(crate) use setup::Setup;
pub(crate) use status::Status;
pub(crate) use wait::Wait;
pub(crate) use why::Why;
pub(crate) use wish::Wish;
pub(crate) use write::{KeyAs, PlaceInJson, Write};

use crate::env_vars;
use crate::error::Error;
use crate::output;

/// Reserve localhost ports, hold them so that nobody else can take them, and see who has what.
#[derive(Debug, Parser)]
#[command(name = "portkeeper", version, disable_help_subcommand = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  portkeeper reserve --preferred 8888 --range 8888 8988 --hold --owner myapp
  PORT=$(portkeeper reserve --format port) && ./server --port $PORT
  portkeeper status
  portkeeper release 8888
  portkeeper help reserve";

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// The registry file, or the folder of the machine-wide registry, with a slash at its end
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) registry: Option<PathBuf>,
    /// How long to wait for the registry's lock [default: 10s]
    #[arg(long, global = true, value_name = "TIME", value_parser = ttl::duration)]
    pub(crate) lock_timeout: Option<Duration>,
    /// How to print the answer
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) format: Option<Form>,
    /// Tell what is done on standard error; twice tells more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// No warnings
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Reserve a free port, and print it
    Reserve(Box<Reserve>),
    /// Run a command on a port that is never free
    Run(Box<Run>),
    /// Run a command on a port that is held
    Take(Box<Take>),
    /// End reservations, and free what is held
    Release(Release),
    /// Write a first portkeeper.toml
    Init(Init),
    /// Have all ports of a project, and write them into its files
    Prepare(Prepare),
    /// Give back the ports of a project
    Down(Down),
    /// Let a reservation last longer
    Renew(Renew),
    /// Show who has which port
    Status(Status),
    /// Tell why a port can't be had, and what helps
    Why(Why),
    /// Wait until a port is free, or a server is up
    Wait(Wait),
    /// Drop reservations that have ended
    Gc(Gc),
    /// Change or read a .env file, and keep every other byte
    #[command(subcommand)]
    Env(Env),
    /// Change or read a JSON file, and keep every other byte
    #[command(subcommand)]
    Json(Json),
    /// See and take back changes of files
    #[command(subcommand)]
    Backup(Backup),
    /// Teach a shell to complete commands, options, and live ports
    Completions(Completions),
    /// Print the manual
    Man(Man),
    /// Find what is wrong, and what mends it
    Doctor(Doctor),
    /// Make a place in which several users share a registry
    Setup(Setup),
}

/// The whole command line, as help, completions and manual pages show it.
pub(crate) fn definition() -> clap::Command {
    let command = Cli::command().after_help(format!("{EXAMPLES}\n\n{}", variables()));
    let template = help::template(&command);
    command
        .mut_subcommands(help::own_options_first)
        .help_template(template)
}

/// Parses the arguments; help and the version are printed here.
pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Cli, Error> {
    read(arguments).map_err(|(error, called)| explain(&error, called.as_deref()))
}

/// Parses the arguments and prints nothing. A refusal comes with the word where a command should be.
pub(crate) fn read(arguments: Vec<OsString>) -> Result<Cli, (clap::Error, Option<String>)> {
    let arguments = help::asked(arguments);
    let called = arguments
        .get(1)
        .map(|word| word.to_string_lossy().into_owned());
    // What only help shows is made only for it.
    let asks = |word: &OsString| word == "--help" || word == "-h";
    let mut definition = match arguments.iter().any(asks) {
        true => definition(),
        false => Cli::command(),
    };
    let parsed = definition
        .try_get_matches_from_mut(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .and_then(form::check);
    parsed.map_err(|error| (error, called))
}

fn variables() -> String {
    let mut text = String::from("Environment:");
    for (name, meaning) in Settings::VARIABLES.iter().chain(&env_vars::VARIABLES) {
        // Writing to a string can't fail.
        let _ = write!(text, "\n  {name:<24} {meaning}");
    }
    text
}

/// What there is to say to somebody who asked for help, or who needs it.
fn explain(error: &clap::Error, called: Option<&str>) -> Error {
    let asked = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if asked {
        return match output::print_styled(&error.render()) {
            Ok(()) => Error::Answered,
            Err(source) => Error::Output {
                source,
                undone: String::new(),
            },
        };
    }
    refusal(error, called)
}

/// clap's errors in the form of all others: a line, and a hint.
pub(crate) fn refusal(error: &clap::Error, called: Option<&str>) -> Error {
    let is_command = |word: &&str| Cli::command().find_subcommand(word).is_some();
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let command = called.filter(is_command);
        return Error::Usage {
            message: "no command was given".into(),
            hint: command.map_or_else(
                || "portkeeper --help".into(),
                |command| format!("portkeeper {command} --help"),
            ),
        };
    }
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n");
    let message = paragraphs.next().unwrap_or_default();
    let message: Vec<&str> = message.lines().map(str::trim).collect();
    let message = message.join(" ");
    let tip = paragraphs
        .flat_map(str::lines)
        .find_map(|line| line.trim().strip_prefix("tip: "))
        // Nobody who types a wrong option means the value that it could be.
        .filter(|tip| !tip.starts_with("to pass "));
    let hint = match (tip, called.filter(is_command)) {
        (Some(tip), _) => tip.to_owned(),
        (None, Some(command)) => format!("portkeeper {command} --help"),
        (None, None) => match called.and_then(help::meant) {
            Some(command) => format!("portkeeper {command}"),
            None => "portkeeper --help".to_owned(),
        },
    };
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    Error::Usage {
        message: output::printable(message),
        hint: output::printable(&hint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together() {
        let mut command = Cli::command();
        command.build();
        command.debug_assert();
    }

    /// All that can be called, with what it is called: `env set`.
    fn commands(command: &clap::Command, name: &str, found: &mut Vec<(String, clap::Command)>) {
        for sub in command.get_subcommands().filter(|it| !it.is_hide_set()) {
            let name = format!("{name} {}", sub.get_name()).trim().to_owned();
            match sub.has_subcommands() {
                true => commands(sub, &name, found),
                false => found.push((name, sub.clone())),
            }
        }
    }

    #[test]
    fn every_help_says_what_the_command_does_and_has_examples() {
        let mut root = definition();
        root.build();
        let mut found = Vec::new();
        commands(&root, "", &mut found);
        let found: Vec<_> = found
            .iter()
            .filter(|(name, _)| !name.starts_with("help"))
            .collect();
        assert!(found.iter().any(|(name, _)| name == "env set"));
        for (name, command) in found {
            let about = command.get_about().unwrap().to_string();
            assert!(
                !about.starts_with("Arguments") && !about.starts_with("Which"),
                "{name}: {about}"
            );
            let examples = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(examples.starts_with("Examples:\n  "), "{name}: {examples}");
            let word = name.split(' ').next_back().unwrap();
            assert!(examples.contains(word), "{name}: {examples}");
        }
    }

    #[test]
    fn errors_are_one_line_and_a_hint() {
        let check = |words: &[&str], expect: &str, hint_expect: &str| {
            let words = ["portkeeper"]
                .iter()
                .chain(words)
                .map(OsString::from)
                .collect();
            let Err(Error::Usage { message, hint }) = parse(words) else {
                panic!("{expect}")
            };
            assert_eq!((message.as_str(), hint.as_str()), (expect, hint_expect));
        };
        check(&[], "no command was given", "portkeeper --help");
        check(
            &["reserve", "--preferred", "-1"],
            "invalid value '-1' for '--preferred <PORT>': not a port: -1 (a port is a number from 1 to 65535)",
            "portkeeper reserve --help",
        );
        check(
            &["reserve", "--ranje", "1"],
            "unexpected argument '--ranje' found",
            "a similar argument exists: '--range'",
        );
        check(
            &["release", "--all"],
            "unexpected argument '--all' found",
            "portkeeper release --help",
        );
        check(&["env"], "no command was given", "portkeeper env --help");
        check(&["ls"], "unrecognized subcommand 'ls'", "portkeeper status");
        check(
            &["rellease"],
            "unrecognized subcommand 'rellease'",
            "a similar subcommand exists: 'release'",
        );
    }
}
