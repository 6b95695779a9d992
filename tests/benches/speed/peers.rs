//! Other programs that give out ports, each as its users install it, in the same turns as ours: what
//! a port costs, and how many of fifty that ask at once get one that another has got. Never installs
//! anything outside of the target folder.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use pk_tests::{has, skipped};
use serde::{Deserialize, Serialize};

use crate::commands::{self, FLOOR, NOTHING};
use crate::contention::pick;
use crate::figures::{self, Machine};
use crate::scene::{Place, Scene};
use crate::stopwatch::{Plan, median};
use crate::tools::{self, Tools};

/// A port from one program.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) runs: usize,
    pub(crate) micros: f64,
    /// Fifty at once: milliseconds until all have answered, and how many got a port that another had
    /// got, of all; `None` for what names no port.
    pub(crate) crowd: Option<Crowd>,
}

/// Many that ask at once.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Crowd {
    pub(crate) millis: f64,
    pub(crate) calls: usize,
    pub(crate) duplicates: usize,
}

/// How many ask at once, and how often.
const CROWD: usize = 50;
const CROWDS: usize = 4;

/// A program, and how it is asked for a port.
struct Peer {
    name: &'static str,
    words: Vec<String>,
    answers: Answers,
}

/// What a program says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    /// The number of a port is in its answer.
    Port,
    Nothing,
}

/// Measures, prints and keeps.
pub(crate) fn measure(tools: &Tools, rounds: u32) {
    let Some(scene) = Scene::new(Place::Tmpfs, &tools.program) else {
        return;
    };
    install();
    let server = Portserver::start();
    let machine = Machine::before();
    let peers = peers(tools, server.as_ref());
    let (template, registry) = (scene.template(100), scene.registry());
    let mut plan = Plan::default();
    plan.time(NOTHING, &["/bin/true"]);
    scene.renew(&mut plan, &template);
    let port = scene.free.at(0).to_string();
    plan.time(FLOOR, &[&tools.floor, registry.to_str().unwrap(), &port]);
    // The original would take ours for its own registry.
    let theirs = format!("PORTKEEPER_REGISTRY={}", scene.word("theirs.json"));
    for peer in &peers {
        scene.renew(&mut plan, &template);
        let words = words(peer, &theirs);
        plan.time(peer.name, &words);
    }
    let (timed, _) = plan.run(scene.command(&tools.stopwatch), rounds);
    println!("\nA port from other programs, {rounds} rounds\n");
    commands::print(&timed);
    println!("\n{CROWD} at once, {CROWDS} times\n");
    println!("{:34}{:>12}{:>12}{:>8}", "", "ms", "duplicates", "of");
    let crowd = |name: &str| {
        let peer = peers.iter().find(|peer| peer.name == name)?;
        if peer.answers == Answers::Nothing {
            return None;
        }
        let crowd = crowd(&scene, &words(peer, &theirs));
        let Crowd {
            millis,
            calls,
            duplicates,
        } = crowd;
        println!("{name:34}{millis:>12.0}{duplicates:>12}{calls:>8}");
        Some(crowd)
    };
    let all: Vec<_> = timed
        .into_iter()
        .map(|it| Figure {
            crowd: crowd(&it.name),
            name: it.name,
            runs: it.runs,
            micros: it.micros,
        })
        .collect();
    figures::keep("peers", machine, all);
}

fn words<'w>(peer: &'w Peer, theirs: &'w str) -> Vec<&'w str> {
    let all = peer.words.iter().map(String::as_str);
    match peer.name {
        ORIGINAL => ["env", theirs].into_iter().chain(all).collect(),
        _ => all.collect(),
    }
}

const ORIGINAL: &str = "portkeeper 0.1.0 (PyPI)";

fn peers(tools: &Tools, server: Option<&Portserver>) -> Vec<Peer> {
    let ours = tools.program.as_str();
    let [python, node, cargo] = ["python/bin", "node/node_modules", "cargo/bin"].map(folder);
    let at = |folder: &Path, name: &str| folder.join(name).to_str().unwrap().to_owned();
    let interpreter = at(&python, "python");
    let modules = format!("NODE_PATH={}", node.display());
    let server = server.map_or(String::new(), |it| {
        format!("PORTSERVER_ADDRESS={}", it.address)
    });
    let all: [(&'static str, Answers, PathBuf, Vec<&str>); 12] = {
        use Answers::{Nothing, Port};
        let none = PathBuf::new();
        [
            (
                "reserve",
                Port,
                none.clone(),
                vec![ours, "reserve", "--format", "port"],
            ),
            (
                "run -- true",
                Nothing,
                none,
                vec![ours, "run", "--", "/bin/true"],
            ),
            (
                ORIGINAL,
                Port,
                python.join("portkeeper"),
                vec!["{}", "reserve"],
            ),
            (
                "portpicker (PyPI)",
                Port,
                python.join("python"),
                vec!["{}", "-m", "portpicker"],
            ),
            (
                "portpicker (PyPI), portserver",
                Port,
                python.join("portserver.py"),
                vec!["env", &server, &interpreter, "-m", "portpicker"],
            ),
            (
                "port-for (PyPI)",
                Port,
                python.join("port-for"),
                vec![
                    &interpreter,
                    "-c",
                    "import port_for; print(port_for.select_random())",
                ],
            ),
            (
                "ephemeral-port-reserve (PyPI)",
                Port,
                python.join("ephemeral-port-reserve"),
                vec!["{}"],
            ),
            (
                "get-port-cli (npm)",
                Port,
                node.join(".bin/get-port"),
                vec!["{}"],
            ),
            (
                "detect-port (npm)",
                Port,
                node.join(".bin/detect-port"),
                vec!["{}", "20000"],
            ),
            (
                "portfinder (npm)",
                Port,
                node.join("portfinder"),
                vec![
                    "env",
                    &modules,
                    "node",
                    "-e",
                    "require('portfinder').getPortPromise().then(console.log)",
                ],
            ),
            (
                "portpicker (crates.io)",
                Port,
                cargo.join("pick"),
                vec!["{}"],
            ),
            (
                "systemfd (crates.io) -- true",
                Nothing,
                cargo.join("systemfd"),
                vec!["{}", "--quiet", "-s", "tcp::127.0.0.1:0", "--", "/bin/true"],
            ),
        ]
    };
    let is_there = |path: &Path, name: &str| {
        let is_there = path.as_os_str().is_empty() || path.exists();
        if !is_there {
            skipped(format_args!("{name}: not installed"));
        }
        is_there
    };
    let sound = all
        .into_iter()
        .filter(|(name, _, path, words)| is_there(path, name) && !words.contains(&""));
    sound
        .map(|(name, answers, path, words)| Peer {
            name,
            answers,
            words: words
                .into_iter()
                .map(|word| word.replace("{}", path.to_str().unwrap()))
                .collect(),
        })
        .collect()
}

/// Starts as many as a crowd has, and waits for what each of them says.
fn crowd(scene: &Scene, words: &[&str]) -> Crowd {
    let (mut times, mut duplicates) = (Vec::new(), 0);
    for _ in 0..CROWDS {
        scene.reset(&scene.template(100));
        let begun = Instant::now();
        let children: Vec<Child> = (0..CROWD)
            .map(|_| {
                let mut command = scene.command(words[0]);
                command.args(&words[1..]).stdin(Stdio::null());
                command.stdout(Stdio::piped()).stderr(Stdio::null());
                command.spawn().unwrap()
            })
            .collect();
        let answers = children
            .into_iter()
            .map(|it| it.wait_with_output().unwrap());
        let ports: Vec<Option<u16>> = answers.map(|it| port_in(&it.stdout)).collect();
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        let answered = ports.iter().flatten().count();
        duplicates += answered - ports.iter().flatten().collect::<HashSet<_>>().len();
    }
    Crowd {
        millis: median(times),
        calls: CROWD * CROWDS,
        duplicates,
    }
}

/// The last number in an answer that can be a port: `8080`, or `{"port": 8080, "held": false}`.
fn port_in(answer: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(answer).into_owned();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    numbers
        .rfind(|it| it.len() > 3)
        .and_then(|it| it.parse().ok())
}

/// portpicker's server, on an address of its own.
pub(crate) struct Portserver {
    child: Child,
    pub(crate) address: String,
}

impl Portserver {
    /// `None`, with a word about it, where it is not installed or does not start.
    pub(crate) fn start() -> Option<Portserver> {
        let python = folder("python/bin");
        let program = python.join("portserver.py");
        if !program.exists() {
            skipped("portserver: not installed (cargo xtask bench peers does)");
            return None;
        }
        let address = format!("@pk-bench-{}", std::process::id());
        let mut command = Command::new(python.join("python"));
        command
            .arg(program)
            .args(["--portserver_address", &address]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = Portserver {
            child: command.spawn().ok()?,
            address,
        };
        for _ in 0..1_000 {
            if pick(&server.address).is_ok() {
                return Some(server);
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        skipped("portserver: it does not start");
        None
    }
}

impl Drop for Portserver {
    fn drop(&mut self) {
        // It has ended already, or can't be ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder(name: &str) -> PathBuf {
    tools::folder().with_file_name("peers").join(name)
}

/// Installs what is not there yet; what can't be installed is left out.
fn install() {
    let make = |name: &str, needs: &str, script: &str| {
        if folder(name).exists() {
            return;
        }
        let done = has(needs) && {
            fs::create_dir_all(folder("")).unwrap();
            let mut command = Command::new("sh");
            command.args(["-ec", script]).current_dir(folder(""));
            command
                .stdout(Stdio::null())
                .status()
                .is_ok_and(|it| it.success())
        };
        if !done {
            let _ = fs::remove_dir_all(folder(name));
            skipped(format_args!("{name}: could not be installed by {needs}"));
        }
    };
    make(
        "python",
        "python3",
        "python3 -m venv python
         python/bin/pip install --quiet --disable-pip-version-check portkeeper==0.1.0 portpicker \
             psutil port-for ephemeral-port-reserve",
    );
    make(
        "node",
        "npm",
        "npm install --silent --no-audit --no-fund --prefix node get-port-cli detect-port portfinder",
    );
    // The crate is a library; this is the least that asks it for a port.
    make(
        "cargo",
        "cargo",
        "mkdir -p pick/src
         printf '[package]\\nname = \"pick\"\\nversion = \"0.0.0\"\\nedition = \"2021\"\\n[dependencies]\\nportpicker = \"0.1\"\\n[workspace]\\n' > pick/Cargo.toml
         echo 'fn main() { println!(\"{}\", portpicker::pick_unused_port().unwrap()) }' > pick/src/main.rs
         unset RUSTFLAGS CARGO_TARGET_DIR CARGO_BUILD_TARGET
         cargo install --quiet --root cargo --target-dir build --path pick
         cargo install --quiet --root cargo --target-dir build systemfd",
    );
}
