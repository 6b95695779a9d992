//! The arguments of `status`.

use clap::Args;
use clap_complete::ArgValueCandidates;
use portkeeper::{Name, Port, Protocol};

use crate::completing;

/// Shows who has which port: a table on a terminal, JSON on a pipe.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Status {
    /// Only these ports
    #[arg(value_name = "PORT", allow_negative_numbers = true, add = ArgValueCandidates::new(completing::ports))]
    pub(crate) ports: Vec<Port>,
    /// Only those with this label
    #[arg(long, add = ArgValueCandidates::new(completing::owners))]
    pub(crate) owner: Option<String>,
    /// Only what this project calls by this name
    #[arg(long, add = ArgValueCandidates::new(completing::names))]
    pub(crate) name: Option<Name>,
    /// Only those for this protocol: tcp, udp, or both
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) proto: Option<Protocol>,
    /// Go on: a table that lives, until q or Ctrl-C; on a pipe a line of JSON for each change
    #[arg(long)]
    pub(crate) watch: bool,
    /// Each value on a line of its own instead of a table: for screen readers. A terminal that is too narrow for the table gets this, too
    #[arg(long, conflicts_with = "watch")]
    pub(crate) list: bool,
}

const EXAMPLES: &str = "\
Examples:
  portkeeper status
      Everybody's
  portkeeper status --owner myapp --format port
      The numbers alone
  portkeeper status --watch
      A table that lives, with the programs that listen
  portkeeper status --format json | jq '.reservations[] | .port'
      For scripts";
