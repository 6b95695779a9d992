//! Who listens on a port, in the kernel's own words. Never asks by connecting.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `TCP_LISTEN` in the column of states, see proc_net_tcp.txt of the kernel.
const LISTENS: &str = "0A";

/// The addresses on which somebody listens on `port`. That `::` takes IPv4 as well is not told.
///
/// # Panics
/// `/proc/net/tcp` can't be read, or means nothing.
#[must_use]
pub fn listeners(port: u16) -> BTreeSet<IpAddr> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let tables = tables.map(|path| fs::read_to_string(path).unwrap_or_default());
    assert!(!tables[0].is_empty(), "no /proc/net/tcp");
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    lines.filter_map(|line| listener(line, port)).collect()
}

/// `sl local_address rem_address st …`, where an address is `0100007F:1F90`.
fn listener(line: &str, port: u16) -> Option<IpAddr> {
    let mut columns = line.split_whitespace().skip(1);
    let (local, _remote, state) = (columns.next()?, columns.next()?, columns.next()?);
    let (address, number) = local.split_once(':')?;
    let is_it = state == LISTENS && u16::from_str_radix(number, 16) == Ok(port);
    is_it.then(|| parse(address).expect("an address"))
}

/// An address as the kernel prints it: its 32-bit words, each in the machine's byte order.
fn parse(address: &str) -> Option<IpAddr> {
    let words = (0..address.len()).step_by(8).map(|at| {
        let word = u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    });
    let bytes = words.collect::<Option<Vec<_>>>()?.concat();
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::has_ipv6;

    #[test]
    fn a_listener_is_listed_with_its_address() {
        let check = |address: &str| {
            let address: IpAddr = address.parse().unwrap();
            let listener = TcpListener::bind((address, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            assert!(listeners(port).contains(&address), "{address}");
        };
        check("127.0.0.1");
        check("127.1.2.3");
        if has_ipv6() {
            check("::1");
            check("::ffff:127.0.0.1");
        }
    }
}
