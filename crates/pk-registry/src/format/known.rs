//! Where the entries stood in a text that was read before: most of the next one is the same, and
//! need not be read again. Never trusted beyond the first byte that differs.

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

/// Where an entry is in these bytes, how long its key is, and what that says.
#[derive(Debug)]
struct Span {
    line: Range<usize>,
    key: usize,
    place: Option<EntryKey>,
}

/// More is not worth its memory.
const MOST_BYTES: usize = 1 << 20;

impl Known {
    /// The entries with which `text` begins as the one before did, and where they end.
    pub(super) fn begin<'t>(&self, text: &'t str) -> (Vec<Entry<'t>>, usize) {
        let same = common(text.as_bytes(), &self.bytes);
        let count = self.spans.partition_point(|span| span.line.end <= same);
        let entry = |span: &Span| {
            let line = &text[span.line.clone()];
            Entry::written(&line[1..=span.key], line, span.place)
        };
        let known = &self.spans[..count];
        let end = known.last().map_or(0, |span| span.line.end);
        (known.iter().map(entry).collect(), end)
    }

    /// Remembers the entries of `text`, the first `same` of which it remembers already.
    pub(super) fn remember<'t>(&mut self, text: &'t str, entries: &[Entry<'t>], same: usize) {
        self.times += 1;
        if self.times == 1 || text.len() > MOST_BYTES {
            return;
        }
        let span = |entry: &Entry<'_>| {
            let at = entry.line.as_ptr() as usize - text.as_ptr() as usize;
            Span {
                line: at..at + entry.line.len(),
                key: entry.key.len(),
                place: entry.place,
            }
        };
        self.spans.truncate(same);
        let end = self.spans.last().map_or(0, |span| span.line.end);
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
