//! Waiting as Python programs want it: other threads run on, and Ctrl-C is answered. Never gives up
//! before the library does.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use portkeeper::fs::lock::Wait;
use portkeeper::{Error, ErrorKind, PortKeeper, Settings};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::error;
use crate::fork;

/// How long a lock is waited for in the calling thread, which is deaf meanwhile.
pub(crate) const AT_ONCE: Duration = Duration::from_millis(20);
/// How long Ctrl-C may go unheard.
const GLANCE: Duration = Duration::from_millis(50);

/// The same registry twice.
#[derive(Debug, Clone)]
pub(crate) struct Keepers {
    /// One that waits for locks as long as was asked for.
    pub(crate) patient: PortKeeper,
    /// One that hardly waits.
    pub(crate) quick: PortKeeper,
}

impl Keepers {
    pub(crate) fn open(
        settings: Settings,
        finish: impl Fn(PortKeeper) -> PortKeeper,
    ) -> Result<Keepers, Error> {
        let patient = finish(PortKeeper::open(settings.clone())?);
        let lock_timeout = Some(lock_timeout(&patient).min(AT_ONCE));
        let quick = finish(PortKeeper::open(Settings {
            lock_timeout,
            ..settings
        })?);
        Ok(Keepers { patient, quick })
    }

    /// How long the patient one waits for a lock.
    pub(crate) fn lock_timeout(&self) -> Duration {
        lock_timeout(&self.patient)
    }

    /// Does `work`, at first with the keeper that hardly waits, which is nearly always enough.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl Fn(&PortKeeper) -> Result<T, Error> + Send + 'static,
    ) -> PyResult<T> {
        let outcome = py.detach(|| {
            let _inside = fork::inside();
            let outcome = work(&self.quick);
            (outcome, work)
        });
        match outcome {
            (Err(error), work) if error.kind() == ErrorKind::LockTimeout => {
                let keeper = self.patient.clone();
                in_thread(py, move || work(&keeper))
            }
            (outcome, _) => outcome.map_err(|error| error::raise(py, &error)),
        }
    }
}

fn lock_timeout(keeper: &PortKeeper) -> Duration {
    match keeper.wait() {
        Wait::UpTo(time) => time,
        Wait::Never => Duration::ZERO,
    }
}

/// Does `work` in a thread of its own. On Ctrl-C it is left to itself, and what it brings is dropped
/// when it comes: a reservation that nobody waits for any more is released.
pub(crate) fn in_thread<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> PyResult<T> {
    let (tell, told) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("portkeeper".into())
        .spawn(move || {
            let outcome = {
                let _inside = fork::inside();
                work()
            };
            // Nobody listens after Ctrl-C.
            let _ = tell.send(outcome);
        })?;
    let told = Mutex::new(told);
    loop {
        let next = py.detach(|| {
            let told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.recv_timeout(GLANCE)
        });
        match next {
            Ok(outcome) => return outcome.map_err(|error| error::raise(py, &error)),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(PyRuntimeError::new_err("a thread of portkeeper has died"));
            }
        }
    }
}
