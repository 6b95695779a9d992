//! Packages that are asked for and never named: each costs time to build and somebody's trust.

use super::Finding;
use super::packages::{Asked, Kind};

/// Checks one line of a manifest against all texts, each with its path.
pub(super) fn check(asked: &Asked, texts: &[(String, String)]) -> Option<Finding> {
    // Those are asked for by a feature, which may only switch on what others name.
    if asked.kind == Kind::Optional {
        return None;
    }
    let folder = asked.manifest.strip_suffix("Cargo.toml")?;
    let name = asked.name.replace('-', "_");
    let is_named = texts.iter().any(|(path, text)| {
        path.starts_with(folder) && path.ends_with(".rs") && has_word(text, &name)
    });
    if is_named {
        return None;
    }
    Some(Finding {
        path: asked.manifest.clone(),
        line: asked.line,
        what: format!("{} asks for {} and never names it", asked.by, asked.name),
        instead: "remove the line",
    })
}

/// Whether `word` stands in `text` by itself.
fn has_word(text: &str, word: &str) -> bool {
    let is_inside = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !before.ends_with(is_inside) && !after.starts_with(is_inside)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_never_named_is_found() {
        let check = |path: &str, text: &str, expect: bool| {
            let asked = Asked::new("a", "fd-lock", Kind::Program);
            let texts = [(path.to_owned(), text.to_owned())];
            let found = check(&asked, &texts).is_some();
            assert_eq!(found, expect, "{path}: {text}");
        };
        check("crates/a/src/lib.rs", "use fd_lock::RwLock;", false);
        check("crates/a/src/lib.rs", "// fd_locks", true);
        check("crates/b/src/lib.rs", "use fd_lock::RwLock;", true);
        check("crates/a/README.md", "fd_lock", true);
    }
}
