//! When to look again for a port that was not there. Never keeps a lock or a port while it waits.
//!
//! Nobody tells when a port becomes free: a server ends, a lease does, a process dies. What can be
//! seen at almost no cost is that the registry was replaced, so that is looked at all the time, and
//! everything else from time to time.

use std::thread;
use std::time::{Duration, Instant};

use pk_registry::Registry;

use crate::error::{Error, ErrorKind};

/// The shortest time between two looks at the registry.
const GLANCE: Duration = Duration::from_millis(5);
/// The longest time in which no port is tried, but for chance.
const LONGEST: Duration = Duration::from_millis(200);

/// Makes `attempt` until it succeeds, or fails for another reason than that there is no port, or
/// `limit` is over.
pub(crate) fn wait<T>(
    limit: Duration,
    registry: &Registry,
    mut attempt: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let begun = Instant::now();
    let mut pause = GLANCE;
    loop {
        // Looked at before: what changes during the attempt must not be missed.
        let seen = match limit.is_zero() {
            true => None,
            false => registry.stamp().ok(),
        };
        let cause = match attempt() {
            Err(cause) if !limit.is_zero() && is_worth_waiting(&cause) => cause,
            answer => return answer,
        };
        let time = begun.elapsed();
        let Some(left) = limit.checked_sub(time).filter(|left| !left.is_zero()) else {
            let cause = Box::new(cause);
            return Err(Error::Waited { cause, time });
        };
        let end = Instant::now() + spread(pause).min(left);
        let glance = (pause / 8).max(GLANCE);
        pause = (pause * 2).min(LONGEST);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            thread::sleep(left.min(glance));
            if left <= glance || registry.stamp().ok() != seen {
                break;
            }
        }
    }
}

fn is_worth_waiting(error: &Error) -> bool {
    match error {
        Error::NoFreePort(tally) => tally.may_change(),
        error => error.kind() == ErrorKind::NoFreePort,
    }
}

/// Half of the time to all of it, by chance: those who began to wait together part.
fn spread(time: Duration) -> Duration {
    // Without random numbers they try together, and one of them gets it all the same.
    let chance = getrandom::u32().unwrap_or(u32::MAX);
    time / 2 + (time / 2).mul_f64(f64::from(chance) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use pk_core::{Port, Protocol};

    fn nowhere() -> Registry {
        Registry::at("/nonexistent")
    }

    fn taken() -> Error {
        Error::Taken {
            port: Port::new(8888).unwrap(),
            protocol: Protocol::Tcp,
            by: None,
        }
    }

    #[test]
    fn it_is_tried_until_time_is_up_and_then_told_how_long() {
        let mut attempts = 0;
        let limit = Duration::from_millis(40);
        let refused = wait(limit, &nowhere(), || {
            attempts += 1;
            Err::<(), _>(taken())
        });
        let Err(Error::Waited { cause, time }) = refused else {
            panic!("{refused:?}")
        };
        assert!(matches!(*cause, Error::Taken { .. }) && time >= limit);
        assert!(attempts > 2, "{attempts}");
        let told = Error::Waited {
            cause,
            time: Duration::from_millis(1240),
        };
        assert_eq!(told.to_string(), "port 8888 is in use; waited 1.2s");
        assert_eq!(told.kind(), ErrorKind::NoFreePort);
    }

    #[test]
    fn what_waiting_does_not_change_and_no_wish_to_wait_are_answered_at_once() {
        let hour = Duration::from_secs(3600);
        let check = |limit, error: fn() -> Error| {
            let mut attempts = 0;
            let refused = wait(limit, &nowhere(), || {
                attempts += 1;
                Err::<(), _>(error())
            });
            assert_eq!(refused.unwrap_err().to_string(), error().to_string());
            assert_eq!(attempts, 1);
        };
        check(Duration::ZERO, taken);
        check(hour, || Error::NoProcess { pid: 1 });
        check(hour, || {
            let port = Port::new(80).unwrap();
            Error::Port(pk_core::Error::Denied { port })
        });
        assert!(wait(hour, &nowhere(), || Ok(())).is_ok());
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "plain files set the scene")]
    fn a_change_of_the_registry_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registry.json");
        let mut attempts = 0;
        let begun = Instant::now();
        let granted = wait(Duration::from_secs(3600), &Registry::at(&path), || {
            attempts += 1;
            let next = folder.path().join("next");
            fs::write(&next, "").unwrap();
            fs::rename(&next, &path).unwrap();
            if attempts < 40 { Err(taken()) } else { Ok(()) }
        });
        assert!(granted.is_ok());
        // Most of the pauses would have been as long as they get.
        assert!(begun.elapsed() < 30 * LONGEST / 2);
    }

    #[test]
    fn chance_only_shortens() {
        for _ in 0..100 {
            let time = spread(LONGEST);
            assert!(time >= LONGEST / 2 && time <= LONGEST, "{time:?}");
        }
    }
}
