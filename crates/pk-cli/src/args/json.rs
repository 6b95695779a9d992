//! The arguments of `json`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use portkeeper::config::json::Value;

use super::write::Write;

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Json {
    Set(Set),
    Get(Get),
}

/// Puts values at pointers in a JSON file. Comments, order, layout and every other byte stay.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Set {
    /// What to put where: the value is JSON if it parses as such, else a string
    #[arg(value_name = "/POINTER=VALUE", required_unless_present_any = ["at", "merge"])]
    pub(crate) assignments: Vec<String>,
    /// A pointer that has a `=` in it; the --value at the same place belongs to it
    #[arg(long, value_name = "POINTER", requires = "value")]
    pub(crate) at: Vec<String>,
    /// The JSON value for --at
    #[arg(long, value_name = "JSON", requires = "at", allow_hyphen_values = true, value_parser = value)]
    pub(crate) value: Vec<Value>,
    /// Merge an object deep into the file
    #[arg(long, value_name = "JSON", value_parser = value)]
    pub(crate) merge: Option<Value>,
    /// Values are strings, also where they parse as JSON
    #[arg(long)]
    pub(crate) string: bool,
    #[command(flatten)]
    pub(crate) file: File,
    /// Make the file if it is not there
    #[arg(long)]
    pub(crate) create: bool,
    #[command(flatten)]
    pub(crate) write: Write,
}

const EXAMPLES: &str = "\
Examples:
  portkeeper json set /server/port=8080 /server/host=localhost
  portkeeper json set --file package.json --merge '{\"config\":{\"port\":8080}}'";

/// Prints the value at a pointer, as it stands in the file; ends with 1 if it is not there.
#[derive(Debug, Args)]
#[command(after_help = GET)]
pub(crate) struct Get {
    /// The pointer (RFC 6901), such as /server/port
    pub(crate) pointer: String,
    #[command(flatten)]
    pub(crate) file: File,
}

const GET: &str = "\
Examples:
  portkeeper json get /server/port
  portkeeper json get --file package.json /config";

// Which file.
#[derive(Debug, Args)]
pub(crate) struct File {
    /// The file
    #[arg(long = "file", value_name = "FILE", default_value = "config.json")]
    pub(crate) path: PathBuf,
}

/// Said in so many words: clap would rather make a JSON string of any text.
fn value(text: &str) -> Result<Value, portkeeper::config::json::Error> {
    text.parse()
}
