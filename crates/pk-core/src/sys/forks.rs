//! Whether this process is still the one that asked last, or a fork of it. Never forks.
#![allow(unsafe_code, reason = "nothing else is told of every fork(2)")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static FORKS: AtomicU64 = AtomicU64::new(0);
static IS_COUNTED: AtomicBool = AtomicBool::new(false);

extern "C" fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// A number that a process does not share with those that it was forked from; `None` where that
/// can't be known.
pub(crate) fn generation() -> Option<u64> {
    if !IS_COUNTED.load(Ordering::Relaxed) {
        // Two threads at once count each fork twice, which does no harm.
        // SAFETY: the handler only adds to a static, which may be done in a child of any process.
        if unsafe { libc::pthread_atfork(None, None, Some(forked)) } != 0 {
            return None;
        }
        IS_COUNTED.store(true, Ordering::Relaxed);
    }
    Some(FORKS.load(Ordering::Relaxed))
}
