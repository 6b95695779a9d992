//! Where and when this process runs, in numbers that can be compared with those of another: boot,
//! namespaces, the clock that counts from boot. Never the wall clock.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use crate::process::Itself;
use crate::{PortRange, Walk, sys};

/// The boot of the machine and the namespaces that this process lives in. What the system does not
/// tell (it may just have no descriptor left) is 0 or empty, and then may be anybody's: to compare
/// is the business of [`Machine::is_of_boot`] and the other questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Another one after each boot (`/proc/sys/kernel/random/boot_id`), the same in all containers.
    pub boot_id: String,
    /// The network namespace (`SO_NETNS_COOKIE`): equal port numbers collide within one.
    pub network: u64,
    /// The time namespace (inode): the boot clock can be compared within one.
    pub time: u64,
    /// The process namespace (inode): process numbers can be compared within one. 0 also where
    /// `/proc` is that of another.
    pub processes: u64,
}

impl Machine {
    /// Asks the system.
    #[must_use]
    pub fn here() -> Machine {
        Machine::in_network(network_namespace())
    }

    /// The same, for whoever is about to look for a port.
    #[must_use]
    pub fn of_walk(walk: &Walk) -> Machine {
        Machine::in_network(walk.network().unwrap_or_else(network_namespace))
    }

    fn in_network(network: u64) -> Machine {
        let boot_id = Itself::know(|itself| &mut itself.boot_id, boot_id);
        let time = Itself::know(|itself| &mut itself.time, || namespace("time"));
        let processes = Itself::know(|itself| &mut itself.processes, process_namespace);
        Machine {
            boot_id: boot_id.unwrap_or_default(),
            network,
            time: time.unwrap_or(0),
            processes: processes.unwrap_or(0),
        }
    }

    /// Whether what was written down in that boot was written down in this one, as far as is known:
    /// to take it for another by mistake would void all that is reserved.
    #[must_use]
    pub fn is_of_boot(&self, boot_id: &str) -> bool {
        self.boot_id.is_empty() || boot_id.is_empty() || self.boot_id == boot_id
    }

    /// Whether the ports of that network namespace are those of this one, as far as is known.
    #[must_use]
    pub fn is_in_network(&self, network: u64) -> bool {
        same(self.network, network)
    }

    /// Whether the boot clock of that time namespace is this one's, as far as is known.
    #[must_use]
    pub fn is_in_time(&self, time: u64) -> bool {
        same(self.time, time)
    }
}

/// Whether two numbers of namespaces can be those of one.
fn same(one: u64, other: u64) -> bool {
    one == 0 || other == 0 || one == other
}

/// Milliseconds since boot, time asleep included (`CLOCK_BOOTTIME`). Setting the wall clock does
/// not move it; a time namespace shifts it.
#[must_use]
pub fn boot_clock_ms() -> u64 {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let now = rustix::time::clock_gettime(clock);
    let milliseconds = now.tv_sec * 1000 + now.tv_nsec / 1_000_000;
    milliseconds.try_into().unwrap_or(0)
}

/// The ports that the kernel hands out to whoever does not care
/// (`/proc/sys/net/ipv4/ip_local_port_range`); `None` where it does not tell. Whoever asks again
/// within a second is told the same: it is seldom set, and to ask costs as much as all other calls of
/// a reservation.
#[must_use]
pub fn ephemeral_range() -> Option<PortRange> {
    static LAST: Mutex<Option<(Instant, PortRange)>> = Mutex::new(None);
    // Nobody waits: a fork has copies of locks that nobody will ever let go of.
    let mut last = LAST.try_lock().ok();
    let is_fresh = |(asked, _): &(Instant, PortRange)| asked.elapsed() < Duration::from_secs(1);
    let known = last.as_deref().and_then(|it| it.filter(is_fresh));
    if let Some((_, range)) = known {
        return Some(range);
    }
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ends = text.split_ascii_whitespace().map(str::parse);
    let range = PortRange::new(ends.next()?.ok()?, ends.next()?.ok()?).ok()?;
    if let Some(last) = &mut last {
        **last = Some((Instant::now(), range));
    }
    Some(range)
}

/// The ports that the kernel keeps from whoever does not care, though they are in the range that it
/// hands out (`/proc/sys/net/ipv4/ip_local_reserved_ports`).
#[must_use]
pub fn reserved_ranges() -> Vec<PortRange> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_reserved_ports");
    ranges(&text.unwrap_or_default())
}

/// The first port that needs no privilege (`/proc/sys/net/ipv4/ip_unprivileged_port_start`), 0 where
/// none does; 1024 where the system does not tell.
#[must_use]
pub fn first_unprivileged() -> u16 {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let number = text.ok().and_then(|text| text.trim_end().parse().ok());
    number.unwrap_or(1024)
}

/// `8080,9000-9100`.
fn ranges(text: &str) -> Vec<PortRange> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        PortRange::new(first.parse().ok()?, last.parse().ok()?).ok()
    };
    text.trim_end().split(',').filter_map(range).collect()
}

fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim_end().to_owned())
}

/// `None` where `/proc` is missing or, as after `unshare --pid` alone, that of another process
/// namespace: what it shows under a number is then not the process with this number.
fn process_namespace() -> Option<u64> {
    let shown = fs::read_link("/proc/self").ok();
    let is_this = |shown: &PathBuf| shown.as_os_str() == std::process::id().to_string().as_str();
    shown.filter(is_this).and_then(|_| namespace("pid"))
}

/// The inode of a namespace of this process, namespaces(7).
fn namespace(kind: &str) -> Option<u64> {
    Some(fs::metadata(format!("/proc/self/ns/{kind}")).ok()?.ino())
}

/// Where the kernel has no such number the inode must do; where it just failed to tell, no other
/// number may take its place.
fn network_namespace() -> u64 {
    let told = Socket::new(Domain::IPV4, Type::DGRAM, None)
        .and_then(|socket| sys::network_cookie(&socket));
    match told.as_ref().map_err(Errno::from_io_error) {
        Ok(cookie) => *cookie,
        // No option of that name, or no name for the error: another system.
        Err(Some(Errno::NOPROTOOPT) | None) => namespace("net").unwrap_or(0),
        Err(Some(_)) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_on_and_the_machine_stays() {
        let then = boot_clock_ms();
        assert_eq!(Machine::here(), Machine::here());
        let walk = Walk::prepared(crate::Protocol::Both);
        assert_eq!(Machine::of_walk(&walk), Machine::here());
        assert_eq!(
            Machine::of_walk(&Walk::new(crate::Protocol::Tcp)),
            Machine::here()
        );
        assert!(boot_clock_ms() >= then);
        assert_ne!(then, 0);
    }

    #[test]
    fn what_is_not_told_may_be_anybodys() {
        let here = Machine {
            boot_id: "b".into(),
            network: 1,
            time: 2,
            processes: 3,
        };
        let nowhere = Machine {
            boot_id: String::new(),
            network: 0,
            time: 0,
            processes: 0,
        };
        let check = |machine: &Machine, boot: &str, number, expect| {
            let answers = [
                machine.is_of_boot(boot),
                machine.is_in_network(number),
                machine.is_in_time(number),
            ];
            assert_eq!(answers, expect, "{machine:?} {boot:?} {number}");
        };
        check(&here, "b", 1, [true, true, false]);
        check(&here, "c", 2, [false, false, true]);
        check(&here, "", 0, [true; 3]);
        check(&nowhere, "b", 7, [true; 3]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_can_not_be_asked_for_is_not_guessed() {
        use crate::sys::failing::{FILES, SOCKETS, each, run};

        fn check<T: PartialEq + std::fmt::Debug + Send + Clone + Sync>(
            calls: &[libc::c_long],
            unknown: &T,
            ask: impl Fn() -> T + Sync,
        ) {
            let known = ask();
            let ask = |(): &mut ()| ask();
            each(
                calls,
                libc::EIO,
                || (),
                ask,
                |(), told| {
                    assert!(told == known || told == *unknown, "{told:?}");
                },
            );
        }
        check(FILES, &None, boot_id);
        check(FILES, &None, process_namespace);
        check(FILES, &Vec::new(), reserved_ranges);
        check(FILES, &1024, first_unprivileged);
        check(SOCKETS, &0, network_namespace);
        // Another system's kernel has no such number.
        let options = &[libc::SYS_getsockopt];
        let told = run(options, 0, libc::ENOPROTOOPT, network_namespace);
        if let Some((told, _)) = told {
            assert_eq!(Some(told), namespace("net"));
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_kernels_own_range_is_told_again_within_a_second() {
        use crate::sys::failing::{FILES, run};

        let range = ephemeral_range().unwrap();
        assert!(range.first() < range.last());
        let asked = run(FILES, 0, libc::EIO, ephemeral_range);
        // Unless this machine is so busy that a second has gone by.
        if let Some((told, made)) = asked {
            assert_eq!(told.is_some(), made == 0);
        }
    }

    #[test]
    fn ranges_are_read_as_the_kernel_writes_them() {
        let check = |text: &str, expect: &[&str]| {
            let got: Vec<_> = ranges(text).iter().map(ToString::to_string).collect();
            assert_eq!(got, expect, "{text:?}");
        };
        check("\n", &[]);
        check("", &[]);
        check("8080,9000-9100\n", &["8080-8080", "9000-9100"]);
    }
}
