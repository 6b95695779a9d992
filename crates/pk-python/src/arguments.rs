//! What `reserve` was called with. Knows both positional orders that were ever published, and takes
//! neither where the values fit none. Never asks the system.

use std::time::Duration;

use portkeeper::{Host, Name, Owner, Port, PortKeeper, PortRange, Protocol, Request, Ttl};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString, PyTuple};

use crate::error;

/// What is to be reserved.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) preferred: Option<Port>,
    pub(crate) range: Option<PortRange>,
    pub(crate) host: Option<Host>,
    pub(crate) is_held: bool,
    pub(crate) owner: Option<Owner>,
    pub(crate) name: Option<Name>,
    pub(crate) count: usize,
    pub(crate) ttl: Option<Ttl>,
    pub(crate) protocol: Protocol,
    pub(crate) is_strict: bool,
    pub(crate) wait: Duration,
}

/// A parameter that may stand without its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parameter {
    Preferred,
    Range,
    Host,
    Hold,
    Owner,
    Count,
}

use Parameter::{Count, Hold, Host as HostName, Owner as Label, Preferred, Range};

/// The order of versions 0.1, and of this one.
const FIRST: [Parameter; 6] = [Preferred, Range, HostName, Hold, Label, Count];
/// The order of versions 0.5.
const SECOND: [Parameter; 6] = [Range, HostName, Hold, Label, Count, Preferred];

impl Parameter {
    fn name(self) -> &'static str {
        match self {
            Preferred => "preferred",
            Range => "port_range",
            HostName => "host",
            Hold => "hold",
            Label => "owner",
            Count => "count",
        }
    }

    /// Whether a value is of this parameter's type.
    fn fits(self, value: &Bound<'_, PyAny>) -> bool {
        let is_flag = value.is_instance_of::<PyBool>();
        let is_number = !is_flag && value.hasattr("__index__").unwrap_or(false);
        let is_text = value.is_instance_of::<PyString>();
        match self {
            Hold => is_flag,
            Count => is_number,
            _ if value.is_none() => true,
            Preferred => is_number,
            HostName | Label => is_text,
            Range => !is_text && value.len().is_ok(),
        }
    }
}

impl Wanted {
    pub(crate) fn read(
        positional: &Bound<'_, PyTuple>,
        named: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Wanted> {
        let mut wanted = Wanted {
            count: 1,
            ..Wanted::default()
        };
        let order = order(positional)?;
        for (parameter, value) in order.iter().zip(positional.iter()) {
            wanted.set(parameter.name(), &value)?;
        }
        let given = &order[..positional.len()];
        for (name, value) in named.into_iter().flatten() {
            let name: String = name.extract()?;
            if given.iter().any(|parameter| parameter.name() == name) {
                let why = format!("reserve() got multiple values for argument '{name}'");
                return Err(PyTypeError::new_err(why));
            }
            wanted.set(&name, &value)?;
        }
        Ok(wanted)
    }

    fn set(&mut self, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        match name {
            "preferred" => self.preferred = optional(value, port)?,
            "port_range" => self.range = optional(value, range)?,
            "host" => self.host = optional(value, |host| parse(host, "host"))?,
            "hold" => self.is_held = flag(value, "hold")?,
            "owner" => self.owner = optional(value, owner)?,
            "count" => self.count = count(value)?,
            "name" => self.name = optional(value, |name| parse(name, "name"))?,
            "ttl" => self.ttl = optional(value, ttl)?,
            "proto" => self.protocol = parse(value, "proto")?,
            "strict" => self.is_strict = flag(value, "strict")?,
            "wait" => self.wait = seconds(value, "wait")?,
            _ => {
                let why = format!("reserve() got an unexpected keyword argument '{name}'");
                return Err(PyTypeError::new_err(why));
            }
        }
        Ok(())
    }

    pub(crate) fn request<'k>(&self, keeper: &'k PortKeeper) -> Request<'k> {
        let mut request = keeper.request().count(self.count).protocol(self.protocol);
        if let Some(port) = self.preferred {
            request = request.preferred(port);
        }
        if let Some(range) = self.range {
            request = request.range(range);
        }
        if let Some(host) = self.host {
            request = request.host(host);
        }
        if self.is_held {
            request = request.hold();
        }
        if let Some(owner) = &self.owner {
            request = request.owner(owner.clone());
        }
        if let Some(name) = &self.name {
            request = request.name(name.clone());
        }
        if let Some(ttl) = self.ttl {
            request = request.ttl(ttl);
        }
        if self.is_strict {
            request = request.strict();
        }
        request
    }
}

/// The order that the values fit. Where they fit both, they are all None, and it does not matter.
fn order(positional: &Bound<'_, PyTuple>) -> PyResult<&'static [Parameter; 6]> {
    let fits = |order: &[Parameter; 6]| {
        positional.len() <= order.len()
            && order
                .iter()
                .zip(positional.iter())
                .all(|(parameter, value)| parameter.fits(&value))
    };
    if let Some(order) = [&FIRST, &SECOND].into_iter().find(|order| fits(order)) {
        return Ok(order);
    }
    let names = |order: &[Parameter; 6]| order.map(Parameter::name).join(", ");
    let types: Vec<String> = positional
        .iter()
        .map(|value| Ok(value.get_type().name()?.to_string()))
        .collect::<PyResult<_>>()?;
    Err(PyTypeError::new_err(format!(
        "reserve() takes ({}), or as in version 0.5 ({}), not ({}); give them by name",
        names(&FIRST),
        names(&SECOND),
        types.join(", ")
    )))
}

fn optional<'py, T>(
    value: &Bound<'py, PyAny>,
    read: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<T>,
) -> PyResult<Option<T>> {
    match value.is_none() {
        true => Ok(None),
        false => read(value).map(Some),
    }
}

/// A port: a number from 1 to 65535.
pub(crate) fn port(value: &Bound<'_, PyAny>) -> PyResult<Port> {
    let number = integer(value, "a port")?;
    let port = number
        .and_then(|number| u16::try_from(number).ok())
        .and_then(Port::new);
    port.ok_or_else(|| {
        let why = format!("not a port: {value} (a port is a number from 1 to 65535)");
        error::usage(value.py(), why)
    })
}

/// A pair of ports, the first and the last.
fn range(value: &Bound<'_, PyAny>) -> PyResult<PortRange> {
    let wrong =
        || PyTypeError::new_err("port_range must be a pair of numbers, the first and last port");
    if value.is_instance_of::<PyString>() || value.len().map_err(|_| wrong())? != 2 {
        return Err(wrong());
    }
    let end = |at: usize| port(&value.get_item(at).map_err(|_| wrong())?);
    PortRange::new(end(0)?, end(1)?).map_err(|why| error::usage(value.py(), why.to_string()))
}

fn count(value: &Bound<'_, PyAny>) -> PyResult<usize> {
    let number = integer(value, "count")?;
    number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|&number| number > 0)
        .map(usize::from)
        .ok_or_else(|| {
            let why = format!("count must be a number from 1 to 65535, not {value}");
            error::usage(value.py(), why)
        })
}

fn owner(value: &Bound<'_, PyAny>) -> PyResult<Owner> {
    let text = text(value, "owner")?;
    Owner::new(text).map_err(|why| error::usage(value.py(), why.to_string()))
}

/// Seconds, a `datetime.timedelta`, or a text such as `"15m"` or `"never"`.
fn ttl(value: &Bound<'_, PyAny>) -> PyResult<Ttl> {
    if value.is_instance_of::<PyString>() {
        return parse(value, "ttl");
    }
    seconds(value, "ttl").map(Ttl::For)
}

/// Seconds as a number, or a `datetime.timedelta`; at most a hundred years.
pub(crate) fn seconds(value: &Bound<'_, PyAny>, name: &str) -> PyResult<Duration> {
    const HUNDRED_YEARS: f64 = 100.0 * 365.25 * 24.0 * 60.0 * 60.0;
    let number = match value.call_method0("total_seconds") {
        Ok(number) => number,
        Err(_) => value.clone(),
    };
    let wrong = || PyTypeError::new_err(format!("{name} must be a number of seconds"));
    if number.is_instance_of::<PyBool>() || number.is_instance_of::<PyString>() {
        return Err(wrong());
    }
    let number = match number.extract::<f64>() {
        Ok(number) => number,
        Err(error) if error.is_instance_of::<PyTypeError>(value.py()) => return Err(wrong()),
        // An integer beyond all floats.
        Err(_) => f64::INFINITY,
    };
    if !(0.0..=HUNDRED_YEARS).contains(&number) {
        let why = format!("{name} must be a number of seconds, at most a hundred years: {number}");
        return Err(error::usage(value.py(), why));
    }
    Ok(Duration::from_secs_f64(number))
}

fn flag(value: &Bound<'_, PyAny>, name: &str) -> PyResult<bool> {
    let wrong = |_| PyTypeError::new_err(format!("{name} must be True or False"));
    Ok(value.cast::<PyBool>().map_err(wrong)?.is_true())
}

/// A number; None for one that no machine word can hold.
fn integer(value: &Bound<'_, PyAny>, what: &str) -> PyResult<Option<i64>> {
    let wrong = || PyTypeError::new_err(format!("{what} must be an integer"));
    if value.is_instance_of::<PyBool>() {
        return Err(wrong());
    }
    match value.extract::<i64>() {
        Ok(number) => Ok(Some(number)),
        Err(error) if error.is_instance_of::<PyTypeError>(value.py()) => Err(wrong()),
        Err(_) => Ok(None),
    }
}

fn text(value: &Bound<'_, PyAny>, name: &str) -> PyResult<String> {
    let wrong = || PyTypeError::new_err(format!("{name} must be a str"));
    let text = value.cast::<PyString>().map_err(|_| wrong())?;
    // A surrogate is no text.
    let unreadable = |_| error::usage(value.py(), format!("{name} is not Unicode"));
    Ok(text.to_cow().map_err(unreadable)?.into_owned())
}

pub(crate) fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
    value: &Bound<'_, PyAny>,
    name: &str,
) -> PyResult<T> {
    let text = text(value, name)?;
    text.parse()
        .map_err(|why| error::usage(value.py(), format!("{name}: {why}")))
}
