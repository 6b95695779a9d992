//! Which processes have a socket open, as `/proc/PID/fd` shows it (proc_pid_fd(5)). Never guesses:
//! what another user's processes have open is unknown, not nobody's.
//!
//! To look at a descriptor is to have it open for a moment, for this as for lsof(8): a server that
//! closes its socket just then and binds the port anew within microseconds finds it in use. Three in
//! a million did beside an endless loop of looks at all processes.

use std::collections::HashMap;
use std::fs;

use super::Socket;

/// Among which processes owners are looked for.
#[derive(Debug, Clone, Copy)]
pub enum Among<'p> {
    /// All that can be seen from here.
    All,
    /// Those with these numbers.
    These(&'p [u32]),
}

/// Who has which socket open, as far as it can be seen.
#[derive(Debug, Clone, Default)]
pub struct Owners {
    by_inode: HashMap<u64, Vec<u32>>,
}

impl Owners {
    /// Looks for the processes that have one of these sockets open. A process that ends meanwhile,
    /// or whose descriptors this user may not see, is passed over.
    #[must_use]
    pub fn find(sockets: &[Socket], among: Among<'_>) -> Owners {
        let mut by_inode: HashMap<u64, Vec<u32>> = sockets
            .iter()
            .filter(|socket| socket.inode != 0)
            .map(|socket| (socket.inode, Vec::new()))
            .collect();
        let mut look = |pid| {
            for inode in open_sockets(pid) {
                if let Some(pids) = by_inode.get_mut(&inode)
                    && pids.last() != Some(&pid)
                {
                    pids.push(pid);
                }
            }
        };
        match among {
            // Nobody has what is nobody's: then there is no need to look at all processes.
            _ if sockets.iter().all(|socket| socket.inode == 0) => {}
            Among::All => all().for_each(look),
            Among::These(pids) => pids.iter().for_each(|&pid| look(pid)),
        }
        Owners { by_inode }
    }

    /// The processes that have this socket open, in the order in which they were looked at. None:
    /// unknown. It may be another user's, or one of another process namespace.
    #[must_use]
    pub fn of(&self, socket: &Socket) -> &[u32] {
        self.by_inode.get(&socket.inode).map_or(&[], Vec::as_slice)
    }
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn open_sockets(pid: u32) -> impl Iterator<Item = u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"));
    let entries = entries.into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?;
        let number = target.to_str()?.strip_prefix("socket:[")?;
        number.strip_suffix(']')?.parse().ok()
    })
}
