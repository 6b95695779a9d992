//! The parts that tests and benchmarks need played by processes of their own: a server as people
//! write them, a rival that wants a port which is not its own, and work whose time is taken. Never
//! knows of the program under test.
//!
//! What it is told and what it says are lines of words.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "its answers")]

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use listenfd::ListenFd;
use pk_tests::rival::{Bid, Options};
use pk_tests::vandal;
use socket2::SockRef;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", host, port] => serve(host.parse()?, port.parse()?),
        ["wait-serve", host, port] => {
            println!("waiting");
            io::stdin().read_line(&mut String::new())?;
            serve(host.parse()?, port.parse()?)
        }
        ["rival", "everywhere"] => rival(&Bid::everywhere()),
        ["rival", "unshared"] => {
            let mut bids = Bid::everywhere();
            bids.retain(|bid| bid.options != Options::Share);
            rival(&bids)
        }
        ["rival", "ephemeral"] => rival(&[Bid::ephemeral()]),
        ["rival", options] => rival(&[Bid::loopback(Options::named(options).ok_or("options")?)]),
        ["vandal", folder, precious] => {
            spoil(|is_over| vandal::vandalize(folder.as_ref(), precious.as_ref(), is_over))
        }
        ["swap", folder, target] => {
            spoil(|is_over| vandal::swap(folder.as_ref(), target.as_ref(), is_over))
        }
        ["bind", port, times] => bind(port.parse()?, times.parse()?),
        ["connect", port, times] => connect(port.parse()?, times.parse()?),
        ["connect-from", from, port] => connect_from(from.parse()?, port.parse()?),
        ["accept", port, times] => accept(port.parse()?, times.parse()?),
        _ => Err(format!("no such part: {words:?}").into()),
    }
}

/// Says `up` when it listens, on an inherited socket if there is one, and tells each client its pid.
fn serve(host: IpAddr, port: u16) -> Outcome {
    let listener = match ListenFd::from_env().take_tcp_listener(0)? {
        Some(inherited) => inherited,
        None => TcpListener::bind((host, port))?,
    };
    println!("up");
    loop {
        // A client that has gone already is no reason to stop.
        if let Ok((mut client, _)) = listener.accept() {
            let _ = writeln!(client, "{}", std::process::id());
        }
    }
}

/// Tries to get a port without a pause. Each line that it is told is the port to try from then on
/// (0: none); each is answered by what came of the one before: how often it tried, how often it
/// could bind, and how often listen. What it listens on it keeps until the next line.
fn rival(bids: &[Bid]) -> Outcome {
    let told = lines();
    let mut bids = bids.iter().cycle();
    let (mut port, mut came) = (0, [0_u64; 3]);
    loop {
        let next = match port {
            0 => told.recv().ok(),
            _ => match told.try_recv() {
                Ok(line) => Some(line),
                Err(TryRecvError::Disconnected) => None,
                Err(TryRecvError::Empty) => {
                    let bid = bids.next().ok_or("no bids")?;
                    came[0] += 1;
                    if let Some(socket) = bid.bind(port) {
                        came[1] += 1;
                        if socket.listen(1).is_ok() {
                            came[2] += 1;
                            keep(&told, socket.into(), &mut port, &mut came)?;
                        }
                    }
                    continue;
                }
            },
        };
        let Some(next) = next else { return Ok(()) };
        answer(&next, &mut port, &mut came)?;
    }
}

/// Keeps what was won until the next line, and answers that.
fn keep(told: &Receiver<String>, won: TcpListener, port: &mut u16, came: &mut [u64; 3]) -> Outcome {
    let Ok(next) = told.recv() else { return Ok(()) };
    drop(won);
    answer(&next, port, came)
}

/// Says `up`, does harm until its standard input ends, and says how often.
fn spoil(harm: impl FnOnce(&mut dyn FnMut() -> bool) -> u64) -> Outcome {
    println!("up");
    let told = lines();
    let mut is_over = || told.try_recv() == Err(TryRecvError::Disconnected);
    println!("{}", harm(&mut is_over));
    Ok(())
}

fn answer(line: &str, port: &mut u16, came: &mut [u64; 3]) -> Outcome {
    let [tried, bound, listened] = std::mem::take(came);
    *port = line.trim().parse()?;
    println!("{tried} {bound} {listened}");
    Ok(())
}

/// The lines of standard input, as they come.
fn lines() -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let coming = io::stdin().lock().lines().map_while(Result::ok);
        coming.for_each(|line| drop(sender.send(line)));
    });
    lines
}

/// Binds a socket again and again; says how many nanoseconds the middle one of so many took.
fn bind(port: u16, times: usize) -> Outcome {
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let socket = pk_tests::rival::stream(Options::Reuse)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into();
        let begun = Instant::now();
        socket.bind(&address)?;
        took.push(begun.elapsed());
    }
    println!("{}", median(&mut took).as_nanos());
    Ok(())
}

/// Accepts so many connections of its own on one socket; says how many nanoseconds that took.
fn accept(port: u16, times: usize) -> Outcome {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let address = listener.local_addr()?;
    let begun = Instant::now();
    let clients = thread::spawn(move || -> io::Result<()> {
        for _ in 0..times {
            let mut client = TcpStream::connect(address)?;
            client.read_exact(&mut [0])?;
            // Its number is free again at once: nobody waits for what may still come.
            SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
        }
        Ok(())
    });
    for _ in 0..times {
        listener.accept()?.0.write_all(b"!")?;
    }
    clients.join().map_err(|_| "a client panicked")??;
    println!("{}", begun.elapsed().as_nanos());
    Ok(())
}

/// Connects so often; says from which ports the kernel let it, in order.
fn connect(port: u16, times: usize) -> Outcome {
    let mut from = BTreeSet::new();
    for _ in 0..times {
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        from.insert(client.local_addr()?.port());
        // Its number is free again at once.
        SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
    }
    let from: Vec<_> = from.iter().map(ToString::to_string).collect();
    println!("{}", from.join(" "));
    Ok(())
}

/// Connects from a port of its own choice; says what came of it.
fn connect_from(from: u16, port: u16) -> Outcome {
    let socket = pk_tests::rival::stream(Options::Reuse)?;
    let bound = socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, from)).into());
    let connected =
        bound.and_then(|()| socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()));
    match connected {
        Ok(()) => println!("connected"),
        Err(error) => println!("{:?}", error.kind()),
    }
    Ok(())
}

fn median(took: &mut [Duration]) -> Duration {
    took.sort_unstable();
    took.get(took.len() / 2).copied().unwrap_or_default()
}
