//! Python's values on their way into files. Never writes one itself: the library does.

use std::path::Path;
use std::time::SystemTime;

use portkeeper::config::dotenv::EnvFile;
use portkeeper::config::edit::Edits;
use portkeeper::config::json::Value;
use portkeeper::config::{self, Create, Keep, Rewrite, Transaction};
use portkeeper::{Error, PortKeeper};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyString};

use crate::error;

/// Keys and values for a `.env` file.
pub(crate) fn pairs(data: &Bound<'_, PyAny>) -> PyResult<Vec<(String, String)>> {
    let wrong = || PyTypeError::new_err("data must map str to str or int");
    let items = data.call_method0("items").map_err(|_| wrong())?;
    let pair = |item: PyResult<Bound<'_, PyAny>>| {
        let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item?.extract()?;
        let is_number = value.is_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>();
        if !key.is_instance_of::<PyString>() || !(is_number || value.is_instance_of::<PyString>()) {
            return Err(wrong());
        }
        let read = |value: Bound<'_, PyAny>| -> PyResult<String> { value.str()?.extract() };
        read(key)
            .and_then(|key| Ok((key, read(value)?)))
            // A surrogate is no text.
            .map_err(|_| error::usage(data.py(), "a key or value is not Unicode"))
    };
    items.try_iter()?.map(pair).collect()
}

/// A JSON value.
pub(crate) fn value(changes: &Bound<'_, PyAny>) -> PyResult<Value> {
    let py = changes.py();
    let options = PyDict::new(py);
    options.set_item("allow_nan", false)?;
    let dumps = py.import("json")?.getattr("dumps")?;
    let text: String = match dumps.call((changes,), Some(&options)) {
        Err(why) if why.is_instance_of::<PyValueError>(py) => {
            return Err(error::usage(py, why.value(py).to_string()));
        }
        text => text?.extract()?,
    };
    text.parse()
        .map_err(|why: config::json::Error| error::usage(py, why.to_string()))
}

pub(crate) fn write_env(
    keeper: &PortKeeper,
    path: &Path,
    pairs: &[(String, String)],
    merge: bool,
) -> Result<(), Error> {
    if merge {
        let rewrite = pairs
            .iter()
            .fold(Rewrite::env(path), |rewrite, (key, value)| {
                rewrite.set(key, value)
            });
        return commit(keeper, rewrite);
    }
    let made = || -> Result<EnvFile, config::dotenv::Error> {
        let mut file = EnvFile::parse(b"")?;
        for (key, value) in pairs {
            file.set(key, value)?;
        }
        Ok(file)
    };
    let file = made().map_err(|source| config::Error::Edit {
        path: path.into(),
        source: source.into(),
    })?;
    commit(keeper, Rewrite::content(path, file.to_bytes()))
}

pub(crate) fn merge_json(
    keeper: &PortKeeper,
    path: &Path,
    changes: Value,
    backup: bool,
) -> Result<(), Error> {
    let keep = match backup {
        true => Keep::Backup,
        false => Keep::Nothing,
    };
    commit(keeper, Rewrite::json(path).merge(changes).keep(keep))
}

fn commit<E: Edits + 'static>(keeper: &PortKeeper, rewrite: Rewrite<E>) -> Result<(), Error> {
    keeper.recover()?;
    let state = keeper.state()?;
    let transaction = Transaction::new(&state).wait(keeper.wait());
    transaction
        .add(rewrite.create(Create::IfMissing))
        .commit(SystemTime::now())?;
    Ok(())
}
