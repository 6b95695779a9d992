//! The registry as Python has it. Never keeps a file or a lock between two calls.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use portkeeper::{Error, Force, Here, Selection, Settings, Unused};
use pyo3::exceptions::{PyDeprecationWarning, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple};

use crate::arguments::{self, Wanted};
use crate::entry::Entry;
use crate::reservation::Reservation;
use crate::waiting::Keepers;
use crate::{command, error, files, guards};

/// How long a port is waited for before Ctrl-C is looked for again.
const SLICE: Duration = Duration::from_millis(200);

/// The registry of ports, which all processes of a user share.
///
/// ``registry_path`` names its file; where it is None, ``PORTKEEPER_REGISTRY`` does, and else it is
/// ``portkeeper/registry.json`` in the XDG state folder. Nothing is opened yet. ``lock_path`` is
/// ignored: the lock lies beside the registry.
///
/// The variables ``PORTKEEPER_HOST``, ``PORTKEEPER_RANGE``, ``PORTKEEPER_TTL``,
/// ``PORTKEEPER_STATE_DIR`` and ``PORTKEEPER_LOCK_TIMEOUT`` are read now.
///
/// Raises UsageError when one of them means nothing, or there is no home folder.
#[pyclass(module = "portkeeper", frozen, subclass)]
#[derive(Debug)]
pub(crate) struct PortRegistry {
    keepers: Keepers,
}

#[pymethods]
impl PortRegistry {
    #[new]
    #[pyo3(signature = (registry_path=None, lock_path=None))]
    fn new(
        py: Python<'_>,
        registry_path: Option<PathBuf>,
        lock_path: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PortRegistry> {
        if lock_path.is_some() {
            let category = py.get_type::<PyDeprecationWarning>();
            let message = c"lock_path is ignored: the lock lies beside the registry";
            PyErr::warn(py, &category, message, 1)?;
        }
        let holder = command::holder(py)?;
        let keepers = Settings::from_pairs(std::env::vars_os()).and_then(|settings| {
            let registry = registry_path.or(settings.registry);
            let settings = Settings {
                registry,
                ..settings
            };
            Keepers::open(settings, |keeper| match &holder {
                Some(holder) => keeper.with_holder(holder.clone()),
                None => keeper,
            })
        });
        let keepers = keepers.map_err(|error| error::raise(py, &error))?;
        Ok(PortRegistry { keepers })
    }

    /// The registry's file.
    #[getter]
    fn registry_path(&self) -> PathBuf {
        self.keepers.patient.path().into()
    }

    /// Reserves a port, or ``count`` ports, all or none.
    ///
    /// - ``preferred``: the port to be tried first, 1 to 65535.
    /// - ``port_range``: the first and the last port to look at; without it ``PORTKEEPER_RANGE``, or
    ///   20000 to 29999.
    /// - ``host``: where the server will listen, an IP address or ``"localhost"``; without it
    ///   ``PORTKEEPER_HOST``, or 127.0.0.1.
    /// - ``hold``: bind the port as well, so that nobody else can.
    /// - ``owner``: a label for people, at most 256 characters.
    /// - ``name``: what the project of the current folder (the nearest one with ``.git`` or
    ///   ``portkeeper.toml``) calls it. What has this name already, as ``portkeeper reserve --name``
    ///   makes it, is given back, and stays when this ends; else it gets the number that the name had
    ///   before, if that is free. While another process guards it, this raises NoFreePort.
    /// - ``ttl``: how long it lasts at most: seconds, a ``timedelta``, or a text such as ``"15m"``;
    ///   without it as long as the guard.
    /// - ``proto``: ``"tcp"``, ``"udp"``, or ``"both"`` for the same number of each.
    /// - ``strict``: the preferred port or none.
    /// - ``wait``: how many seconds to wait for a port, instead of failing at once.
    ///
    /// Returns a Reservation, or for ``count`` > 1 a list of them; both are context managers. What is
    /// never released ends with the process. The positional order of versions 0.5, which began with
    /// ``port_range``, is understood as well.
    ///
    /// Raises NoFreePort, LockTimeout, NotPermitted (a privileged port), UsageError (a value that
    /// means nothing), TypeError, BadFile, IoError or NewerFormat. Nothing is reserved then.
    #[pyo3(signature = (*args, **options))]
    #[pyo3(
        text_signature = "($self, preferred=None, port_range=None, host=None, hold=False, owner=None, count=1, *, name=None, ttl=None, proto='tcp', strict=False, wait=0)"
    )]
    fn reserve<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let wanted = Wanted::read(args, options)?;
        let made = self.reserve_all(py, &wanted)?;
        let mut made: Vec<_> = made
            .into_iter()
            .map(|guard| Reservation::adopt(py, &self.keepers, guard))
            .collect::<PyResult<_>>()?;
        match made.pop() {
            Some(only) if made.is_empty() => Ok(only.into_any()),
            last => {
                made.extend(last);
                let class = py.import("portkeeper._several")?.getattr("Reservations")?;
                class.call1((made,))
            }
        }
    }

    /// The same as ``reserve()``, whose answer is a context manager anyway.
    #[pyo3(signature = (*args, **options))]
    #[pyo3(
        text_signature = "($self, preferred=None, port_range=None, host=None, hold=False, owner=None, count=1, *, name=None, ttl=None, proto='tcp', strict=False, wait=0)"
    )]
    fn reserve_context<'py>(
        this: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        this.call_method("reserve", args, options)
    }

    /// ``reserve()`` for asyncio: a coroutine, which does not block the loop. When it is cancelled,
    /// nothing stays reserved.
    #[pyo3(signature = (*args, **options))]
    #[pyo3(
        text_signature = "($self, preferred=None, port_range=None, host=None, hold=False, owner=None, count=1, *, name=None, ttl=None, proto='tcp', strict=False, wait=0)"
    )]
    fn areserve<'py>(
        this: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        // What means nothing is refused at once.
        let wait = Wanted::read(args, options)?.wait.as_secs_f64();
        let options = match options {
            Some(options) => options.copy()?,
            None => PyDict::new(this.py()),
        };
        options.set_item("wait", 0)?;
        let helpers = this.py().import("portkeeper._aio")?;
        helpers.call_method1("reserve", (this, args, options, wait))
    }

    /// Ends a reservation: a Reservation, a list of them, or this user's on a port.
    ///
    /// Raises NotReserved when the port is not reserved or another user's, and LockTimeout, IoError.
    fn release(&self, py: Python<'_>, reservation: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(reservation) = reservation.cast::<Reservation>() {
            return reservation.get().release(py);
        }
        let several = py.import("portkeeper._several")?.getattr("Reservations")?;
        if reservation.is_instance(&several)? {
            return reservation.call_method0("release").map(|_| ());
        }
        if reservation.is_instance_of::<PyBool>() || !reservation.hasattr("__index__")? {
            let why = "release() takes a Reservation or a port";
            return Err(PyTypeError::new_err(why));
        }
        let port = arguments::port(reservation)?;
        let mut found = false;
        for mine in guards::all(py)? {
            if mine.get().is_on(port, self.keepers.patient.path()) {
                mine.get().release(py)?;
                found = true;
            }
        }
        let selection = Selection {
            ports: vec![port],
            ..Selection::default()
        };
        self.keepers.run(py, move |keeper| {
            let released = keeper.release(&selection, Force::No)?;
            match released.failed.into_iter().next() {
                Some(Error::NotReserved { .. }) if found => Ok(()),
                Some(error) => Err(error),
                None => Ok(()),
            }
        })
    }

    /// Who has what: a list of Entry. Takes no lock, and creates nothing.
    ///
    /// Raises IoError, NotPermitted, BadFile or NewerFormat when the registry can't be read.
    fn status(&self, py: Python<'_>) -> PyResult<Vec<Entry>> {
        let snapshot = self.keepers.run(py, portkeeper::PortKeeper::status)?;
        let here = Here::now();
        let entries = snapshot.entries.into_iter();
        Ok(entries.map(|listed| Entry::listed(listed, &here)).collect())
    }

    /// Drops what has ended, of any user, and returns it: a list of Entry, each with its reason.
    ///
    /// ``unused``: drop leases as well that are older than this many seconds and whose port nobody
    /// has bound. ``dry_run``: change nothing.
    ///
    /// Raises LockTimeout, IoError, NotPermitted, BadFile, NewerFormat or UsageError.
    #[pyo3(signature = (*, unused=None, dry_run=false))]
    fn gc(
        &self,
        py: Python<'_>,
        unused: Option<&Bound<'_, PyAny>>,
        dry_run: bool,
    ) -> PyResult<Vec<Entry>> {
        let unused = match unused {
            Some(age) => Unused::Drop(arguments::seconds(age, "unused")?),
            None => Unused::Keep,
        };
        let collected = self.keepers.run(py, move |keeper| match dry_run {
            true => keeper.preview_gc(unused),
            false => keeper.gc(unused),
        })?;
        let here = Here::now();
        let removed = collected.removed.into_iter();
        Ok(removed.map(|ended| Entry::ended(ended, &here)).collect())
    }

    /// Sets variables in a ``.env`` file, atomically. Comments, order, quotes and the file's mode stay
    /// as they are; what it held before is kept, for ``portkeeper backup restore``. A file that is not
    /// there is made.
    ///
    /// ``data``: keys to values, which are str or int. ``merge=False``: the file is to have nothing
    /// else.
    ///
    /// Raises IoError (a missing folder), NotPermitted (a read-only file), BadFile (a file that can't
    /// be understood), UsageError (a key or a value that can't be written), LockTimeout. The file is
    /// as it was then.
    #[pyo3(signature = (data, path=None, merge=true))]
    #[pyo3(text_signature = "($self, data, path='.env', merge=True)")]
    fn write_env(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        path: Option<PathBuf>,
        merge: bool,
    ) -> PyResult<()> {
        let pairs = files::pairs(data)?;
        let path = path.unwrap_or_else(|| ".env".into());
        self.keepers.run(py, move |keeper| {
            files::write_env(keeper, &path, &pairs, merge)
        })
    }

    /// Merges ``changes`` deep into a JSON file, atomically. Comments, order and layout stay as they
    /// are. A file that is not there is made.
    ///
    /// ``backup``: keep what the file held, for ``portkeeper backup restore``.
    ///
    /// Raises IoError (a missing folder), NotPermitted (a read-only file), BadFile (a file that can't
    /// be parsed), UsageError (a number that JSON has not), TypeError, LockTimeout. The file is as it
    /// was then.
    #[pyo3(signature = (changes, path=None, backup=true))]
    #[pyo3(text_signature = "($self, changes, path='config.json', backup=True)")]
    fn update_config_json(
        &self,
        py: Python<'_>,
        changes: &Bound<'_, PyAny>,
        path: Option<PathBuf>,
        backup: bool,
    ) -> PyResult<()> {
        let changes = files::value(changes)?;
        let path = path.unwrap_or_else(|| "config.json".into());
        self.keepers.run(py, move |keeper| {
            files::merge_json(keeper, &path, changes.clone(), backup)
        })
    }

    fn __repr__(&self) -> String {
        format!("<PortRegistry {}>", self.keepers.patient.path().display())
    }
}

impl PortRegistry {
    /// Waits in slices, so that Ctrl-C is heard between them.
    fn reserve_all(
        &self,
        py: Python<'_>,
        wanted: &Wanted,
    ) -> PyResult<Vec<portkeeper::Reservation>> {
        let begun = Instant::now();
        loop {
            let left = wanted.wait.saturating_sub(begun.elapsed());
            let this = wanted.clone();
            // The reason is kept apart, because waiting is not over when a slice is.
            let attempt = self.keepers.run(py, move |keeper| {
                match this.request(keeper).wait(left.min(SLICE)).reserve_all() {
                    Err(Error::Waited { cause, .. }) => Ok(Err(cause)),
                    outcome => outcome.map(Ok),
                }
            })?;
            match attempt {
                Ok(made) => return Ok(made),
                Err(cause) => {
                    py.check_signals()?;
                    let time = begun.elapsed();
                    if time >= wanted.wait {
                        return Err(error::raise(py, &Error::Waited { cause, time }));
                    }
                }
            }
        }
    }
}
