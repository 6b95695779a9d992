//! Waiting for a lock in the kernel's queue, in a thread of its own. Never decides how long.

use std::io;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

/// A lock that a helper thread waited for and now keeps. fd-lock's guard borrows its lock, so the
/// thread owns both and sleeps until it is told to let go.
pub(super) struct Queued {
    release: mpsc::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Queued {
    /// `None` when the deadline passed. The thread then stays in the kernel's queue and drops the
    /// lock the moment it gets it.
    pub(super) fn wait(
        mut lock: fd_lock::RwLock<Arc<std::fs::File>>,
        deadline: Instant,
    ) -> io::Result<Option<Queued>> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let (answer, got) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let thread = thread::Builder::new().name("lock".into()).spawn(move || {
            let guard = loop {
                match lock.write() {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return drop(answer.send(Err(error))),
                    Ok(guard) => break guard,
                }
            };
            if answer.send(Ok(())).is_ok() {
                // An error is the other end's being dropped, which says the same.
                let _ = released.recv();
            }
            drop(guard);
        })?;
        match got.recv_timeout(left) {
            Ok(Ok(())) => Ok(Some(Queued { release, thread })),
            Ok(Err(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Returns when the lock is free.
    pub(super) fn unlock(self) {
        drop(self.release);
        // A panic in that thread has dropped the guard as well.
        let _ = self.thread.join();
    }
}
