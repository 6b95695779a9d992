//! Uses pk-fs alone, as a program of somebody else would: a counter that several processes share. Never a
//! test of what it does; that it builds and runs is the point.
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::Duration;

use pk_fs::access::Access;
use pk_fs::folder::Folder;
use pk_fs::lock::{LockFile, Wait};
use pk_fs::replace::{self, Onto};

fn main() -> Result<(), Box<dyn Error>> {
    let place = std::env::temp_dir().join(format!("downstream-fs-{}", std::process::id()));
    let folder = Folder::ensure(&place)?;
    let lock = LockFile::sidecar(place.join("count.lock"));
    let bytes = lock.exclusive(Wait::UpTo(Duration::from_secs(5)), |locked| {
        let is_current = || locked.is_current();
        replace::volatile(
            &folder,
            "count".as_ref(),
            b"1",
            Onto::Nothing(Access::Owner),
            is_current,
        )?;
        Ok::<_, Box<dyn Error>>(std::fs::read(place.join("count"))?)
    })??;
    assert_eq!(bytes, b"1");
    for name in ["count", "count.lock"] {
        std::fs::remove_file(place.join(name))?;
    }
    Ok(std::fs::remove_dir(place)?)
}
