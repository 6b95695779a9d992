//! The numbers that a command ends with. They are part of the interface: none is ever given another
//! meaning.

use portkeeper::ErrorKind;

/// The exit code of a failure of this kind.
#[must_use]
pub fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::No => 1,
        ErrorKind::Usage => 2,
        ErrorKind::NoFreePort => 3,
        ErrorKind::NotReserved => 4,
        ErrorKind::LockTimeout => 5,
        ErrorKind::BadFile => 6,
        ErrorKind::Io => 7,
        ErrorKind::Permission => 8,
        ErrorKind::Newer => 9,
        ErrorKind::NotExecutable => 126,
        ErrorKind::NoProgram => 127,
        _ => 70,
    }
}
