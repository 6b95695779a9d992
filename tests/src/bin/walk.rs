//! The walk over the system calls, from the command line: `walk [--quick|--full] [ROW…]`, where a row
//! is one of docs' fault table (F01 to F18, F44, F45) or figures (D2 kills, D3 errors), or the name
//! of a scene. Never changes anything outside of the temporary folder.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "its report")]

use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use pk_tests::walk::{Extent, Kind, SCENES, walk};

fn main() -> ExitCode {
    let mut extent = Extent::Quick;
    let mut rows = Vec::new();
    for word in std::env::args().skip(1) {
        match word.as_str() {
            "--quick" => extent = Extent::Quick,
            "--full" => extent = Extent::Full,
            _ => rows.push(word),
        }
    }
    let threads = available_parallelism().map_or(1, usize::from);
    std::panic::set_hook(Box::new(|_| {}));
    let begun = Instant::now();
    let mut failed = 0;
    for scene in SCENES
        .iter()
        .filter(|s| rows.is_empty() || rows.iter().any(|r| r == s.name))
    {
        for kind in [Kind::Kills, Kind::Faults] {
            let Some(report) = walk(scene, kind, extent, threads) else {
                continue;
            };
            println!(
                "{:<28} {:>4} calls {:>5} kills {:>5} faults {:>3} missed {:>3} failures {:>6.1} s",
                report.name,
                report.calls,
                report.kills,
                report.faults,
                report.missed,
                report.failures.len(),
                report.took.as_secs_f32(),
            );
            for failure in &report.failures {
                println!("  {failure}");
            }
            failed += report.failures.len();
        }
    }
    let took: Duration = begun.elapsed();
    println!("{failed} failures, {:.1} s", took.as_secs_f32());
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
