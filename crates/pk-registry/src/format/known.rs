//! Where the entries stood in a text that was read before: most of the next one is the same, and
//! need not be read again. Never trusted beyond the first byte that differs.

use std::borrow::Cow;
use std::ops::Range;

use super::{Entry, EntryKey};

/// The entries of a text that was read before.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// How often one was read: who reads once remembers nothing.
    times: usize,
    /// From the first entry to the last.
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

/// Where an entry is in these bytes, and what its key says.
#[derive(Debug)]
struct Span {
    key: Range<usize>,
    raw: Range<usize>,
    place: Option<EntryKey>,
}

/// More is not worth its memory.
const MOST_BYTES: usize = 1 << 20;

impl Known {
    /// The entries with which `text` begins as the one before did, and where they end.
    pub(super) fn begin<'t>(&self, text: &'t str) -> (Vec<Entry<'t>>, usize) {
        let same = common(text.as_bytes(), &self.bytes);
        let count = self.spans.partition_point(|span| span.raw.end <= same);
        let entry = |span: &Span| Entry {
            key: Cow::Borrowed(&text[span.key.clone()]),
            place: span.place,
            raw: Cow::Borrowed(&text[span.raw.clone()]),
            again: false,
        };
        let end = self.spans[..count].last().map_or(0, |span| span.raw.end);
        (self.spans[..count].iter().map(entry).collect(), end)
    }

    /// Remembers the entries of `text`, the first `same` of which it remembers already.
    pub(super) fn remember<'t>(&mut self, text: &'t str, entries: &[Entry<'t>], same: usize) {
        self.times += 1;
        if self.times == 1 || text.len() > MOST_BYTES {
            return;
        }
        let place = |part: &str| {
            let at = part.as_ptr() as usize - text.as_ptr() as usize;
            at..at + part.len()
        };
        let span = |entry: &Entry<'_>| Span {
            key: place(&entry.key),
            raw: place(&entry.raw),
            place: entry.place,
        };
        self.spans.truncate(same);
        let end = self.spans.last().map_or(0, |span| span.raw.end);
        self.bytes.truncate(end);
        self.bytes.extend_from_slice(&text.as_bytes()[end..]);
        self.spans.extend(entries[same..].iter().map(span));
    }
}

/// With how many bytes both begin.
fn common(one: &[u8], other: &[u8]) -> usize {
    const STEP: usize = 256;
    let steps = one.chunks_exact(STEP).zip(other.chunks_exact(STEP));
    let whole = steps.take_while(|(one, other)| one == other).count() * STEP;
    let rest = one[whole..].iter().zip(&other[whole..]);
    whole + rest.take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_beginning() {
        for length in [0, 1, 255, 256, 257, 700] {
            let one = vec![b'a'; length];
            for at in 0..length {
                let mut other = one.clone();
                other[at] = b'b';
                assert_eq!(common(&one, &other), at);
                assert_eq!(common(&one, &one[..at]), at);
            }
            assert_eq!(common(&one, &one), length);
        }
    }
}
