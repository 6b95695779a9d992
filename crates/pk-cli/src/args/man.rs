//! The arguments of `man`.

use std::path::PathBuf;

use clap::Args;

/// Prints the manual page of `portkeeper`; or writes those of all commands into a folder.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Man {
    /// The folder, which must be there
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  portkeeper man | man -l -
  portkeeper man ~/.local/share/man/man1 && man portkeeper-reserve";
