//! A reservation as Python has it: a context manager around the library's guard. Never ends by
//! garbage collection.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portkeeper::{Error, Force, Port, PortKeeper, Protocol, Selection};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::waiting::{self, Keepers};
use crate::{arguments, error, fork, guards};

/// A reserved port, until ``release()``, the end of a ``with`` block, or the end of the process.
///
/// Garbage collection does not end it, and a forked child has no part in it.
#[pyclass(module = "portkeeper", frozen)]
#[derive(Debug)]
pub(crate) struct Reservation {
    keepers: Keepers,
    record: portkeeper::Record,
    /// None once it has ended, or was kept. Locked only while Python is attached, so never at a fork.
    guard: Mutex<Option<portkeeper::Reservation>>,
    is_held: Mutex<bool>,
}

impl Reservation {
    /// Makes it Python's, and keeps it.
    pub(crate) fn adopt<'py>(
        py: Python<'py>,
        keepers: &Keepers,
        guard: portkeeper::Reservation,
    ) -> PyResult<Bound<'py, Reservation>> {
        let guard = guard.lock_timeout(waiting::AT_ONCE.min(keepers.lock_timeout()));
        let made = Bound::new(
            py,
            Reservation {
                keepers: keepers.clone(),
                record: guard.record().clone(),
                is_held: Mutex::new(guard.is_held()),
                guard: Mutex::new(Some(guard)),
            },
        )?;
        guards::add(&made)?;
        Ok(made)
    }

    /// Whether it is on this port in this registry.
    pub(crate) fn is_on(&self, port: Port, registry: &Path) -> bool {
        self.record.port == port && self.keepers.patient.path() == registry
    }

    /// Lets go of it without waiting for anybody. In a forked child that only closes copies.
    pub(crate) fn abandon(&self, py: Python<'_>) {
        let guard = self.take();
        py.detach(|| {
            let _inside = fork::inside();
            drop(guard);
        });
    }

    fn guard(&self) -> MutexGuard<'_, Option<portkeeper::Reservation>> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<portkeeper::Reservation> {
        self.set_held(false);
        self.guard().take()
    }

    fn set_held(&self, is_held: bool) {
        *self.is_held.lock().unwrap_or_else(PoisonError::into_inner) = is_held;
    }

    /// Does `work`, which must not wait, with the guard.
    fn with<T>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut portkeeper::Reservation) -> Result<T, Error>,
    ) -> PyResult<T> {
        let outcome = match self.guard().as_mut() {
            Some(guard) => work(guard),
            None => Err(Error::NotReserved {
                ports: vec![self.record.port],
            }),
        };
        outcome.map_err(|error| error::raise(py, &error))
    }
}

#[pymethods]
impl Reservation {
    /// Where the server will listen: an IP address, or ``"localhost"``.
    #[getter]
    fn host(&self) -> String {
        self.record.host.to_string()
    }

    /// The port, 1 to 65535.
    #[getter]
    fn port(&self) -> u16 {
        self.record.port.number()
    }

    /// ``"tcp"``, ``"udp"`` or ``"both"``.
    #[getter]
    fn proto(&self) -> &'static str {
        self.record.protocol.name()
    }

    /// Whether the port is bound, so that nobody else can take it.
    #[getter]
    fn held(&self) -> bool {
        *self.is_held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The label that was given.
    #[getter]
    fn owner(&self) -> Option<&str> {
        self.record.owner.as_deref()
    }

    /// What its project calls it.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.record.name.as_deref()
    }

    /// Its name in the registry: 26 characters that no other reservation has.
    #[getter]
    pub(crate) fn id(&self) -> &str {
        &self.record.id
    }

    /// Ends the reservation and frees the port. What has ended, was kept, or was there before under
    /// its name, stays as it is.
    ///
    /// Raises LockTimeout or IoError when the registry can't be changed; the port is free all the
    /// same, and everybody sees that the reservation has ended.
    pub(crate) fn release(&self, py: Python<'_>) -> PyResult<()> {
        let Some(guard) = self.take() else {
            return Ok(());
        };
        guards::remove(py, self.id())?;
        let selection = Selection {
            ports: vec![self.record.port],
            fence: Some(self.record.fence),
            ..Selection::default()
        };
        let guard = Mutex::new(Some(guard));
        self.keepers.run(py, move |keeper| {
            let first = guard.lock().unwrap_or_else(PoisonError::into_inner).take();
            match first {
                Some(guard) => guard.release(),
                None => forget(keeper, &selection),
            }
        })
    }

    /// Lets it outlive this process: as a lease of 24 hours (or of its ``ttl``), and where the port
    /// is held, in the care of a small process that holds it until ``portkeeper release``.
    ///
    /// Raises NotReserved when it has ended, and IoError when no holder can be started; it is
    /// released then.
    fn keep(&self, py: Python<'_>) -> PyResult<()> {
        let was_held = self.held();
        let Some(guard) = self.take() else {
            return self.with(py, |_| Ok(()));
        };
        guards::remove(py, self.id())?;
        let guard = guard.lock_timeout(self.keepers.lock_timeout());
        let kept = waiting::in_thread(py, move || guard.keep())?;
        self.set_held(was_held && kept == portkeeper::reservation::Kept::Held);
        Ok(())
    }

    /// A ``socket.socket`` on exactly this host and port. For TCP it listens.
    ///
    /// Where the port is held it is the very socket that holds it, so there is no moment in which
    /// somebody else could take the port; closing it ends no reservation. Where it is not held, it is
    /// bound now. ``proto`` says which, ``"tcp"`` or ``"udp"``, where both are reserved.
    ///
    /// Raises NotReserved when the reservation has ended, and NoFreePort when somebody else has the
    /// port that was not held.
    #[pyo3(signature = (proto=None))]
    fn socket<'py>(
        &self,
        py: Python<'py>,
        proto: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        use std::os::fd::{IntoRawFd, OwnedFd};
        let proto = match proto {
            Some(proto) => arguments::parse(proto, "proto")?,
            None => self.record.protocol,
        };
        let descriptor: OwnedFd = self.with(py, |guard| match proto {
            Protocol::Udp => Ok(guard.udp_socket()?.into()),
            Protocol::Tcp | Protocol::Both => Ok(guard.listener()?.into()),
        })?;
        let options = pyo3::types::PyDict::new(py);
        let class = py.import("socket")?.getattr("socket")?;
        options.set_item("fileno", descriptor.into_raw_fd())?;
        class.call((), Some(&options))
    }

    /// Lets any server in that sets ``SO_REUSEADDR``, as nearly all do: for one that can only be told
    /// the number. Until ``tighten()`` the port is not kept from another such server.
    ///
    /// Raises NotReserved when the port is not held.
    fn relax(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |guard| guard.relax())
    }

    /// Lets nobody in any more. A server that has come in stays.
    ///
    /// Raises NotReserved when the port is not held.
    fn tighten(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |guard| guard.tighten())
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_args))]
    #[pyo3(text_signature = "($self, exc_type, exc, tb, /)")]
    fn __exit__(&self, py: Python<'_>, _args: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.release(py)
    }

    fn __aenter__<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let helpers = this.py().import("portkeeper._aio")?;
        helpers.call_method1("enter", (this,))
    }

    #[pyo3(signature = (*_args))]
    #[pyo3(text_signature = "($self, exc_type, exc, tb, /)")]
    fn __aexit__<'py>(
        this: &Bound<'py, Self>,
        _args: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let helpers = this.py().import("portkeeper._aio")?;
        helpers.call_method1("leave", (this,))
    }

    fn __repr__(&self) -> String {
        let state = match (self.held(), self.guard().is_some()) {
            (true, _) => "held",
            (false, true) => "reserved",
            (false, false) => "ended",
        };
        format!(
            "<Reservation {}:{} {state}>",
            self.record.host, self.record.port
        )
    }

    /// A copy in another process would guard nothing.
    fn __reduce__(&self) -> PyResult<()> {
        let why = "a Reservation can't be pickled: give other processes its port, or a socket";
        Err(PyTypeError::new_err(why))
    }
}

/// Takes the entry out of the registry. One that is gone already is fine.
fn forget(keeper: &PortKeeper, selection: &Selection) -> Result<(), Error> {
    let released = keeper.release(selection, Force::No)?;
    match released.failed.into_iter().next() {
        None | Some(Error::NotReserved { .. }) => Ok(()),
        Some(error) => Err(error),
    }
}
