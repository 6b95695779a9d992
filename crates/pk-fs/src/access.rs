//! Who may use what is made. Never changes what others made.

use rustix::fs::Mode;

/// Who may use a file or a folder that is made, whatever the umask says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Its owner alone: files 0600, folders 0700.
    #[default]
    Owner,
    /// Its owner and its group, which in a setgid folder is that of the folder: files 0660, folders
    /// 2770.
    Group,
    /// Everybody may read it: files 0644. In its folders (1777) everybody may make files, and nobody
    /// touch those of others.
    Everybody,
}

impl Access {
    pub(crate) fn of_file(self) -> Mode {
        Mode::from_raw_mode(match self {
            Access::Owner => 0o600,
            Access::Group => 0o660,
            Access::Everybody => 0o644,
        })
    }

    pub(crate) fn of_folder(self) -> Mode {
        Mode::from_raw_mode(match self {
            Access::Owner => 0o700,
            Access::Group => 0o2770,
            Access::Everybody => 0o1777,
        })
    }
}
