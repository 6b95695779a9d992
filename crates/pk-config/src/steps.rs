//! The steps of a change, at any of which this crate's tests kill the process. Never does anything
//! in a program.

/// A step is done; of several of one kind, the one with this number.
#[cfg(not(test))]
pub(crate) fn reached(_step: &str, _count: usize) {}

/// As above, but ends the process as `kill -9` does if the environment names this step.
#[cfg(test)]
pub(crate) fn reached(step: &str, count: usize) {
    use rustix::process::{Signal, getpid, kill_process};

    if std::env::var(KILL_AT).is_ok_and(|at| at == format!("{step}:{count}")) {
        kill_process(getpid(), Signal::KILL).expect("a process may kill itself");
    }
}

#[cfg(test)]
pub(crate) const KILL_AT: &str = "PK_CONFIG_TEST_KILL_AT";
