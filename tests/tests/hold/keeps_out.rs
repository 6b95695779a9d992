//! Real servers against a held port: none starts while it is held, on any address; all start after.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use pk_tests::process::{spawn, undisturbed};
use pk_tests::{Ports, TestEnv, has, has_ipv6, skipped};
use socket2::{Domain, Socket, Type};

/// A server of the wild: whether it comes up on an address, in the world of a test.
type Server = fn(&TestEnv, IpAddr, u16) -> bool;

#[test]
fn f70_every_server_is_kept_out_until_release() {
    keeps_out(&TestEnv::new());
}

#[test]
fn every_server_is_kept_out_for_a_user_without_rights() {
    if let Some(env) = TestEnv::plain_user() {
        keeps_out(&env);
    }
}

fn keeps_out(env: &TestEnv) {
    let ports = Ports::claim(1);
    let port = ports.at(0);
    env.pk(format!("reserve --hold {}", ports.range())).ok();
    for (name, server) in servers(env) {
        for address in addresses() {
            assert!(
                !server(env, address, port),
                "{name} came up on the held {address}:{port}"
            );
        }
    }
    env.pk(format!("release {port}")).ok();
    for (name, server) in servers(env) {
        for address in addresses() {
            assert!(
                server(env, address, port),
                "{name} did not come up on {address}:{port}"
            );
        }
    }
}

fn addresses() -> Vec<IpAddr> {
    let mut addresses = vec![Ipv4Addr::LOCALHOST.into(), Ipv4Addr::UNSPECIFIED.into()];
    if has_ipv6() {
        addresses.extend([
            IpAddr::from(Ipv6Addr::LOCALHOST),
            Ipv6Addr::UNSPECIFIED.into(),
        ]);
    } else {
        skipped("the IPv6 addresses: this machine has none");
    }
    addresses
}

/// The servers that this machine has.
fn servers(env: &TestEnv) -> Vec<(&'static str, Server)> {
    let mut servers: Vec<(_, Server)> = vec![("rust", rust), ("SO_REUSEPORT", reuse_port)];
    for (name, server) in [("python3", python as Server), ("node", node)] {
        let works = has(name) && env.run(with_arg(env, name, "--version")).code == Some(0);
        if works {
            servers.push((name, server));
        } else {
            skipped(format_args!("{name}: not installed for this user"));
        }
    }
    servers
}

fn with_arg(env: &TestEnv, program: &str, arg: &str) -> std::process::Command {
    let mut command = env.command(program);
    command.arg(arg);
    command
}

fn rust(_: &TestEnv, address: IpAddr, port: u16) -> bool {
    undisturbed(|| TcpListener::bind((address, port)).is_ok())
}

/// A server that would share its port with others like it (Caddy, nginx with `reuseport`).
fn reuse_port(_: &TestEnv, address: IpAddr, port: u16) -> bool {
    let address = SocketAddr::new(address, port);
    undisturbed(|| {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket
            .bind(&address.into())
            .and_then(|()| socket.listen(8))
            .is_ok()
    })
}

fn python(env: &TestEnv, address: IpAddr, port: u16) -> bool {
    let mut command = env.command("python3");
    command.args(["-u", "-m", "http.server", &port.to_string()]);
    comes_up(command.args(["--bind", &address.to_string()]), "Serving")
}

fn node(env: &TestEnv, address: IpAddr, port: u16) -> bool {
    let script = format!(
        "const server = require('http').createServer();
         server.on('error', error => {{ console.error(error.code); process.exit(1) }});
         server.listen({port}, '{address}', () => console.log('Serving'))"
    );
    comes_up(env.command("node").args(["-e", &script]), "Serving")
}

/// Whether a server says that it is up; if not, it must say that the address is in use.
fn comes_up(command: &mut std::process::Command, word: &str) -> bool {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = spawn(command).unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let up = line.contains(word);
    if up {
        server.kill().unwrap();
    }
    let mut errors = String::new();
    server
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut errors)
        .unwrap();
    server.wait().unwrap();
    assert!(
        up || errors.contains("in use") || errors.contains("EADDRINUSE"),
        "{line}{errors}"
    );
    up
}

#[test]
fn clients_are_refused_at_once() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.pk(format!("reserve --hold {}", ports.range())).ok();
    assert!(!pk_tests::is_free(ports.at(0)), "it is held");
    let loopback = addresses().into_iter().filter(IpAddr::is_loopback);
    for address in loopback {
        let start = Instant::now();
        let address = SocketAddr::new(address, ports.at(0));
        let error = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap_err();
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::ConnectionRefused,
            "{address}"
        );
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "{address}: {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn a_second_hold_is_kept_out_even_with_another_registry() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    env.pk(format!("reserve --hold {}", ports.range())).ok();
    let other = TestEnv::new();
    let grant = other.pk(format!("reserve --hold {}", ports.range())).ok();
    assert_eq!(grant.port(), ports.at(1));
    other
        .pk(format!("reserve --strict --preferred {}", ports.at(0)))
        .refused(3);
}
