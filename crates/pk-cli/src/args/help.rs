//! The first page of help: the commands by what they are for. Never names what a command is for by itself;
//! that is said where the command is defined.

use std::fmt::Write as _;

use clap::Command;
use clap::builder::{StyledStr, Styles};

/// What commands are for, and which are.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Port", &["reserve", "release", "renew", "run", "take"]),
    ("Query", &["status", "why", "wait"]),
    ("Project", &["init", "prepare", "down"]),
    ("File", &["env", "json", "backup"]),
    ("Upkeep", &["gc", "doctor", "setup", "completions", "man"]),
];

/// How the help of `root` is laid out, with its commands in groups; those that no group knows come last.
pub(super) fn template(root: &Command) -> StyledStr {
    let styles = Styles::default();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let commands = || root.get_subcommands().filter(|it| !it.is_hide_set());
    let width = commands().map(|it| it.get_name().len()).max().unwrap_or(0);
    let mut groups = String::new();
    let mut add = |title: &str, names: &[&str]| {
        // Writing to a string can't fail.
        let _ = writeln!(groups, "{header}{title} commands:{header:#}");
        for command in names.iter().filter_map(|name| root.find_subcommand(name)) {
            let name = command.get_name();
            let about = command
                .get_about()
                .map(ToString::to_string)
                .unwrap_or_default();
            let _ = writeln!(groups, "  {literal}{name:width$}{literal:#}  {about}");
        }
        groups.push('\n');
    };
    for (title, names) in GROUPS {
        add(title, names);
    }
    let others: Vec<_> = commands()
        .map(Command::get_name)
        .filter(|name| is_in_none(name))
        .collect();
    if !others.is_empty() {
        add("Other", &others);
    }
    format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}\
         {header}Options, which all commands have:{header:#}\n{{options}}{{after-help}}"
    )
    .into()
}

fn is_in_none(name: &str) -> bool {
    !GROUPS.iter().any(|(_, names)| names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let root = crate::args::definition();
        for command in root.get_subcommands().filter(|it| !it.is_hide_set()) {
            let name = command.get_name();
            let groups = GROUPS.iter().filter(|(_, names)| names.contains(&name));
            assert_eq!(groups.count(), 1, "{name}");
        }
        for name in GROUPS.iter().flat_map(|(_, names)| *names) {
            assert!(root.find_subcommand(name).is_some(), "{name} is no command");
        }
    }
}
