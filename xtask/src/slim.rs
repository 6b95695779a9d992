//! What the README promises of the released program: one static file of at most four million bytes.
//! Never looks at what the program does.

use std::fs;
use std::process::ExitCode;

use crate::{Outcome, cargo};

const MOST_BYTES: usize = 4_000_000;

/// Builds the program as it is released, and looks at it. Only on Linux is it static.
pub(crate) fn run() -> Outcome {
    if !cfg!(target_os = "linux") {
        eprintln!("slim: skipped: the program is static on Linux alone");
        return Ok(ExitCode::SUCCESS);
    }
    let program = match cargo::build_release()? {
        Ok(program) => fs::read(program)?,
        Err(code) => return Ok(code),
    };
    check(&program)?;
    eprintln!("slim: {} bytes, static", program.len());
    Ok(ExitCode::SUCCESS)
}

/// Looks at a program.
///
/// # Errors
/// What the promise is broken by.
pub(crate) fn check(program: &[u8]) -> Result<(), String> {
    match asks_for_loader(program) {
        None => return Err("the program is no ELF file of 64 bits".into()),
        Some(true) => return Err("the program is not static: it asks for a loader".into()),
        Some(false) => {}
    }
    match program.len() {
        0..=MOST_BYTES => Ok(()),
        bytes => Err(format!(
            "the program has {bytes} bytes, more than {MOST_BYTES}: `nm --size-sort` tells of what"
        )),
    }
}

/// Whether a program names another one that loads it and its libraries (elf(5): `PT_INTERP`), as every
/// program does that is linked dynamically. `None` where the bytes are no such file.
fn asks_for_loader(program: &[u8]) -> Option<bool> {
    const LITTLE_64: &[u8] = b"\x7fELF\x02\x01";
    const PT_INTERP: u64 = 3;
    program.starts_with(LITTLE_64).then_some(())?;
    let table = number(program, 0x20, 8)?;
    let (size, count) = (number(program, 0x36, 2)?, number(program, 0x38, 2)?);
    let mut found = false;
    for index in 0..count {
        let header = table.checked_add(index * size)?;
        found |= number(program, header, 4)? == PT_INTERP;
    }
    Some(found)
}

/// The little-endian number at a place.
fn number(bytes: &[u8], at: u64, length: usize) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    let digits = bytes.get(at..at.checked_add(length)?)?;
    let number = |sum, digit: &u8| sum << 8 | u64::from(*digit);
    Some(digits.iter().rev().fold(0, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with program headers of these types, as many bytes long as asked for.
    fn elf(types: &[u8], bytes: usize) -> Vec<u8> {
        let mut file = vec![0; bytes];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (file[0x20], file[0x36], file[0x38]) = (64, 56, types.len() as u8);
        for (index, kind) in types.iter().enumerate() {
            file[64 + index * 56] = *kind;
        }
        file
    }

    #[test]
    fn the_promise_is_kept_or_it_is_said_how_it_is_not() {
        let check = |program: &[u8], expect: Result<(), &str>| match (check(program), expect) {
            (Err(said), Err(expect)) => assert!(said.contains(expect), "{said}"),
            (said, expect) => assert_eq!(said.is_ok(), expect.is_ok(), "{said:?}"),
        };
        check(&elf(&[1, 2], 4_000_000), Ok(()));
        check(&elf(&[1, 2], 4_000_001), Err("4000001 bytes"));
        check(&elf(&[1, 3, 2], 1000), Err("not static"));
        check(b"", Err("no ELF"));
        check(&elf(&[1, 2], 1000)[..100], Err("no ELF"));
    }

    #[test]
    fn this_very_program_is_not_static() {
        let own = std::env::current_exe().and_then(fs::read).unwrap();
        assert_eq!(asks_for_loader(&own), Some(true));
    }
}
