//! UDP ports, alone and beside TCP ports of the same number.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use pk_tests::process::undisturbed;
use pk_tests::{Ports, TestEnv, has, has_ipv6, is_free, is_free_for_datagrams, skipped};
use socket2::{Domain, Socket, Type};

fn addresses() -> Vec<IpAddr> {
    let v4 = [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED].map(IpAddr::from);
    let v6 = [Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED].map(IpAddr::from);
    let v6 = v6.into_iter().filter(|_| has_ipv6());
    v4.into_iter().chain(v6).collect()
}

/// Whether any of the ways to bind a UDP socket gets in.
fn gets_in(address: IpAddr, port: u16) -> bool {
    let bind = |(reuse_address, reuse_port)| -> io::Result<()> {
        let socket = Socket::new(
            Domain::for_address((address, port).into()),
            Type::DGRAM,
            None,
        )?;
        socket.set_reuse_address(reuse_address)?;
        socket.set_reuse_port(reuse_port)?;
        socket.bind(&SocketAddr::new(address, port).into())
    };
    let options = [(false, false), (true, false), (false, true), (true, true)];
    undisturbed(|| options.into_iter().any(|options| bind(options).is_ok()))
}

/// Whether another program gets in.
fn python_gets_in(env: &TestEnv, address: IpAddr, port: u16) -> bool {
    let family = if address.is_ipv6() { "6" } else { "" };
    let script = format!(
        "import socket; s = socket.socket(socket.AF_INET{family}, socket.SOCK_DGRAM); \
         s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('{address}', {port}))"
    );
    let mut command = env.command("python3");
    command.args(["-c", &script]);
    let answer = env.run(command);
    assert!(
        answer.code == Some(0) || answer.stderr.contains("in use"),
        "{answer:?}"
    );
    answer.code == Some(0)
}

fn keeps_out(env: &TestEnv) {
    let ports = Ports::claim(2);
    let (udp, both) = (ports.at(0), ports.at(1));
    for (port, proto) in [(udp, "udp"), (both, "both")] {
        let line = format!("reserve --hold --proto {proto} --strict --preferred {port}");
        let answer = env.pk(line).ok().json();
        assert_eq!(answer["proto"], proto);
        assert_eq!(answer["held"], true);
    }
    let has_python = has("python3");
    if !has_python {
        skipped("python3: not installed");
    }
    for port in [udp, both] {
        for address in addresses() {
            assert!(!gets_in(address, port), "udp {address}:{port}");
            let python = has_python && python_gets_in(env, address, port);
            assert!(!python, "python on {address}:{port}");
        }
    }
    assert!(is_free(udp), "a number of TCP is another number");
    assert!(!is_free(both));
    env.pk(format!("release {udp} {both}")).ok();
    for port in [udp, both] {
        assert!(is_free_for_datagrams(port) && is_free(port));
        for address in addresses() {
            assert!(gets_in(address, port), "{address}:{port} after release");
        }
    }
}

#[test]
fn nobody_gets_in_until_release() {
    keeps_out(&TestEnv::new());
}

#[test]
fn nobody_gets_in_for_a_user_without_rights() {
    if let Some(env) = TestEnv::plain_user() {
        keeps_out(&env);
    }
}

#[test]
fn clients_are_refused_at_once() {
    let refuses = |env: &TestEnv| {
        let ports = Ports::claim(1);
        env.pk(format!("reserve --hold --proto udp {}", ports.range()))
            .ok();
        for address in addresses().into_iter().filter(IpAddr::is_loopback) {
            let client = UdpSocket::bind((address, 0)).unwrap();
            client.connect((address, ports.at(0))).unwrap();
            client
                .set_read_timeout(Some(Duration::from_secs(30)))
                .unwrap();
            client.send(b"is anybody there?").unwrap();
            let error = client.recv(&mut [0; 16]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{address}");
        }
    };
    refuses(&TestEnv::new());
    if let Some(env) = TestEnv::plain_user() {
        refuses(&env);
    }
}

#[test]
fn the_two_protocols_of_a_number_have_owners_of_their_own() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let reserve = |proto, hold| {
        let strict = format!("--strict --preferred {port} --owner of-{proto}");
        env.pk(format!("reserve --proto {proto} {strict} {hold}"))
    };
    for hold in ["", "--hold"] {
        reserve("tcp", hold).ok();
        reserve("udp", hold).ok();
        let entries = env.reservations();
        let listed: Vec<_> = entries
            .iter()
            .map(|it| (it["proto"].as_str().unwrap(), it["owner"].as_str().unwrap()))
            .collect();
        assert_eq!(listed, [("tcp", "of-tcp"), ("udp", "of-udp")]);
        for proto in ["tcp", "udp", "both"] {
            reserve(proto, hold).refused(3);
        }
        // One by one.
        let released = env.pk(format!("release {port} --proto udp")).ok().json();
        assert_eq!(released["released"][0]["proto"], "udp");
        reserve("both", hold)
            .refused(3)
            .says(format!("tcp or udp port {port} is reserved by of-tcp"));
        env.pk(format!("release {port} --proto both")).refused(4);
        env.pk(format!("release {port} --proto tcp")).ok();
        // Both at once, and what is for both is for neither alone.
        reserve("both", hold).ok();
        for proto in ["tcp", "udp"] {
            reserve(proto, hold).refused(3);
            env.pk(format!("release {port} --proto {proto}")).refused(4);
        }
        env.pk(format!("release {port} --proto both")).ok();
        // Without a word about it a number means all of it.
        reserve("tcp", hold).ok();
        reserve("udp", hold).ok();
        let released = env.pk(format!("release {port}")).ok().json();
        assert_eq!(released["released"].as_array().map(Vec::len), Some(2));
        assert!(env.reserved().is_empty());
    }
}

#[test]
fn a_number_in_use_for_either_is_passed_over_for_both() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    let tcp = undisturbed(|| TcpListener::bind(("0.0.0.0", ports.at(0))).unwrap());
    let udp = undisturbed(|| UdpSocket::bind(("0.0.0.0", ports.at(1))).unwrap());
    let first = |options: &str| {
        let answer = env.pk(format!("reserve {options} {}", ports.range())).ok();
        env.pk("release --mine").ok();
        answer.port()
    };
    for hold in ["", "--hold"] {
        assert_eq!(first(&format!("--proto both {hold}")), ports.at(2));
        assert_eq!(first(&format!("--proto udp {hold}")), ports.at(0));
        assert_eq!(first(hold), ports.at(1));
    }
    let line = format!("reserve --proto both --strict --preferred {}", ports.at(1));
    let expect = format!("tcp or udp port {} is in use", ports.at(1));
    let _ = env.pk(line).refused(3).says(expect);
    undisturbed(|| drop((tcp, udp)));
}

/// More than what is tried before the kernel is asked for all at once.
#[test]
fn a_range_crowded_with_sockets_is_walked_to_its_end() {
    let (env, ports) = (TestEnv::new(), Ports::claim(100));
    let crowd: Vec<_> = undisturbed(|| {
        let all_but_last = ports.all().take(99);
        all_but_last
            .map(|port| UdpSocket::bind(("127.0.0.1", port)).unwrap())
            .collect()
    });
    // Connected ones have their port, too.
    for socket in crowd.iter().step_by(2) {
        socket.connect(("127.0.0.1", 9)).unwrap();
    }
    let answer = env.pk(format!("reserve --proto udp {}", ports.range()));
    assert_eq!(answer.ok().port(), ports.at(99));
    let full = env
        .pk(format!("reserve --proto udp {}", ports.range()))
        .refused(3);
    let _ = full
        .says("no free udp port in ")
        .says("1 reserved")
        .says("99 in use");
    assert_eq!(
        env.pk(format!("reserve {}", ports.range())).ok().port(),
        ports.at(0)
    );
    undisturbed(|| drop(crowd));
}

#[test]
fn gc_looks_for_users_of_the_right_protocol() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    for (index, proto) in ["udp", "both", "tcp"].iter().enumerate() {
        let port = ports.at(u16::try_from(index).unwrap());
        env.pk(format!(
            "reserve --proto {proto} --strict --preferred {port}"
        ))
        .ok();
    }
    let removed = || -> Vec<u64> {
        let gc = env.pk("gc --unused 0s --dry-run").ok().json();
        let removed = gc["removed"].as_array().unwrap().clone();
        removed
            .iter()
            .map(|it| it["port"].as_u64().unwrap())
            .collect()
    };
    let [udp, both, tcp] = [0, 1, 2].map(|index| u64::from(ports.at(index)));
    assert_eq!(removed(), [udp, both, tcp]);
    let sockets = undisturbed(|| {
        ports
            .all()
            .map(|port| UdpSocket::bind(("127.0.0.1", port)).unwrap())
            .collect::<Vec<_>>()
    });
    assert_eq!(removed(), [tcp], "a UDP server does not use a TCP port");
    undisturbed(|| drop(sockets));
    let servers = undisturbed(|| {
        ports
            .all()
            .map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap())
            .collect::<Vec<_>>()
    });
    assert_eq!(removed(), [udp], "a TCP server does not use a UDP port");
    undisturbed(|| drop(servers));
}

#[test]
fn people_see_the_protocol() {
    let (env, ports) = (TestEnv::new(), Ports::claim_short(3));
    for (index, proto) in ["tcp", "udp", "both"].iter().enumerate() {
        let port = ports.at(u16::try_from(index).unwrap());
        let line = format!("reserve --proto {proto} --strict --preferred {port} --format text");
        let expect = match *proto {
            "tcp" => format!("reserved port {port} on 127.0.0.1\n"),
            "udp" => format!("reserved udp port {port} on 127.0.0.1\n"),
            _ => format!("reserved tcp and udp port {port} on 127.0.0.1\n"),
        };
        assert_eq!(env.pk(line).ok().stdout, expect);
    }
    let table = env.pk("status --format text").ok().stdout;
    let columns: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().take(2).collect())
        .collect();
    let [tcp, udp, both] = [0, 1, 2].map(|index| ports.at(index).to_string());
    let expect = [
        ["PORT", "PROTO"],
        [&tcp, "tcp"],
        [&udp, "udp"],
        [&both, "both"],
    ];
    assert_eq!(columns, expect);
    let only = env.pk("status --proto udp --format port").ok().stdout;
    assert_eq!(only, format!("{udp}\n"));
    let preview = env.pk("reserve --dry-run --proto both --foreground").ok();
    assert_eq!(preview.json()["proto"], "both");
    assert_eq!(preview.json()["held"], true);
    env.pk("reserve --proto sctp").refused(2);
}
