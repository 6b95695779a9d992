//! Finding a port where the first thousands of a range are in use, beside the two ways in which that
//! can be found out at all: one bind each that fails, or one list from the kernel.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use pk_core::{Port, PortRange};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{netlink, recv, send, socket_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};

use crate::figures::{self, Machine};
use crate::library;
use crate::scene::{Place, Scene};
use crate::stopwatch::median;
use crate::tools::Tools;

/// Milliseconds for one port behind so many that are in use.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) taken: u16,
    pub(crate) rounds: u32,
    pub(crate) ours: f64,
    /// One failing bind for each, by one socket.
    pub(crate) binds: f64,
    /// One list of the listeners, of both families of addresses.
    pub(crate) list: f64,
}

/// Below the ports that the kernel hands out.
const FIRST: u16 = 2_000;
const TAKEN: [u16; 3] = [100, 10_000, 28_000];

/// Measures, prints and keeps.
pub(crate) fn measure(tools: &Tools, rounds: u32) {
    let Some(scene) = Scene::new(Place::Tmpfs, &tools.program) else {
        return;
    };
    let machine = Machine::before();
    let keeper = library::keeper(&scene);
    println!("\na port behind those that are in use, ms, {rounds} rounds\n");
    println!(
        "{:>8}{:>10}{:>18}{:>14}{:>8}",
        "in use", "library", "failing binds", "one list", "ratio"
    );
    let mut all = Vec::new();
    for taken in TAKEN {
        let _listeners = listen(taken);
        let [first, last] = [FIRST, FIRST + taken + 200].map(|it| Port::new(it).unwrap());
        let range = PortRange::new(first, last).unwrap();
        let (mut ours, mut binds, mut lists) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(millis(|| {
                drop(keeper.request().range(range).reserve().unwrap());
            }));
            binds.push(millis(|| bind_each(taken)));
            lists.push(millis(list));
        }
        let figure = Figure {
            taken,
            rounds,
            ours: median(ours),
            binds: median(binds),
            list: median(lists),
        };
        let Figure {
            ours, binds, list, ..
        } = figure;
        println!(
            "{taken:>8}{ours:>10.2}{binds:>18.2}{list:>14.2}{:>8.2}",
            ours / binds.min(list)
        );
        all.push(figure);
    }
    figures::keep("walk", machine, all);
}

fn millis(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64() * 1e3
}

/// Processes that listen on so many ports, each on as many as one may have open. Whoever has one of
/// the ports already is as good.
fn listen(count: u16) -> Vec<Listeners> {
    let first = (FIRST..FIRST + count).step_by(usize::from(EACH));
    first
        .map(|first| {
            let last = (first + EACH).min(FIRST + count);
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args([LISTENERS, &first.to_string(), &last.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut line = String::new();
            let mut output = BufReader::new(child.stdout.take().unwrap());
            output.read_line(&mut line).unwrap();
            assert_eq!(line, "ready\n");
            Listeners(child)
        })
        .collect()
}

struct Listeners(Child);

impl Drop for Listeners {
    fn drop(&mut self) {
        // They end when nobody can write to them any more.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The argument that makes this program one of them.
pub(crate) const LISTENERS: &str = "--listeners";
const EACH: u16 = 7_000;

/// One of them: until its standard input ends.
pub(crate) fn listeners(words: &[String]) {
    let [first, last] = [0, 1].map(|at| words[at].parse::<u16>().unwrap());
    let wanted = Some(u64::from(EACH) + 100);
    let limit = getrlimit(Resource::Nofile);
    if limit.current < wanted {
        let current = wanted;
        setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
    }
    let listener = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
    let _listeners: Vec<_> = (first..last).filter_map(listener).collect();
    println!("ready");
    let _ = io::stdin().read(&mut [0]);
}

fn bind_each(count: u16) {
    let open = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let mut socket = open();
    for port in FIRST..FIRST + count {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if socket.bind(&address.into()).is_ok() {
            // Whoever had it while the others were taken has gone.
            socket = open();
        }
    }
}

/// Everything that the kernel says about listeners, unread.
fn list() {
    let protocol = Some(netlink::SOCK_DIAG);
    let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
    let kernel = socket_with(family, kind, SocketFlags::CLOEXEC, protocol).unwrap();
    let mut buffer = vec![0; 32 * 1024];
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        // sock_diag(7): a header and `struct inet_diag_req_v2`, for TCP in the state of listeners.
        let mut request = [0_u8; 72];
        request[0] = 72;
        request[4] = 20;
        request[6..8].copy_from_slice(&0x301_u16.to_ne_bytes());
        request[16] = family.as_raw() as u8;
        request[17] = 6;
        request[20..24].copy_from_slice(&(1_u32 << 10).to_ne_bytes());
        send(&kernel, &request, SendFlags::empty()).unwrap();
        // The last message says so.
        while {
            let (length, _) = recv(&kernel, &mut buffer, RecvFlags::empty()).unwrap();
            assert!(length >= 16);
            !is_done(&buffer[..length])
        } {}
    }
}

fn is_done(mut messages: &[u8]) -> bool {
    const DONE: u16 = 3;
    while let Some(head) = messages.first_chunk::<16>() {
        if u16::from_ne_bytes([head[4], head[5]]) == DONE {
            return true;
        }
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        messages = messages
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    false
}
