//! What both ways of driving the real thing look at after each operation. Never changes anything.

use std::net::{TcpListener, UdpSocket};
use std::path::Path;

use portkeeper::Protocol;

use super::{File, Model, PORTS};

/// An entry as `status` lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shown {
    pub(super) port: u8,
    pub(super) protocol: &'static str,
    pub(super) user: u8,
    /// Whether a guard or a holder keeps it.
    pub(super) kept: bool,
}

/// What `status` says.
#[derive(Debug, Default)]
pub(super) struct Status {
    pub(super) alive: Vec<Shown>,
    pub(super) ended: Vec<Shown>,
    /// The ports of those that can't be read.
    pub(super) damaged: Vec<u8>,
    /// Whether it warns of the registry.
    pub(super) warns: bool,
}

/// Those that are alive are all listed; those that have ended may be.
pub(super) fn registry(mut status: Status, model: &Model, forgotten: &[u8]) {
    let shown = |is_alive: bool| {
        let is_one = |entry: &&super::Entry| model.is_alive(entry) == is_alive;
        let mut list: Vec<Shown> = model.entries.iter().filter(is_one).map(Shown::of).collect();
        list.sort();
        list
    };
    status.alive.sort();
    assert_eq!(status.alive, shown(true), "those that are alive");
    let ended = shown(false);
    for entry in &status.ended {
        assert!(ended.contains(entry), "{entry:?} has not ended");
    }
    let is_old = |port: &u8| !model.damaged.contains(port) && forgotten.contains(port);
    status.damaged.retain(|port| !is_old(port));
    status.damaged.sort_unstable();
    let mut damaged = model.damaged.clone();
    damaged.sort_unstable();
    assert_eq!(status.damaged, damaged, "those that can't be read");
    assert_eq!(
        status.warns,
        model.broken.is_some(),
        "whether there is a warning"
    );
}

/// Who could bind which port.
pub(super) fn sockets(number: impl Fn(u8) -> u16, model: &Model) {
    for port in 0..PORTS {
        let address = ("127.0.0.1", number(port));
        let tcp = TcpListener::bind(address).is_err();
        assert_eq!(
            tcp,
            model.is_bound(port, Protocol::Tcp),
            "TCP {port} is bound"
        );
        let udp = UdpSocket::bind(address).is_err();
        assert_eq!(
            udp,
            model.is_bound(port, Protocol::Udp),
            "UDP {port} is bound"
        );
    }
}

/// What the files hold.
pub(super) fn files(folder: &Path, number: impl Fn(u8) -> u16, model: &Model) {
    let number = &number;
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(read(".env"), env(&model.env, number), ".env");
    assert_eq!(
        read("config.json"),
        config(&model.json, number),
        "config.json"
    );
}

/// The registry at `path` in which nothing is, and which is no older copy.
pub(super) fn fresh(path: &Path, boot_id: &str) -> String {
    let lock = std::fs::read_to_string(path.with_extension("json.lock")).unwrap_or_default();
    let generation = lock.trim().strip_prefix("generation ");
    let generation: u64 = generation.map_or(0, |digits| digits.parse().unwrap());
    format!("{{\"boot_id\":\"{boot_id}\",\"generation\":{generation},\"entries\":{{}}}}")
}

/// The `.env` file of the model.
pub(super) fn env(file: &File, number: impl Fn(u8) -> u16) -> String {
    let notes = "# a note\n".repeat(file.notes.into());
    let port = file.number(number);
    format!("# the shop\nexport PORT={port} # public\nTOKEN='s3cr3t'\n{notes}")
}

/// The JSON file of the model.
pub(super) fn config(file: &File, number: impl Fn(u8) -> u16) -> String {
    let notes = "// a note\n".repeat(file.notes.into());
    let port = file.number(number);
    format!("{{\n  // public\n  \"server\": {{\"port\": {port}}},\n  \"rate\": 1.0\n}}\n{notes}")
}

impl Shown {
    fn of(entry: &super::Entry) -> Shown {
        Shown {
            port: entry.port,
            protocol: entry.protocol.name(),
            user: entry.user,
            kept: entry.guard.is_some(),
        }
    }
}
