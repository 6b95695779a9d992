//! The parts that a reservation is made of, each by itself: a probe, a walk, a list from the kernel,
//! a lock, reading, a commit, and the edits of files of several sizes. Never compares.

use std::hint::black_box;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use pk_config::dotenv::EnvFile;
use pk_config::json::JsonFile;
use pk_core::sockets::{self, States};
use pk_core::{Port, Protocol, Transport, Walk};
use pk_fs::lock::{LockFile, Wait};
use pk_registry::{Here, Registry};
use rustix::net::AddressFamily;
use serde::{Deserialize, Serialize};

use crate::figures::{self, Machine};
use crate::scene::{Place, Scene};
use crate::stopwatch::median;
use crate::tools::Tools;

/// What a part costs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) micros: f64,
    pub(crate) samples: usize,
}

const WAIT: Wait = Wait::UpTo(Duration::from_secs(10));
/// How long a sample takes at least, and how long all of them take together.
const SAMPLE: Duration = Duration::from_micros(500);
const ALL: Duration = Duration::from_millis(300);

/// Measures, prints and keeps.
pub(crate) fn measure(tools: &Tools) {
    let Some(scene) = Scene::new(Place::Tmpfs, &tools.program) else {
        return;
    };
    let machine = Machine::before();
    println!("\nthe parts, µs\n");
    let mut bench = Bench(Vec::new());
    ports(&mut bench, &scene);
    registry(&mut bench, &scene);
    for size in [1 << 10, 32 << 10, 1 << 20, 4 << 20] {
        edits(&mut bench, size);
    }
    figures::keep("micro", machine, bench.0);
}

fn ports(bench: &mut Bench, scene: &Scene) {
    let free = Port::new(scene.free.at(0)).unwrap();
    bench.time("probe of a free port", || {
        black_box(Walk::new(Protocol::Tcp).claim(free)).unwrap()
    });
    let taken: Vec<_> = (0..100)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let port = |it: &TcpListener| Port::new(it.local_addr().unwrap().port()).unwrap();
    let taken_ports: Vec<_> = taken.iter().map(port).collect();
    bench.time("walk along 100 ports in use", || {
        let mut walk = Walk::new(Protocol::Tcp);
        assert!(taken_ports.iter().all(|&port| walk.claim(port).is_err()));
    });
    let families = [AddressFamily::INET, AddressFamily::INET6];
    bench.time("list of 100 listeners", || {
        sockets::list(Transport::Tcp, &families, States::LISTENING, None).unwrap()
    });
}

fn registry(bench: &mut Bench, scene: &Scene) {
    let path = scene.path("registry/another.lock");
    bench.time("lock and unlock", || {
        LockFile::sidecar(&path).exclusive(WAIT, |_| ()).unwrap();
    });
    bench.time("where am I: boot and namespaces", Here::now);
    for entries in [100, 10_000] {
        scene.reset(&scene.template(entries));
        let here = Here::now();
        let name = format!("read and type {entries} entries");
        bench.time(name, || Registry::at(scene.registry()).read(&here).unwrap());
        let last = scene.ports().nth(entries as usize - 1).unwrap();
        let read = Registry::at(scene.registry()).read(&here).unwrap();
        let found = read.entries.into_iter().find_map(|it| match it {
            pk_registry::Listed::Sound { reservation, .. } => {
                (reservation.port.number() == last).then_some(reservation)
            }
            pk_registry::Listed::Damaged { .. } => None,
        });
        let reservation = found.expect("it was put there");
        let name = format!("commit one of {entries} entries");
        bench.time(name, || {
            let change = |transaction: &mut pk_registry::Transaction<'_>| {
                assert!(transaction.replace(&reservation));
                Ok::<_, pk_registry::Error>(())
            };
            let registry = Registry::at(scene.registry());
            registry.update(WAIT, &here, change).unwrap()
        });
    }
}

fn edits(bench: &mut Bench, size: usize) {
    let lines = (0..).map(|at| format!("NAME_{at}=\"the value of {at}\" # and a word\n"));
    let env = fill(lines, size) + "PORT=3000\n";
    let members = (0..).map(|at| format!("  \"name {at}\": [{at}, \"a word\", null],\n"));
    let json = "{\n".to_owned() + &fill(members, size) + "  \"server\": {\"port\": 3000}\n}\n";
    let size = match size >> 20 {
        0 => format!("{} KiB", size >> 10),
        mebibytes => format!("{mebibytes} MiB"),
    };
    bench.time(format!(".env of {size}: one value set"), || {
        let mut file = EnvFile::parse(env.as_bytes()).unwrap();
        file.set("PORT", "8080").unwrap().to_bytes()
    });
    bench.time(format!("JSON of {size}: one value set"), || {
        let mut file = JsonFile::parse(json.as_bytes()).unwrap();
        file.set("/server/port", 8080).unwrap().to_bytes()
    });
}

fn fill(lines: impl Iterator<Item = String>, size: usize) -> String {
    let mut text = String::with_capacity(size + 100);
    for line in lines {
        if text.len() + line.len() > size {
            break;
        }
        text.push_str(&line);
    }
    text
}

struct Bench(Vec<Figure>);

impl Bench {
    fn time<T>(&mut self, name: impl Into<String>, mut work: impl FnMut() -> T) {
        let mut once = || {
            let begun = Instant::now();
            black_box(work());
            begun.elapsed()
        };
        once();
        let times = (SAMPLE.as_nanos() / once().as_nanos().max(1) + 1) as u32;
        let (begun, mut samples) = (Instant::now(), Vec::new());
        while begun.elapsed() < ALL || samples.len() < 5 {
            let sample: Duration = (0..times).map(|_| once()).sum();
            samples.push(sample.as_secs_f64() * 1e6 / f64::from(times));
        }
        let (name, samples, micros) = (name.into(), samples.len(), median(samples));
        println!("{name:40}{micros:>12.2}");
        self.0.push(Figure {
            name,
            micros,
            samples,
        });
    }
}
