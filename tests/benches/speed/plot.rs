//! The cost of commands against the number of entries, as a picture: both axes logarithmic, on
//! tmpfs. Never touches a file.

use std::fmt::Write as _;

use crate::commands::{Figure, SIZES};
use crate::scene::Place;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
/// Around the axes: left, right, top, bottom.
const MARGIN: [f64; 4] = [64.0, 96.0, 16.0, 44.0];
/// Told apart without colours, too, by the names at their ends.
const COLOURS: [&str; 5] = ["#888888", "#0072b2", "#009e73", "#d55e00", "#cc79a7"];

/// Where the axes begin and end: entries, microseconds.
struct Frame {
    entries: [f64; 2],
    micros: [f64; 2],
}

/// A curve for each of these commands.
pub(crate) fn draw(figures: &[Figure], commands: &[&str]) -> String {
    let points = |command: &str| -> Vec<(f64, f64)> {
        let of_it = figures
            .iter()
            .filter(|it| it.place == Place::Tmpfs && it.command == command);
        // A logarithm has no 0: an empty registry stands where one entry would.
        of_it
            .map(|it| (f64::from(it.entries.max(1)), it.micros))
            .collect()
    };
    let most = commands.iter().flat_map(|name| points(name));
    let most = most.map(|(_, micros)| micros).fold(1e3, f64::max);
    let frame = Frame {
        entries: [1.0, 1e5],
        micros: [1e2, 10_f64.powf(most.log10().ceil())],
    };
    let mut svg = String::new();
    let mut put = |text: std::fmt::Arguments<'_>| {
        // Writing to a string can't fail.
        let _ = writeln!(svg, "{text}");
    };
    put(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>"
    ));
    for micros in decades(frame.micros) {
        let (left, y) = frame.at((frame.entries[0], micros));
        let right = WIDTH - MARGIN[1];
        put(format_args!(
            "<path d=\"M{left:.1} {y:.1}H{right:.1}\" stroke=\"#dddddd\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 6.0,
            y + 4.0,
            in_words(micros)
        ));
    }
    let foot = HEIGHT - MARGIN[3];
    for entries in SIZES {
        let (x, _) = frame.at((f64::from(entries.max(1)), frame.micros[0]));
        put(format_args!(
            "<path d=\"M{x:.1} {foot:.1}v5\" stroke=\"black\"/>\n\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{entries}</text>",
            foot + 18.0
        ));
    }
    put(format_args!(
        "<path d=\"M{:.1} {foot:.1}H{:.1}\" stroke=\"black\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">entries in the registry</text>",
        MARGIN[0],
        WIDTH - MARGIN[1],
        WIDTH / 2.0,
        HEIGHT - 8.0
    ));
    let mut last_label = f64::INFINITY;
    let mut curves: Vec<_> = commands.iter().zip(COLOURS).collect();
    // From the lowest end up, so that names that would meet can make way.
    let end = |name: &str| points(name).last().map_or(0.0, |point| point.1);
    curves.sort_by(|one, other| end(one.0).total_cmp(&end(other.0)));
    for (name, colour) in curves {
        let all: Vec<_> = points(name).into_iter().map(|it| frame.at(it)).collect();
        let Some(&(x, y)) = all.last() else {
            continue;
        };
        let path: Vec<_> = all.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        last_label = (y + 4.0).min(last_label - 14.0);
        put(format_args!(
            "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <text x=\"{:.1}\" y=\"{last_label:.1}\" fill=\"{colour}\">{name}</text>",
            path.join("L"),
            x + 6.0
        ));
    }
    put(format_args!("</svg>"));
    svg
}

impl Frame {
    fn at(&self, (entries, micros): (f64, f64)) -> (f64, f64) {
        let part = |value: f64, [from, to]: [f64; 2]| (value / from).log10() / (to / from).log10();
        let [left, right, top, bottom] = MARGIN;
        (
            left + part(entries, self.entries) * (WIDTH - left - right),
            HEIGHT - bottom - part(micros, self.micros) * (HEIGHT - top - bottom),
        )
    }
}

/// The powers of ten between two of them.
fn decades([from, to]: [f64; 2]) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(from), |it| Some(it * 10.0)).take_while(move |it| *it <= to * 1.01)
}

fn in_words(micros: f64) -> String {
    match micros {
        0.0..1e3 => format!("{micros:.0} µs"),
        1e3..1e6 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.0} s", micros / 1e6),
    }
}
