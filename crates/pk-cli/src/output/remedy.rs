//! What helps, in words and as a command to be typed. Never one that could destroy what it does not
//! name.

use std::path::Path;

use portkeeper::doctor::{self, Checkup, Chosen};
use portkeeper::why::{Authority, Remedy};
use portkeeper::{Port, ttl::Ttl};

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

/// The command for what `doctor` has found.
pub(crate) fn doctors(remedy: &doctor::Remedy, checkup: &Checkup) -> String {
    use doctor::Remedy;
    // A registry that was named has to be named again.
    let ours = |command: &str| match (&checkup.registry, checkup.chosen) {
        (Some(path), Chosen::Argument) => {
            format!("portkeeper {command} --registry {}", quoted(path))
        }
        _ => format!("portkeeper {command}"),
    };
    match remedy {
        Remedy::Mend => ours("doctor --fix"),
        Remedy::Collect => ours("gc"),
        Remedy::CollectUnused(age) => ours(&format!("gc --unused {}", Ttl::For(*age))),
        Remedy::ReleaseByForce(port) => ours(&format!("release --force {port}")),
        Remedy::Wake(pid) => format!("kill -CONT {pid}"),
        Remedy::End(pid) => format!("kill {pid}"),
        Remedy::Own { path, uid } => format!("sudo chown {uid} {}", quoted(path)),
        Remedy::Mode { path, mode } => format!("chmod {mode:o} {}", quoted(path)),
        Remedy::MoveAway(path) => format!("mv {0} {0}.old", quoted(path)),
        Remedy::Remove(paths) => {
            let paths: Vec<_> = paths.iter().map(|path| quoted(path)).collect();
            format!("rm {}", paths.join(" "))
        }
        Remedy::OwnCopy(path) => format!("cp -p {0} {0}.own && mv {0}.own {0}", quoted(path)),
        Remedy::Edit(path) => format!("${{EDITOR:-vi}} {}", quoted(path)),
        Remedy::SetHome(uid) => format!("export HOME=\"$(getent passwd {uid} | cut -d: -f6)\""),
        Remedy::LocalRegistry => {
            "export PORTKEEPER_REGISTRY=\"$XDG_RUNTIME_DIR/portkeeper.json\"".into()
        }
        Remedy::Unset(name) => format!("unset {name}"),
        Remedy::ControlFolder => "export TMPDIR=/tmp".into(),
        Remedy::Leave => "cd".into(),
        Remedy::KeepFromKernel(ports) => {
            let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
            format!(
                "sudo sysctl net.ipv4.ip_local_reserved_ports={}",
                ports.join(",")
            )
        }
        Remedy::Sysctl { name, value } => format!("sudo sysctl {name}='{value}'"),
        _ => ours("doctor"),
    }
}

/// A path as a shell reads it back.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%".contains(&byte);
    match !text.is_empty() && text.bytes().all(is_plain) {
        true => text.into_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_back_by_a_shell() {
        let check = |path: &str, expect: &str| assert_eq!(quoted(Path::new(path)), expect);
        check("/home/ann/a-b_c.json", "/home/ann/a-b_c.json");
        check("/a b", "'/a b'");
        check("/it's", "'/it'\\''s'");
        check("$(id)", "'$(id)'");
        check("", "''");
    }
}
