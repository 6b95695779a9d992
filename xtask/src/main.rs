//! Chores of the workspace, run as `cargo xtask CHORE`. Never part of what ships, and never needs
//! more than a Rust toolchain: a chore whose tool is missing says so and goes on.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "chores talk to the terminal, and write what nobody else owns"
)]

mod api;
mod bench;
mod cargo;
mod ci;
mod coverage;
mod difference;
mod dist;
mod docs;
mod failpoints;
mod features;
mod fuzz;
mod graph;
mod instructions;
mod mutants;
mod oldest;
mod packages;
mod python;
mod release;
mod slim;
mod test;
mod tidy;
mod tools;
mod torture;

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use instructions::Then;

/// What a chore gives back: the exit code of the process, or why it could not be done at all.
type Outcome = Result<ExitCode, Box<dyn Error>>;

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Chores of the PortKeeper workspace")]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Build the program, then run every test against it
    Test {
        /// Test this package only (repeatable)
        #[arg(short, long = "package", value_name = "NAME")]
        packages: Vec<String>,
        /// What to hand to `cargo test`; after a second `--`, to the test runner
        #[arg(last = true)]
        args: Vec<OsString>,
    },
    /// Measure the program as it is released
    Bench {
        /// What to measure
        suite: bench::Suite,
        /// How many times it is done; where nothing is said, as often as the suite needs
        #[arg(long)]
        rounds: Option<u32>,
    },
    /// Try the faults and attacks of docs/testing.md on the program, with real processes
    Torture(torture::Torture),
    /// Hunt for inputs and histories that break a promise, and replay them
    Fuzz(fuzz::Fuzz),
    /// Change the code that must never be wrong a little, over and over, and count what the tests notice
    Mutants {
        /// These files only, with `*` for any name
        files: Vec<String>,
        /// A part of the mutants, such as 0/4
        #[arg(long, value_name = "K/N")]
        shard: Option<String>,
    },
    /// Measure how much of the libraries the tests run through
    Coverage {
        /// With the tests of this package only (repeatable)
        #[arg(short, long = "package", value_name = "NAME")]
        packages: Vec<String>,
    },
    /// Build the program as it is released, and look whether it is as small as the README says, and static
    Slim,
    /// Count the instructions of the commonest commands, and compare with what is kept
    Instructions {
        /// Keep what is counted now
        #[arg(long)]
        write: bool,
    },
    /// Build the Python package as a wheel that installs without a compiler, and print its path
    Wheel {
        /// The folder for it; `wheels` in the target folder where none is given
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
    /// Make everything that is released: an archive, a Debian package, a wheel, a bill of materials, sums
    Dist(dist::Dist),
    /// Check everything, then make a release: version, changelog, commit, tag. Pushes and publishes nothing
    Release(release::Release),
    /// Pack every crate that is published, and build each by itself
    Packages,
    /// List what the library crates offer, and compare with what is kept
    Api {
        /// Keep what is offered now
        #[arg(long)]
        write: bool,
    },
    /// Compile every crate with none of its features, and with each alone
    Features,
    /// Make the pages that are made from the program, and the book of all pages
    Docs(docs::Docs),
    /// Check the house rules: layers, homes of packages, shape of files
    Tidy,
    /// Everything a change must pass, from fmt to torture --quick
    Ci {
        /// Leave out what takes longest: test and torture
        #[arg(long)]
        skip_test: bool,
    },
}

fn main() -> ExitCode {
    let outcome = match Args::parse().chore {
        Chore::Test { packages, args } => test::run(&packages, &args),
        Chore::Bench { suite, rounds } => bench::run(suite, rounds),
        Chore::Torture(asked) => torture::run(&asked),
        Chore::Fuzz(asked) => fuzz::run(&asked),
        Chore::Mutants { files, shard } => mutants::run(&files, shard.as_deref()),
        Chore::Coverage { packages } => coverage::run(&packages),
        Chore::Slim => slim::run(),
        Chore::Instructions { write: true } => instructions::run(Then::Write),
        Chore::Instructions { write: false } => instructions::run(Then::Compare),
        Chore::Wheel { out } => python::wheel(out),
        Chore::Dist(asked) => dist::run(&asked),
        Chore::Release(asked) => release::run(&asked),
        Chore::Packages => packages::check(),
        Chore::Api { write: true } => api::run(api::Then::Write),
        Chore::Api { write: false } => api::run(api::Then::Compare),
        Chore::Features => features::check(),
        Chore::Docs(asked) => docs::run(&asked),
        Chore::Tidy => tidy::run(),
        Chore::Ci { skip_test } => ci::run(skip_test),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
