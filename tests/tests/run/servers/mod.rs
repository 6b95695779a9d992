//! Real servers, unmodified, on a port that is never free: each answers on exactly the address that
//! it asked for, nobody else gets the port on any address meanwhile, and nothing of it is left.

mod inherited;
mod interpreted;
mod native;

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};
use std::time::Duration;

use pk_tests::process::eventually;
use pk_tests::rival::{self, Bid, Options};
use pk_tests::{Ports, TestEnv, has_ipv6, listeners, skipped};
use rustix::process::Signal;

use super::{LIMIT, nothing_is_left};

/// A server as it is started by hand.
struct Server {
    /// How it tells its version, which shows that it is there.
    version: &'static str,
    /// Its files, with a place for `{port}`.
    files: &'static [(&'static str, &'static str)],
    /// Its words, cut at blanks.
    command: &'static str,
    /// The addresses that it asks for.
    listens: &'static [&'static str],
    /// Whether several of its processes bind the same address.
    shares: bool,
    talk: Talk,
}

/// What a client asks, and a part of the answer.
type Talk = (&'static str, &'static str);

const HTTP: Talk = ("GET / HTTP/1.0\r\n\r\n", " 200 ");

/// How the port is handed over, and whether that keeps a bid out.
struct Way {
    option: &'static str,
    told: &'static str,
    keeps_out: fn(&Server, &Bid) -> bool,
}

const ADOPTED: Way = Way {
    option: "--hand-over=adopt",
    told: "is answered from behind the hold",
    keeps_out: |_, _| true,
};

const INHERITED: Way = Way {
    option: "--hand-over=fd",
    told: "as descriptor 3",
    keeps_out: |_, _| true,
};

/// The server's own address is kept by the server; the others from those who set no option.
const RELAXED: Way = Way {
    option: "--hand-over=relaxed",
    told: "best effort",
    keeps_out: |server, bid| {
        let is_servers = |asked: &&str| asked.parse() == Ok(bid.address);
        bid.options == Options::Plain || server.listens.iter().any(is_servers)
    },
};

/// Whose servers they are.
fn worlds() -> impl Iterator<Item = TestEnv> {
    [Some(TestEnv::new()), TestEnv::plain_user()]
        .into_iter()
        .flatten()
}

/// Each of the servers in each of the ways, for each user who has them.
#[track_caller]
fn serve(servers: &[&Server], ways: &[&Way]) {
    for env in worlds() {
        for server in servers {
            if is_there(&env, server) {
                ways.iter().for_each(|way| serves(&env, server, way));
            }
        }
    }
}

fn is_there(env: &TestEnv, server: &Server) -> bool {
    let is_installed = env.sh(&format!("exec {}", server.version)).code == Some(0);
    let needs_ipv6 = server.listens.iter().any(|address| address.contains(':'));
    if !is_installed {
        skipped(format_args!("{}: not there for this user", server.version));
    } else if needs_ipv6 && !has_ipv6() {
        skipped(format_args!("{}: there is no IPv6", server.command));
    }
    is_installed && (!needs_ipv6 || has_ipv6())
}

#[track_caller]
fn serves(env: &TestEnv, server: &Server, way: &Way) {
    let ports = Ports::claim(1);
    let (port, range) = (ports.at(0), ports.span());
    for (name, text) in server.files {
        env.write(name, text.replace("{port}", &port.to_string()));
    }
    let options = &["--verbose", "run", "--range", &range, "--ready=60s"][..];
    let actor = super::actor(env);
    let words = server.command.split_whitespace();
    let command: Vec<&str> = words
        .map(|word| if word == "actor" { &actor } else { word })
        .collect();
    let mut run = env.start_run(&[options, &[way.option, "--"][..], &command].concat());
    run.says(way.told);
    run.says(&format!(":{port} after"));
    let asked: BTreeSet<IpAddr> = server
        .listens
        .iter()
        .map(|it| it.parse().unwrap())
        .collect();
    eventually(LIMIT, server.command, || {
        let listens = listeners(port);
        assert!(listens.is_subset(&asked), "{}: {listens:?}", server.command);
        listens == asked
    });
    let context = format!("{} {}", server.command, way.option);
    for address in reached_by(&asked) {
        answers(address, port, server.talk, &context);
    }
    if asked
        .iter()
        .all(|it| it.to_canonical() == Ipv4Addr::LOCALHOST)
    {
        is_refused([127, 0, 0, 2].into(), port, &context);
        if has_ipv6() {
            is_refused(Ipv6Addr::LOCALHOST.into(), port, &context);
        }
    }
    // Workers that share a port with each other (`SO_REUSEPORT`) share it with every process of
    // their user that wants to, with us as without.
    if !server.shares {
        let mut could = rival::could_have(port);
        could.retain(|bid| (way.keeps_out)(server, bid));
        assert!(could.is_empty(), "{context}: {could:?}");
    }
    assert!(run.is_running(), "{run:?}");
    run.signal(Signal::TERM);
    let ended = run.end();
    assert!(!ended.stderr.contains("could not be given"), "{ended:#?}");
    nothing_is_left(env, port);
    let mut none = rival::could_have(port);
    none.retain(|bid| bid.options != Options::Plain);
    assert_eq!(none.len() * 3, Bid::everywhere().len() * 2, "{context}");
}

/// The addresses of this machine at which clients find a server.
fn reached_by(asked: &BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
    let one = |address: &IpAddr| match address {
        IpAddr::V4(any) if any.is_unspecified() => vec![Ipv4Addr::LOCALHOST.into()],
        // All of those here who ask for it take IPv4 as well, by this socket or by another.
        IpAddr::V6(any) if any.is_unspecified() => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        address => vec![address.to_canonical()],
    };
    asked.iter().flat_map(one).collect()
}

#[track_caller]
fn answers(address: IpAddr, port: u16, (question, answer): Talk, context: &str) {
    let mut heard = String::new();
    // A server that listens already may yet close a first connection.
    eventually(LIMIT, context, || {
        heard = talk(address, port, question, answer).unwrap_or_else(|error| error.to_string());
        heard.contains(answer)
    });
}

fn talk(address: IpAddr, port: u16, question: &str, answer: &str) -> std::io::Result<String> {
    let mut client = TcpStream::connect((address, port))?;
    client.set_read_timeout(Some(Duration::from_secs(20)))?;
    client.write_all(question.as_bytes())?;
    let (mut heard, mut buffer) = (String::new(), [0; 1024]);
    while !heard.contains(answer) {
        match client.read(&mut buffer)? {
            0 => break,
            length => heard += &String::from_utf8_lossy(&buffer[..length]),
        }
    }
    Ok(heard)
}

#[track_caller]
fn is_refused(address: IpAddr, port: u16, context: &str) {
    let error = TcpStream::connect((address, port)).expect_err(context);
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{context}");
}
