//! The arguments of `why`.

use clap::Args;
use clap_complete::ArgValueCandidates;
use portkeeper::Port;

use crate::completing;

/// Tells all that is known about a port: who reserved it, holds it, listens on it or is connected
/// through it, what the kernel still keeps of it, what is special about its number; and what helps.
/// Changes nothing, and connects to nothing. Ports of containers are not seen, and are in nobody's way.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Why {
    /// The port
    #[arg(value_name = "PORT", allow_negative_numbers = true, add = ArgValueCandidates::new(completing::ports))]
    pub(crate) port: Port,
}

const EXAMPLES: &str = "\
Examples:
  portkeeper why 8080
  sudo portkeeper why 8080
      Names other users' programs, too
  portkeeper why 8080 --format json | jq -r .verdict
      free, reserved, held, in-use, connected, lingering, udp-only, privileged or unseen";
