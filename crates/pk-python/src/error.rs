//! Failures as Python's exceptions: one class for each kind, each also the builtin that a Python
//! program would catch. Never loses the system's reason.

use std::error::Error as _;
use std::io;

use portkeeper::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::PyType;

/// The exception for a failure of the library.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    let raised = of_kind(py, error.kind(), pk_cli::chain(error));
    let code = error_code(error);
    if let Some(code) = code.filter(|_| raised.is_instance_of::<pyo3::exceptions::PyOSError>(py))
        && let Err(failed) = raised.value(py).setattr("errno", code)
    {
        return failed;
    }
    raised
}

/// The exception for a value that means nothing.
pub(crate) fn usage(py: Python<'_>, message: impl Into<String>) -> PyErr {
    of_kind(py, ErrorKind::Usage, message.into())
}

fn of_kind(py: Python<'_>, kind: ErrorKind, message: String) -> PyErr {
    let class = match kind {
        ErrorKind::No => "NotInTime",
        ErrorKind::Usage => "UsageError",
        ErrorKind::NoFreePort => "NoFreePort",
        ErrorKind::NotReserved => "NotReserved",
        ErrorKind::LockTimeout => "LockTimeout",
        ErrorKind::BadFile => "BadFile",
        ErrorKind::Io => "IoError",
        ErrorKind::Permission => "NotPermitted",
        ErrorKind::Newer => "NewerFormat",
        _ => "InternalError",
    };
    let found = py
        .import("portkeeper._errors")
        .and_then(|module| module.getattr(class))
        .and_then(|class| Ok(class.cast_into::<PyType>()?));
    match found {
        Ok(class) => PyErr::from_type(class, message),
        Err(failed) => failed,
    }
}

/// The number of the system's reason, where there is one.
fn error_code(error: &Error) -> Option<i32> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(code) = cause.downcast_ref().and_then(io::Error::raw_os_error) {
            return Some(code);
        }
        next = cause.source();
    }
    None
}
