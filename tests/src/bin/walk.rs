//! The walk over the system calls, from the command line. Never changes anything outside of the
//! folder for temporary files.
//!
//! `walk [--quick|--full] [--threads N] [ROW|SCENE]…`: rows are those of the table of faults, D2 and D3
//! where none is named; scenes are commands, all where none is named. It ends with 1 when a promise
//! was broken, and with 2 when it can't be run.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its report")]

use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Instant;

use pk_tests::walk::{Extent, ROWS, Row, SCENES, Scene, walk};

/// What was asked for.
struct Wish {
    extent: Extent,
    threads: usize,
    rows: Vec<&'static Row>,
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
    // A broken promise is a panic, which is told in the report.
    std::panic::set_hook(Box::new(|_| {}));
    let (begun, mut failures, mut is_possible) = (Instant::now(), 0, false);
    let (mut kills, mut faults) = (0, 0);
    for row in &wish.rows {
        println!("{} {}", row.name, row.about);
        for scene in &wish.scenes {
            let Some(report) = walk(row, scene, wish.extent, wish.threads) else {
                continue;
            };
            is_possible = true;
            println!("  {report}");
            for failure in &report.failures {
                println!("    {}", failure.replace('\n', "\n    "));
            }
            failures += report.failures.len();
            (kills, faults) = (kills + report.kills, faults + report.faults);
        }
    }
    let took = begun.elapsed().as_secs_f32();
    println!("{kills} kills, {faults} faults, {failures} failures, {took:.1} s");
    match (is_possible, failures) {
        (true, 0) => ExitCode::SUCCESS,
        (true, _) => ExitCode::FAILURE,
        (false, _) => ExitCode::from(2),
    }
}

fn wish(mut words: impl Iterator<Item = String>) -> Result<Wish, String> {
    let mut wish = Wish {
        extent: Extent::Quick,
        threads: available_parallelism().map_or(1, usize::from),
        rows: Vec::new(),
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
            name => match (Row::named(name), SCENES.iter().find(|it| it.name == name)) {
                (Some(row), _) => wish.rows.push(row),
                (None, Some(scene)) => wish.scenes.push(scene),
                (None, None) => return Err(format!("{name} is neither a row nor a scene")),
            },
        }
    }
    if wish.rows.is_empty() {
        let usual = ROWS.iter().filter(|row| row.name.starts_with('D'));
        wish.rows = usual.collect();
    }
    if wish.scenes.is_empty() {
        wish.scenes = SCENES.iter().collect();
    }
    Ok(wish)
}
