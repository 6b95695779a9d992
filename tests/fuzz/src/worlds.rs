//! Where sequences and histories happen. Never on a disk where there is memory: most of the time of
//! an operation would go to waiting for the disk, and what that wait is for (a power cut) no process
//! can tell. That it is waited for at all, and in which order, is what `order` sees.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pk_tests::TestEnv;
use tempfile::{Builder, TempDir};

/// Linux has it always; a container may have closed it.
const MEMORY: &str = "/dev/shm";

/// A world for the program, in which nothing has happened.
pub(crate) fn new() -> TestEnv {
    TestEnv::within(place())
}

/// A folder for the library.
pub(crate) fn folder() -> TempDir {
    Builder::new().prefix("pk-").tempdir_in(place()).unwrap()
}

fn place() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| match tempfile::tempdir_in(MEMORY) {
        Ok(_) => MEMORY.into(),
        Err(_) => std::env::temp_dir(),
    })
}
