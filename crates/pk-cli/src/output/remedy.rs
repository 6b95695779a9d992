//! What helps, in words and as a command to be typed. Never one that could destroy what it does not
//! name.

use portkeeper::Port;
use portkeeper::why::{Authority, Remedy};

/// What a command is for, and the command; none where nothing has to be typed.
pub(crate) fn words(remedy: &Remedy, port: Port) -> (&'static str, Option<String>) {
    let (text, command) = match remedy {
        Remedy::Start => {
            return (
                "a server that sets SO_REUSEADDR, as nearly all do, can start now",
                None,
            );
        }
        Remedy::Reserve => (
            "to keep it",
            format!("portkeeper reserve --preferred {port} --strict --hold"),
        ),
        Remedy::Release => ("to give it back", format!("portkeeper release {port}")),
        Remedy::End { pid, by } => (
            "to end that process",
            match by {
                Authority::Mine => format!("kill {pid}"),
                Authority::Root => format!("sudo kill {pid}"),
            },
        ),
        Remedy::AskAsRoot => ("to see whose it is", format!("sudo portkeeper why {port}")),
        Remedy::Wait => (
            "to wait until it is free",
            format!("portkeeper wait {port} --free"),
        ),
        Remedy::KeepFromKernel { beside } => {
            let all = beside.iter().map(ToString::to_string);
            let all: Vec<_> = all.chain([port.to_string()]).collect();
            (
                "to keep the kernel from giving it to connections",
                format!(
                    "sudo sysctl net.ipv4.ip_local_reserved_ports={}",
                    all.join(",")
                ),
            )
        }
        Remedy::Unprivilege => (
            "to let every user bind it",
            format!("sudo sysctl net.ipv4.ip_unprivileged_port_start={port}"),
        ),
        Remedy::Another => (
            "to have another one",
            format!("portkeeper reserve --preferred {port}"),
        ),
        Remedy::Collect => ("to drop what has ended", "portkeeper gc".into()),
        _ => ("to see who has what", "portkeeper status".into()),
    };
    (text, Some(command))
}
