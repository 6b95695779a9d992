//! What a guard does beside holding: it lets servers in, was there before, runs a program.

use std::process::{Command, Stdio};

use portkeeper::launch::{HandOver, Launch, Notice};
use portkeeper::{Project, registry::Name};

use super::*;

/// This test binary started again as a program that does nothing but run another.
const AS_FRONT: &str = "this-process-runs-a-program";

#[test]
fn a_server_gets_in_while_a_guard_is_relaxed() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let keeper = keeper(&folder);
    let guard = held(&keeper);
    let address = ("127.0.0.1", guard.port().number());
    assert!(TcpListener::bind(address).is_err());
    guard.relax().unwrap();
    let server = TcpListener::bind(address).unwrap();
    guard.tighten().unwrap();
    TcpStream::connect(address).unwrap();
    drop(server);
    assert!(TcpListener::bind(address).is_err());
    let free = keeper.request().reserve().unwrap();
    let port = free.port();
    for answer in [free.relax(), free.tighten()] {
        assert!(matches!(answer, Err(Error::NotHeld { port: it }) if it == port));
    }
}

#[test]
fn what_is_found_under_its_name_goes_on_without_the_guard() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let keeper = keeper(&folder);
    let project = Project::at(folder.path()).unwrap();
    let name: Name = "web".parse().unwrap();
    let request = || keeper.request().name(name.clone()).project(project.clone());
    let kept = request().keep().unwrap();
    let port = kept.reservations[0].port;
    let leased = [(port.number(), "Leased Alive".to_owned())];
    type End = fn(Reservation);
    let ends: [End; 3] = [
        drop,
        |guard| guard.release().unwrap(),
        |guard| assert!(matches!(guard.keep().unwrap(), Kept::Leased)),
    ];
    for end in ends {
        let found = request().reserve().unwrap();
        assert!(found.is_found() && !found.is_held());
        assert_eq!(found.port(), port);
        end(found);
        assert_eq!(states(&keeper), leased);
        let found = request().hold().reserve().unwrap();
        assert!(found.is_found() && found.is_held());
        assert!(!is_bindable(port.number()));
        end(found);
        assert!(is_bindable(port.number()));
        assert_eq!(states(&keeper), leased);
    }
    // It is not this guard's to give to a program.
    let found = request().hold().reserve().unwrap();
    let refused = found.launch(&Launch::new("true", [""; 0]), &mut |_| {});
    assert!(matches!(refused, Err(Error::NotHeld { port: it }) if it == port));
}

#[test]
fn what_is_reserved_under_a_name_otherwise_is_not_taken_for_it() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let keeper = keeper(&folder);
    let project = Project::at(folder.path()).unwrap();
    let name: Name = "web".parse().unwrap();
    let request = || keeper.request().name(name.clone()).project(project.clone());
    let unfit = |error: Error, expect: &str| match error {
        Error::Named { why, .. } => assert_eq!(why, expect),
        other => panic!("{other:?}"),
    };
    let guard = request().reserve().unwrap();
    let ours = format!("by process {}", std::process::id());
    unfit(request().reserve().unwrap_err(), &ours);
    unfit(request().keep().map(drop).unwrap_err(), &ours);
    drop(guard);
    let kept = request().hold().keep().unwrap();
    let record = &kept.reservations[0];
    let holder = record.process.unwrap().pid;
    let held = format!("and held by process {holder}");
    unfit(request().hold().reserve().unwrap_err(), &held);
    let found = request().reserve().unwrap();
    assert!(found.is_found() && found.port() == record.port);
    unfit(
        request()
            .host("::1".parse().unwrap())
            .reserve()
            .unwrap_err(),
        "on 127.0.0.1",
    );
    unfit(
        request().protocol(Protocol::Udp).reserve().unwrap_err(),
        "for tcp",
    );
    let selection = Selection {
        ports: vec![record.port],
        ..Selection::default()
    };
    keeper.release(&selection, Force::No).unwrap();
}

#[test]
fn a_guard_waits_for_the_lock_as_long_as_it_is_told() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let keeper = keeper(&folder);
    let guard = keeper.request().reserve().unwrap();
    let port = guard.port().number();
    let guard = guard.lock_timeout(Duration::from_millis(1));
    let lock = LockFile::sidecar(folder.path().join("registry.json.lock"));
    let released = lock.exclusive(Wait::Never, |_| {
        thread::spawn(move || guard.release()).join().unwrap()
    });
    let error = released.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LockTimeout);
    // Nobody is left who says that it lives.
    let gone = "Guarded Stale(GuardGone)".to_owned();
    assert_eq!(states(&keeper), [(port, gone)]);
}

/// Runs a script on a guarded port, and writes down how it ended. After the word come the folder,
/// the protocol and the way.
#[test]
fn front_process() {
    let words: Vec<_> = std::env::args().collect();
    let Some(at) = words.iter().position(|word| word == AS_FRONT) else {
        return;
    };
    let folder = Path::new(&words[at + 1]);
    let keeper = keeper_in(folder);
    let script = folder.join("script");
    let text = "echo $PORT $NAME $LISTEN_FDNAMES > \"$OUT\"; exit 7";
    std::fs::write(&script, text).unwrap();
    let mut told = Vec::new();
    let way = match words[at + 3].as_str() {
        "fd" => HandOver::Fd,
        _ => HandOver::Relaxed,
    };
    // Without options, which libtest would take for its own in the supervisor.
    let launch = Launch::new("sh", [script])
        .search(std::env::var_os("PATH"))
        .hand_over(way)
        .variable("NAME", "it")
        .variable("OUT", folder.join("out").to_str().unwrap())
        .watch();
    let protocol = words[at + 2].parse().unwrap();
    let guard = keeper
        .request()
        .protocol(protocol)
        .hold()
        .reserve()
        .unwrap();
    let ending = guard
        .launch(&launch, &mut |notice| {
            if let Notice::Started { rung, .. } = notice {
                told.push(format!("{rung:?}"));
            }
        })
        .unwrap();
    let ending = format!("{told:?} {:?}", ending.status);
    std::fs::write(folder.join("ending"), ending).unwrap();
}

#[test]
fn a_guard_runs_a_program_and_ends_with_it() {
    let _alone = alone();
    for (protocol, way, sockets, rung) in [
        ("tcp", "relaxed", "", "Relaxed"),
        ("tcp", "fd", " PORT", "Inherited"),
        ("udp", "fd", " PORT", "Inherited"),
        ("both", "fd", " PORT:PORT-udp", "Inherited"),
    ] {
        let folder = TempDir::new().unwrap();
        let mut front = Command::new(std::env::current_exe().unwrap());
        front.args(["--exact", "guards::front_process", "--nocapture", AS_FRONT]);
        front.arg(folder.path()).args([protocol, way]);
        let ended = front.stdin(Stdio::null()).output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let out = read("out");
        let (port, rest) = out.trim_end().split_once(' ').unwrap();
        assert!(port.parse::<portkeeper::Port>().is_ok(), "{out:?}");
        assert_eq!(rest, format!("it{sockets}"), "{protocol} {way}");
        assert_eq!(read("ending"), format!("[\"{rung}\"] Exited(7)"));
        assert_eq!(states(&keeper_in(folder.path())), []);
    }
}

#[test]
fn a_program_gets_no_port_that_is_not_held() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let guard = keeper(&folder).request().reserve().unwrap();
    let port = guard.port();
    let refused = guard.launch(&Launch::new("true", [""; 0]), &mut |_| {});
    assert!(matches!(refused, Err(Error::NotHeld { port: it }) if it == port));
}
