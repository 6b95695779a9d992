//! The arguments of `doctor`.

use clap::Args;

/// Looks at everything that PortKeeper stands on: where the registry is and why, whose it is, what it
/// lies on, who has its lock, what killed processes left behind, which settings of the kernel matter.
/// Says what is wrong, and the command that mends it. Changes nothing without --fix.
///
/// Exit code 0: nothing is wrong. 1: something was found, or is left after --fix.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Doctor {
    /// Mend what is yours and safe: drop what has ended, sweep what was left behind, close what is
    /// open to others, take back writes that were cut short
    #[arg(long)]
    pub(crate) fix: bool,
}

const EXAMPLES: &str = "\
Examples:
  portkeeper doctor
  portkeeper doctor --fix
  portkeeper doctor --format json | jq -r '.findings[].code'";
