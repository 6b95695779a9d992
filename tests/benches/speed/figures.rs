//! What was measured, as it is kept between runs: a file for each suite, from which the page in
//! docs/ is made. Never judged here.

use std::fs;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::tools;

/// A suite's figures, and the circumstances.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Suite<T> {
    pub(crate) machine: Machine,
    pub(crate) figures: T,
}

/// On what, and beside what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) system: String,
    /// How many processes wanted a core, in the last minute before and at the end.
    pub(crate) load: [f64; 2],
}

impl Machine {
    /// As it is before a suite.
    pub(crate) fn before() -> Machine {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let name = rustix::system::uname();
        let part = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        Machine {
            processor: model.map_or("unknown", |(_, model)| model).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system: format!("{} {}", part(name.sysname()), part(name.release())),
            load: [load(); 2],
        }
    }

    pub(crate) fn after(mut self) -> Machine {
        self.load[1] = load();
        self
    }
}

/// As `uptime` shows it.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|it| it.parse().ok()).unwrap_or(f64::NAN)
}

/// Keeps the figures of a suite until it is measured again.
pub(crate) fn keep<T: Serialize>(name: &str, machine: Machine, figures: T) {
    let machine = machine.after();
    let text = serde_json::to_vec_pretty(&Suite { machine, figures }).unwrap();
    fs::write(tools::folder().join(format!("{name}.json")), text).unwrap();
}

/// The figures that were kept last; `None` if it was never measured, or by another version.
pub(crate) fn kept<T: DeserializeOwned>(name: &str) -> Option<Suite<T>> {
    let text = fs::read(tools::folder().join(format!("{name}.json"))).ok()?;
    serde_json::from_slice(&text).ok()
}
