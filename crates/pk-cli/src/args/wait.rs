//! The arguments of `wait`.

use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCandidates;
use portkeeper::{Host, Port, ttl};

use crate::completing;

/// Waits until a server could start on a port, or until one listens there. Says nothing (unless
/// --format is given) and ends with 0; with 1, and a word about what is there, if the time is over.
/// Never connects, so no server notices.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, group = clap::ArgGroup::new("goal").required(true).multiple(false))]
pub(crate) struct Wait {
    /// The port
    #[arg(value_name = "PORT", allow_negative_numbers = true, add = ArgValueCandidates::new(completing::ports))]
    pub(crate) port: Port,
    /// Until nothing is in the way of a server
    #[arg(long, group = "goal")]
    pub(crate) free: bool,
    /// Until something listens
    #[arg(long, group = "goal")]
    pub(crate) ready: bool,
    /// For --free the address of the server [default: 127.0.0.1], for --ready that of its clients
    /// [default: any]
    #[arg(long)]
    pub(crate) host: Option<Host>,
    /// How long at most: 500ms, 30s, 5m [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = ttl::duration)]
    pub(crate) timeout: Option<Duration>,
}

const EXAMPLES: &str = "\
Examples:
  ./server --port 8080 & portkeeper wait 8080 --ready --timeout 30s && ./tests
      Run tests as soon as the server is up
  portkeeper wait 8080 --free && ./server --port 8080
      Start a server as soon as another one has ended
  portkeeper wait 8080 --free --timeout 0s
      Only look";
