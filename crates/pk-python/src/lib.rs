//! The Python package `portkeeper`, as an extension module over the library: what Python gives is
//! read, the library is asked, its answer becomes Python's. Never decides anything itself.
#![forbid(unsafe_code)]

mod arguments;
mod command;
mod entry;
mod error;
mod files;
mod fork;
mod guards;
mod registry;
mod reservation;
mod waiting;

/// What `portkeeper/__init__.py` is made of.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use super::command::run;
    #[pymodule_export]
    use super::entry::Entry;
    #[pymodule_export]
    use super::fork::{after_fork, before_fork, forked};
    #[pymodule_export]
    use super::guards::release_all;
    #[pymodule_export]
    use super::registry::PortRegistry;
    #[pymodule_export]
    use super::reservation::Reservation;
}
