//! In which order files reach the disk, as a power cut would tell: one command a line.

use std::sync::OnceLock;
use std::time::Duration;

use pk_tests::{TestEnv, has, skipped};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestError, TestRunner};

use crate::hunt::{self, Finding, Watch};
use crate::target::{Source, Target};
use crate::worlds;

pub(super) const TARGET: Target = Target {
    name: "order",
    about: "a file that people own is on the disk before it has its name, and then its folder is",
    source: Source::Cases(case),
    check,
};

/// The calls that write, that name, and that wait for the disk; and the one that begins a command.
const CALLS: &str = "trace=write,pwrite64,writev,ftruncate,copy_file_range,sendfile,rename,renameat,\
                     renameat2,link,linkat,fsync,fdatasync,execve";

/// Runs each of its arguments as a command: to start strace costs more than most commands. A restore
/// without a backup is refused, and rightly so.
const SCRIPT: &str = r#"
    set -f
    for line; do
        portkeeper $line
        case $? in 0|2|4|6) ;; *) exit 1 ;; esac
    done
"#;

/// The longest sequence.
const LONGEST: usize = 10;

/// What a new file is called until it has its name.
const NEW: &str = "new";

fn case(runner: &mut TestRunner, watch: &Watch) -> Option<Finding> {
    static CAN_TRACE: OnceLock<bool> = OnceLock::new();
    if !CAN_TRACE.get_or_init(can_trace) {
        // There is nothing to be done until the time is over.
        std::thread::sleep(Duration::from_millis(500));
        return None;
    }
    let number = 1..1000_u16;
    let command = prop_oneof![
        number
            .clone()
            .prop_map(|n| format!("env set PORT={n} A={n}")),
        Just("env unset A".to_owned()),
        number.prop_map(|n| format!("json set --file config.json /server/port={n}")),
        Just("reserve --write-env PORT --write-json config.json#/server/port".to_owned()),
        Just("backup restore .env".to_owned()),
    ];
    let tree = vec(command, 1..=LONGEST).new_tree(runner).unwrap();
    let test = |commands: Vec<String>| {
        let text = commands.join("\n");
        let checked = watch.over(text.as_bytes(), || check(text.as_bytes()));
        checked.map_err(TestCaseError::fail)
    };
    match runner.run_one(tree, test) {
        Err(TestError::Fail(why, commands)) => Some(Finding {
            input: commands.join("\n").into_bytes(),
            why: why.message().into(),
        }),
        _ => None,
    }
}

fn can_trace() -> bool {
    let can = has("strace") && trace(&worlds::new(), &["--version"]).is_some();
    if !can {
        skipped("the order of writes: no strace, or it may not trace");
    }
    can
}

fn check(input: &[u8]) {
    let env = worlds::new();
    env.write(".env", "# the shop\nPORT=1\n");
    env.write("config.json", "{\"server\": {\"port\": 1}}\n");
    let text = String::from_utf8_lossy(input);
    let commands: Vec<&str> = text.lines().collect();
    let log = trace(&env, &commands).expect("strace has worked before, and so do the commands");
    let logs = per_command(&log);
    assert_eq!(logs.len(), commands.len(), "what each command called");
    for log in logs {
        hunt::step();
        hunt::command();
        check_order(log);
    }
}

/// What the commands called, one call a line; `None` where they can't be traced.
fn trace(env: &TestEnv, commands: &[&str]) -> Option<String> {
    let log = env.root().join("trace");
    let mut strace = env.command("strace");
    strace
        .args(["-f", "--seccomp-bpf", "-y", "-qq", "-e", CALLS, "-o"])
        .arg(&log);
    strace.args(["sh", "-c", SCRIPT, "sh"]).args(commands);
    let is_done = env.run(strace).code == Some(0);
    is_done.then(|| std::fs::read_to_string(log).unwrap_or_default())
}

/// The calls of each command, which the shell runs one after the other.
fn per_command(log: &str) -> Vec<&str> {
    let mut begins: Vec<usize> = Vec::new();
    let mut at = 0;
    for line in log.split_inclusive('\n') {
        at += line.len();
        if line.contains(" execve(") && line.trim_end().ends_with(" = 0") {
            begins.push(at);
        }
    }
    let ends = begins.iter().skip(1).copied().chain([log.len()]);
    let all = begins
        .iter()
        .zip(ends)
        .map(|(&begin, end)| &log[begin..end]);
    // The first is the shell itself.
    all.skip(1).collect()
}

/// Panics where a file gets its name before its bytes are on the disk, or another file is changed
/// before that name is.
fn check_order(log: &str) {
    let mut dirty: Vec<String> = Vec::new();
    let mut unnamed: Option<String> = None;
    for line in log.lines() {
        let call = line
            .split_once(' ')
            .map_or("", |(_, call)| call.trim_start());
        if call.contains(" = -1 ") || call.starts_with("+++") || call.starts_with("---") {
            continue;
        }
        let Some((name, rest)) = call.split_once('(') else {
            continue;
        };
        let paths = paths(rest);
        let Some(&first) = paths.first() else {
            continue;
        };
        match name {
            "fsync" | "fdatasync" => {
                dirty.retain(|path| path != first);
                if unnamed.as_deref() == Some(first) {
                    unnamed = None;
                }
            }
            "rename" | "renameat" | "renameat2" | "link" | "linkat" => {
                if !rest.contains(&format!("\"{NEW}\"")) {
                    continue;
                }
                let path = format!("{first}/{NEW}");
                assert!(
                    !dirty.contains(&path),
                    "named before it is on the disk: {line}"
                );
                assert_eq!(unnamed, None, "the name before is not on the disk: {line}");
                unnamed = paths.get(1).map(|folder| (*folder).to_owned());
            }
            _ if first.ends_with(&format!("/{NEW}")) => dirty.push(first.to_owned()),
            _ => {}
        }
    }
    assert_eq!(unnamed, None, "the last name is not on the disk");
}

/// The paths that strace shows behind descriptors: `7</tmp/x>`.
fn paths(call: &str) -> Vec<&str> {
    let shown = call.split('<').skip(1);
    shown
        .filter_map(|part| Some(part.split_once('>')?.0))
        .filter(|path| path.starts_with('/'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_a_power_cut_would_tell_is_found() {
        let check = |log: &[&str], expect: bool| {
            let log: String = log.iter().map(|call| format!("7 {call}\n")).collect();
            let judged = std::panic::catch_unwind(|| check_order(&log));
            assert_eq!(judged.is_ok(), expect, "{log}");
        };
        let write = "write(5</d/tmp/new>, \"A=1\\n\", 4) = 4";
        let sync = "fsync(5</d/tmp/new>) = 0";
        let name = "renameat(4</d/tmp>, \"new\", 3</d>, \".env\") = 0";
        let folder = "fsync(3</d>) = 0";
        check(&[write, sync, name, folder], true);
        check(&[write, name, folder], false);
        check(&[write, name, sync, folder], false);
        check(&[sync, write, name, folder], false);
        check(&[write, sync, name], false);
        check(&[write, sync, name, name, folder], false);
        check(
            &["renameat(4</d>, \"lock.new\", 4</d>, \"lock\") = 0"],
            true,
        );
    }

    #[test]
    fn each_command_has_the_calls_between_its_beginning_and_the_next() {
        let log = "1 execve(\"/bin/sh\", [\"sh\"], 0x1 /* 7 vars */) = 0\n\
                   2 execve(\"/bin/portkeeper\", [\"portkeeper\"], 0x1 /* 7 vars */) = -1 ENOENT (no)\n\
                   2 execve(\"/pk/portkeeper\", [\"portkeeper\"], 0x1 /* 7 vars */) = 0\n\
                   2 fsync(3</d>) = 0\n\
                   1 --- SIGCHLD {si_signo=SIGCHLD} ---\n\
                   3 execve(\"/pk/portkeeper\", [\"portkeeper\"], 0x1 /* 7 vars */) = 0\n\
                   3 fsync(4</e>) = 0\n";
        let commands = per_command(log);
        assert_eq!(commands.len(), 2, "{commands:?}");
        assert!(commands[0].starts_with("2 fsync(3</d>)"), "{commands:?}");
        assert!(commands[1] == "3 fsync(4</e>) = 0\n", "{commands:?}");
        assert_eq!(per_command(""), Vec::<&str>::new());
    }
}
