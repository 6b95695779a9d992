//! The reservations that this process has: a table in Python's hands, so that garbage collection
//! ends none, and the end of the interpreter ends all. Never the only owner of a lock.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::reservation::Reservation;

/// By the ids of the reservations. Guarded by Python, like everything in Python.
static GUARDS: PyOnceLock<Py<PyDict>> = PyOnceLock::new();

fn table(py: Python<'_>) -> PyResult<&Bound<'_, PyDict>> {
    let make = || -> PyResult<Py<PyDict>> {
        // Only now, so that a program that reserves nothing pays nothing.
        let release = py
            .import("portkeeper._native")?
            .getattr(intern!(py, "_release_all"))?;
        py.import("atexit")?.call_method1("register", (release,))?;
        Ok(PyDict::new(py).unbind())
    };
    Ok(GUARDS.get_or_try_init(py, make)?.bind(py))
}

/// Keeps a reservation until [`remove`].
pub(crate) fn add(reservation: &Bound<'_, Reservation>) -> PyResult<()> {
    table(reservation.py())?.set_item(reservation.get().id(), reservation)
}

/// Leaves a reservation to whoever has it. One that is not here is fine.
pub(crate) fn remove(py: Python<'_>, id: &str) -> PyResult<()> {
    let table = table(py)?;
    if table.contains(id)? {
        table.del_item(id)?;
    }
    Ok(())
}

/// Those of this process, at this moment.
pub(crate) fn all(py: Python<'_>) -> PyResult<Vec<Py<Reservation>>> {
    match GUARDS.get(py) {
        None => Ok(Vec::new()),
        Some(table) => table
            .bind(py)
            .values()
            .iter()
            .map(|it| Ok(it.cast_into::<Reservation>()?.unbind()))
            .collect(),
    }
}

/// Closes what a forked child has of its parent's reservations.
pub(crate) fn abandon(py: Python<'_>) -> PyResult<()> {
    for reservation in all(py)? {
        reservation.get().abandon(py);
    }
    if let Some(table) = GUARDS.get(py) {
        table.bind(py).clear();
    }
    Ok(())
}

/// Releases them all, at the end of the interpreter. What can't be is left as what everybody can see
/// to have ended.
#[pyfunction]
#[pyo3(name = "_release_all")]
pub(crate) fn release_all(py: Python<'_>) -> PyResult<()> {
    for reservation in all(py)? {
        reservation.get().abandon(py);
    }
    Ok(())
}
