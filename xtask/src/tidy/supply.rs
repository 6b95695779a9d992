//! What comes from elsewhere: under which licence, and from where. The list of licences is that of
//! deny.toml, so that cargo-deny, which knows more, and this rule, which needs nothing, agree.

use cargo_metadata::Package;

use super::Finding;

/// The one place that packages come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// The page with the list, and where findings point.
pub(super) const PAGE: &str = "deny.toml";

/// Checks a package against the licences that `deny`, the text of deny.toml, allows.
pub(super) fn check(package: &Package, deny: &str) -> Option<Finding> {
    let source = &package.source.as_ref()?.repr;
    let licence = package.license.as_deref().unwrap_or("no licence");
    let what = if source != REGISTRY {
        format!("{} {} comes from {source}", package.name, package.version)
    } else if !is_allowed(licence, &allowed(deny)) {
        format!("{} {} comes under {licence}", package.name, package.version)
    } else {
        return None;
    };
    Some(Finding {
        path: PAGE.into(),
        line: 1,
        what,
        instead: "do without it, or say here why it is fine",
    })
}

/// The licences of the list.
fn allowed(deny: &str) -> Vec<&str> {
    let list = deny.split_once("allow = [").map_or("", |(_, rest)| rest);
    let list = list.split(']').next().unwrap_or_default();
    list.split('"').skip(1).step_by(2).collect()
}

/// Whether an SPDX expression can be met: one of each `OR`, all of each `AND`. In older ones `/` is `OR`.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let expression = expression.replace('/', " OR ");
    let expression = expression.split_whitespace().collect::<Vec<_>>().join(" ");
    is_met(&expression, allowed)
}

fn is_met(expression: &str, allowed: &[&str]) -> bool {
    let all = |parts: Vec<&str>| parts.into_iter().all(|part| is_met(part, allowed));
    let any = |parts: Vec<&str>| parts.into_iter().any(|part| is_met(part, allowed));
    // AND binds closer than OR.
    match (outside(expression, " OR "), outside(expression, " AND ")) {
        (Some(parts), _) => any(parts),
        (None, Some(parts)) => all(parts),
        (None, None) => match expression
            .strip_prefix('(')
            .and_then(|it| it.strip_suffix(')'))
        {
            Some(inner) => is_met(inner, allowed),
            None => allowed.contains(&expression),
        },
    }
}

/// The parts between `word` where it stands in no brackets; `None` where it does not.
fn outside<'a>(expression: &'a str, word: &str) -> Option<Vec<&'a str>> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, character) in expression.char_indices() {
        depth += match character {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if depth == 0 && at >= start && expression[at..].starts_with(word) {
            parts.push(&expression[start..at]);
            start = at + word.len();
        }
    }
    if parts.is_empty() {
        return None;
    }
    parts.push(&expression[start..]);
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_as_they_are_meant() {
        let list = "[licenses]\nallow = [\n    \"MIT\",\n    \"Zlib\",\n    \"A WITH B\",\n]\n[bans]\nx = [\"GPL\"]\n";
        let check = |expression: &str, expect: bool| {
            assert_eq!(
                is_allowed(expression, &allowed(list)),
                expect,
                "{expression}"
            );
        };
        check("MIT", true);
        check("GPL", false);
        check("GPL OR MIT", true);
        check("GPL/MIT", true);
        check("GPL AND MIT", false);
        check("(GPL OR MIT) AND Zlib", true);
        check("(GPL OR MIT) AND GPL", false);
        check("GPL AND X OR MIT", true);
        check("A WITH B", true);
        check("A", false);
        check("no licence", false);
    }
}
