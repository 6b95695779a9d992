//! The arguments of `init`.

use clap::Args;

/// Writes a first portkeeper.toml, guessed from compose.yaml, .env, Procfile, package.json and
/// pyproject.toml in this folder, with a comment on each guess.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Init {
    /// Only show it
    #[arg(long)]
    pub(crate) dry_run: bool,
}

const EXAMPLES: &str = "\
Examples:
  portkeeper init --dry-run
      Only show it
  portkeeper init && portkeeper prepare
      And have the ports";
