//! Until something listens.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use pk_tests::{Ports, TestEnv, has_ipv6, skipped};
use socket2::{Domain, Socket, Type};

use super::waiting;

#[test]
fn a_server_that_starts_later_is_noticed_and_not_touched() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let mut waiting = waiting(&env, &format!("wait {port} --ready --format json"));
    waiting.goes_on();
    // Not by being bound, and not by UDP.
    let server = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    server.bind(&address.into()).unwrap();
    let _datagrams = UdpSocket::bind(address).unwrap();
    env.pk(format!("wait {port} --ready --timeout 100ms"))
        .refused(1)
        .says("which does not listen");
    waiting.goes_on();
    server.listen(8).unwrap();
    let expect = format!(
        "{{\"port\":{port},\"state\":\"ready\",\"pid\":{},\"address\":\"127.0.0.1\"}}\n",
        std::process::id()
    );
    assert_eq!(waiting.ends(), expect);
    let server = TcpListener::from(server);
    server.set_nonblocking(true).unwrap();
    let nobody = server.accept().unwrap_err();
    assert_eq!(
        nobody.kind(),
        io::ErrorKind::WouldBlock,
        "nobody has connected"
    );
}

#[test]
fn a_server_that_is_up_is_not_waited_for() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let _server = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    let line = format!("wait {port} --ready --timeout 0s");
    assert_eq!(env.pk(&line).ok().stdout, "");
    env.pk(format!("{line} --host 127.0.0.1")).ok();
    let answer = env.pk(format!("{line} --format json")).ok().json();
    assert_eq!(answer["address"], "0.0.0.0");
}

#[test]
fn what_is_there_instead_is_told_when_time_is_over() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let line = format!("wait {port} --ready --timeout 20ms");
    env.pk(&line)
        .refused(1)
        .says(format!(
            "error: nothing listens on port {port} after 20ms: it is free\n"
        ))
        .says(format!("hint: portkeeper why {port}"));
    env.pk(format!("reserve --hold --owner shop {}", ports.range()))
        .ok();
    env.pk(&line)
        .refused(1)
        .says("it is held by shop (process ");
}

#[test]
fn it_must_listen_where_its_clients_arrive() {
    if !has_ipv6() {
        skipped("the other family: this machine has no IPv6");
        return;
    }
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    let check = |index, host, code| {
        let port = ports.at(index);
        let answer = env.pk(format!("wait {port} --ready --timeout 0s --host {host}"));
        assert_eq!(answer.code, Some(code), "{answer:#?}");
    };
    let _six = TcpListener::bind((Ipv6Addr::LOCALHOST, ports.at(0))).unwrap();
    check(0, "::1", 0);
    check(0, "localhost", 0);
    check(0, "127.0.0.1", 1);
    let _dual = TcpListener::bind((Ipv6Addr::UNSPECIFIED, ports.at(1))).unwrap();
    check(1, "::1", 0);
    check(1, "127.0.0.1", 0);
}

#[test]
fn another_users_server_counts_too() {
    let Some(env) = TestEnv::plain_user() else {
        return;
    };
    let ports = Ports::claim(1);
    let _server = TcpListener::bind((Ipv4Addr::LOCALHOST, ports.at(0))).unwrap();
    let answer = env.pk(format!("wait {} --ready --format json", ports.at(0)));
    let answer = answer.ok().json();
    assert!(answer["pid"].is_null(), "{answer}");
    assert_eq!(answer["address"], "127.0.0.1");
}
