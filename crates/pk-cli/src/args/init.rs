//! The arguments of `init`.

use clap::Args;

/// Writes a first portkeeper.toml, guessed from compose.yaml, .env, Procfile, package.json and
/// pyproject.toml in this folder, with a comment on each guess.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Only show it
    #[arg(long)]
    pub(crate) dry_run: bool,
}
