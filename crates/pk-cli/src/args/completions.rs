//! The arguments of `completions`.

use clap::{Args, ValueEnum};

/// Prints what makes a shell complete `portkeeper`: commands, options, and the ports and owners that
/// are in the registry at the moment. To be read when the shell starts, not to be kept: it asks the
/// program, and the two must fit.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// A shell that can be taught.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// Bash
    Bash,
    /// Elvish
    Elvish,
    /// fish
    Fish,
    /// PowerShell
    Powershell,
    /// Zsh
    Zsh,
}

impl Shell {
    /// The name that people and programs call it by.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Shell::Bash => "bash",
            Shell::Elvish => "elvish",
            Shell::Fish => "fish",
            Shell::Powershell => "powershell",
            Shell::Zsh => "zsh",
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  echo 'source <(portkeeper completions bash)' >> ~/.bashrc
  echo 'source <(portkeeper completions zsh)' >> ~/.zshrc
  echo 'portkeeper completions fish | source' >> ~/.config/fish/config.fish
  echo 'eval (portkeeper completions elvish | slurp)' >> ~/.elvish/rc.elv
  'portkeeper completions powershell | Out-String | Invoke-Expression' >> $PROFILE";
