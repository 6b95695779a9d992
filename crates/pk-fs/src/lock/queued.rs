//! Waiting for a lock in the kernel's queue, in a thread of its own. Never decides how long.

use std::fs::File;
use std::io;
use std::mem;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

use fd_lock::RwLock;

/// A lock that its open file holds, until this is dropped. fd-lock's guard borrows its lock, and would
/// have to stay in the thread that waited: two more changes of threads while everybody else waits.
pub(super) struct Held(RwLock<Arc<File>>);

impl Drop for Held {
    fn drop(&mut self) {
        // An open file that is locked gets its lock once more, and a guard that lets go of it. Closing
        // the file would do, but for copies that a fork has made of it.
        drop(self.0.try_write());
    }
}

/// `None` when the deadline passed. The thread then stays in the kernel's queue and lets go of the
/// lock the moment it gets it.
pub(super) fn wait(mut lock: RwLock<Arc<File>>, deadline: Instant) -> io::Result<Option<Held>> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Ok(None);
    }
    let (answer, answered) = mpsc::channel();
    let queue = move || {
        let got = loop {
            match lock.write().map(mem::forget) {
                Ok(()) => break Ok(Held(lock)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        // If nobody wants it any more it is dropped, here or with the other end.
        let _ = answer.send(got);
    };
    thread::Builder::new().name("lock".into()).spawn(queue)?;
    match answered.recv_timeout(left) {
        Ok(got) => got.map(Some),
        Err(_) => Ok(None),
    }
}
