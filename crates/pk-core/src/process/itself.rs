//! What stays the same for as long as a process lives, asked for once. Never believed by a fork.
//!
//! (A process could move to another time namespace, with setns(2), once it has asked. None does that
//! without becoming another program.)

use std::sync::{Mutex, TryLockError};

use super::{stat, unshifted};
use crate::sys;

/// What a process knows of itself: `None` until it has asked.
#[derive(Debug, Default)]
pub(crate) struct Itself {
    /// Whom it is about.
    of: (u32, u64),
    pub(crate) boot_id: Option<String>,
    /// The inodes of its namespaces.
    pub(crate) time: Option<u64>,
    pub(crate) processes: Option<u64>,
    /// In ticks after boot.
    start: Option<u64>,
}

static KNOWN: Mutex<Option<Itself>> = Mutex::new(None);

impl Itself {
    /// What `fact` is, from `ask` unless it is known. What can't be told, maybe for want of a
    /// descriptor, is asked for again.
    pub(crate) fn know<T: Clone>(
        fact: fn(&mut Itself) -> &mut Option<T>,
        ask: impl Fn() -> Option<T>,
    ) -> Option<T> {
        let Some(forks) = sys::generation() else {
            return ask();
        };
        let of = (std::process::id(), forks);
        // Nobody waits: a fork has copies of locks that nobody will ever let go of.
        let mut known = match KNOWN.try_lock() {
            Ok(known) => known,
            Err(TryLockError::Poisoned(known)) => known.into_inner(),
            Err(TryLockError::WouldBlock) => return ask(),
        };
        let itself = known.take().filter(|itself| itself.of == of);
        let itself = known.insert(itself.unwrap_or(Itself {
            of,
            ..Itself::default()
        }));
        let fact = fact(itself);
        if fact.is_none() {
            *fact = ask();
        }
        fact.clone()
    }

    /// When this process started; 0 where that is not told.
    pub(crate) fn start() -> u64 {
        let ask = || Some(unshifted(stat(std::process::id()).ok()?.start));
        Itself::know(|itself| &mut itself.start, ask).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Machine;

    #[test]
    fn what_is_known_is_not_asked_for_again_and_what_is_not_known_is() {
        fn field(itself: &mut Itself) -> &mut Option<u64> {
            &mut itself.time
        }
        // Another test may be asking at this moment.
        let known = || Itself::know(field, || None);
        let _ = Itself::know(field, || Some(Machine::here().time));
        let found = std::iter::repeat_with(known).take(1_000).flatten().next();
        assert_eq!(found, Some(Machine::here().time));
    }
}
