//! Ports for a test alone: no other test, of this process or of another copy of it, uses the same
//! number at the same time. Never a fixed number, and none that a search of the default range finds.
//!
//! Each number has a claim, one more port a thousand below it. Whoever binds the claim has the number;
//! the kernel settles it, and takes the claim back when the process ends.

use std::mem;
use std::net::TcpListener;

use crate::{Port, Protocol, Walk};

const CLAIMS: std::ops::Range<u16> = 8_200..8_800;
const DISTANCE: u16 = 1_000;

/// A port that is free for both protocols, and the caller's until the process ends.
///
/// # Panics
/// All of them are taken.
pub(crate) fn port() -> Port {
    let mut walk = Walk::new(Protocol::Both);
    let lone = CLAIMS.into_iter().find_map(|number| {
        let claim = TcpListener::bind(("127.0.0.1", number)).ok()?;
        // Where somebody uses the number, the next test need not look again.
        mem::forget(claim);
        let port = Port::new(number + DISTANCE).expect("not 0");
        walk.claim(port).is_ok().then_some(port)
    });
    lone.expect("one of six hundred ports is free")
}
