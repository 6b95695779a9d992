//! Puts a file back to what it held before a change that failed. Never touches a file that holds
//! neither the old nor the new bytes, unless it was being written in place.

use pk_fs::replace::{DurableError, Like, Original, Target};

use crate::digest::Digest;
use crate::{Error, MAX_FILE_BYTES, Strategy};

/// What a file holds, in terms of a change of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    Old,
    New,
    /// Somebody changed it since; or it was written in place, and only in part.
    Neither,
}

/// What a file holds now.
pub(crate) fn look(
    target: &Target,
    old: Option<Digest>,
    new: Digest,
) -> Result<(Option<Original>, Holds), Error> {
    let now = match target.read(MAX_FILE_BYTES as u64) {
        // Too large to be either.
        Err(DurableError::TooLarge { .. }) => return Ok((None, Holds::Neither)),
        now => now?,
    };
    let digest = now.as_ref().map(|now| Digest::of(now.bytes()));
    let holds = match digest {
        digest if digest == old => Holds::Old,
        digest if digest == Some(new) => Holds::New,
        _ => Holds::Neither,
    };
    Ok((now, holds))
}

/// Gives the file its old bytes, or removes it where there were none.
pub(crate) fn put_back(
    target: &Target,
    now: &Original,
    old: Option<&[u8]>,
    strategy: Strategy,
) -> Result<(), Error> {
    match (old, strategy) {
        (None, _) => target.remove(now)?,
        (Some(old), Strategy::Rename) => target.stage(old, Like::Original(now))?.commit()?,
        (Some(old), Strategy::InPlace) => target.write_in_place(old, now)?,
    }
    Ok(())
}
