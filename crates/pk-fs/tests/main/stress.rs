//! Many writers, threads and processes, of a file that is replaced at each change, while somebody
//! deletes the lock file all the time. Nothing is lost as long as everybody locks and checks both
//! the lock file and the data.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use pk_fs::access::Access;
use pk_fs::folder::Folder;
use pk_fs::lock::{Error, LockFile, Locked, Whose};
use pk_fs::replace::{self, Onto};
use tempfile::tempdir;

use crate::other::{LONG, Other};

/// How often each writer adds one.
const ROUNDS: u32 = 100;

/// How often the lock file is deleted, at any moments, until somebody gets on.
const DELETIONS: u32 = 4;

const NAME: &str = "count.json";

#[test]
fn f37_no_update_is_lost_while_somebody_deletes_the_lock_file() {
    let home = tempdir().unwrap();
    let mut others: [Other; 3] = std::array::from_fn(|_| Other::playing("counter", home.path()));
    others.iter_mut().for_each(|other| other.says("ready"));
    let done = AtomicBool::new(false);
    let deleted = thread::scope(|scope| {
        let deleter = scope.spawn(|| {
            let (mut deleted, lock) = (0_u32, home.path().join("count.json.lock"));
            let data = || fs::metadata(home.path().join(NAME)).map_or(0, |it| it.ino());
            while !done.load(Ordering::SeqCst) {
                let before = data();
                for _ in 0..DELETIONS {
                    deleted += u32::from(fs::remove_file(&lock).is_ok());
                    thread::yield_now();
                }
                // On a busy machine nobody would get anywhere between two deletions for minutes.
                while data() == before && !done.load(Ordering::SeqCst) {
                    thread::yield_now();
                }
            }
            deleted
        });
        let counters = [(); 3].map(|()| scope.spawn(|| count(home.path())));
        others.iter_mut().for_each(Other::go_on);
        let counted = counters.map(thread::ScopedJoinHandle::join);
        others.iter_mut().for_each(|other| other.says("done"));
        done.store(true, Ordering::SeqCst);
        assert!(counted.iter().all(Result::is_ok));
        deleter.join().unwrap()
    });
    let count = fs::read_to_string(home.path().join(NAME)).unwrap();
    assert_eq!(count, format!("{{\"count\":{}}}", 6 * ROUNDS));
    // How often depends on who gets a core.
    assert!(deleted > 0, "the lock file was never deleted");
    let names = fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let litter: Vec<_> = names
        .filter(|name| name != NAME && name != "count.json.lock")
        .collect();
    assert!(litter.is_empty(), "{litter:?}");
}

/// The part of one writer.
pub(crate) fn count(home: &Path) {
    let folder = Folder::open(home).unwrap();
    for _ in 0..ROUNDS {
        while !add_one(&folder) {}
    }
}

/// `false` when somebody interfered.
fn add_one(folder: &Folder) -> bool {
    let sidecar = LockFile::sidecar_in(folder, "count.json.lock");
    let data = LockFile::data_in(folder, NAME, Whose::Mine);
    let under_both =
        |side: &Locked<'_>| match data.exclusive(LONG, |file| add(folder, side, Some(file))) {
            Err(Error::Missing { .. }) => add(folder, side, None),
            added => added.unwrap(),
        };
    sidecar.exclusive(LONG, under_both).unwrap()
}

fn add(folder: &Folder, side: &Locked<'_>, file: Option<&Locked<'_>>) -> bool {
    let mut text = String::new();
    if let Some(file) = file {
        file.file().read_to_string(&mut text).unwrap();
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let count: u32 = if file.is_some() {
        digits.parse().unwrap()
    } else {
        0
    };
    let bytes = format!("{{\"count\":{}}}", count + 1);
    let onto = file.map_or(Onto::Nothing(Access::Owner), |file| Onto::File(file.stat()));
    let replaced = replace::volatile(folder, NAME.as_ref(), bytes.as_bytes(), onto, || {
        let ours = side.is_current()? && file.map_or(Ok(true), Locked::is_current)?;
        // The worst moment to be preempted: from here on nothing is looked at again.
        thread::yield_now();
        Ok(ours)
    });
    match replaced {
        Err(replace::Error::Lost { .. }) => false,
        other => other.map(|()| true).unwrap(),
    }
}
