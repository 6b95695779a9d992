//! The role of a server that knows nothing of holds: it binds, listens and answers as it is told.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};

use socket2::{Domain, Protocol, Socket, Type};

use crate::process::{ARGUMENTS, MYSELF, answer, orders};

#[derive(Default)]
struct Program {
    sockets: HashMap<String, Socket>,
    children: Vec<Child>,
}

pub(crate) fn obey() {
    let mut program = Program::default();
    for order in orders() {
        let words: Vec<&str> = order.split(' ').collect();
        match program.one(&words) {
            Ok(said) => answer(&said),
            Err(error) => answer(&format!("{:?}", error.kind())),
        }
    }
    for mut child in program.children {
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Program {
    fn one(&mut self, words: &[&str]) -> io::Result<String> {
        let done = Ok(String::from("done"));
        match *words {
            ["bind", name, transport, address, port, ref options @ ..] => {
                let socket = open(transport, address, options)?;
                bind(&socket, address, port)?;
                self.sockets.insert(name.to_owned(), socket);
                done
            }
            // One socket, a port that is taken, and another.
            [
                "next",
                name,
                transport,
                address,
                first,
                second,
                ref options @ ..,
            ] => {
                let socket = open(transport, address, options)?;
                let taken = bind(&socket, address, first).map_err(|error| error.kind());
                bind(&socket, address, second)?;
                self.sockets.insert(name.to_owned(), socket);
                Ok(taken.map_or_else(|kind| format!("{kind:?} done"), |()| "done".into()))
            }
            // The same bind twice, as after a signal.
            ["again", name, address, port] => {
                bind(self.socket(name)?, address, port)?;
                done
            }
            // In one go, in a process that has nothing else to do.
            ["start", name, transport, address, port, ref options @ ..] => {
                let socket = open(transport, address, options)?;
                bind(&socket, address, port)?;
                socket.listen(16)?;
                self.sockets.insert(name.to_owned(), socket);
                done
            }
            ["listen", name] => self.socket(name)?.listen(16).and(done),
            ["serve", name] => {
                let (client, _) = self.socket(name)?.accept()?;
                (&client).write_all(b"hello")?;
                done
            }
            ["echo", name] => {
                let socket = self.socket(name)?;
                let mut space = [MaybeUninit::uninit(); 16];
                let (length, from) = socket.recv_from(&mut space)?;
                socket.send_to(&b"hello"[..length.min(5)], &from)?;
                done
            }
            ["close", name] => self
                .sockets
                .remove(name)
                .map_or(Err(io::ErrorKind::NotFound.into()), |_| {
                    Ok(String::from("done"))
                }),
            ["describe", name] => describe(self.socket(name)?),
            ["interface", name] => {
                let interface = self.socket(name)?.device()?.unwrap_or_default();
                Ok(String::from_utf8_lossy(&interface).into_owned())
            }
            ["unix"] => {
                let name = format!("pk-core bind {}", std::process::id());
                let address = SocketAddr::from_abstract_name(name)?;
                UnixListener::bind_addr(&address).and(done)
            }
            ["threads", count, address, port] => threads(count.parse().unwrap(), address, port),
            ["hide"] => {
                use rustix::process::{DumpableBehavior, set_dumpable_behavior};
                set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
                done
            }
            // Another process, which hears its orders through this socket.
            ["breed", name] => {
                let address = SocketAddr::from_abstract_name(name)?;
                let line = UnixStream::connect_addr(&address)?;
                let child = Command::new(MYSELF)
                    .args(ARGUMENTS)
                    .stdin(Stdio::from(OwnedFd::from(line)))
                    .stdout(Stdio::null())
                    .spawn()?;
                self.children.push(child);
                done
            }
            ["leave"] => {
                for child in &mut self.children {
                    child.kill()?;
                    child.wait()?;
                }
                self.children.clear();
                done
            }
            _ => panic!("no such order: {words:?}"),
        }
    }

    fn socket(&self, name: &str) -> io::Result<&Socket> {
        self.sockets.get(name).ok_or(io::ErrorKind::NotFound.into())
    }
}

/// Opens a socket for an address, `ADDRESS/only` without IPv4.
pub(crate) fn open(transport: &str, address: &str, options: &[&str]) -> io::Result<Socket> {
    const MULTIPATH_TCP: i32 = 262;
    let (kind, protocol) = match transport {
        "tcp" => (Type::STREAM, Protocol::TCP),
        "mptcp" => (Type::STREAM, Protocol::from(MULTIPATH_TCP)),
        "udp" => (Type::DGRAM, Protocol::UDP),
        other => panic!("no such transport: {other}"),
    };
    let is_six = address.contains(':');
    let domain = if is_six { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, kind, Some(protocol))?;
    if is_six {
        socket.set_only_v6(address.ends_with("/only"))?;
    }
    for option in options {
        match *option {
            "ra" => socket.set_reuse_address(true)?,
            "rp" => socket.set_reuse_port(true)?,
            "nonblocking" => socket.set_nonblocking(true)?,
            "inherited" => socket.set_cloexec(false)?,
            "nodelay" => socket.set_tcp_nodelay(true)?,
            "keepalive" => socket.set_keepalive(true)?,
            "lo" => socket.bind_device(Some(b"lo"))?,
            other => panic!("no such option: {other}"),
        }
    }
    Ok(socket)
}

pub(crate) fn bind(socket: &Socket, address: &str, port: &str) -> io::Result<()> {
    let ip: IpAddr = address.trim_end_matches("/only").parse().unwrap();
    socket.bind(&std::net::SocketAddr::new(ip, port.parse().unwrap()).into())
}

/// The options that [`open`] knows, as they are now.
fn describe(socket: &Socket) -> io::Result<String> {
    let flags = rustix::io::fcntl_getfd(socket)?;
    let said = [
        ("nonblocking", socket.nonblocking()?),
        ("inherited", !flags.contains(rustix::io::FdFlags::CLOEXEC)),
        ("nodelay", socket.tcp_nodelay()?),
        ("keepalive", socket.keepalive()?),
    ];
    let set = said.iter().filter(|(_, is_set)| *is_set);
    Ok(set.map(|(name, _)| *name).collect::<Vec<_>>().join(" "))
}

/// Many threads that bind ports of the kernel's choice, and one among them that wants the held one.
fn threads(count: usize, address: &str, port: &str) -> io::Result<String> {
    std::thread::scope(|scope| {
        let mut others = Vec::new();
        for _ in 0..count {
            others.push(scope.spawn(|| -> io::Result<()> {
                for _ in 0..20 {
                    let socket = open("tcp", address, &["ra"])?;
                    bind(&socket, address, "0")?;
                    socket.listen(1)?;
                }
                Ok(())
            }));
        }
        let wanted = scope.spawn(|| -> io::Result<()> {
            let socket = open("tcp", address, &["ra"])?;
            bind(&socket, address, port)?;
            socket.listen(1)
        });
        let done = others
            .into_iter()
            .chain([wanted])
            .map(|it| it.join().unwrap());
        done.collect::<io::Result<()>>()
    })?;
    Ok(String::from("done"))
}

/// What a client at this address reads from a listener of [`obey`].
pub(crate) fn read_hello(client: &mut impl Read) -> String {
    let mut said = String::new();
    client.read_to_string(&mut said).unwrap();
    said
}
