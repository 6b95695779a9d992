//! The TCP hold of every address of the machine: `[::]` for both families, 0.0.0.0, and `[::]` for IPv6
//! alone, all bound at once, so that whatever address a server asks for later, one of them can make
//! way for it while the others go on keeping everybody else out.
//!
//! Sockets with overlapping addresses conflict, unless each is bound to another network interface.
//! A process with `CAP_NET_RAW` therefore binds the three to interfaces that do not exist, and then
//! takes the interfaces away again: there is no moment at which anybody else could slip in. Without
//! that privilege they share the port for a few microseconds by `SO_REUSEADDR`; then a successful
//! listen(2) on the widest proves that nobody did, because only one socket can listen.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown};

use socket2::Socket;
use tracing::debug;

use super::{Member, strangers_on};
use crate::probe::{self, Stack};
use crate::{Error, Host, Origin, Port, Transport, sys};

const WILDCARD_4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const WILDCARD_6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// The numbers of three interfaces that do not exist.
const PHANTOMS: [u32; 3] = [0x7ff0_0001, 0x7ff0_0002, 0x7ff0_0003];

pub(super) fn acquire(host: Host, port: Port, origin: Origin) -> Result<Vec<Member>, Error> {
    let Some(set) = Set::open(host, port)? else {
        return ipv4_alone(host, port, origin);
    };
    if set.can_leave_interfaces() {
        // The socket that tried is spent only if it is bound to an interface for ever, so a root's
        // set is as good as new.
        match set.bind_apart() {
            Err(Error::Busy { .. }) if origin == Origin::Number => {}
            answer => return answer,
        }
    }
    let set = Set::open(host, port)?.ok_or(Error::Busy { port })?;
    set.bind_together(origin)
}

fn ipv4_alone(host: Host, port: Port, origin: Origin) -> Result<Vec<Member>, Error> {
    let socket = super::bind_one(WILDCARD_4, Stack::Single, host, port, origin, &[])?;
    Ok(vec![Member {
        transport: Transport::Tcp,
        address: WILDCARD_4,
        socket,
    }])
}

/// The three sockets of the hold, widest first.
struct Set {
    dual: Socket,
    four: Socket,
    six: Socket,
    host: Host,
    port: Port,
}

impl Set {
    /// `None` where there is no IPv6.
    fn open(host: Host, port: Port) -> Result<Option<Set>, Error> {
        let open = || -> io::Result<Set> {
            let dual = probe::open(Transport::Tcp, WILDCARD_6, Stack::Dual)?;
            let four = probe::open(Transport::Tcp, WILDCARD_4, Stack::Single)?;
            let six = probe::open(Transport::Tcp, WILDCARD_6, Stack::Single)?;
            Ok(Set {
                dual,
                four,
                six,
                host,
                port,
            })
        };
        match open() {
            Ok(set) => Ok(Some(set)),
            Err(error) if probe::no_ipv6(&error) => Ok(None),
            Err(error) => Err(Error::io("open a socket")(error)),
        }
    }

    fn sockets(&self) -> [(&Socket, IpAddr); 3] {
        [
            (&self.dual, WILDCARD_6),
            (&self.four, WILDCARD_4),
            (&self.six, WILDCARD_6),
        ]
    }

    /// Anybody may bind a socket to an interface once; only `CAP_NET_RAW` may undo it.
    fn can_leave_interfaces(&self) -> bool {
        let tried = sys::bind_to_interface(&self.dual, PHANTOMS[0])
            .and_then(|()| sys::bind_to_interface(&self.dual, 0));
        tried
            .inspect_err(|error| debug!(%error, "no privilege to bind apart"))
            .is_ok()
    }

    /// Without a moment in which the port is shared.
    fn bind_apart(self) -> Result<Vec<Member>, Error> {
        let interface = Error::io("bind a socket to an interface");
        for ((socket, address), phantom) in self.sockets().into_iter().zip(PHANTOMS) {
            sys::bind_to_interface(socket, phantom).map_err(&interface)?;
            self.bind(socket, address)?;
            crate::failpoint!("hold.bound");
        }
        for (socket, _) in self.sockets() {
            sys::bind_to_interface(socket, 0).map_err(&interface)?;
            crate::failpoint!("hold.visible");
        }
        Ok(self.into_members())
    }

    /// With a moment in which the port is shared, and a proof that nobody used it.
    fn bind_together(self, origin: Origin) -> Result<Vec<Member>, Error> {
        let share = |on| {
            let set = |(socket, _): (&Socket, IpAddr)| socket.set_reuse_address(on);
            self.sockets()
                .into_iter()
                .try_for_each(set)
                .map_err(Error::io("set SO_REUSEADDR"))
        };
        // The decision: exclusive against everything. What a dead server left on a port that was
        // asked for by number gives way to a bind that shares.
        match self.bind(&self.dual, WILDCARD_6) {
            Err(Error::Busy { .. }) if origin == Origin::Number => {
                share(true)?;
                self.bind(&self.dual, WILDCARD_6)?;
                if strangers_on(Transport::Tcp, self.port, [&self.dual].into_iter()) {
                    return Err(Error::Busy { port: self.port });
                }
            }
            bound => bound?,
        }
        crate::failpoint!("hold.decided");
        share(true)?;
        self.bind(&self.four, WILDCARD_4)?;
        crate::failpoint!("hold.shared");
        self.bind(&self.six, WILDCARD_6)?;
        // Fails if anybody listens, and from here on nobody gets in.
        self.dual
            .listen(0)
            .map_err(|error| Error::of_bind(error, self.host, self.port))?;
        crate::failpoint!("hold.listening");
        share(false)?;
        self.dual
            .shutdown(Shutdown::Read)
            .map_err(Error::io("stop listening"))?;
        // A stranger that bound in that moment can no longer listen, but it could make a server of
        // ours fail to.
        if strangers_on(
            Transport::Tcp,
            self.port,
            self.sockets().into_iter().map(|(socket, _)| socket),
        ) {
            return Err(Error::Busy { port: self.port });
        }
        Ok(self.into_members())
    }

    fn bind(&self, socket: &Socket, address: IpAddr) -> Result<(), Error> {
        probe::bind(socket, address, self.port)
            .map_err(|error| Error::of_bind(error, self.host, self.port))
    }

    /// The IPv6-only socket stands behind the dual one, which is what a server that asks for `[::]`
    /// gets.
    fn into_members(self) -> Vec<Member> {
        let member = |address, socket| Member {
            transport: Transport::Tcp,
            address,
            socket,
        };
        vec![
            member(WILDCARD_6, self.dual),
            member(WILDCARD_4, self.four),
            member(WILDCARD_6, self.six),
        ]
    }
}
