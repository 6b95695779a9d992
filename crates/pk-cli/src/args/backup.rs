//! The arguments of `backup`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Backup {
    /// List what is kept of a file, or of all files
    #[command(after_help = LIST)]
    List {
        /// The file
        file: Option<PathBuf>,
    },
    /// Give a file the bytes back that it had; restoring again undoes it
    #[command(after_help = RESTORE)]
    Restore(Which),
    /// Show what restoring would change
    #[command(after_help = DIFF)]
    Diff(Which),
}

// Which state of which file. Two commands have this, so it must not say what they do.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The file
    pub(crate) file: PathBuf,
    /// Which state: the beginning of its id, as `backup list` shows it [default: the newest other]
    #[arg(long, value_name = "ID")]
    pub(crate) at: Option<String>,
}

const LIST: &str = "\
Examples:
  portkeeper backup list .env";

const RESTORE: &str = "\
Examples:
  portkeeper backup restore .env
      What it held before the last change; again, and that is undone
  portkeeper backup restore .env --at 20260102T030405
      What it held then";

const DIFF: &str = "\
Examples:
  portkeeper backup diff .env
      What restoring would change";
