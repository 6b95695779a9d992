//! An adopter while each system call in turn fails it: the program gets its port or an error, never
//! waits for ever, and nobody else gets the port.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::mpsc;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use super::{Adopter, Event};
use crate::sys::failing::{self, SOCKETS, without_privilege};
use crate::{Coverage, Hold, Host, Origin, Port, PortRange, Protocol, Walk};

/// What a program does in one thread of this process, which stands for the program.
#[derive(Clone, Copy, Debug)]
struct Program {
    address: &'static str,
    transport: Type,
    /// Whether it binds a second socket of the same address (`SO_REUSEPORT`).
    twice: bool,
}

impl Program {
    fn socket(self, port: Port) -> io::Result<Socket> {
        let address: IpAddr = self.address.parse().unwrap();
        let address = SocketAddr::new(address, port.number());
        let socket = Socket::new(Domain::for_address(address), self.transport, None)?;
        socket.set_reuse_address(self.transport == Type::STREAM)?;
        socket.set_reuse_port(self.twice)?;
        socket.bind(&address.into())?;
        if self.transport == Type::STREAM {
            socket.listen(16)?;
        }
        Ok(socket)
    }

    fn run(self, port: Port) -> Vec<io::Result<Socket>> {
        let times = 1 + usize::from(self.twice);
        (0..times).map(|_| self.socket(port)).collect()
    }
}

/// What became of it.
struct Served {
    hold: Option<Hold>,
    sockets: Vec<io::Result<Socket>>,
    events: Vec<Event>,
}

/// Answers as the supervisor does, until nobody is left to ask or it can't be gone on.
fn serve(listener: OwnedFd, hold: Hold) -> (Option<Hold>, Vec<Event>) {
    let mut events = Vec::new();
    // An adopter that can't begin has dropped the hold.
    let Ok(mut adopter) = Adopter::new(listener, vec![hold]) else {
        return (None, events);
    };
    loop {
        let mut watched = [PollFd::new(&adopter, PollFlags::IN)];
        rustix::event::poll(&mut watched, None).unwrap();
        if !watched[0].revents().contains(PollFlags::IN) {
            break;
        }
        match adopter.serve() {
            Ok(event) => events.extend(event),
            Err(_) => break,
        }
    }
    adopter.look();
    (adopter.into_holds().pop(), events)
}

/// How the adopter is placed.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Whether it may leave interfaces.
    is_privileged: bool,
    /// Whether it may copy the program's descriptors, which a sandbox can forbid.
    may_copy: bool,
}

/// Runs the program while the call with this number fails the adopter; also how many it made.
fn with_failure(
    program: Program,
    place: Place,
    nth: usize,
    errno: Errno,
) -> Option<(Served, usize)> {
    let hold = some_hold();
    let port = hold.port();
    let calls = [
        libc::SYS_ioctl,
        libc::SYS_pidfd_getfd,
        libc::SYS_process_vm_readv,
    ];
    let calls = [SOCKETS, &calls].concat();
    std::thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        let asking = scope.spawn(move || {
            tell.send(failing::ask_about_this_thread()).unwrap();
            program.run(port)
        });
        let listener = told.recv().unwrap()?;
        let serve = || {
            if !place.is_privileged {
                without_privilege();
            }
            if !place.may_copy {
                failing::forbid(&[libc::SYS_pidfd_getfd], libc::EPERM);
            }
            serve(listener, hold)
        };
        let ((hold, events), made) = failing::run(&calls, nth, errno.raw_os_error(), serve)?;
        let sockets = asking.join().unwrap();
        let served = Served {
            hold,
            sockets,
            events,
        };
        Some((served, made))
    })
}

#[test]
fn a_program_gets_its_port_or_an_error_and_nobody_else_gets_it() {
    let _no_process_starts = crate::PROCESSES.read();
    let program = |address, transport, twice| Program {
        address,
        transport,
        twice,
    };
    let programs = [
        program("127.0.0.1", Type::STREAM, false),
        program("0.0.0.0", Type::STREAM, false),
        program("::", Type::STREAM, true),
        program("0.0.0.0", Type::DGRAM, false),
    ];
    let places = [(true, true), (false, true), (false, false)];
    for program in programs {
        for (is_privileged, may_copy) in places {
            let place = Place {
                is_privileged,
                may_copy,
            };
            let errno = match program.twice {
                true => Errno::ADDRINUSE,
                false => Errno::IO,
            };
            each_failure(program, place, errno);
        }
    }
}

/// Lets each call of the adopter fail in turn, and then none.
fn each_failure(program: Program, place: Place, errno: Errno) {
    for nth in 0..1000 {
        let Some((served, made)) = with_failure(program, place, nth, errno) else {
            println!("skipped: this process' calls are heard of already");
            return;
        };
        let what = format!("{program:?} {place:?} {errno} {nth}");
        let is_bound = |event: &&Event| matches!(event, Event::Bound { .. });
        let bound = served.events.iter().filter(is_bound).count();
        if let Some(hold) = &served.hold {
            let address = SocketAddr::from(([127, 0, 0, 1], hold.port().number()));
            let rival = TcpListener::bind(address).map_err(|error| error.kind());
            assert_eq!(rival.unwrap_err(), io::ErrorKind::AddrInUse, "{what}");
        }
        if made <= nth {
            assert!(served.sockets[0].is_ok(), "{what}: {:?}", served.sockets);
            assert_ne!(bound, 0, "{what}");
            return;
        }
    }
    panic!("{program:?} never ends");
}

fn some_hold() -> Hold {
    let mut walk = Walk::new(Protocol::Both);
    PortRange::DEFAULT
        .ports_from(std::process::id().wrapping_mul(53))
        .filter(|port| walk.claim(*port).is_ok())
        .find_map(|port| {
            let (host, coverage) = (Host::default(), Coverage::Everywhere);
            Hold::acquire(host, port, Protocol::Both, coverage, Origin::Range).ok()
        })
        .expect("some port of ten thousand can be held")
}
