//! What all commands that reserve a port have in common.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCandidates;
use portkeeper::{Host, Name, Note, Owner, Port, PortRange, Protocol, Ttl, ttl};

use super::write::{KeyAs, PlaceInJson, Writing, key_as, place_in_json};
use crate::completing;
use crate::error::Error;

/// Which port, for how long, and where to write it.
#[derive(Debug, Args)]
#[command(next_help_heading = "The port")]
pub(crate) struct Wish {
    /// The port to try first
    #[arg(long, value_name = "PORT", allow_negative_numbers = true)]
    pub(crate) preferred: Option<Port>,
    /// Where to look; may be given several times [default: 20000-29999]
    #[arg(long, value_names = ["START", "END"], num_args = 1..=2, allow_negative_numbers = true)]
    range: Vec<String>,
    /// Ports that are never taken, PORT or START-END; may be given several times
    #[arg(long, value_name = "PORTS", value_parser = excluded, allow_negative_numbers = true)]
    pub(crate) exclude: Vec<PortRange>,
    /// The address the server will listen on [default: 127.0.0.1]
    #[arg(long)]
    pub(crate) host: Option<Host>,
    /// The protocol: tcp, udp, or both for the same number of each
    #[arg(long, value_name = "PROTOCOL", default_value_t)]
    pub(crate) proto: Protocol,
    /// How many ports, all or none
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count)]
    pub(crate) count: usize,
    /// What this project calls it: asked for again, it is the same reservation while that lasts, and
    /// the same number afterwards
    #[arg(long, add = ArgValueCandidates::new(completing::names))]
    pub(crate) name: Option<Name>,
    /// Something to be found with it; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) note: Vec<Note>,
    /// A label for people
    #[arg(long, value_parser = |text: &str| Owner::new(text))]
    pub(crate) owner: Option<Owner>,
    /// How long it lasts: 90s, 15m, 24h, never [default: 24h; with --foreground and run: never]
    #[arg(long, value_name = "TIME")]
    pub(crate) ttl: Option<Ttl>,
    /// End it when this process ends
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// The preferred port or none
    #[arg(long, requires = "preferred")]
    pub(crate) strict: bool,
    /// Wait this long for a port, with --strict for the preferred one, instead of failing at once
    #[arg(long, value_name = "TIME", value_parser = ttl::duration)]
    pub(crate) wait: Option<Duration>,
    /// Write the port into the .env file, as the value of KEY, or with {port} and {host} filled in;
    /// may be given several times
    #[arg(long, value_name = "KEY[=TEMPLATE]", value_parser = key_as)]
    pub(crate) write_env: Vec<KeyAs>,
    /// The file for --write-env [default: .env]
    #[arg(long, value_name = "FILE", requires = "write_env")]
    pub(crate) env_path: Option<PathBuf>,
    /// Write the port into a JSON file, such as config.json#/server/port; may be given several times
    #[arg(long, value_name = "FILE#/POINTER", value_parser = place_in_json)]
    pub(crate) write_json: Vec<PlaceInJson>,
    #[command(flatten)]
    pub(crate) writing: Writing,
}

/// 4096 is more than any stack needs and less than what would empty a machine.
fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=4096) => Ok(count),
        _ => Err("a number from 1 to 4096 is needed".into()),
    }
}

/// A port, or a range in one word.
fn excluded(text: &str) -> Result<PortRange, String> {
    let is_range = text.get(1..).is_some_and(|rest| rest.contains('-'));
    let range = match is_range {
        true => text.parse().map_err(|error| format!("{error}"))?,
        false => {
            let port = text.parse::<Port>().map_err(|error| error.to_string())?;
            PortRange::new(port, port).map_err(|error| error.to_string())?
        }
    };
    Ok(range)
}

impl Wish {
    /// `--range START END` and `--range START-END`, in any mixture. A word with a `-` inside is a
    /// whole range; any other is a START that an END must follow.
    pub(crate) fn ranges(&self) -> Result<Vec<PortRange>, Error> {
        let mut words = self.range.iter();
        let mut ranges = Vec::new();
        while let Some(word) = words.next() {
            let range = if word.get(1..).is_some_and(|rest| rest.contains('-')) {
                word.parse().map_err(|error| refuse(&error))?
            } else {
                let first = word.parse().map_err(|error| refuse(&error))?;
                let last = words.next().ok_or_else(|| {
                    refuse(&format_args!("{word} is no range: its end is missing"))
                })?;
                let last = last.parse().map_err(|error| refuse(&error))?;
                PortRange::new(first, last).map_err(|error| refuse(&error))?
            };
            ranges.push(range);
        }
        Ok(ranges)
    }
}

fn refuse(why: &dyn std::fmt::Display) -> Error {
    Error::Usage {
        message: format!("invalid value for '--range': {why}"),
        hint: "portkeeper reserve --range 8000 8100, or --range 8000-8100".into(),
    }
}

#[cfg(test)]
mod tests {
    use crate::args::{Command, parse};

    #[test]
    fn ranges_in_both_spellings() {
        let check = |words: &str, expect: Option<&[&str]>| {
            let all = format!("portkeeper reserve {words}");
            let cli = parse(all.split(' ').map(Into::into).collect()).unwrap();
            let Command::Reserve(reserve) = cli.command else {
                panic!("{words}")
            };
            let ranges = reserve.wish.ranges().ok();
            let ranges: Option<Vec<_>> =
                ranges.map(|ranges| ranges.iter().map(ToString::to_string).collect());
            assert_eq!(
                ranges.as_deref(),
                expect
                    .map(|it| it.iter().map(ToString::to_string).collect::<Vec<_>>())
                    .as_deref(),
                "{words}"
            );
        };
        check("--range 8000 8100", Some(&["8000-8100"]));
        check("--range 8000-8100", Some(&["8000-8100"]));
        check(
            "--range 8000-8100 --range 1 2 --range 5-6",
            Some(&["8000-8100", "1-2", "5-6"]),
        );
        check("--range 1-2 5-6", Some(&["1-2", "5-6"]));
        for words in [
            "9 1",
            "1 99999999999",
            "1",
            "0 5",
            "-1 5",
            "5 -1",
            "1-2-3",
            "a b",
        ] {
            check(&format!("--range {words}"), None);
        }
    }
}
