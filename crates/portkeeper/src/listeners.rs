//! Which programs listen on ports, asked again and again. Never looks through the processes when
//! nobody has begun to listen since.

use std::collections::{HashMap, HashSet};

use pk_core::process::About;
use pk_core::sockets::owners::{Among, Owners};
use pk_core::sockets::{self, Socket, States};
use pk_core::{Port, Transport};
use rustix::net::AddressFamily;

/// What is known of those who listen.
#[derive(Debug, Default)]
pub struct Listeners {
    /// The command lines by socket. None: of another user's, or of one that cannot be seen.
    commands: HashMap<u64, Option<String>>,
    by_port: HashMap<u16, u64>,
}

impl Listeners {
    /// Asks who listens on these ports now, on whichever address. Where the system does not tell,
    /// nobody does.
    pub fn look(&mut self, ports: &HashSet<Port>) {
        let families = [AddressFamily::INET, AddressFamily::INET6];
        let all = sockets::list(Transport::Tcp, &families, States::LISTENING, None);
        let mut all = all.unwrap_or_default();
        let is_asked = |it: &Socket| Port::new(it.port).is_some_and(|port| ports.contains(&port));
        all.retain(|socket| socket.inode != 0 && is_asked(socket));
        self.by_port = all.iter().map(|it| (it.port, it.inode)).collect();
        let there: HashSet<u64> = all.iter().map(|it| it.inode).collect();
        self.commands.retain(|inode, _| there.contains(inode));
        all.retain(|socket| !self.commands.contains_key(&socket.inode));
        if all.is_empty() {
            return;
        }
        let owners = Owners::find(&all, Among::All);
        for socket in &all {
            let owner = owners.of(socket).first();
            let command = owner.and_then(|&pid| Some(About::of(pid).ok()?.command));
            self.commands.insert(socket.inode, command);
        }
    }

    /// The command line of the program that listens on a port, which is whatever that program wants
    /// it to be: not fit for a terminal as it is. Empty where somebody listens who can't be seen.
    #[must_use]
    pub fn command(&self, port: Port) -> Option<&str> {
        let inode = self.by_port.get(&port.number())?;
        let command = self.commands.get(inode)?;
        Some(command.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn who_listens_is_found_and_forgotten() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = Port::new(listener.local_addr().unwrap().port()).unwrap();
        let (mut listeners, ports) = (Listeners::default(), HashSet::from([port]));
        assert_eq!(listeners.command(port), None);
        listeners.look(&ports);
        let this = About::of(std::process::id()).unwrap().command;
        assert_eq!(listeners.command(port), Some(&*this));
        listeners.look(&HashSet::new());
        assert_eq!(listeners.command(port), None);
        drop(listener);
        listeners.look(&ports);
        assert_eq!(listeners.command(port), None);
        assert!(listeners.commands.is_empty());
    }
}
