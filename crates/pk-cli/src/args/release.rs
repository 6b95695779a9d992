//! The arguments of `release`.

use clap::Args;
use clap_complete::ArgValueCandidates;
use portkeeper::{Host, Name, Port, Protocol};

use crate::completing;

/// Ends reservations and frees what is held; when it returns the ports are free.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, group = clap::ArgGroup::new("which").required(true).multiple(false))]
pub(crate) struct Release {
    /// The ports
    #[arg(value_name = "PORT", group = "which", num_args = 1.., allow_negative_numbers = true, add = ArgValueCandidates::new(completing::ports))]
    pub(crate) ports: Vec<Port>,
    /// All of yours with this label
    #[arg(long, group = "which", add = ArgValueCandidates::new(completing::owners))]
    pub(crate) owner: Option<String>,
    /// What this project calls by this name
    #[arg(long, group = "which", add = ArgValueCandidates::new(completing::names))]
    pub(crate) name: Option<Name>,
    /// All of yours
    #[arg(long, group = "which")]
    pub(crate) mine: bool,
    /// Only those for this address
    #[arg(long)]
    pub(crate) host: Option<Host>,
    /// Only those for this protocol: tcp, udp, or both
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) proto: Option<Protocol>,
    /// Only the one with this fence, as `status` shows it
    #[arg(long, value_name = "N")]
    pub(crate) fence: Option<u64>,
    /// Kill a holder that does not answer
    #[arg(long)]
    pub(crate) force: bool,
}

const EXAMPLES: &str = "\
Examples:
  portkeeper release 8888 8889
      Two ports
  portkeeper release --name web
      What this project calls web
  portkeeper release --owner myapp
      All that carry this label
  portkeeper release --mine
      Everything of yours";
