//! Signals as something that can be waited for beside other things: a descriptor that becomes
//! readable. Never acts on one itself.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

/// The signals that came since this was made, out of those that were named.
///
/// From the moment it is made these signals no longer do to the process what they do by themselves,
/// and that stays so when it is dropped: then they do nothing at all (see `signal_hook`).
#[derive(Debug)]
pub(crate) struct Signals {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
}

impl Signals {
    /// Begins to catch these signals.
    ///
    /// # Errors
    /// The system's reason.
    ///
    /// # Panics
    /// One of them can't be caught: KILL, STOP, ILL, FPE, SEGV.
    pub(crate) fn new(signals: &[i32]) -> io::Result<Signals> {
        let (read, write) = UnixStream::pair()?;
        let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, signals)?;
        Ok(Signals { delivery })
    }

    /// Those that came since this was asked last, each once, in no order. Never waits.
    pub(crate) fn pending(&mut self) -> Vec<i32> {
        self.delivery.pending().collect()
    }
}

/// Readable when a signal came.
impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }
}

/// Whether this process was started to ignore a signal, as nohup(1) does with HUP. Where the system
/// does not tell, it was not.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{Signal, getpid, kill_process};

    #[test]
    fn a_signal_is_told_once_and_can_be_waited_for() {
        let (window, user) = (Signal::WINCH.as_raw(), Signal::USR1.as_raw());
        let mut signals = Signals::new(&[window, user]).unwrap();
        let is_readable = |signals: &Signals, limit: Timespec| {
            poll(&mut [PollFd::new(signals, PollFlags::IN)], Some(&limit)).unwrap() > 0
        };
        let now = Timespec::default();
        assert!(!is_readable(&signals, now));
        assert!(signals.pending().is_empty());
        kill_process(getpid(), Signal::WINCH).unwrap();
        let minute = Timespec {
            tv_sec: 60,
            tv_nsec: 0,
        };
        assert!(is_readable(&signals, minute));
        assert_eq!(signals.pending(), [window]);
        assert!(!is_readable(&signals, now));
        assert!(signals.pending().is_empty());
    }

    #[test]
    fn what_is_caught_is_not_ignored() {
        let signal = Signal::USR2.as_raw();
        let _signals = Signals::new(&[signal]).unwrap();
        assert!(!is_ignored(signal));
        // The runtime of this language ignores it from the start.
        assert!(is_ignored(Signal::PIPE.as_raw()));
    }
}
