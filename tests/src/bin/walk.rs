//! The walk over the system calls, from the command line. Never changes anything outside of the
//! folder for temporary files.
//!
//! `walk [--quick|--full] [--threads N] [ROW|SCENE]…`: rows are those of the table of faults, D2, D3
//! and `failpoints` where none is named; scenes are commands, all where none is named. It ends with 1
//! when a promise was broken, and with 2 when it can't be run.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its report")]

use std::collections::BTreeSet;
use std::fmt;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Instant;

use pk_tests::walk::{Extent, ROWS, Report, Row, SCENES, Scene, stumble, walk};

/// What was asked for.
struct Wish {
    extent: Extent,
    threads: usize,
    rows: Vec<&'static Row>,
    /// Whether it is stumbled over failpoints.
    failpoints: bool,
    scenes: Vec<&'static Scene>,
}

fn main() -> ExitCode {
    let wish = match wish(std::env::args().skip(1)) {
        Ok(wish) => wish,
        Err(why) => {
            eprintln!("walk: {why}");
            return ExitCode::from(2);
        }
    };
    let (begun, mut sum) = (Instant::now(), Sum::default());
    for row in &wish.rows {
        println!("{} {}", row.name, row.about);
        for scene in &wish.scenes {
            sum.add(walk(row, scene, wish.extent, wish.threads));
        }
    }
    if wish.failpoints {
        println!("failpoints, killed and refused at each");
        for scene in &wish.scenes {
            sum.add(stumble(scene, &BTreeSet::new()).map(|passed| passed.report));
        }
    }
    println!("{sum}, {:.1} s", begun.elapsed().as_secs_f32());
    match sum {
        Sum { reports: 0, .. } => ExitCode::from(2),
        Sum { failures: 0, .. } => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// What all reports come to.
#[derive(Default)]
struct Sum {
    reports: usize,
    kills: usize,
    faults: usize,
    failures: usize,
}

impl Sum {
    /// Prints a report, if there is one, and adds it.
    fn add(&mut self, report: Option<Report>) {
        let Some(report) = report else { return };
        println!("  {report}");
        for failure in &report.failures {
            println!("    {}", failure.replace('\n', "\n    "));
        }
        self.reports += 1;
        self.kills += report.kills;
        self.faults += report.faults;
        self.failures += report.failures.len();
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sum {
            kills,
            faults,
            failures,
            ..
        } = self;
        write!(f, "{kills} kills, {faults} faults, {failures} failures")
    }
}

fn wish(mut words: impl Iterator<Item = String>) -> Result<Wish, String> {
    let mut wish = Wish {
        extent: Extent::Quick,
        threads: available_parallelism().map_or(1, usize::from),
        rows: Vec::new(),
        failpoints: false,
        scenes: Vec::new(),
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--quick" => wish.extent = Extent::Quick,
            "--full" => wish.extent = Extent::Full,
            "--threads" => {
                let number = words.next().and_then(|number| number.parse().ok());
                wish.threads = number.ok_or("--threads needs a number")?;
            }
            "failpoints" => wish.failpoints = true,
            name => match (Row::named(name), SCENES.iter().find(|it| it.name == name)) {
                (Some(row), _) => wish.rows.push(row),
                (None, Some(scene)) => wish.scenes.push(scene),
                (None, None) => return Err(format!("{name} is neither a row nor a scene")),
            },
        }
    }
    if wish.rows.is_empty() && !wish.failpoints {
        wish.failpoints = true;
        let usual = ROWS.iter().filter(|row| row.name.starts_with('D'));
        wish.rows = usual.collect();
    }
    if wish.scenes.is_empty() {
        wish.scenes = SCENES.iter().collect();
    }
    Ok(wish)
}
