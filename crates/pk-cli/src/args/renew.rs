//! The arguments of `renew`.

use clap::Args;
use clap_complete::ArgValueCandidates;
use portkeeper::{Name, Port, Ttl};

use crate::completing;

/// Lets a reservation last longer: 24 hours from now on, unless --ttl says otherwise. One that has
/// ended is not renewed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, group = clap::ArgGroup::new("which").required(true).multiple(false))]
pub(crate) struct Renew {
    /// The port
    #[arg(group = "which", allow_negative_numbers = true, add = ArgValueCandidates::new(completing::ports))]
    pub(crate) port: Option<Port>,
    /// What this project calls by this name
    #[arg(long, group = "which", add = ArgValueCandidates::new(completing::names))]
    pub(crate) name: Option<Name>,
    /// How long from now on: 90s, 15m, 24h, never [default: 24h]
    #[arg(long, value_name = "TIME")]
    pub(crate) ttl: Option<Ttl>,
    /// Only the one with this fence, as `status` shows it
    #[arg(long, value_name = "N")]
    pub(crate) fence: Option<u64>,
}

const EXAMPLES: &str = "\
Examples:
  portkeeper renew 8888
      24 hours from now on
  portkeeper renew --name web --ttl never
      Until it is released";
