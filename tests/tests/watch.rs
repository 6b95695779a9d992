//! The live table, and the lines that others read.

use std::net::TcpListener;
use std::time::Duration;

use pk_tests::process::{eventually, signal, state};
use pk_tests::{Picture, Ports, Screen, TestEnv, has, skipped};
use rustix::process::Signal;

/// Nothing takes longer, even on a machine that is busy with others.
const LIMIT: Duration = Duration::from_secs(60);

/// Which signals and keys end it: all of them in good order.
#[test]
fn the_terminal_is_given_back_however_it_ends() {
    if !has("setsid") {
        return skipped("a terminal of its own: no setsid");
    }
    let check = |end: &dyn Fn(&mut Screen)| {
        let env = TestEnv::new();
        let mut screen = env.start_on_screen("status --watch", 24, 80);
        screen.until("there", |it| {
            it.has("0 reservations") && it.is_cursor_hidden
        });
        assert!(screen.picture().is_other && !screen.is_cooked());
        end(&mut screen);
        let answer = screen.end();
        assert_eq!(answer.code, Some(0), "{answer:?}");
        assert_given_back(&screen);
    };
    check(&|screen| screen.type_in("q"));
    check(&|screen| screen.type_in("\u{3}"));
    for number in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        check(&|screen| signal(screen.pid(), number));
    }
}

#[track_caller]
fn assert_given_back(screen: &Screen) {
    let picture = screen.picture();
    assert!(
        !picture.is_other && !picture.is_cursor_hidden,
        "{picture:?}"
    );
    assert!(screen.is_cooked());
}

#[test]
fn a_panic_gives_the_terminal_back() {
    let Some(env) = TestEnv::with_failpoints().filter(|_| has("setsid")) else {
        return skipped("a panic on a terminal: no failpoints, or no setsid");
    };
    let mut command = env.command("setsid");
    // A place that can't answer falls over when it is told to.
    command
        .args(["--ctty", "portkeeper", "status", "--watch"])
        .env("PORTKEEPER_FAILPOINTS", "watch.show@2=return(EIO)");
    let mut screen = Screen::start(command, 24, 80);
    screen.until("there", |it| it.has("0 reservations"));
    let answer = screen.end();
    assert!(answer.code != Some(0), "{answer:?}");
    assert_given_back(&screen);
    assert!(
        screen.picture().has("watch.show can't answer"),
        "{screen:?}"
    );
}

/// The row of a port.
fn row(picture: &Picture, port: u16) -> Option<Vec<String>> {
    let line = picture
        .lines
        .iter()
        .find(|it| it.starts_with(&port.to_string()))?;
    Some(line.split_whitespace().map(str::to_owned).collect())
}

#[test]
fn what_comes_and_goes_is_seen() {
    if !has("setsid") {
        return skipped("a terminal of its own: no setsid");
    }
    let (env, ports) = (TestEnv::new(), Ports::claim(4));
    let [a, b, c, d] = [0, 1, 2, 3].map(|at| ports.at(at));
    let reserve = |port, more: &str| {
        let line = format!("reserve --preferred {port} --strict {more}");
        let _ = env.pk(line).ok();
    };
    let mut screen = env.start_on_screen("status --watch --owner shop", 24, 120);
    screen.until("empty", |it| it.has("0 reservations"));
    reserve(a, "--owner shop --hold --name web");
    let picture = screen.until("held", |it| row(it, a).is_some());
    let cells = row(&picture, a).unwrap();
    assert_eq!(cells[1..5], ["tcp", "held", "web", "shop"], "{picture:?}");
    assert_eq!(cells[7], "-", "nobody listens: {picture:?}");
    reserve(b, "--owner shop --ttl 90s");
    reserve(c, "--owner other");
    // Who listens, and how long it lasts.
    let listener = TcpListener::bind(("127.0.0.1", b)).unwrap();
    let picture = screen.until("two, one of which listens", |it| {
        row(it, b).is_some_and(|cells| cells[7] != "-")
    });
    let cells = row(&picture, b).unwrap();
    assert!(
        cells[6].starts_with("1m") || cells[6].ends_with('s'),
        "{cells:?}"
    );
    assert_eq!(row(&picture, c), None);
    assert!(picture.has("2 reservations in "), "{picture:?}");
    drop(listener);
    screen.until("nobody listens", |it| {
        row(it, b).is_some_and(|cells| cells[7] == "-")
    });
    let _ = env.pk(format!("release {b}")).ok();
    screen.until("one", |it| row(it, b).is_none() && row(it, a).is_some());
    // A narrow terminal, and one of three lines.
    reserve(b, "--owner shop");
    screen.resize(24, 30);
    let picture = screen.until("narrow", |it| {
        it.lines.iter().all(|it| it.chars().count() <= 30)
    });
    assert!(picture.lines.len() <= 24);
    reserve(d, "--owner shop");
    screen.resize(4, 80);
    screen.until("three in four lines", |it| {
        it.has("… 2 more") && it.lines.len() <= 4
    });
    // Stopped and gone on with, as by Ctrl-Z and fg.
    signal(screen.pid(), Signal::TSTP);
    screen.until("given back", |it| !it.is_other && !it.is_cursor_hidden);
    eventually(LIMIT, "it has stopped", || state(screen.pid()) == Some('T'));
    assert!(screen.is_cooked());
    signal(screen.pid(), Signal::CONT);
    screen.until("there again", |it| it.is_other && it.has("… 2 more"));
    screen.type_in("xq");
    assert_eq!(screen.end().code, Some(0));
}

/// Signals that come at once are all obeyed, whichever is looked at first.
#[test]
fn none_of_several_signals_is_lost() {
    if !has("setsid") {
        return skipped("a terminal of its own: no setsid");
    }
    let env = TestEnv::new();
    let mut screen = env.start_on_screen("status --watch", 24, 80);
    screen.until("there", |it| it.has("0 reservations"));
    let pid = screen.pid();
    signal(pid, Signal::STOP);
    eventually(LIMIT, "it has stopped", || state(pid) == Some('T'));
    for number in [Signal::WINCH, Signal::TERM, Signal::CONT] {
        signal(pid, number);
    }
    assert_eq!(screen.end().code, Some(0));
    assert_given_back(&screen);
}

/// Labels and names of programs are others': nothing of them moves a cursor.
#[test]
fn nothing_that_a_terminal_obeys_comes_through() {
    if !has("setsid") || !has("python3") {
        return skipped("a hostile listener: no setsid, or no python3");
    }
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let _ = env.pk(format!("reserve {}", ports.range())).ok();
    let script = "import socket, sys
s = socket.create_server(('127.0.0.1', int(sys.argv[1])))
print('up', flush=True)
sys.stdin.read()";
    std::fs::write(env.path("listen.py"), script).unwrap();
    let mut command = env.command("python3");
    command
        .args(["listen.py", &port.to_string(), "evil\u{1b}[2J\u{1b}[31m"])
        .stdin(std::process::Stdio::piped());
    let mut listener = env.start(command);
    assert_eq!(listener.line(), "up");
    let mut screen = env.start_on_screen("status --watch", 24, 200);
    // The screen of the tests fails at what it does not know, and 31m would be a style.
    let picture = screen.until("listening", |it| it.has("evil"));
    assert!(picture.has("evil\\u{1b}[2J\\u{1b}[31m"), "{picture:?}");
    screen.type_in("q");
    assert_eq!(screen.end().code, Some(0));
    listener.close_stdin();
}

#[test]
fn a_thousand_entries_are_one_screen_and_few_bytes() {
    if !has("setsid") {
        return skipped("a terminal of its own: no setsid");
    }
    let env = TestEnv::new();
    let _ = env.pk("reserve --count 998 --format port").ok();
    let mut screen = env.start_on_screen("status --watch", 40, 120);
    let picture = screen.until("full", |it| it.has("… 961 more"));
    assert_eq!(picture.lines.len(), 40);
    let first = screen.bytes;
    assert!(first < 40 * 200, "{first}");
    let _ = env.pk("reserve").ok();
    screen.until("one more", |it| it.has("… 962 more"));
    let _ = env.pk("reserve").ok();
    screen.until("two more", |it| {
        it.has("… 963 more") && it.has("1000 reservations")
    });
    // Never the whole screen again, but for the ages when a second has passed.
    assert!(screen.bytes < first * 60, "{} of {first}", screen.bytes);
    screen.type_in("q");
    assert_eq!(screen.end().code, Some(0));
    let _ = env.pk("release --mine").ok();
}

#[test]
fn a_pipe_gets_a_line_for_each_change() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    let (a, b) = (ports.at(0), ports.at(1));
    let ports_of = |line: &str| {
        let answer: serde_json::Value = serde_json::from_str(line).unwrap();
        let entries = answer["reservations"].as_array().unwrap().clone();
        entries
            .iter()
            .map(|it| {
                (
                    it["port"].as_u64().unwrap(),
                    it["state"].as_str().unwrap().to_owned(),
                )
            })
            .collect::<Vec<_>>()
    };
    let mut watch = env.start(env.portkeeper("status --watch --owner shop"));
    assert_eq!(ports_of(&watch.line()), []);
    let leased = |port: u16| (u64::from(port), "leased".to_owned());
    let _ = env
        .pk(format!("reserve --preferred {a} --strict --owner other"))
        .ok();
    let _ = env
        .pk(format!("reserve --preferred {b} --strict --owner shop"))
        .ok();
    assert_eq!(ports_of(&watch.line()), [leased(b)]);
    let _ = env.pk(format!("release {a} {b}")).ok();
    assert_eq!(ports_of(&watch.line()), []);
    // The end of a process changes no file, and is seen all the same.
    let mut process = env.bystander();
    let _ = env
        .pk(format!(
            "reserve --preferred {b} --strict --owner shop --pid {}",
            process.id()
        ))
        .ok();
    assert_eq!(ports_of(&watch.line()), [leased(b)]);
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(
        ports_of(&watch.line()),
        [(u64::from(b), "stale".to_owned())]
    );
    // A signal does what it does by itself.
    watch.signal(Signal::TERM);
    assert_eq!(watch.end().code, None);
}

#[test]
fn it_ends_with_its_reader() {
    let env = TestEnv::new();
    let answer = env
        .sh("portkeeper status --watch --format json | head -n 1; echo done")
        .ok();
    assert_eq!(answer.stdout.lines().last(), Some("done"));
    assert_eq!(answer.stderr, "");
    eventually(LIMIT, "it has ended", || env.processes().is_empty());
}

#[test]
fn without_a_terminal_there_is_no_table() {
    let env = TestEnv::new();
    env.pk("status --watch --format text")
        .refused(2)
        .says("a live table needs a terminal");
    env.pk("status --watch --format port")
        .refused(2)
        .says("no answer in --format port");
}

#[test]
fn a_name_is_what_this_project_calls_so() {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.path("other/.git")).unwrap();
    let ours = env.pk("reserve --name web").ok().port();
    let mut elsewhere = env.portkeeper("reserve --name web");
    elsewhere.current_dir(env.path("other"));
    let theirs = env.run(elsewhere).ok().port();
    assert_ne!(ours, theirs);
    let answer = env.pk("status --name web --format port").ok();
    assert_eq!(answer.stdout, format!("{ours}\n"));
    assert_eq!(env.pk("status --name db --format port").ok().stdout, "");
    env.pk("status --name a/../ü").refused(2);
}
