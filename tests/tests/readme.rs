//! The README and the pages of docs/ as their reader would type them: each `console` block, in order, on a
//! terminal.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use pk_tests::console::{matches, steps};
use pk_tests::{Ports, TestEnv};

/// The numbers that the pages use; a test must not use fixed ones, so they are moved.
const FIRST: u16 = 8888;
const COUNT: u16 = 101;

#[test]
fn every_console_block_is_true() {
    assert!(try_page(Path::new("README.md")) > 0);
}

#[test]
fn every_console_block_of_the_guide_is_true() {
    let (mut folders, mut tried) = (vec![Path::new("docs").to_path_buf()], 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder of docs") {
            let entry = entry.expect("an entry of it");
            let path = folder.join(entry.file_name());
            match path.extension().and_then(OsStr::to_str) {
                _ if entry.file_type().expect("its kind").is_dir() => folders.push(path),
                Some("md") => tried += try_page(&path),
                _ => {}
            }
        }
    }
    assert!(tried > 15, "docs has {tried} commands in console blocks");
}

/// The two tests above read these and nothing else, and only what opens exactly as they expect.
#[test]
fn no_console_block_is_forgotten() {
    let mut folders = vec![Path::new("").to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder of the sources") {
            let entry = entry.expect("an entry of it");
            let name = entry.file_name();
            let path = folder.join(&name);
            let is_ours = !name.as_encoded_bytes().starts_with(b".") && name != "target";
            if entry.file_type().expect("its kind").is_dir() {
                folders.extend(is_ours.then_some(path));
            } else if path.extension() == Some(OsStr::new("md")) {
                check_blocks(&path);
            }
        }
    }
}

/// Fails if the page at `path` has console blocks that are not tried.
fn check_blocks(path: &Path) {
    let text = fs::read_to_string(root().join(path)).expect("a page is text");
    let is_tried = path == Path::new("README.md") || path.starts_with("docs");
    let steps = steps(&text);
    let mut lines = text.lines().zip(1..);
    while let Some((line, start)) = lines.next() {
        let fence = line.trim_start_matches([' ', '>']);
        if !fence.starts_with("```") {
            continue;
        }
        let end = lines.find(|(line, _)| line.trim_start_matches([' ', '>']) == "```");
        let (_, end) = end.unwrap_or_else(|| panic!("{}:{start} never ends", path.display()));
        if fence.trim_start_matches('`').trim().starts_with("console") {
            let has_steps = steps.iter().any(|step| (start..end).contains(&step.line));
            assert!(
                is_tried && has_steps,
                "{}:{start} is not tried",
                path.display()
            );
        }
    }
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Types everything that the page at `path` shows, in a world of its own, and returns how much it was.
fn try_page(path: &Path) -> usize {
    let shown = path.display();
    let text =
        fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{shown}: {error}"));
    if !text.contains("```console") {
        return 0;
    }
    let (env, ports) = (TestEnv::new(), Ports::claim_short(COUNT));
    let steps = steps(&moved(&text, &ports));
    for step in &steps {
        let answer = env.terminal(
            &step
                .command
                .replace("cargo run --release -- ", "portkeeper "),
        );
        let as_told = matches(&step.answer, &answer.stdout);
        let fails = step.answer.iter().any(|line| line.starts_with("error: "));
        assert!(
            as_told && fails == (answer.code != Some(0)),
            "{shown}:{}: $ {}\n--- told\n{}\n--- answered, exit {:?}\n{}",
            step.line,
            step.command,
            step.answer.join("\n"),
            answer.code,
            answer.stdout
        );
    }
    steps.len()
}

/// `text` with each number from 8888 to 8988 moved into `ports`, which has as many digits.
fn moved(text: &str, ports: &Ports) -> String {
    let mut moved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, digits) = rest.split_at(at);
        let length = digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len());
        let (number, after) = digits.split_at(length);
        let index = number
            .parse::<u16>()
            .ok()
            .and_then(|number| number.checked_sub(FIRST));
        moved += before;
        match index.filter(|index| *index < COUNT) {
            Some(index) => moved += &ports.at(index).to_string(),
            None => moved += number,
        }
        rest = after;
    }
    moved + rest
}
