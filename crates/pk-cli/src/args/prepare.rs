//! The arguments of `prepare` and `down`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use portkeeper::{Ttl, ttl};

use super::write::Writing;

/// Reserves the ports of a project and writes their numbers into its files, all or nothing. What
/// that is stands in portkeeper.toml, here or in a folder above. Run again, it changes nothing.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Prepare {
    #[command(flatten)]
    pub(crate) project: Project,
    /// Change nothing; exit 1 when something is not as it should be
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) check: bool,
    /// Change nothing; show what would change
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long the reservations last: 90s, 15m, 24h, never [default: 24h]
    #[arg(long, value_name = "TIME")]
    pub(crate) ttl: Option<Ttl>,
    /// Wait this long for the ports, instead of failing at once
    #[arg(long, value_name = "TIME", value_parser = ttl::duration)]
    pub(crate) wait: Option<Duration>,
    #[command(flatten)]
    pub(crate) writing: Writing,
}

const EXAMPLES: &str = "\
Examples:
  portkeeper init
      A first portkeeper.toml, from what is in the folder
  portkeeper prepare
      The ports of the project, in all its files
  portkeeper prepare --check || portkeeper prepare --dry-run
      What is not as it should be
  portkeeper prepare --profile test
      Ports of its own for the tests";

/// Gives back the ports of a project: all that it has a name for, also under names that stand no
/// longer in its file, or never did (`reserve --name`); with --profile that profile's alone.
#[derive(Debug, Args)]
#[command(after_help = DOWN)]
pub(crate) struct Down {
    #[command(flatten)]
    pub(crate) project: Project,
    /// Kill a holder that does not answer
    #[arg(long)]
    pub(crate) force: bool,
}

const DOWN: &str = "\
Examples:
  portkeeper down
      All of this project's
  portkeeper down --profile test
      Those of its tests";

const PROJECT: &str = "The project";

/// Which project.
#[derive(Debug, Args)]
pub(crate) struct Project {
    /// Its file [default: portkeeper.toml here, or in the nearest folder above]
    #[arg(long, value_name = "FILE", help_heading = PROJECT)]
    pub(crate) config: Option<PathBuf>,
    /// The profile of its file
    #[arg(long, value_name = "NAME", help_heading = PROJECT)]
    pub(crate) profile: Option<String>,
}
