//! What it costs: one reservation beside a hundred others, and commands on the largest registry that
//! is allowed. The limits are those that a slow and busy machine keeps; the goals of a quiet one are
//! the business of `cargo xtask bench`.

use std::fs;
use std::time::{Duration, Instant};

use pk_tests::{Ports, TestEnv, has};

use crate::figures::{Spread, ms};
use crate::options::Options;
use crate::row::{Needs, Outcome, Row, Skipped};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "d14",
        about: "60 000 reservations: reserve, status and gc within 150, 300 and 300 ms and 150 MB",
        needs: Needs::Nothing,
        run: large,
    },
    Row {
        name: "d15",
        about: "a reservation beside 100 others: half within 3 ms, 99 % within 15 ms",
        needs: Needs::Nothing,
        run: usual,
    },
];

const ENTRIES: usize = 60_000;
/// Bytes of address space, of which a part is ever used.
const MEMORY: u64 = 150 << 20;
/// How often a time is taken before it counts as too long.
const TRIES: usize = 5;

fn large(_: &Options) -> Outcome {
    if !has("prlimit") {
        return Err(Skipped("no prlimit".to_owned()));
    }
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    env.pk(format!("reserve --preferred {}", ports.at(0))).ok();
    let registry = fs::read_to_string(env.registry()).unwrap();
    let (head, entry) = registry.split_once('\n').expect("two lines");
    let entry = entry.trim_end().trim_end_matches('}').to_owned() + "}";
    let (own, id) = (ports.at(0).to_string(), between(&entry, "\"id\":\"", '"'));
    let others = (1..=u16::MAX).filter(|port| !ports.all().contains(port));
    let others = others.take(ENTRIES).map(|port| {
        let id = format!("{}{port:05}", &id[..id.len() - 5]);
        entry
            .replace(&own, &port.to_string())
            .replace(between(&entry, "\"id\":\"", '"'), &id)
    });
    let entries: Vec<String> = others.collect();
    fs::write(
        env.registry(),
        format!("{head}\n{}}}}}\n", entries.join(",\n")),
    )
    .unwrap();
    assert_eq!(env.reserved().len(), ENTRIES, "all are read");

    let mut told = Vec::new();
    let reserve = format!("reserve --preferred {} --strict", ports.at(1));
    let release = format!("release {}", ports.at(1));
    for (line, limit) in [(reserve.as_str(), 150), ("status", 300), ("gc", 300)] {
        let limit = Duration::from_millis(limit);
        let mut least = Duration::MAX;
        for _ in 0..TRIES {
            least = least.min(cost(&env, line));
            if line == reserve {
                env.pk(&release).ok();
            }
            if least <= limit {
                break;
            }
        }
        let word = line.split(' ').next().unwrap_or_default();
        let busy = busyness();
        assert!(
            least <= limit.mul_f64(busy),
            "{word}: {least:?}, {limit:?} allowed, {busy:.1} want each processor"
        );
        told.push(format!("{word} {}", ms(least)));
    }
    // To release them one by one, as the end of this world would, takes a minute.
    fs::remove_file(env.registry()).unwrap();
    Ok(told.join(", "))
}

fn usual(options: &Options) -> Outcome {
    let rounds = options.rounds([200, 1_000, 10_000]);
    let (env, ports) = (TestEnv::new(), Ports::claim(101));
    env.pk(format!("reserve --count 100 {}", ports.range()))
        .ok();
    let mut took = Vec::new();
    while rounds.next().is_some() {
        let begun = Instant::now();
        let port = env.pk(format!("reserve {}", ports.range())).ok().port();
        took.push(begun.elapsed());
        env.pk(format!("release {port}")).ok();
    }
    let spread = Spread::of(took);
    // Beside others that keep the machine busy: as long as those, and no longer.
    let busy = busyness();
    for (percent, limit) in [(50, 3), (99, 15)] {
        let (took, limit) = (spread.percentile(percent), Duration::from_millis(limit));
        assert!(
            took <= limit.mul_f64(busy),
            "{percent} %: {took:?}, {limit:?} allowed, {busy:.1} want each processor"
        );
    }
    Ok(format!("{} times, {spread}", rounds.done()))
}

/// How many want each processor, at least 1: the load of the last minute.
fn busyness() -> f64 {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load
        .split(' ')
        .next()
        .and_then(|it| it.parse().ok())
        .unwrap_or(0.0);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (load / processors as f64).max(1.0)
}

/// How long a command takes that may use so much memory and no more.
fn cost(env: &TestEnv, line: &str) -> Duration {
    let mut command = env.command("prlimit");
    command.arg(format!("--as={MEMORY}"));
    let program = env.portkeeper(line);
    command.arg(program.get_program()).args(program.get_args());
    let begun = Instant::now();
    env.run(command).ok();
    begun.elapsed()
}

fn between<'t>(text: &'t str, head: &str, end: char) -> &'t str {
    let rest = text.split_once(head).expect("it is there").1;
    rest.split(end).next().unwrap_or_default()
}
