//! The library as a downstream crate uses it: real registries, real sockets, a real holder.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a failed step is a failed test, and plain files set the scene"
)]

mod guards;

use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use portkeeper::fs::lock::{LockFile, Wait};
use portkeeper::reservation::Kept;
use portkeeper::{
    Error, ErrorKind, Force, HolderCommand, Listed, PortError, PortKeeper, Protocol, Reservation,
    Selection, Settings, Ttl, holder,
};
use tempfile::TempDir;

/// This test binary started again as a holder: libtest takes the words for filters.
const AS_HOLDER: &str = "this-process-is-a-holder";

#[test]
fn holder_process() {
    let mut words = std::env::args_os();
    if words.any(|word| word == AS_HOLDER) {
        let arguments: Vec<_> = words.collect();
        holder::serve(&arguments, std::env::vars_os()).unwrap();
    }
}

/// A process that another test starts has copies of all sockets until it has become its program, so
/// that a port is not free at once. These tests take turns.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keeper(folder: &TempDir) -> PortKeeper {
    keeper_in(folder.path())
}

fn keeper_in(folder: &Path) -> PortKeeper {
    let settings = Settings {
        registry: Some(folder.join("registry.json")),
        state_dir: Some(folder.join("state")),
        ..Settings::default()
    };
    let command = HolderCommand {
        program: std::env::current_exe().unwrap(),
        arguments: ["--exact", "holder_process", AS_HOLDER]
            .map(Into::into)
            .into(),
    };
    PortKeeper::open(settings).unwrap().with_holder(command)
}

fn states(keeper: &PortKeeper) -> Vec<(u16, String)> {
    let entries = keeper.status().unwrap().entries;
    let state = |entry| match entry {
        Listed::Sound {
            reservation,
            verdict,
        } => (
            reservation.port.number(),
            format!("{:?} {verdict:?}", reservation.kind),
        ),
        Listed::Damaged { .. } => panic!("{entry:?}"),
    };
    entries.into_iter().map(state).collect()
}

fn held(keeper: &PortKeeper) -> Reservation {
    keeper.request().hold().reserve().unwrap()
}

fn is_bindable(port: u16) -> bool {
    ["127.0.0.1", "0.0.0.0", "::1", "::"]
        .iter()
        .any(|address| TcpListener::bind((address.parse::<IpAddr>().unwrap(), port)).is_ok())
}

#[test]
fn a_guard_holds_its_port_until_it_is_dropped() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let keeper = keeper(&folder);
    let guard = held(&keeper);
    let port = guard.port().number();
    assert!(guard.is_held());
    assert!(!is_bindable(port));
    assert_eq!(states(&keeper), [(port, "Guarded Alive".into())]);
    drop(guard);
    assert!(is_bindable(port));
    assert_eq!(states(&keeper), []);
    let left = std::fs::read_dir(folder.path().join("registry.json.live"))
        .unwrap()
        .count();
    assert_eq!(left, 0, "liveness files");
}

#[test]
fn a_guard_that_does_not_hold_leaves_the_port_to_be_bound() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let keeper = keeper(&folder);
    let mut guard = keeper.request().reserve().unwrap();
    assert!(!guard.is_held());
    let listener = guard.listener().unwrap();
    assert_eq!(listener.local_addr().unwrap().port(), guard.port().number());
    let again = keeper.request().preferred(guard.port()).strict().reserve();
    assert!(
        matches!(again, Err(Error::Taken { by: Some(_), .. })),
        "{again:?}"
    );
    drop(listener);
    guard.release().unwrap();
    assert_eq!(states(&keeper), []);
}

#[test]
fn the_listener_is_the_socket_that_held_the_port() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let keeper = keeper(&folder);
    let mut guard = held(&keeper);
    let port = guard.port().number();
    let listener = guard.listener().unwrap();
    TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    drop(listener);
    assert!(!is_bindable(port), "the hold goes on");
    let listener = guard.into_listener().unwrap();
    TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert_eq!(listener.local_addr().unwrap().ip().to_string(), "127.0.0.1");
    assert_eq!(
        states(&keeper),
        [(port, "Guarded Alive".into())],
        "until this process ends"
    );
}

#[test]
fn the_udp_socket_is_the_one_that_held_the_port() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let keeper = keeper(&folder);
    let serves = |socket: &UdpSocket| {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client
            .send_to(b"hello", socket.local_addr().unwrap())
            .unwrap();
        let (_, from) = socket.recv_from(&mut [0; 16]).unwrap();
        assert_eq!(from, client.local_addr().unwrap());
    };
    for protocol in [Protocol::Udp, Protocol::Both] {
        let request = || keeper.request().protocol(protocol);
        let mut guard = request().hold().reserve().unwrap();
        assert_eq!(guard.protocol(), protocol);
        let port = guard.port().number();
        let socket = guard.udp_socket().unwrap();
        serves(&socket);
        drop(socket);
        UdpSocket::bind(("127.0.0.1", port)).expect_err("the hold goes on");
        assert_eq!(guard.listener().is_ok(), protocol == Protocol::Both);
        let socket = guard.into_udp_socket().unwrap();
        serves(&socket);
        assert_eq!(socket.local_addr().unwrap().port(), port);
        // One that does not hold leaves it to be bound.
        let mut guard = request().reserve().unwrap();
        serves(&guard.udp_socket().unwrap());
        guard.release().unwrap();
    }
}

#[test]
fn a_socket_of_another_protocol_is_refused() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let keeper = keeper(&folder);
    let is_told = |refused: Error| {
        assert_eq!(refused.kind(), ErrorKind::Usage, "{refused}");
        let is_it = matches!(refused, Error::Port(PortError::OtherProtocol { .. }));
        assert!(is_it, "{refused:?}");
    };
    for hold in [false, true] {
        let guard = |protocol| {
            let request = keeper.request().protocol(protocol);
            let request = if hold { request.hold() } else { request };
            request.reserve().unwrap()
        };
        is_told(guard(Protocol::Udp).listener().unwrap_err());
        is_told(guard(Protocol::Udp).into_listener().unwrap_err());
        is_told(guard(Protocol::Tcp).udp_socket().unwrap_err());
        is_told(guard(Protocol::Tcp).into_udp_socket().unwrap_err());
    }
    assert_eq!(states(&keeper), []);
}

#[test]
fn what_is_waited_for_is_had_when_it_is_free() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let keeper = keeper(&folder);
    let guard = held(&keeper);
    let port = guard.port();
    let wanted = || keeper.request().preferred(port).strict().hold();
    let refused = wanted().wait(Duration::from_millis(20)).reserve();
    assert!(matches!(refused, Err(Error::Waited { .. })), "{refused:?}");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| wanted().wait(Duration::from_secs(60)).reserve());
        guard.release().unwrap();
        assert_eq!(waiting.join().unwrap().unwrap().port(), port);
    });
}

#[test]
fn several_ports_are_had_together_or_not_at_all() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let keeper = keeper(&folder);
    let first = held(&keeper);
    let range = format!("{0}-{0}", first.port()).parse().unwrap();
    let some = keeper.request().range(range).count(2).reserve_all();
    let error = some.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoFreePort);
    assert!(
        error.to_string().starts_with("only 0 of 2 ports free in "),
        "{error}"
    );
    assert_eq!(states(&keeper).len(), 1);
    let all = keeper.request().count(5).hold().reserve_all().unwrap();
    assert_eq!(states(&keeper).len(), 6);
    drop(all);
    assert_eq!(states(&keeper).len(), 1);
}

#[test]
fn a_hold_that_is_kept_outlives_its_guard() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let keeper = keeper(&folder);
    let guard = held(&keeper);
    let port = guard.port();
    assert_eq!(guard.keep().unwrap(), Kept::Held);
    assert_eq!(states(&keeper), [(port.number(), "Held Alive".into())]);
    assert!(!is_bindable(port.number()));
    let selection = Selection {
        ports: vec![port],
        ..Selection::default()
    };
    let released = keeper.release(&selection, Force::No).unwrap();
    assert!(released.failed.is_empty(), "{released:?}");
    assert!(is_bindable(port.number()));
    assert_eq!(states(&keeper), []);
}

#[test]
fn without_a_holder_command_a_lease_is_kept_and_the_hold_given_up() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let keeper = PortKeeper::at(folder.path().join("registry.json")).unwrap();
    let guard = held(&keeper);
    let port = guard.port().number();
    assert_eq!(guard.keep().unwrap(), Kept::Leased);
    assert_eq!(states(&keeper), [(port, "Leased Alive".into())]);
    assert!(is_bindable(port));
    let alive = std::fs::read_dir(folder.path().join("registry.json.live")).unwrap();
    assert_eq!(alive.count(), 0, "a lease needs no liveness file");
    let refused = keeper.request().hold().keep().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Usage, "{refused}");
}

#[test]
fn a_holder_that_can_not_be_started_leaves_nothing() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let keeper = keeper(&folder);
    for program in ["/nonexistent/program", "/bin/false"] {
        let command = HolderCommand {
            program: program.into(),
            arguments: Vec::new(),
        };
        let refused = keeper
            .clone()
            .with_holder(command)
            .request()
            .hold()
            .keep()
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Io, "{refused}");
        assert!(refused.to_string().contains(program), "{refused}");
        assert_eq!(states(&keeper), []);
    }
}

#[test]
fn a_guard_that_is_dropped_while_the_registry_is_locked_is_seen_to_have_ended() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let keeper = keeper(&folder);
    let guard = held(&keeper);
    let port = guard.port().number();
    let lock = LockFile::sidecar(folder.path().join("registry.json.lock"));
    let locked = lock.exclusive(Wait::Never, |_| {
        thread::spawn(move || drop(guard)).join().unwrap();
    });
    locked.unwrap();
    assert!(is_bindable(port));
    assert_eq!(states(&keeper), [(port, "Guarded Stale(GuardGone)".into())]);
    let collected = keeper.gc(Default::default()).unwrap();
    assert_eq!(
        (collected.removed.len(), collected.kept, collected.leftovers),
        (1, 0, 0)
    );
}

#[test]
fn leases_end_and_their_ports_are_granted_again() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let keeper = keeper(&folder);
    let now = Ttl::For(Duration::ZERO);
    let kept = keeper.request().ttl(now).keep().unwrap();
    let port = kept.reservations[0].port;
    assert_eq!(
        states(&keeper),
        [(port.number(), "Leased Stale(LeaseOver)".into())]
    );
    let again = keeper
        .request()
        .preferred(port)
        .strict()
        .ttl(Ttl::Never)
        .keep()
        .unwrap();
    assert!(again.reservations[0].fence > kept.reservations[0].fence);
    assert_eq!(states(&keeper), [(port.number(), "Leased Alive".into())]);
}

#[test]
fn a_file_that_can_not_be_written_undoes_the_reservation() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path(".env"), "PORT=none\n").unwrap();
    // What is wrong with the file itself is found before a port is taken.
    let check = |keeper: &PortKeeper, env: &Path, kind| {
        for hold in [false, true] {
            let mut request = keeper.request().write_env("PORT").env_path(env);
            if hold {
                request = request.hold();
            }
            let refused = request.keep().unwrap_err();
            assert_eq!(refused.kind(), kind, "{refused}");
            assert_eq!(states(keeper), []);
        }
        let refused = keeper
            .request()
            .write_env("PORT")
            .env_path(env)
            .hold()
            .reserve();
        assert_eq!(refused.unwrap_err().kind(), kind);
        assert_eq!(states(keeper), []);
    };
    check(&keeper(&folder), &path("missing/.env"), ErrorKind::Io);
    // Where there is no place for the backup, that shows when the reservation is made already.
    std::fs::create_dir_all(path("state")).unwrap();
    std::fs::write(path("state/backups"), "a file in the folder's place").unwrap();
    check(&keeper(&folder), &path(".env"), ErrorKind::Permission);
    assert_eq!(
        std::fs::read_to_string(path(".env")).unwrap(),
        "PORT=none\n"
    );
}

#[test]
fn a_request_that_contradicts_itself_is_refused() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let keeper = keeper(&folder);
    let requests = [
        keeper.request().count(0),
        keeper.request().strict(),
        keeper.request().count(2).write_env("A"),
        keeper
            .request()
            .count(3)
            .write_json("config.json", "/a")
            .write_json("config.json", "/b"),
        keeper.request().until(u32::MAX),
    ];
    for request in requests {
        let refused = request.keep().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Usage, "{refused}");
    }
    assert_eq!(states(&keeper), []);
}

#[test]
fn a_killed_holder_leaves_no_control_socket_once_its_reservation_is_gone() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let keeper = keeper(&folder);
    let release = |port| {
        let selection = Selection {
            ports: vec![port],
            ..Selection::default()
        };
        keeper.release(&selection, Force::No).unwrap();
    };
    let take_over = |port| {
        let again = keeper.request().preferred(port).strict().reserve();
        again.unwrap().release().unwrap();
    };
    let gc = |_| drop(keeper.gc(Default::default()).unwrap());
    let ends: [&dyn Fn(portkeeper::Port); 3] = [&release, &take_over, &gc];
    for end in ends {
        let kept = keeper.request().hold().keep().unwrap();
        let record = &kept.reservations[0];
        let control = record.control.clone().unwrap();
        assert!(control.exists());
        let holder = record.process.unwrap();
        let ends = holder.descriptor(&kept.here.machine).unwrap();
        pk_core::process::kill(&ends).unwrap();
        assert!(pk_core::process::wait(&ends, Duration::from_secs(60)).unwrap());
        end(record.port);
        assert!(!control.exists());
        assert_eq!(states(&keeper), []);
    }
}

#[test]
fn a_port_is_taken_from_its_holder_without_a_gap() {
    let _alone = alone();
    let temp = TempDir::new().unwrap();
    let keeper = keeper(&temp);
    for (host, reach) in [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::1", "::1"),
    ] {
        let kept = keeper
            .request()
            .host(host.parse().unwrap())
            .hold()
            .keep()
            .unwrap();
        let record = &kept.reservations[0];
        let (port, number) = (record.port, record.port.number());
        // A neighbour that never stops trying: it gets the port if it is ever free.
        let (stop, stopped) = mpsc::channel::<()>();
        let (began, at_work) = mpsc::channel();
        let neighbour = thread::spawn(move || {
            let mut tries = 0_u64;
            while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
                tries += 1;
                if TcpListener::bind((reach, number)).is_ok() {
                    return Err(tries);
                }
                let _ = began.send(());
            }
            Ok(tries)
        });
        at_work.recv().unwrap();
        let taken = keeper.take(port).unwrap();
        assert_eq!(taken.record().id, record.id);
        assert!(taken.is_held());
        assert_eq!(states(&keeper), [(number, "Guarded Alive".to_owned())]);
        let listener = taken.into_listener().unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(address.ip(), host.parse::<IpAddr>().unwrap());
        TcpStream::connect((reach, number)).unwrap();
        drop(stop);
        let tries = neighbour.join().unwrap();
        assert!(tries.is_ok_and(|tries| tries > 0), "{host}: {tries:?}");
        assert!(matches!(keeper.take(port), Err(Error::NotHeld { .. })));
        drop(listener);
        let selection = Selection {
            ports: vec![port],
            ..Selection::default()
        };
        keeper.release(&selection, Force::No).unwrap();
    }
    let free = keeper.request().reserve().unwrap();
    let port = free.port();
    drop(free);
    assert!(matches!(keeper.take(port), Err(Error::NotReserved { .. })));
}
