//! How help is asked for and laid out: the commands by what they are for, and the options of a command
//! before those of every command. Never says what a command is for; that stands where it is defined.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::Command;
use clap::builder::{StyledStr, Styles};

use crate::output;

/// What commands are for, and which are.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Port", &["reserve", "release", "renew", "run", "take"]),
    ("Query", &["status", "why", "wait"]),
    ("Project", &["init", "prepare", "down"]),
    ("File", &["env", "json", "backup"]),
    ("Upkeep", &["gc", "doctor", "setup", "completions", "man"]),
];

/// Words that other programs have for commands of this one.
const MEANT: [(&str, &[&str]); 7] = [
    ("reserve", &["add", "alloc", "get", "new", "pick"]),
    ("release", &["free", "kill", "remove", "rm", "stop"]),
    ("status", &["list", "ls", "ps", "show"]),
    ("run", &["exec", "start"]),
    ("why", &["explain", "inspect", "who"]),
    ("prepare", &["apply", "up"]),
    ("gc", &["clean", "prune"]),
];

/// The command that somebody means by `word`, which is none.
pub(super) fn meant(word: &str) -> Option<&'static str> {
    let known = MEANT.iter().find(|(_, words)| words.contains(&word));
    known.map(|(command, _)| *command)
}

/// `help COMMAND` in the words that the parser knows, `COMMAND --help`; everything else as it is.
pub(super) fn asked(mut arguments: Vec<OsString>) -> Vec<OsString> {
    if arguments.get(1).is_some_and(|word| word == "help") {
        arguments.remove(1);
        arguments.push("--help".into());
    }
    arguments
}

/// The command with its options before those of every command, and so all commands below it. One that is
/// made only when it is called for would get them behind, since the others are there already.
pub(super) fn own_options_first(command: Command) -> Command {
    if command.has_subcommands() {
        return command.mut_subcommands(own_options_first);
    }
    let mut made = command.clone();
    made.build();
    let options = made.get_arguments().filter(|it| it.get_id() != "help");
    let mut command = command
        .defer(|command| command)
        .args(options.cloned())
        .groups(made.get_groups().cloned());
    if let Some(about) = made.get_about() {
        command = command.about(about.clone());
    }
    if let Some(about) = made.get_long_about() {
        command = command.long_about(about.clone());
    }
    if let Some(examples) = made.get_after_help() {
        command = command.after_help(examples.clone());
    }
    command
}

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
            let about = wrapped(&about, width + 4, output::terminal_width());
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
         {header}Options of every command:{header:#}\n{{options}}{{after-help}}"
    )
    .into()
}

/// The text behind a margin of so many columns, in lines that fit the terminal where that is wide enough
/// for a few words.
fn wrapped(text: &str, margin: usize, columns: Option<usize>) -> String {
    let Some(room) = columns
        .and_then(|columns| columns.checked_sub(margin))
        .filter(|room| *room >= FEW_WORDS)
    else {
        return text.to_owned();
    };
    let (mut lines, mut used) = (String::new(), 0);
    for word in text.split(' ') {
        if used > 0 && used + 1 + word.len() > room {
            let _ = write!(lines, "\n{:margin$}", "");
            used = 0;
        } else if used > 0 {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += word.len();
    }
    lines
}

/// Columns in which lines are still worth breaking.
const FEW_WORDS: usize = 16;

fn is_in_none(name: &str) -> bool {
    !GROUPS.iter().any(|(_, names)| names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_asked_for_in_both_ways() {
        let check = |words: &str, expect: &str| {
            let words = words.split(' ').map(OsString::from).collect();
            let expect: Vec<OsString> = expect.split(' ').map(OsString::from).collect();
            assert_eq!(asked(words), expect);
        };
        check("portkeeper help", "portkeeper --help");
        check("portkeeper help env set", "portkeeper env set --help");
        check("portkeeper run -- help", "portkeeper run -- help");
    }

    #[test]
    fn a_word_for_a_command_means_one_that_is_there() {
        let root = crate::args::definition();
        for (command, words) in MEANT {
            assert!(root.find_subcommand(command).is_some(), "{command}");
            for word in words {
                assert_eq!(meant(word), Some(command));
                assert!(root.find_subcommand(word).is_none(), "{word} is a command");
            }
        }
    }

    /// All commands, also those below others.
    fn all(root: &Command) -> Vec<&Command> {
        let below = root.get_subcommands().filter(|it| !it.is_hide_set());
        below.flat_map(|it| [vec![it], all(it)].concat()).collect()
    }

    #[test]
    fn the_options_of_a_command_come_before_those_of_every_command() {
        let mut root = crate::args::definition();
        root.build();
        for command in all(&root) {
            let options = command.get_arguments().filter(|it| it.get_id() != "help");
            let is_everybodys: Vec<bool> = options.map(clap::Arg::is_global_set).collect();
            assert!(
                is_everybodys.is_sorted() && is_everybodys.contains(&true),
                "{}: {is_everybodys:?}",
                command.get_name()
            );
        }
    }

    #[test]
    fn every_command_says_what_it_does() {
        let mut root = crate::args::definition();
        root.build();
        let mut said = std::collections::BTreeSet::new();
        for command in all(&root) {
            let about = command.get_about().map(ToString::to_string);
            let about = about.unwrap_or_default();
            let is_said = !about.is_empty() && !about.starts_with("Arguments of");
            assert!(is_said, "{}: {about}", command.get_name());
            assert!(
                said.insert(about),
                "{} says what another does",
                command.get_name()
            );
        }
    }

    #[test]
    fn lines_break_between_words() {
        let check = |columns: Option<usize>, expect: &str| {
            assert_eq!(
                wrapped("End them, and free what is held", 4, columns),
                expect
            );
        };
        check(None, "End them, and free what is held");
        check(Some(80), "End them, and free what is held");
        check(Some(22), "End them, and free\n    what is held");
        check(Some(10), "End them, and free what is held");
    }

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
