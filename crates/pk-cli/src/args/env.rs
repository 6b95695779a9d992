//! The arguments of `env`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::write::Write;

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Env {
    Set(Set),
    Unset(Unset),
    Get(Get),
}

/// Gives keys values in a .env file. Comments, order, quotes and every other byte stay.
#[derive(Debug, Args)]
#[command(after_help = SET)]
pub(crate) struct Set {
    /// What to set
    #[arg(value_name = "KEY=VALUE", required = true, value_parser = assignment)]
    pub(crate) assignments: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) file: File,
    /// Make the file if it is not there
    #[arg(long)]
    pub(crate) create: bool,
    #[command(flatten)]
    pub(crate) write: Write,
}

/// Removes keys from a .env file; every other line stays.
#[derive(Debug, Args)]
#[command(after_help = UNSET)]
pub(crate) struct Unset {
    /// What to remove; one that is not there is fine
    #[arg(value_name = "KEY", required = true)]
    pub(crate) keys: Vec<String>,
    #[command(flatten)]
    pub(crate) file: File,
    #[command(flatten)]
    pub(crate) write: Write,
}

/// Prints the value of a key in a .env file; ends with 1 if it is not there.
#[derive(Debug, Args)]
#[command(after_help = GET)]
pub(crate) struct Get {
    /// The key
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) file: File,
}

const SET: &str = "\
Examples:
  portkeeper env set PORT=8080 HOST=localhost
  portkeeper env set --file .env.local --create DEBUG=1
  portkeeper env set PORT=8080 --dry-run
      Only show it";

const UNSET: &str = "\
Examples:
  portkeeper env unset DEBUG OLD_PORT";

const GET: &str = "\
Examples:
  PORT=$(portkeeper env get PORT)";

// Which file.
#[derive(Debug, Args)]
pub(crate) struct File {
    /// The file
    #[arg(long = "file", value_name = "FILE", default_value = ".env")]
    pub(crate) path: PathBuf,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE is needed")?;
    Ok((key.into(), value.into()))
}
