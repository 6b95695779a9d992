//! What happens around `os.fork()`. Never forks itself.
//!
//! A thread that is inside the library may hold the registry's lock, or a lock of this process. A
//! child that was forked at that moment would keep the one and wait for ever for the other, so a fork
//! waits until nobody is inside. And a child has copies of its parent's sockets, which would keep
//! ports bound that the parent releases: it closes them.

use std::cell::RefCell;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::guards;

/// How long a fork waits at most. Only waiting for a registry that somebody else keeps locked takes
/// longer, and nothing of this process is locked then.
const LONGEST: Duration = Duration::from_secs(1);

/// Shared by the threads that are inside the library; exclusive around a fork.
static INSIDE: RwLock<()> = RwLock::new(());

thread_local! {
    /// The exclusive lock, kept by the forking thread, which is the one that the child has.
    static FORKING: RefCell<Option<RwLockWriteGuard<'static, ()>>> = const { RefCell::new(None) };
}

/// Keeps forks out. Must not be taken while Python is attached: a fork waits with Python attached.
pub(crate) fn inside() -> RwLockReadGuard<'static, ()> {
    INSIDE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until no thread is inside the library, and keeps them out.
#[pyfunction]
#[pyo3(name = "_before_fork")]
pub(crate) fn before_fork() {
    let begun = Instant::now();
    while begun.elapsed() < LONGEST {
        if let Ok(guard) = INSIDE.try_write() {
            FORKING.set(Some(guard));
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Lets them in again.
#[pyfunction]
#[pyo3(name = "_after_fork")]
pub(crate) fn after_fork() {
    drop(FORKING.take());
}

/// The same, in the child, where the guards are copies of the parent's: they are closed, which
/// releases nothing.
#[pyfunction]
#[pyo3(name = "_forked")]
pub(crate) fn forked(py: Python<'_>) -> PyResult<()> {
    after_fork();
    guards::abandon(py)
}
