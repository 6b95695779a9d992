//! Two texts, beside each other: which lines go, and which come. Never for anything but a person's eyes.

/// The lines that are not in both, as a person would look at them.
pub(crate) fn difference(path: &str, old: &str, new: &str) -> String {
    let mut text = format!("{path}:\n");
    let (mut before, mut after) = (old.lines(), new.lines());
    loop {
        let (old, new) = (before.clone().next(), after.clone().next());
        // Whichever comes back sooner on the other side stays.
        let old_comes = old.and_then(|line| after.clone().position(|it| it == line));
        let new_came = new.and_then(|line| before.clone().position(|it| it == line));
        let is_new = old_comes.is_some_and(|far| new_came.is_none_or(|back| far <= back));
        match (old, new) {
            (None, None) => return text,
            (old, new) if old == new => {
                before.next();
                after.next();
            }
            (Some(old), _) if new.is_none() || !is_new => {
                text += &format!("  -{old}\n");
                before.next();
            }
            (_, new) => {
                text += &format!("  +{}\n", new.unwrap_or_default());
                after.next();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_what_goes_and_what_comes() {
        let check = |old: &str, new: &str, expect: &str| {
            assert_eq!(difference("f", old, new), format!("f:\n{expect}"));
        };
        check("a\nb\n", "a\nb\n", "");
        check("a\nb\nc\n", "a\nx\nc\n", "  -b\n  +x\n");
        check("a\n\nb\n\nc\n", "a\n\nx\n\nb\n\nc\n", "  +x\n  +\n");
        check("a\n", "a\nb\n", "  +b\n");
        check("a\nb\n", "b\n", "  -a\n");
    }
}
