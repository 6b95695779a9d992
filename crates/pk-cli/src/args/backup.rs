//! The arguments of `backup`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Backup {
    /// List what is kept of a file, or of all files
    List {
        /// The file
        file: Option<PathBuf>,
    },
    /// Give a file the bytes back that it had; restoring again undoes it
    Restore(Which),
    /// Show what restoring would change
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
