//! The page in docs/ and its plot, from the figures that were kept last. Never measures, and leaves
//! out what was not measured.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::commands::{self, FLOOR, NOTHING, SIZES};
use crate::figures::{self, Machine, Suite};
use crate::scene::Place;
use crate::tools::Tools;
use crate::{contention, library, micro, peers, plot, walk};

const PLOT: &str = "performance.svg";

/// Writes `docs/performance.md` and what it shows.
pub(crate) fn write(tools: &Tools) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut page = String::from(HEAD);
    if let Some(suite) = figures::kept::<Vec<commands::Figure>>("commands") {
        about(&mut page, &suite.machine, tools);
        of_commands(&mut page, &suite);
        let curves = [FLOOR, "reserve", "release", "status", "gc"];
        let text = plot::draw(&suite.figures, &curves);
        fs::write(docs.join(PLOT), text).unwrap();
    }
    if let Some(suite) = figures::kept::<Vec<library::Figure>>("library") {
        of_library(&mut page, &suite.figures);
    }
    if let Some(suite) = figures::kept::<Vec<walk::Figure>>("walk") {
        of_walk(&mut page, &suite.figures);
    }
    if let Some(suite) = figures::kept::<Vec<contention::Figure>>("contention") {
        of_contention(&mut page, &suite.figures);
    }
    if let Some(suite) = figures::kept::<Vec<peers::Figure>>("peers") {
        of_peers(&mut page, &suite.figures);
    }
    if let Some(suite) = figures::kept::<Vec<micro::Figure>>("micro") {
        of_parts(&mut page, &suite.figures);
    }
    fs::write(docs.join("performance.md"), page).unwrap();
    println!("\nwritten: docs/performance.md, docs/{PLOT}");
}

const HEAD: &str = "\
# Performance

What a reservation costs, beside the least that it could cost, and beside other programs. Written by
`cargo xtask bench tables`, which measures all of it in one go; every figure is a median, and what is
compared was run in turns, in another order each time.

The **floor** is a static C program that makes the system calls of one reservation and does nothing
else: it locks the registry, reads it, binds a port, writes the registry anew and prints. Most of what
it takes is what starting any process takes, as `/bin/true` shows.
";

fn about(page: &mut String, machine: &Machine, tools: &Tools) {
    let Machine {
        processor,
        cores,
        system,
        load,
    } = machine;
    let size = fs::metadata(&tools.program).map_or(f64::NAN, |it| it.len() as f64 / 1e6);
    line(
        page,
        format_args!(
            "\nMeasured on {cores} cores of {processor}, {system}, with a load of {:.1} before and \
             {:.1} after; the\nprogram as it is released, static, {size:.1} MB.",
            load[0], load[1]
        ),
    );
}

fn of_commands(page: &mut String, suite: &Suite<Vec<commands::Figure>>) {
    for place in [Place::Tmpfs, Place::Disk] {
        let of = |command: &str, entries| {
            let mut all = suite.figures.iter();
            all.find(|it| it.place == place && it.command == command && it.entries == entries)
        };
        let Some(floor) = of(FLOOR, 100) else {
            continue;
        };
        line(
            page,
            format_args!("\n## Commands, with the registry on {place}\n"),
        );
        line(
            page,
            "Microseconds from start to end of the process; at 100 entries also as a multiple of \
             the floor. The\nlast columns are of 60 000 entries: what each adds, and the most \
             memory.\n",
        );
        let sizes = SIZES.map(|size| format!(" {size} |")).concat();
        line(
            page,
            format_args!("| entries |{sizes} × floor | ns an entry | MiB |"),
        );
        line(
            page,
            format_args!("|---|{}", "--:|".repeat(SIZES.len() + 3)),
        );
        let names = suite.figures.iter().filter(|it| it.place == place);
        let names = names.take_while(|it| it.entries == SIZES[0]);
        for name in names.map(|it| it.command.as_str()) {
            let micros = |entries| of(name, entries).map_or(f64::NAN, |it| it.micros);
            let cells = SIZES.map(|size| format!(" {:.0} |", micros(size))).concat();
            let each = (micros(60_000) - micros(10_000)) * 1e3 / 50_000.0;
            let each = match name == NOTHING || name == "--version" {
                true => String::new(),
                false => format!("{:.0}", each.max(0.0)),
            };
            let memory = of(name, 60_000).map_or(f64::NAN, |it| it.memory as f64 / 1024.0);
            line(
                page,
                format_args!(
                    "| `{name}` |{cells} {:.2} | {each} | {memory:.0} |",
                    micros(100) / floor.micros
                ),
            );
        }
        let runs = SIZES.map(|size| of(FLOOR, size).map_or(0, |it| it.runs).to_string());
        line(page, format_args!("\nRuns of each: {}.", runs.join(", ")));
    }
    line(
        page,
        format_args!("\n![cost against the number of entries, on tmpfs]({PLOT})"),
    );
}

fn of_library(page: &mut String, figures: &[library::Figure]) {
    line(
        page,
        "\n## In a program that uses the library\n\n\
         Reserving and releasing once, in microseconds, on tmpfs. Beside it, in a process that is \
         running: the\nfewest system calls that do the same, as in the floor; and all that the \
         library makes, by which it\nmakes sure that nobody has exchanged its folder, its lock or \
         its file.\n\n\
         | kept by | entries | library | fewest calls | ratio | same calls | ratio | slices of 20 |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|",
    );
    for it in figures {
        let library::Figure {
            kind,
            entries,
            slices,
            ours,
            least,
            same,
        } = it;
        let [to_least, to_same] = [least, same].map(|bare| ours / bare);
        line(
            page,
            format_args!(
                "| {kind} | {entries} | {ours:.1} | {least:.1} | {to_least:.2} | {same:.1} | \
                 {to_same:.2} | {slices} |"
            ),
        );
    }
}

fn of_walk(page: &mut String, figures: &[walk::Figure]) {
    line(
        page,
        "\n## Behind ports that are in use\n\n\
         Reserving the first free port of a range, in milliseconds, beside what it takes to find out \
         that the\nothers are in use: one failing bind each, or one list of all listeners from the \
         kernel, unread. The\nratio is to the cheaper of the two.\n\n\
         | in use | library | failing binds | one list | ratio | rounds |\n\
         |--:|--:|--:|--:|--:|--:|",
    );
    for it in figures {
        let walk::Figure {
            taken,
            rounds,
            ours,
            binds,
            list,
        } = it;
        let ratio = ours / binds.min(*list);
        line(
            page,
            format_args!(
                "| {taken} | {ours:.2} | {binds:.2} | {list:.2} | {ratio:.2} | {rounds} |"
            ),
        );
    }
}

fn of_contention(page: &mut String, figures: &[contention::Figure]) {
    line(
        page,
        "\n## Many processes at once\n\n\
         Each reserves and releases as often as it says, as fast as it can, beside 100 entries. \
         `portserver` is\nportpicker's server, asked over its socket by a client that does nothing \
         else.\n\n\
         | by | processes | times each | a second | p50 ms | p99 ms | max ms | duplicates |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|",
    );
    for it in figures {
        line(
            page,
            format_args!(
                "| {} | {} | {} | {:.0} | {:.2} | {:.1} | {:.1} | {} |",
                it.way,
                it.processes,
                it.operations,
                it.throughput,
                it.middle,
                it.slow,
                it.most,
                it.duplicates
            ),
        );
    }
}

fn of_peers(page: &mut String, figures: &[peers::Figure]) {
    let of = |name: &str| figures.iter().find(|it| it.name == name);
    let Some(ours) = of("reserve") else {
        return;
    };
    line(
        page,
        "\n## Beside other programs\n\n\
         One port, as a whole process; and 50 processes that ask at once, four times: until all have \
         answered,\nand how many got a port that another had got. A program that only looks for a \
         free port, and keeps\nnobody off it, can give it twice.\n\n\
         | program | ms | × reserve | 50 at once, ms | duplicates of 200 | runs |\n\
         |---|--:|--:|--:|--:|--:|",
    );
    for it in figures {
        let crowd = it.crowd.map(|crowd| (crowd.millis, crowd.duplicates));
        let [millis, duplicates] = match crowd {
            Some((millis, duplicates)) => [format!("{millis:.0}"), duplicates.to_string()],
            None => Default::default(),
        };
        line(
            page,
            format_args!(
                "| {} | {:.2} | {:.1} | {millis} | {duplicates} | {} |",
                it.name,
                it.micros / 1e3,
                it.micros / ours.micros,
                it.runs
            ),
        );
    }
}

fn of_parts(page: &mut String, figures: &[micro::Figure]) {
    line(
        page,
        "\n## The parts\n\n\
         What a reservation is made of, each by itself in a process that is running.\n\n\
         | part | µs | samples |\n\
         |---|--:|--:|",
    );
    for it in figures {
        let (name, micros, samples) = (&it.name, it.micros, it.samples);
        line(page, format_args!("| {name} | {micros:.1} | {samples} |"));
    }
}

fn line(page: &mut String, text: impl std::fmt::Display) {
    // Writing to a string can't fail.
    let _ = writeln!(page, "{text}");
}
