//! The processes that a process has started, and those that they have. Never ends one.

use std::collections::HashMap;
use std::fs;
use std::io;

use crate::{Machine, ProcessId};

/// All processes of which `root` is a parent, a grandparent, and so on, parents first. One whose
/// parent has ended counts as its new parent's: that of the nearest child subreaper (prctl(2)).
///
/// # Errors
/// The system's reason, where `/proc` can't be read.
pub fn descendants(root: u32, machine: &Machine) -> io::Result<Vec<ProcessId>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(parent) = crate::process::parent(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut next = children.remove(&root).unwrap_or_default();
    while let Some(pid) = next.pop() {
        // One that has ended since, or a zombie, has nothing below it that is still its own.
        found.extend(ProcessId::of(pid, machine).ok().flatten());
        next.extend(children.remove(&pid).unwrap_or_default());
    }
    Ok(found)
}

/// Whether `root` is a parent of a process, a grandparent, and so on.
#[must_use]
pub fn is_below(pid: u32, root: u32) -> bool {
    let parents = std::iter::successors(crate::process::parent(pid), |&above| {
        crate::process::parent(above)
    });
    // Numbers may be given anew while they are followed, so it must end.
    parents.take(DEEPEST).any(|above| above == root)
}

/// No tree of processes is deeper.
const DEEPEST: usize = 1000;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn children_and_grandchildren_are_found() {
        let starting = crate::PROCESSES.write();
        let mut child = Command::new("sh")
            .args(["-c", "sh -c 'echo $$; read line; exit' <&0; true"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        drop(starting);
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let grandchild: u32 = line.trim().parse().unwrap();
        let machine = Machine::here();
        let of = |root| -> Vec<u32> {
            let found = descendants(root, &machine).unwrap();
            found.into_iter().map(|process| process.pid).collect()
        };
        assert_eq!(of(child.id()), [grandchild]);
        assert!(of(std::process::id()).contains(&grandchild));
        assert!(is_below(grandchild, child.id()) && is_below(grandchild, std::process::id()));
        assert!(!is_below(child.id(), grandchild) && !is_below(child.id(), child.id()));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(of(child.id()).is_empty());
    }
}
