//! The arguments of `reserve`.

use clap::Args;

use super::Wish;

/// Reserves one port, or several, until it is released or its time is over (24 hours, unless --ttl
/// says otherwise). Nobody else gets it from PortKeeper; with --hold nobody else gets it at all.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Reserve {
    #[command(flatten)]
    pub(crate) wish: Wish,
    /// Keep the port bound in the background, so that nobody else can take it
    #[arg(long)]
    pub(crate) hold: bool,
    /// Keep the port bound by this very command, until Ctrl-C, TERM or HUP; then release it
    #[arg(long)]
    pub(crate) foreground: bool,
    /// Only tell what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

const EXAMPLES: &str = "\
Examples:
  portkeeper reserve
      Any free port, as JSON
  portkeeper reserve --preferred 8888 --range 8888 8988 --hold --owner myapp
      8888 or another up to 8988, kept bound until it is released
  portkeeper reserve --count 2 --write-env WEB_PORT --write-env API_PORT
      Two ports, written into .env
  portkeeper reserve --write-env 'URL=http://{host}:{port}' --write-json config.json#/server/port
      One port, in two files, both or none
  portkeeper reserve --name web
      The port that this project calls web: the same one each time
  portkeeper reserve --pid $$ --format port
      The number alone, for as long as this shell lives
  portkeeper reserve --preferred 5353 --strict --proto udp --wait 30s --foreground
      UDP 5353 as soon as it is free, until Ctrl-C";
