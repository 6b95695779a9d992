//! Rivals that try to get the port without a pause, on every address and with every option, while
//! its server is started, killed, stopped and moved: they never do.

use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::time::Duration;

use pk_tests::process::{eventually, signal};
use pk_tests::{Ports, Running, TestEnv, listeners, skipped};
use rustix::process::Signal;

use super::{LIMIT, actor, nothing_is_left};

/// So often at least each rival must have tried while something happened, or it tells nothing: each
/// address with each option, many times.
const ENOUGH: u64 = 18 * 50;

/// Processes that want a port: one of the user whose server has it, and one of another user.
struct Rivals {
    port: u16,
    running: Vec<Running>,
}

impl Rivals {
    /// That of the server's own user makes these `bids`, the other every one.
    fn new(env: &TestEnv, bids: &str, other: Option<&TestEnv>, port: u16) -> Rivals {
        let start = |(env, bids): (&TestEnv, &str)| {
            let mut command = env.command(actor(env));
            command.args(["rival", bids]);
            command.stdin(std::process::Stdio::piped());
            env.start(command)
        };
        let other = other.map(|other| (other, "everywhere"));
        let running = [Some((env, bids)), other].into_iter().flatten().map(start);
        let mut rivals = Rivals {
            port,
            running: running.collect(),
        };
        rivals.hear();
        rivals
    }

    /// Waits until each has tried often enough since this was last asked; none got anything.
    #[track_caller]
    fn try_enough(&mut self) {
        let mut missing = vec![ENOUGH; self.running.len()];
        eventually(LIMIT, "the rivals try", || {
            for (missing, tried) in missing.iter_mut().zip(self.hear()) {
                *missing = missing.saturating_sub(tried);
            }
            missing.iter().all(|it| *it == 0)
        });
    }

    /// How often each has tried since it was last asked.
    #[track_caller]
    fn hear(&mut self) -> Vec<u64> {
        let port = self.port;
        let hear = |rival: &mut Running| {
            rival.send(&format!("{port}\n"));
            let line = rival.line();
            let came: Vec<u64> = line.split(' ').map(|it| it.parse().unwrap()).collect();
            assert_eq!(came[1..], [0, 0], "a rival has bound {port}, or listened");
            came[0]
        };
        self.running.iter_mut().map(hear).collect()
    }
}

/// The number of the process that serves; an error while nobody does.
fn served_by(port: u16) -> io::Result<u32> {
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    client.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut said = String::new();
    client.read_to_string(&mut said)?;
    said.trim_end().parse().map_err(io::Error::other)
}

/// Waits until one serves that is none of these.
#[track_caller]
fn server(port: u16, but: &[u32]) -> u32 {
    let mut pid = 0;
    eventually(LIMIT, "a server serves", || {
        pid = served_by(port).unwrap_or_default();
        pid != 0 && !but.contains(&pid)
    });
    pid
}

/// For each user: no rival gets anything while a server that lives in this `way` lives its life.
fn play(way: &str, addresses: &str, life: impl Fn(&mut Rivals, &Running)) {
    play_against("everywhere", way, addresses, life);
}

/// The same, where the rival of a plain user's own server makes these `bids`.
fn play_against(bids: &str, way: &str, addresses: &str, life: impl Fn(&mut Rivals, &Running)) {
    let other = TestEnv::plain_user();
    let ours = TestEnv::new();
    let check = |env: &TestEnv, bids: &str, other: Option<&TestEnv>| {
        if env.sh("exec python3 --version").code != Some(0) {
            return skipped("python3: not there for this user");
        }
        let ports = Ports::claim(1);
        env.write("server.py", include_str!("server.py"));
        let (range, port) = (ports.span(), ports.at(0));
        let options = ["run", "--range", &range, "--restart", "--hand-over=adopt"];
        let program = ["--", "python3", "server.py", way, "{port}"];
        let addresses: Vec<&str> = addresses.split(' ').collect();
        let run = env.start_run(&[&options[..], &program, &addresses].concat());
        server(port, &[]);
        let mut rivals = Rivals::new(env, bids, other, port);
        rivals.try_enough();
        life(&mut rivals, &run);
        rivals.try_enough();
        drop(rivals);
        run.signal(Signal::TERM);
        let _ = run.end();
        nothing_is_left(env, port);
    };
    check(&ours, "everywhere", other.as_ref());
    if let Some(env) = &other {
        check(env, bids, Some(&ours));
    }
}

#[test]
fn a_server_is_killed_and_starts_again() {
    play("alone", "127.0.0.1", |rivals, _| {
        let mut gone = Vec::new();
        for _ in 0..3 {
            gone.push(server(rivals.port, &gone));
            signal(gone[gone.len() - 1], Signal::KILL);
            server(rivals.port, &gone);
            rivals.try_enough();
        }
    });
}

#[test]
fn a_server_is_stopped_and_goes_on() {
    play("alone", "127.0.0.1", |rivals, _| {
        let pid = server(rivals.port, &[]);
        for _ in 0..3 {
            signal(pid, Signal::STOP);
            rivals.try_enough();
            signal(pid, Signal::CONT);
            assert_eq!(server(rivals.port, &[]), pid);
        }
    });
}

#[test]
fn a_server_has_workers() {
    play("workers", "127.0.0.1", |rivals, _| {
        let mut gone = Vec::new();
        for _ in 0..5 {
            gone.push(server(rivals.port, &gone));
            signal(gone[gone.len() - 1], Signal::KILL);
            rivals.try_enough();
        }
        server(rivals.port, &gone);
    });
}

#[test]
fn a_server_is_a_daemon() {
    play("daemon", "127.0.0.1", |rivals, _| {
        let pid = server(rivals.port, &[]);
        signal(pid, Signal::STOP);
        rivals.try_enough();
        signal(pid, Signal::KILL);
        rivals.try_enough();
        assert!(served_by(rivals.port).is_err());
    });
}

#[test]
fn a_server_moves_to_another_address() {
    let asked = "127.0.0.1 0.0.0.0 127.0.0.1";
    // Without privilege a process of the same user that asks for SO_REUSEPORT can spoil the move.
    play_against("unshared", "alone", asked, |rivals, _| {
        let mut gone = Vec::new();
        for address in asked.split(' ') {
            let address: IpAddr = address.parse().unwrap();
            gone.push(server(rivals.port, &gone));
            assert_eq!(listeners(rivals.port), [address].into());
            rivals.try_enough();
            signal(gone[gone.len() - 1], Signal::KILL);
        }
    });
}

#[test]
fn a_second_server_is_refused_and_the_first_stays_reachable() {
    for env in [Some(TestEnv::new()), TestEnv::plain_user()]
        .into_iter()
        .flatten()
    {
        let (ports, actor) = (Ports::claim(1), actor(&env));
        let (port, range) = (ports.at(0), ports.span());
        let script = format!(
            "{actor} serve 0.0.0.0 $PORT & read go; {actor} serve 127.0.0.1 $PORT; echo $?; wait"
        );
        let mut run = env.start_run(&["run", "--range", &range, "--", "sh", "-c", &script]);
        assert_eq!(run.line(), "up");
        let first = server(port, &[]);
        run.send("\n");
        assert_eq!(run.line(), "1", "as without us");
        assert_eq!(server(port, &[]), first);
        assert_eq!(listeners(port), [IpAddr::from([0, 0, 0, 0])].into());
        run.signal(Signal::TERM);
        let _ = run.end();
        nothing_is_left(&env, port);
    }
}

#[test]
fn from_its_reservation_to_its_server() {
    let (env, other) = (TestEnv::new(), TestEnv::plain_user());
    let actor = &actor(&env);
    for way in ["adopt", "fd"] {
        for address in ["127.0.0.1", "0.0.0.0", "::"] {
            let ports = Ports::claim(1);
            let (port, range) = (ports.at(0), ports.span());
            let options = [
                "run",
                "--host",
                address,
                "--range",
                &range,
                "--hand-over",
                way,
            ];
            let program = ["--", actor, "wait-serve", address, "{port}"];
            let mut run = env.start_run(&[&options[..], &program].concat());
            assert_eq!(run.line(), "waiting");
            let mut rivals = Rivals::new(&env, "everywhere", other.as_ref(), port);
            rivals.try_enough();
            run.send("\n");
            assert_eq!(run.line(), "up");
            server(port, &[]);
            rivals.try_enough();
            run.signal(Signal::TERM);
            run.ends_with(143);
        }
    }
}

#[test]
fn from_a_holder_to_a_program() {
    let (env, other) = (TestEnv::new(), TestEnv::plain_user());
    let actor = &actor(&env);
    for way in ["adopt", "fd"] {
        for _ in 0..2 {
            let ports = Ports::claim(1);
            env.pk(format!("reserve --hold {}", ports.range())).ok();
            let port = ports.at(0);
            let mut rivals = Rivals::new(&env, "everywhere", other.as_ref(), port);
            rivals.try_enough();
            let take = ["take", &port.to_string(), "--hand-over", way];
            let program = ["--", actor, "serve", "127.0.0.1", "{port}"];
            let mut run = env.start_run(&[&take[..], &program].concat());
            assert_eq!(run.line(), "up");
            server(port, &[]);
            rivals.try_enough();
            run.signal(Signal::TERM);
            run.ends_with(143);
        }
    }
}
