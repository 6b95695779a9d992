//! `pk-fuzz`: the hunt as a process, for `cargo xtask fuzz`. Never meant to be typed: its arguments
//! are words in a fixed order.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use pk_fuzz::hunt::{self, Finding, How};
use pk_fuzz::target::Source;
use pk_fuzz::{TARGETS, Target, findings};

const USAGE: &str = "list | is-of-bytes TARGET | hunt|find|trace TARGET SECONDS SEED | replay FILE | minimise TARGET FILE";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let found = match &*words {
        ["list"] => list(),
        ["is-of-bytes", target] => {
            named(target).map(|target| !matches!(target.source, Source::Bytes(_)))
        }
        ["hunt", target, seconds, seed] => run(target, seconds, seed, How::Thorough),
        ["find", target, seconds, seed] => run(target, seconds, seed, How::Brief),
        ["trace", target, seconds, seed] => run(target, seconds, seed, How::Traced),
        ["replay", file] => replay(Path::new(file)),
        ["minimise", target, file] => minimise(target, Path::new(file)),
        _ => Err(io::Error::other(USAGE)),
    };
    match found {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

fn list() -> io::Result<bool> {
    let mut out = io::stdout().lock();
    for target in TARGETS {
        writeln!(out, "{:<17} {}", target.name, target.about)?;
    }
    Ok(false)
}

fn run(target: &str, seconds: &str, seed: &str, how: How) -> io::Result<bool> {
    let target = named(target)?;
    let seconds = seconds.parse().map_err(io::Error::other)?;
    let seed = seed.parse().map_err(io::Error::other)?;
    std::panic::set_hook(Box::new(|_| ()));
    let hunted = hunt::hunt(&target, Duration::from_secs(seconds), seed, how);
    if let Some(finding) = &hunted.finding {
        hunt::report(&target, finding)?;
    }
    let findings = usize::from(hunted.finding.is_some());
    let (name, took) = (target.name, hunted.took.as_secs_f64());
    let steps = match hunted.steps {
        0 => String::new(),
        steps => format!(" of {steps} operations"),
    };
    let commands = match hunted.commands {
        0 => String::new(),
        commands => format!(" by {commands} commands"),
    };
    writeln!(
        io::stdout(),
        "{name}: {} executions{steps}{commands} in {took:.1} s, {findings} findings",
        hunted.executions
    )?;
    Ok(findings > 0)
}

fn replay(file: &Path) -> io::Result<bool> {
    let Some(target) = findings::target_of(file) else {
        return Err(io::Error::other("the folder of the file names no target"));
    };
    // Panics with all that there is to say.
    target.run(&fs::read(file)?);
    writeln!(io::stdout(), "{}: nothing is wrong with it", target.name)?;
    Ok(false)
}

fn minimise(target: &str, file: &Path) -> io::Result<bool> {
    let target = named(target)?;
    std::panic::set_hook(Box::new(|_| ()));
    let input = fs::read(file)?;
    let finding = hunt::minimise(&target, input.clone()).unwrap_or(Finding {
        input,
        why: "it is no exception by itself".into(),
    });
    hunt::report(&target, &finding)?;
    Ok(true)
}

fn named(name: &str) -> io::Result<Target> {
    Target::named(name).ok_or_else(|| io::Error::other(format!("there is no target {name}")))
}
