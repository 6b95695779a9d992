//! The role of a server that wants the same port: it tries all addresses, one after the other, as
//! fast as it can.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use pk_core::{Port, Transport};
use rustix::time::{ClockId, clock_gettime};

use crate::ADDRESSES;
use crate::process::{Other, answer, orders};
use crate::program::{bind, open};

/// How servers open their sockets.
pub(crate) const MANNERS: [&str; 3] = ["ra", "plain", "ra+rp"];

/// Nanoseconds on a clock that all processes share.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// The competitor.
pub(crate) struct Competitor(Other);

/// What it has achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Achieved {
    /// How often it has tried all addresses.
    pub(crate) rounds: u64,
    /// How often it had an address.
    pub(crate) bound: usize,
    /// How often it listened.
    pub(crate) won: usize,
}

impl Competitor {
    /// Starts it; it is at the port when this returns.
    pub(crate) fn at(transport: Transport, port: Port, manner: &str) -> Competitor {
        let mut other = Other::playing("competitor");
        let order = format!("{transport} {port} {manner}");
        assert_eq!(other.ask(&order), "at it");
        Competitor(other)
    }

    /// What it has achieved since that time, including a whole round from now on.
    pub(crate) fn achieved_since(&mut self, time: u64) -> Achieved {
        let said = self.0.ask(&time.to_string());
        let mut numbers = said.split(' ').map(|number| number.parse().unwrap());
        let mut next = || -> u64 { numbers.next().unwrap() };
        Achieved {
            rounds: next(),
            bound: next() as usize,
            won: next() as usize,
        }
    }
}

/// When it had an address, and when it listened, latest last: until which time.
#[derive(Default)]
struct Diary {
    bound: Vec<u64>,
    won: Vec<u64>,
}

pub(crate) fn compete() {
    let mut orders = orders();
    let first = orders.next().unwrap();
    let [transport, port, manner] = first.split(' ').collect::<Vec<_>>()[..] else {
        panic!("no such order: {first}");
    };
    let options: &[&str] = match manner {
        "ra" => &["ra"],
        "plain" => &[],
        "ra+rp" => &["ra", "rp"],
        other => panic!("no such manner: {other}"),
    };
    let (rounds, asked) = (AtomicU64::new(0), AtomicUsize::new(0));
    let diary = Mutex::new(Diary::default());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while asked.load(Ordering::Relaxed) == 0 {
                for address in ADDRESSES {
                    attempt(transport, address, port, options, &diary);
                }
                rounds.fetch_add(1, Ordering::Release);
            }
        });
        let wait = |until: u64| {
            while rounds.load(Ordering::Acquire) < until {
                std::thread::yield_now();
            }
        };
        wait(1);
        answer("at it");
        for order in orders {
            let time: u64 = order.parse().unwrap();
            // The round that has begun may have missed what happened until now.
            wait(rounds.load(Ordering::Acquire) + 2);
            let diary = diary.lock().unwrap();
            let since = |times: &[u64]| times.iter().filter(|it| **it >= time).count();
            let (bound, won) = (since(&diary.bound), since(&diary.won));
            let rounds = rounds.load(Ordering::Acquire);
            answer(&format!("{rounds} {bound} {won}"));
        }
        asked.store(1, Ordering::Relaxed);
    });
}

fn attempt(transport: &str, address: &str, port: &str, options: &[&str], diary: &Mutex<Diary>) {
    let Ok(socket) = open(transport, address, options) else {
        return;
    };
    if bind(&socket, address, port).is_err() {
        return;
    }
    // With UDP, to be bound is all there is to win.
    let has_won = transport == "udp" || socket.listen(1).is_ok();
    let mut diary = diary.lock().unwrap();
    match has_won {
        true => diary.won.push(now()),
        false => diary.bound.push(now()),
    }
}
