//! How deeply a JSON value is nested, from its text. Never builds it, and does not recurse.

/// Whether objects and arrays are nested deeper than `most`.
pub(super) fn is_deeper(value: &str, most: usize) -> bool {
    let text = value.as_bytes();
    // What is not opened is not deep: few values need the second, slower look.
    memchr::memchr2_iter(b'{', b'[', text).count() > most && depth(text) > most
}

/// How deeply objects and arrays are nested.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'\\' => _ = bytes.next(),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    deepest
}
