//! How much time and memory an input of a size may cost. Never lets a busy machine count as slow
//! code: what seems slow is measured again, in processor time.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::sys;

/// What any input may cost, and every byte of it on top: what a list of tens of thousands of
/// entries needs, and far below what a loop within a loop would.
const TIME: (Duration, Duration) = (Duration::from_millis(250), Duration::from_micros(2));
/// The same in bytes of memory. A pointer as deep as it may be is some hundred bytes long, and makes
/// as many lines that are as far indented.
const MEMORY: (usize, usize) = (4 << 20, 400);

/// Measures from its start to its stop.
#[derive(Debug)]
pub struct Meter {
    started: Instant,
    live: isize,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    time: Duration,
    /// The most bytes at once.
    memory: usize,
}

impl Meter {
    /// Begins.
    #[must_use]
    pub fn start() -> Meter {
        Meter {
            live: sys::begin(),
            started: Instant::now(),
        }
    }

    /// Ends.
    #[must_use]
    pub fn stop(self) -> Cost {
        Cost {
            time: self.started.elapsed(),
            memory: usize::try_from(sys::peak() - self.live).unwrap_or(0),
        }
    }
}

impl Cost {
    /// Checks it for an input of `size` bytes. `again` does it once more, where that must be known.
    ///
    /// # Panics
    /// It is too much.
    pub fn check(self, size: usize, again: impl Fn()) {
        let most = TIME.0 + TIME.1 * u32::try_from(size).unwrap_or(u32::MAX);
        if self.time > most {
            let time = [(); 2].map(|()| processor_time(&again)).into_iter().min();
            let time = time.unwrap_or_default().min(self.time);
            assert!(time <= most, "{size} bytes took {time:?}, at most {most:?}");
        }
        let most = MEMORY.0 + MEMORY.1 * size;
        let memory = self.memory;
        assert!(
            memory <= most,
            "{size} bytes took {memory} bytes of memory, at most {most}"
        );
    }
}

/// How long this thread works for it.
fn processor_time(work: impl Fn()) -> Duration {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    let before = now();
    work();
    now().saturating_sub(before)
}
