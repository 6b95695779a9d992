//! Waiting: for the end of what is in the way, for a server, or for nothing in vain.

mod free;
mod ready;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use pk_tests::TestEnv;
use pk_tests::process::spawn;

/// A `wait` that has looked once and found that it has to wait. It does not outlive a failed test
/// for long.
fn waiting(env: &TestEnv, line: &str) -> Waiting {
    let mut command = env.portkeeper(line);
    command.args(["--timeout", "60s", "-v", "-v"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(&mut command).expect("it starts");
    let mut log = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let is_waiting = log.any(|line| line.is_ok_and(|line| line.contains("not yet")));
    assert!(is_waiting, "it did not wait: {line}");
    // Read on, or it would block when the pipe is full.
    let log = std::thread::spawn(move || log.map_while(Result::ok).collect::<Vec<_>>().join("\n"));
    Waiting { child, log }
}

struct Waiting {
    child: Child,
    log: std::thread::JoinHandle<String>,
}

impl Waiting {
    #[track_caller]
    fn goes_on(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "{ended:?}");
    }

    /// What it answered when it ended well.
    #[track_caller]
    fn ends(self) -> String {
        let output = self.child.wait_with_output().unwrap();
        let log = self.log.join().unwrap();
        assert!(output.status.success(), "{}: {log}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }
}
