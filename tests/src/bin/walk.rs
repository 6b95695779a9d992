//! The walk over the system calls, from the command line. Never changes anything outside of the
//! folder for temporary files.
//!
//! `--list` names the rows, and `[--quick|--full] [--threads N] [--scene NAME]… [ROW…]` walks them: the
//! first three where none is named, through all scenes where none is. It ends with 1 when a promise was
//! broken, and with 2 when it can't be run.
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

/// So many steps of each row in each scene.
const QUICK: Extent = Extent::Sample(40);
/// The row that is not about system calls.
const FAILPOINTS: &str = "failpoints";

fn main() -> ExitCode {
    if std::env::args().skip(1).eq(["--list"]) {
        for row in ROWS {
            println!("{:<5} {}", row.name, row.about);
        }
        println!("{FAILPOINTS} killed and refused at each");
        return ExitCode::SUCCESS;
    }
    let wish = match Wish::read(std::env::args().skip(1)) {
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
        println!("{FAILPOINTS}, killed and refused at each");
        for scene in &wish.scenes {
            sum.add(stumble(scene, &BTreeSet::new()).map(|passed| passed.report));
        }
    }
    eprintln!("walk: {sum}, {:.0} s", begun.elapsed().as_secs_f32());
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

impl Wish {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Wish, String> {
        let mut wish = Wish {
            extent: Extent::Usual,
            threads: available_parallelism().map_or(1, usize::from),
            rows: Vec::new(),
            failpoints: false,
            scenes: Vec::new(),
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => wish.extent = QUICK,
                "--full" => wish.extent = Extent::Full,
                "--threads" => {
                    let number = words.next().and_then(|number| number.parse().ok());
                    wish.threads = number.ok_or("--threads needs a number")?;
                }
                "--scene" => {
                    let name = words.next().unwrap_or_default();
                    let scene = SCENES.iter().find(|it| it.name == name);
                    wish.scenes
                        .push(scene.ok_or_else(|| format!("{name:?} is no scene"))?);
                }
                FAILPOINTS => wish.failpoints = true,
                name => {
                    let row = Row::named(name).ok_or_else(|| format!("{name} is no row"))?;
                    wish.rows.push(row);
                }
            }
        }
        if wish.rows.is_empty() && !wish.failpoints {
            // The tests stumble over each of them once.
            wish.failpoints = wish.extent != QUICK;
            wish.rows = ROWS
                .iter()
                .filter(|row| row.name.starts_with('d'))
                .collect();
        }
        if wish.scenes.is_empty() {
            wish.scenes = SCENES.iter().collect();
        }
        Ok(wish)
    }
}
