//! The arguments of `run` and `take`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;
use portkeeper::launch::{HandOver, Launch};
use portkeeper::{Port, ttl};

use super::{Project, Wish};
use crate::completing;

/// Runs a command on a port that nobody else can take at any moment: not before the command binds
/// it, and not while it starts again. The port is in PORT, and wherever {port} stands in an
/// argument. When the command ends, everything that it started is ended, and the port is released.
#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct Run {
    /// All ports of the project, as `prepare` has them; every variable of portkeeper.toml is in the
    /// command's environment
    #[arg(long, conflicts_with_all = OF_ONE)]
    pub(crate) project: bool,
    #[command(flatten)]
    pub(crate) of: Project,
    #[command(flatten)]
    pub(crate) wish: Wish,
    #[command(flatten)]
    pub(crate) program: Program,
}

/// What is said of a port that no project names.
const OF_ONE: [&str; 12] = [
    "preferred",
    "range",
    "exclude",
    "host",
    "count",
    "name",
    "note",
    "owner",
    "pid",
    "strict",
    "write_env",
    "write_json",
];

const RUN_EXAMPLES: &str = "\
Examples:
  portkeeper run -- npm run dev
      Any free port, in PORT
  portkeeper run --preferred 8000 -- python3 -m http.server --bind {host} {port}
      8000 or another, as an argument
  portkeeper run --count 2 --env WEB_PORT --env API_PORT -- ./stack.sh
      Two ports
  portkeeper run -- uvicorn --fd {fd} app:app
      As an inherited socket
  portkeeper run --project -- docker compose up
      All ports of portkeeper.toml, in their variables
  portkeeper run --restart --ready 10s -- ./server
      Started again when it fails; ended if it does not listen within 10 s";

/// Runs a command on a port that `reserve --hold` keeps: the holder gives it up to the command, and
/// it is at no moment free.
#[derive(Debug, Args)]
#[command(after_help = TAKE_EXAMPLES)]
pub(crate) struct Take {
    /// The port
    #[arg(value_name = "PORT", add = ArgValueCandidates::new(completing::ports))]
    pub(crate) port: Port,
    #[command(flatten)]
    pub(crate) program: Program,
}

const TAKE_EXAMPLES: &str = "\
Examples:
  portkeeper reserve --hold --preferred 8080
  portkeeper take 8080 -- ./server --port {port}";

/// A command, and how it gets its port.
#[derive(Debug, Args)]
#[command(next_help_heading = "The command")]
pub(crate) struct Program {
    /// The variable that gets the port; may be given several times [default: PORT, or PORT0, PORT1…]
    #[arg(long, value_name = "KEY")]
    env: Vec<String>,
    /// End the command unless it listens on the port within this time
    #[arg(long, value_name = "TIME", value_parser = ttl::duration)]
    ready: Option<Duration>,
    /// Start the command again whenever it fails
    #[arg(long)]
    restart: bool,
    /// Give it the port as an inherited socket, descriptor 3 (LISTEN_FDS)
    #[arg(long, conflicts_with = "hand_over")]
    pass_fd: bool,
    /// How the command gets its port
    #[arg(long, value_name = "WAY", default_value = "auto")]
    hand_over: Way,
    /// The command and its arguments, in which {port}, {host} and {fd} are filled in
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// The ways of handing over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// The best that works: adopt, else relaxed
    Auto,
    /// As an inherited socket
    Fd,
    /// By answering its bind call: for every program, also one that knows nothing of this
    Adopt,
    /// By sharing the port with whoever sets SO_REUSEADDR
    Relaxed,
    /// By letting go of the port just before the start
    Close,
}

impl Program {
    pub(crate) fn launch(&self) -> Launch {
        let (program, arguments) = self
            .command
            .split_first()
            .map_or((OsString::new(), &[][..]), |(program, rest)| {
                (program.clone(), rest)
            });
        let way = match self.hand_over {
            _ if self.pass_fd => HandOver::Fd,
            Way::Auto => HandOver::Auto,
            Way::Fd => HandOver::Fd,
            Way::Adopt => HandOver::Adopt,
            Way::Relaxed => HandOver::Relaxed,
            Way::Close => HandOver::Close,
        };
        let mut launch = Launch::new(program, arguments).hand_over(way);
        for key in &self.env {
            launch = launch.env(key);
        }
        if let Some(limit) = self.ready {
            launch = launch.ready(limit);
        }
        if self.restart {
            launch = launch.restart();
        }
        launch
    }

    /// Whether the moment in which it listens is of interest.
    pub(crate) fn is_awaited(&self) -> bool {
        self.ready.is_some()
    }
}
