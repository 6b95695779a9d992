//! Until a server could start.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use pk_tests::process::{spawn, undisturbed};
use pk_tests::{Ports, TestEnv, has_ipv6, skipped};
use socket2::{Domain, Socket, Type};

use super::waiting;

#[test]
fn a_free_port_is_not_waited_for() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let line = format!("wait {} --free", ports.at(0));
    assert_eq!(env.pk(&line).ok().stdout, "");
    assert_eq!(env.pk(format!("{line} --format text")).ok().stdout, "");
    let port = env.pk(format!("{line} --format port")).ok().stdout;
    assert_eq!(port, format!("{}\n", ports.at(0)));
    let answer = env.pk(format!("{line} --timeout 0s --format json")).ok();
    let expect = format!(
        "{{\"port\":{},\"state\":\"free\",\"pid\":null,\"address\":\"127.0.0.1\"}}\n",
        ports.at(0)
    );
    assert_eq!(answer.stdout, expect);
    // A reservation is not what is waited for: a server can start on what is only leased.
    env.pk(format!("reserve {}", ports.range())).ok();
    env.pk(format!("{line} --timeout 0s")).ok();
}

#[test]
fn the_end_of_a_server_is_noticed() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let server = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    let mut waiting = waiting(&env, &format!("wait {port} --free"));
    waiting.goes_on();
    drop(server);
    assert_eq!(waiting.ends(), "");
}

#[test]
fn the_end_of_a_hold_is_noticed() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let grant = env.pk(format!("reserve --hold --owner shop {}", ports.range()));
    let holder = grant.ok().holder();
    env.pk(format!("wait {port} --free --timeout 10ms"))
        .refused(1)
        .says(format!(
            "error: port {port} on 127.0.0.1 is not free after 10ms: held by shop (process {holder})"
        ))
        .says(format!("hint: portkeeper why {port}"));
    let mut waiting = waiting(&env, &format!("wait {port} --free"));
    waiting.goes_on();
    env.pk(format!("release {port}")).ok();
    waiting.ends();
}

#[test]
fn who_is_in_the_way_is_told_when_time_is_over() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let _server = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let refused = env.pk(format!("wait {port} --free --timeout 0s"));
    let refused = refused.refused(1);
    let process = format!("(process {} ", std::process::id());
    assert_eq!(refused.stdout, "");
    refused
        .says(process)
        .says(" on 127.0.0.1\n")
        .says(format!("hint: portkeeper why {port}"));
}

#[test]
fn only_what_is_in_the_way_of_the_host_counts() {
    if !has_ipv6() {
        skipped("the other family: this machine has no IPv6");
        return;
    }
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let _server = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).unwrap();
    let check = |host, code| {
        let answer = env.pk(format!("wait {port} --free --timeout 0s --host {host}"));
        assert_eq!(answer.code, Some(code), "{answer:#?}");
    };
    check("127.0.0.1", 0);
    check("0.0.0.0", 0);
    check("::1", 1);
    check("::", 1);
    check("localhost", 1);
    let mut command = env.portkeeper(format!("wait {port} --free --timeout 0s"));
    command.env("PORTKEEPER_HOST", "::1");
    env.run(command).refused(1);
    env.pk(format!("wait {port} --free --host 192.0.2.1"))
        .refused(2);
}

#[test]
fn a_server_that_is_about_to_listen_is_in_the_way() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let starting = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    starting.set_reuse_address(true).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    starting.bind(&address.into()).unwrap();
    let answer = env.pk(format!("wait {port} --free --timeout 0s"));
    if answer.code == Some(0) {
        skipped("bound sockets: this kernel (before 6.8) does not list them");
        return;
    }
    answer.refused(1).says("which does not listen");
    starting.listen(1).unwrap();
}

#[test]
fn what_a_dead_server_left_counts_only_where_servers_stumble_over_it() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    for (index, shared, code) in [(0, true, 0), (1, false, 1)] {
        let port = ports.at(index);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(shared).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        socket.bind(&address.into()).unwrap();
        socket.listen(1).unwrap();
        let listener = TcpListener::from(socket);
        let client = TcpStream::connect(address).unwrap();
        undisturbed(|| {
            drop(listener.accept().unwrap());
            drop((client, listener));
        });
        let answer = env.pk(format!("wait {port} --free --timeout 0s"));
        assert_eq!(answer.code, Some(code), "{answer:#?}");
        if code == 1 {
            answer.refused(1).says("kept by the kernel for ");
        }
    }
}

#[test]
fn what_will_never_be_is_said_at_once() {
    let Some(env) = TestEnv::plain_user() else {
        return;
    };
    let from = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    match from.trim().parse::<u16>().unwrap().checked_sub(1) {
        Some(port @ 1..) => {
            env.pk(format!("wait {port} --free")).refused(8);
        }
        _ => skipped("a privileged port: this machine has none"),
    }
}

/// Servers that start while somebody waits for their port do not notice. A probe in any other way
/// than theirs would make one start in a thousand fail here; what remains are the looks that others
/// take at this process' descriptors, which keep a socket open for microseconds after it was closed.
#[test]
fn no_server_is_disturbed() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let mut command = env.command("sh");
    let script = "for turn in $(seq 50); do portkeeper wait $PORT --free || exit; done";
    command.args(["-c", script]).env("PORT", port.to_string());
    let mut watcher = spawn(&mut command).unwrap();
    let (mut starts, mut failed) = (0, 0);
    let end = loop {
        let started = undisturbed(|| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop));
        starts += 1;
        failed += u32::from(started.is_err());
        if let Some(end) = watcher.try_wait().unwrap() {
            break end;
        }
    };
    assert!(end.success(), "{end}");
    assert!(starts > 1000, "{starts}");
    assert!(failed <= 2 + starts / 10_000, "{failed} of {starts}");
}

#[test]
fn one_goal_is_needed() {
    let env = TestEnv::new();
    for line in [
        "wait",
        "wait 8080",
        "wait 8080 --free --ready",
        "wait --free",
        "wait 0 --free",
        "wait 8080 --free --timeout soon",
        "wait 8080 --free --timeout -1s",
        "wait 8080 --ready --host example.org",
    ] {
        env.pk(line).refused(2);
    }
}
