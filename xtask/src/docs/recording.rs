//! The picture of a terminal in the README: commands that are run for it, and what they really answer, as
//! an SVG that types by itself. A viewer that moves nothing shows the end of it.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::said;
use crate::{cargo, dist};

/// What is typed.
const SCRIPT: [&str; 7] = [
    "portkeeper reserve --preferred 8888 --hold --owner shop --format port",
    "portkeeper reserve --range 8888 8988 --write-env API_PORT --owner api --format port",
    "cat .env",
    "portkeeper status --format text",
    "portkeeper take 8888 -- sh -c 'echo \"serving on $PORT, and it was never free\"'",
    "portkeeper run --range 9000 9100 -- sh -c 'echo \"or from the start: $PORT\"'",
    "portkeeper release --owner api --format text",
];

/// Seconds from the first key to the last answer.
const LENGTH: f64 = 20.0;
/// The size of a character in the picture.
const CELL: (f64, f64) = (8.4, 19.0);
const MARGIN: f64 = 14.0;

/// A line of the terminal, and when it is there.
struct Line {
    text: String,
    at: f64,
    is_typed: bool,
}

/// Runs the commands and draws what is seen.
///
/// # Errors
/// One of them fails.
pub(super) fn picture(program: &Path) -> Result<String, Box<dyn Error>> {
    let home = cargo::workspace()?
        .target_directory
        .as_std_path()
        .join("recording");
    dist::empty(&home)?;
    let path = program.parent().ok_or("the program lies nowhere")?;
    let path = format!("{}:{}", path.display(), std::env::var("PATH")?);
    let (mut lines, step) = (Vec::new(), LENGTH / SCRIPT.len() as f64);
    for (command, count) in SCRIPT.into_iter().zip(0_u8..) {
        let at = f64::from(count) * step;
        lines.push(Line {
            text: format!("$ {command}"),
            at,
            is_typed: true,
        });
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .env_clear()
            .env("HOME", &home)
            .env("PATH", &path);
        let answer = said(shell.current_dir(&home))?;
        lines.extend(answer.lines().map(|text| Line {
            text: text.to_owned(),
            at: at + step / 2.0,
            is_typed: false,
        }));
    }
    Ok(drawn(&lines))
}

fn drawn(lines: &[Line]) -> String {
    let columns = lines
        .iter()
        .map(|line| line.text.chars().count())
        .max()
        .unwrap_or(0);
    let width = columns as f64 * CELL.0 + 2.0 * MARGIN;
    let height = lines.len() as f64 * CELL.1 + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         width=\"{width:.0}\" role=\"img\" aria-label=\"A terminal: ports are reserved, held, handed over \
         and released\">\n<style>\n\
         text {{ font: 14px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #c9d1d9; white-space: pre }}\n\
         .typed {{ fill: #7ee787 }}\n\
         text {{ animation: come 1ms both }}\n\
         @keyframes come {{ from {{ visibility: hidden }} to {{ visibility: visible }} }}\n\
         @media (prefers-reduced-motion) {{ text {{ animation: none }} }}\n\
         </style>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#0d1117\"/>\n"
    );
    for (line, row) in lines.iter().zip(1_u16..) {
        let y = f64::from(row).mul_add(CELL.1, MARGIN) - 5.0;
        let class = if line.is_typed {
            " class=\"typed\""
        } else {
            ""
        };
        // Writing to a string can't fail.
        let _ = writeln!(
            svg,
            "<text{class} x=\"{MARGIN}\" y=\"{y:.0}\" xml:space=\"preserve\" \
             style=\"animation-delay: {:.1}s\">{}</text>",
            line.at,
            escaped(&line.text)
        );
    }
    svg + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_drawn_as_they_are() {
        let line = |text: &str, is_typed| Line {
            text: text.into(),
            at: 1.5,
            is_typed,
        };
        let svg = drawn(&[line("$ a > b", true), line("1  &  2", false)]);
        assert!(svg.contains(">$ a &gt; b</text>") && svg.contains(">1  &amp;  2</text>"));
        assert_eq!(svg.matches("animation-delay: 1.5s").count(), 2);
        assert_eq!(svg.matches("class=\"typed\"").count(), 1);
    }
}
