//! Ports on which sockets are: those that listen, that are only bound, that are connected, that are
//! closed, and those of UDP.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use pk_tests::process::{spawn, undisturbed};
use pk_tests::{Ports, TestEnv, has_ipv6, skipped};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::{advice, room, why};

/// A process that has nothing but `socket` open besides a pipe on which it waits.
fn process_with(socket: impl Into<OwnedFd>, name: &str) -> Child {
    let mut command = Command::new("cat");
    command
        .arg0(name)
        .stdin(Stdio::piped())
        .stdout(Stdio::from(socket.into()));
    let process = spawn(&mut command).expect("a process that waits for its input");
    drop(command);
    // Nor has one that is just being started a copy.
    undisturbed(|| ());
    process
}

/// Ends the process, and with it the last copy of its socket.
fn end(mut process: Child) {
    drop(process.stdin.take());
    process.wait().unwrap();
    undisturbed(|| ());
}

fn bound(port: u16, shared: bool) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(shared).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    socket.bind(&address.into()).unwrap();
    socket
}

/// Serves one client on `port` and closes first, so that the connection lingers there.
fn serve_once(socket: Socket, port: u16) {
    socket.listen(1).unwrap();
    let listener = TcpListener::from(socket);
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    undisturbed(|| {
        drop(listener.accept().unwrap());
        drop(client);
        drop(listener);
    });
}

#[test]
fn nothing_is_an_answer() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let free = why(&env, port);
    assert_eq!(free["verdict"], "free", "{free}");
    assert_eq!(free["reason"], "free");
    for host in ["127.0.0.1", "0.0.0.0"] {
        assert_eq!(room(&free, host), "free");
    }
    let expect = if has_ipv6() { "free" } else { "no-address" };
    assert_eq!(room(&free, "::1"), expect);
    let command = advice(&free)[0];
    let granted = env.sh(command).ok();
    assert_eq!(granted.port(), port);
    assert_eq!(why(&env, port)["verdict"], "held");
}

#[test]
fn a_program_that_listens_is_named() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let server = process_with(listener, "/opt/shop/server");

    let taken = why(&env, port);
    assert_eq!(taken["verdict"], "in-use", "{taken}");
    let listeners = taken["listeners"].as_array().unwrap();
    assert_eq!(listeners.len(), 1, "{taken}");
    let listener = &listeners[0];
    assert_eq!(listener["address"], "127.0.0.1");
    assert_eq!(listener["dual_stack"], false);
    assert_eq!(listener["state"], "listen");
    assert_eq!(listener["remote"], Value::Null);
    assert_eq!(listener["uid"], rustix::process::geteuid().as_raw());
    assert_eq!(listener["pid"], server.id());
    assert_eq!(listener["pids"], serde_json::json!([server.id()]));
    assert_eq!(listener["command"], "/opt/shop/server");
    assert_eq!(listener["reservation"], Value::Null);
    let reason = taken["reason"].as_str().unwrap();
    let expect = format!("in use by server (process {} of ", server.id());
    assert!(reason.starts_with(&expect), "{reason}");
    assert!(reason.ends_with(" on 127.0.0.1"), "{reason}");
    for host in ["127.0.0.1", "0.0.0.0"] {
        assert_eq!(room(&taken, host), "taken");
    }
    assert_eq!(advice(&taken)[0], format!("kill {}", server.id()));

    end(server);
    assert_eq!(why(&env, port)["verdict"], "free");
}

#[test]
fn what_a_program_calls_itself_is_harmless() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let name = format!("evil\u{1b}[2J\n\u{202e}{}", "x".repeat(5000));
    let server = process_with(listener, &name);
    let taken = why(&env, port);
    let command = taken["listeners"][0]["command"].as_str().unwrap();
    assert!(command.starts_with("evil\u{1b}[2J\n\u{202e}x"), "{command}");
    assert!(command.len() <= 4096, "{}", command.len());
    let text = env.pk(format!("why {port} --format text")).ok().sane();
    assert!(text.stdout.contains("evil\\u{1b}[2J\\u{a}\\u{202e}xxx"));
    assert!(text.stdout.len() < 2000, "{}", text.stdout);
    let refused = env.pk(format!("wait {port} --free --timeout 0s"));
    refused.refused(1).says("evil\\u{1b}[2J");
    end(server);
}

#[test]
fn a_listener_on_the_other_family_leaves_room() {
    if !has_ipv6() {
        skipped("the other family: this machine has no IPv6");
        return;
    }
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let _server = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).unwrap();
    let taken = why(&env, port);
    assert_eq!(taken["verdict"], "in-use", "{taken}");
    assert_eq!(taken["listeners"][0]["address"], "::1");
    let rooms = ["127.0.0.1", "0.0.0.0", "::1", "::"].map(|host| room(&taken, host));
    assert_eq!(rooms, ["free", "free", "taken", "taken"]);
    let text = env.pk(format!("why {port} --format text")).ok();
    let told = "for servers on 127.0.0.1, 0.0.0.0, not on ::1, ::";
    assert!(text.stdout.contains(told), "{text:?}");
}

#[test]
fn a_stranger_that_is_bound_keeps_others_out() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    for (index, shared) in [(0, false), (1, true)] {
        let port = ports.at(index);
        let _bound = bound(port, shared);
        let taken = why(&env, port);
        if taken["bound"].as_array().is_some_and(Vec::is_empty) {
            skipped("bound sockets: this kernel (before 6.8) does not list them");
            return;
        }
        assert_eq!(taken["verdict"], "held", "{taken}");
        assert_eq!(taken["bound"][0]["state"], "bound");
        assert_eq!(taken["bound"][0]["pid"], std::process::id());
        assert_eq!(taken["bound"][0]["reservation"], Value::Null);
        assert_eq!(room(&taken, "127.0.0.1"), "taken");
        let reason = taken["reason"].as_str().unwrap();
        assert!(reason.ends_with("which does not listen"), "{reason}");
    }
}

#[test]
fn what_is_left_of_a_connection_is_timed() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    // Servers share; what one leaves behind that does not is in the way of all.
    for (index, shared, expect) in [(0, true, "free"), (1, false, "taken")] {
        let port = ports.at(index);
        serve_once(bound(port, shared), port);
        let lingers = why(&env, port);
        assert_eq!(lingers["verdict"], "lingering", "{lingers}");
        let left = &lingers["lingering"][0];
        assert_eq!(left["address"], "127.0.0.1");
        assert_eq!(left["state"], "time-wait");
        let seconds = left["seconds_left"].as_u64().unwrap();
        assert!((1..=61).contains(&seconds), "{lingers}");
        assert_eq!(room(&lingers, "127.0.0.1"), expect, "{lingers}");
        let wait = format!("portkeeper wait {port} --free");
        assert_eq!(advice(&lingers).contains(&&*wait), !shared, "{lingers}");
    }
}

#[test]
fn an_outgoing_connection_has_its_port() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let server = listener.local_addr().unwrap();
    let client = bound(port, false);
    client.connect(&server.into()).unwrap();
    let taken = why(&env, port);
    assert_eq!(taken["verdict"], "connected", "{taken}");
    let connection = &taken["connections"][0];
    assert_eq!(connection["address"], "127.0.0.1");
    assert_eq!(connection["remote"], server.to_string());
    assert_eq!(connection["state"], "established");
    assert_eq!(connection["pid"], std::process::id());
    assert_eq!(room(&taken, "127.0.0.1"), "taken");
    assert_eq!(advice(&taken)[0], format!("portkeeper wait {port} --free"));

    // Where the kernel chose the number itself it can be told not to.
    let client = TcpStream::connect(server).unwrap();
    let taken = why(&env, client.local_addr().unwrap().port());
    assert_eq!(taken["verdict"], "connected", "{taken}");
    assert_eq!(taken["properties"], serde_json::json!(["ephemeral"]));
    assert!(taken["ephemeral_range"].is_string(), "{taken}");
    assert!(
        advice(&taken)[1].contains("ip_local_reserved_ports="),
        "{taken}"
    );
}

#[test]
fn a_udp_socket_is_in_no_tcp_servers_way() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let _socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let used = why(&env, port);
    assert_eq!(used["verdict"], "udp-only", "{used}");
    assert_eq!(used["udp"][0]["pid"], std::process::id());
    assert_eq!(used["udp"][0]["address"], "127.0.0.1");
    assert_eq!(room(&used, "127.0.0.1"), "free");
    assert_eq!(room(&used, "0.0.0.0"), "free");
}
