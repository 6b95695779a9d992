//! Who holds the lock of a file, from `/proc/locks` (proc_locks(5)); nobody where there is none.

use std::fs;
use std::path::Path;

use rustix::fs::{Stat, major, minor};

/// The process that holds an exclusive flock on the file behind `stat`.
pub(crate) fn holder(stat: &Stat) -> Option<u32> {
    let device = format!("{:02x}:{:02x}", major(stat.st_dev), minor(stat.st_dev));
    let look = || {
        find(
            &fs::read_to_string("/proc/locks").ok()?,
            &device,
            stat.st_ino,
        )
    };
    // It is told a page at a time: a line is missed when others before it go away meanwhile.
    (0..LOOKS).find_map(|_| look())
}

/// How often somebody is looked for who must be there.
const LOOKS: usize = 5;

/// The command name of a process, at most 15 bytes (proc_pid_comm(5)).
pub(crate) fn command(pid: u32) -> Option<String> {
    let name = fs::read(Path::new("/proc").join(pid.to_string()).join("comm")).ok()?;
    Some(
        String::from_utf8_lossy(&name)
            .trim_end()
            .escape_debug()
            .to_string(),
    )
}

/// A line reads `1: FLOCK  ADVISORY  WRITE 4712 fe:00:131 0 EOF`; one who waits has `->` second.
/// Some file systems (btrfs, overlayfs) show another device than stat(2) does, so a lock on the
/// same inode number is the second choice.
fn find(text: &str, device: &str, inode: u64) -> Option<u32> {
    let held: Vec<(&str, u32)> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace().skip(1);
            (words.next()? == "FLOCK").then_some(())?;
            let pid = words.nth(2)?.parse().ok().filter(|&pid| pid > 0)?;
            let (on, number) = words.next()?.rsplit_once(':')?;
            (number.parse() == Ok(inode)).then_some((on, pid))
        })
        .collect();
    let exact = held.iter().find(|(on, _)| *on == device);
    exact.or(held.first()).map(|&(_, pid)| pid)
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn the_holder_is_found_and_waiters_are_not() {
        let text = "1: POSIX  ADVISORY  WRITE 10 fe:00:131 0 EOF\n\
                    2: FLOCK  ADVISORY  WRITE 20 00:1a:131 0 EOF\n\
                    2: -> FLOCK  ADVISORY  WRITE 21 fe:00:131 0 EOF\n\
                    3: FLOCK  ADVISORY  WRITE 30 fe:00:131 0 EOF\n\
                    4: FLOCK  ADVISORY  WRITE 0 fe:00:7 0 EOF\n";
        let check = |device, inode, expect| assert_eq!(find(text, device, inode), expect);
        check("fe:00", 131, Some(30));
        check("00:1a", 131, Some(20));
        check("ff:ff", 131, Some(20));
        check("fe:00", 132, None);
        check("fe:00", 7, None);
    }

    #[test]
    fn lines_that_are_none_are_passed_over() {
        let line = "1: FLOCK ADVISORY WRITE 30 fe:00:131 0 EOF";
        let words: Vec<_> = line.split(' ').collect();
        let beginnings = (0..6).map(|end| words[..end].join(" "));
        let mut text = beginnings.collect::<Vec<_>>().join("\n");
        text += "\n1: FLOCK ADVISORY WRITE x fe:00:131\n1: FLOCK ADVISORY WRITE 9 131\n";
        text += "1: FLOCK ADVISORY WRITE 9 fe:00:x\n";
        assert_eq!(find(&text, "fe:00", 131), None);
        text += line;
        assert_eq!(find(&text, "fe:00", 131), Some(30));
    }
}
