//! The arguments of `setup`.

use std::path::PathBuf;

use clap::Args;

/// Makes a place in which several users share a registry, so that none is given a port that another
/// has. What is as it should be is left alone, and what is not is mended.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(false))]
pub(crate) struct Setup {
    /// For all users of the machine, who need not trust each other (root only)
    #[arg(long, group = "what")]
    pub(crate) machine: bool,
    /// For the members of a group, who trust each other, in the folder DIR
    #[arg(long, group = "what", value_name = "GROUP", requires = "dir")]
    pub(crate) group: Option<String>,
    /// The folder for the members of a group
    #[arg(value_name = "DIR", requires = "group", conflicts_with = "machine")]
    pub(crate) dir: Option<PathBuf>,
    /// Remove what --machine made
    #[arg(long, requires = "machine")]
    pub(crate) undo: bool,
    /// Remove it even if other users have reservations
    #[arg(long, requires = "undo")]
    pub(crate) force: bool,
    /// Below which folder, for an image of another machine
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/",
        hide_default_value = true,
        requires = "machine"
    )]
    pub(crate) root: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  sudo portkeeper setup --machine
      Every user's portkeeper uses it from now on
  portkeeper setup --group dev /srv/ports
  export PORTKEEPER_REGISTRY=/srv/ports/registry.json
      Each member of dev says so";
