//! JSON pointers (RFC 6901): `/server/port`. Never looks at a document.

use super::Error;

/// The most parts. No document is nested deeper, and making what is missing would recurse.
const MOST_PARTS: usize = 512;

/// How much of a malformed one is shown, in characters.
const LONGEST_SHOWN: usize = 200;

/// The names and indices in a pointer, decoded. None for the root.
pub(super) fn parse(pointer: &str) -> Result<Vec<String>, Error> {
    parts(pointer).map_err(|what| Error::Pointer {
        // Whatever is wrong with it, it is no line to be read any more.
        pointer: pointer.chars().take(LONGEST_SHOWN).collect(),
        what,
    })
}

/// The names and indices in an RFC 6901 pointer, decoded; none for the root. For documents of any
/// form.
///
/// # Errors
/// What is wrong.
pub fn parts(pointer: &str) -> Result<Vec<String>, &'static str> {
    if pointer.is_empty() {
        return Ok(Vec::new());
    }
    let rest = pointer.strip_prefix('/').ok_or("it begins with no /")?;
    let part = |part: &str| {
        let bad = part
            .split('~')
            .skip(1)
            .any(|after| !after.starts_with(['0', '1']));
        match bad {
            true => Err("after ~ comes 0 or 1"),
            // In this order: `~01` is `~1`.
            false => Ok(part.replace("~1", "/").replace("~0", "~")),
        }
    };
    if rest.split('/').nth(MOST_PARTS).is_some() {
        return Err("it has more than 512 parts");
    }
    rest.split('/').map(part).collect()
}

/// The pointer to a member of what `parent` points to.
pub(super) fn join(parent: &str, name: &str) -> String {
    format!("{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The pointer of decoded parts.
pub(crate) fn of(parts: &[String]) -> String {
    parts
        .iter()
        .fold(String::new(), |pointer, part| join(&pointer, part))
}

/// The index of an array that a part is: `0`, or digits without a leading zero; `-` is the one
/// after the last.
pub(crate) fn index(part: &str, length: usize) -> Option<usize> {
    match part {
        "-" => Some(length),
        "0" => Some(0),
        part if part.starts_with('0') || !part.bytes().all(|byte| byte.is_ascii_digit()) => None,
        part => part.parse().ok(),
    }
}

/// Whether a part could mean an index as well as a name.
pub(super) fn is_like_index(part: &str) -> bool {
    part == "-" || (!part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_decoded() {
        let check = |pointer: &str, expect: &[&str]| {
            assert_eq!(parse(pointer).unwrap(), expect, "{pointer}");
            assert_eq!(of(&parse(pointer).unwrap()), pointer);
        };
        check("", &[]);
        check("/", &[""]);
        check("/a/b", &["a", "b"]);
        check("/a~1b/m~0n/~01", &["a/b", "m~n", "~1"]);
        check("/a//", &["a", "", ""]);
        for wrong in ["a", "a/b", "/~", "/a~2", "/a~/b", "#/a"] {
            assert!(
                matches!(parse(wrong), Err(Error::Pointer { .. })),
                "{wrong}"
            );
        }
    }

    #[test]
    fn pointers_are_no_deeper_than_documents() {
        assert_eq!(parse(&"/a".repeat(512)).unwrap().len(), 512);
        let refused = parse(&"/a".repeat(85_000)).unwrap_err().to_string();
        assert!(refused.contains("more than 512 parts"), "{refused}");
    }

    #[test]
    fn indices_have_one_form() {
        let check = |part: &str, expect| assert_eq!(index(part, 3), expect, "{part}");
        check("0", Some(0));
        check("12", Some(12));
        check("-", Some(3));
        for no in ["", "01", "-1", "+1", "x", "1x", "99999999999999999999999"] {
            check(no, None);
        }
    }
}
