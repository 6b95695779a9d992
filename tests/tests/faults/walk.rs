//! Slices of the walk over the system calls, a row of the table of faults each. The whole walk is
//! `cargo xtask torture`.

use pk_tests::walk::{Extent, Row, SCENES, walk};

/// How many steps of a row are taken in each scene.
const STEPS: usize = 4;
/// What a row is walked through.
const WALKED: [&str; 5] = [
    "reserve",
    "reserve, two files",
    "reserve --hold",
    "release",
    "env set",
];

/// Takes some steps of a row in some scenes.
fn check(row: &str) {
    let row = Row::named(row).expect("a row of the table");
    let mut steps = 0;
    for scene in SCENES.iter().filter(|it| WALKED.contains(&it.name)) {
        let Some(report) = walk(row, scene, Extent::Sample(STEPS), 1) else {
            return;
        };
        assert!(report.failures.is_empty(), "{report:#?}");
        steps += report.kills + report.faults;
    }
    assert!(steps > 0, "nothing was done");
}

#[test]
fn f01_killed_before_there_is_a_new_file() {
    check("f01");
}

#[test]
fn f02_killed_while_it_is_written() {
    check("f02");
}

#[test]
fn f03_killed_before_it_is_renamed() {
    check("f03");
}

#[test]
fn f04_killed_before_the_answer() {
    check("f04");
}

#[test]
fn f05_killed_while_files_are_changed() {
    check("f05");
}

#[test]
fn f06_no_space_is_left() {
    check("f06");
}

#[test]
fn f07_no_inodes_are_left() {
    check("f07");
}

#[test]
fn f08_the_quota_is_reached() {
    check("f08");
}

#[test]
fn f09_the_disk_is_read_only() {
    check("f09");
}

#[test]
fn f10_it_is_not_permitted() {
    check("f10");
}

#[test]
fn f11_reading_fails() {
    check("f11");
}

#[test]
fn f12_syncing_a_file_fails() {
    check("f12");
}

#[test]
fn f13_syncing_a_folder_fails() {
    check("f13");
}

#[test]
fn f14_no_descriptors_are_left() {
    check("f14");
}

#[test]
fn f15_no_memory_is_left() {
    check("f15");
}

#[test]
fn f16_interrupted() {
    check("f16");
}

#[test]
fn f17_the_file_would_be_too_large() {
    check("f17");
}

#[test]
fn f18_short_writes() {
    check("f18");
}

#[test]
fn f44_told_to_end() {
    check("f44");
}

#[test]
fn f45_nobody_reads() {
    check("f45");
}
