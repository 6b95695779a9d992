//! The arguments of `gc`.

use std::time::Duration;

use clap::Args;
use portkeeper::ttl;

/// Drops reservations that have provably ended, and sweeps what killed processes left behind.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Gc {
    /// Only tell what would be dropped, and why
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Also drop leases older than this whose port nobody has bound
    #[arg(long, value_name = "TIME", value_parser = ttl::duration)]
    pub(crate) unused: Option<Duration>,
}

const EXAMPLES: &str = "\
Examples:
  portkeeper gc
      What has ended
  portkeeper gc --unused 1h --dry-run
      What nobody has bound for an hour; only show it";
