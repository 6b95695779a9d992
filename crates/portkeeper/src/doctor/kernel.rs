//! What the kernel is set to, as far as it matters for reservations. Never sets any of it.

use std::fs;
use std::path::Path;

use pk_core::{PortRange, machine};
use pk_registry::Sharing;

use super::finding::{Finding, Remedy};
use super::look::Look;

/// What keeps users from each other in a folder that they share, proc_sys_fs(5).
const PROTECTIONS: [(&str, &str, &str); 3] = [
    (
        "fs.protected_symlinks",
        "1",
        "1 keeps others' symlinks in shared folders from being followed",
    ),
    (
        "fs.protected_hardlinks",
        "1",
        "1 keeps users from giving names to others' files",
    ),
    (
        "fs.protected_regular",
        "2",
        "from 1 on nobody is lured into writing to others' files in shared folders",
    ),
];

/// Looks at the settings.
pub(super) fn check(look: &mut Look<'_>, sharing: Option<Sharing>) {
    ephemeral(look);
    let kept: Vec<_> = machine::reserved_ranges()
        .iter()
        .map(ToString::to_string)
        .collect();
    look.fact_that(
        "net.ipv4.ip_local_reserved_ports",
        if kept.is_empty() {
            "none".into()
        } else {
            kept.join(",")
        },
        "kept from outgoing connections, whatever the range",
    );
    look.fact_that(
        "net.ipv4.ip_unprivileged_port_start",
        machine::first_unprivileged().to_string(),
        "the first port that needs no privilege",
    );
    for (name, safe, meaning) in PROTECTIONS {
        let Some(value) = sysctl(name) else {
            continue;
        };
        let is_shared = !matches!(sharing, None | Some(Sharing::Private));
        if is_shared && value == "0" {
            let what = format!("{name} is 0, and others write to the registry's folder");
            let remedy = Remedy::Sysctl { name, value: safe };
            look.find(Finding::note("unprotected-links", what).helped_by(remedy));
        }
        look.fact_that(name, value, meaning);
    }
    let (value, meaning) = match has_ipv6() {
        true => ("on", "a hold of localhost covers ::1 as well"),
        false => (
            "off",
            "reservations are for IPv4 alone, and ::1 can't be had",
        ),
    };
    look.fact_that("ipv6", value, meaning);
}

/// Reservations should not be of ports that the kernel gives away.
fn ephemeral(look: &mut Look<'_>) {
    let Some(range) = machine::ephemeral_range() else {
        look.fact("net.ipv4.ip_local_port_range", "not told");
        return;
    };
    let default = PortRange::DEFAULT;
    let left = default
        .ports()
        .filter(|port| !range.contains(*port))
        .count();
    let meaning = match left {
        0 => "given to outgoing connections: all of 20000-29999, where ports are looked for",
        _ if left < default.len() as usize => {
            "given to outgoing connections: a part of 20000-29999, where ports are looked for"
        }
        _ => "given to outgoing connections: none of 20000-29999, where ports are looked for",
    };
    look.fact_that("net.ipv4.ip_local_port_range", range.to_string(), meaning);
    if left == 0 && look.settings.range.is_none() {
        let what = format!(
            "the kernel gives {range} to outgoing connections, so that {default}, where ports are \
             looked for, has none left"
        );
        let remedy = Remedy::Sysctl {
            name: "net.ipv4.ip_local_port_range",
            value: "32768 60999",
        };
        look.find(Finding::problem("no-default-range", what).helped_by(remedy));
    }
}

fn sysctl(name: &str) -> Option<String> {
    let path = Path::new("/proc/sys").join(name.replace('.', "/"));
    Some(fs::read_to_string(path).ok()?.trim_end().to_owned())
}

/// Whether ::1 is there to be bound, proc_sys_net(5).
fn has_ipv6() -> bool {
    sysctl("net.ipv6.conf.lo.disable_ipv6").as_deref() == Some("0")
}
