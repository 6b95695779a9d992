//! In which order the crates are published: each after those that it asks for.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Metadata};

/// The names of the members that are published, in order.
///
/// # Errors
/// Two of them ask for each other, or one for a member that is not published.
pub(crate) fn of(workspace: &Metadata) -> Result<Vec<String>, String> {
    let is_published =
        |publish: &Option<Vec<String>>| publish.as_ref().is_none_or(|to| !to.is_empty());
    let members = workspace.workspace_packages();
    let names: BTreeSet<_> = members.iter().map(|member| member.name.as_str()).collect();
    let asks = members
        .iter()
        .filter(|it| is_published(&it.publish))
        .map(|member| {
            // Tests, too: the version must be there when the package is checked.
            let asked = member.dependencies.iter().filter(|it| {
                it.kind != DependencyKind::Development || !it.req.comparators.is_empty()
            });
            let asked = asked
                .map(|it| it.name.as_str())
                .filter(|name| names.contains(name));
            (member.name.as_str(), asked.collect())
        });
    sorted(asks.collect())
}

/// Those that ask for nothing that is still to come first; otherwise by name.
fn sorted(mut open: Vec<(&str, BTreeSet<&str>)>) -> Result<Vec<String>, String> {
    open.sort();
    let mut done: Vec<String> = Vec::new();
    while !open.is_empty() {
        let ready = open
            .iter()
            .position(|(_, asked)| asked.iter().all(|asked| done.iter().any(|it| it == asked)));
        let Some(ready) = ready else {
            let names: Vec<_> = open.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "{} can't be published in any order",
                names.join(", ")
            ));
        };
        done.push(open.remove(ready).0.to_owned());
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_comes_first() {
        let check = |asks: &[(&str, &[&str])], expect: Option<&[&str]>| {
            let asks = asks
                .iter()
                .map(|(name, asked)| (*name, asked.iter().copied().collect()));
            let order = sorted(asks.collect()).ok();
            let expect =
                expect.map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(order, expect);
        };
        check(&[], Some(&[]));
        check(
            &[("a", &["b"]), ("b", &[]), ("c", &[])],
            Some(&["b", "a", "c"]),
        );
        check(&[("a", &["b"]), ("b", &["a"])], None);
        check(&[("a", &["private"])], None);
    }

    #[test]
    fn this_workspace_has_an_order() {
        let workspace = crate::cargo::workspace().unwrap();
        let order = of(&workspace).unwrap();
        let at = |name: &str| order.iter().position(|it| it == name).unwrap();
        assert!(at("pk-fs") < at("pk-config") && at("pk-registry") < at("portkeeper"));
        assert!(at("portkeeper") < at("pk-cli") && !order.contains(&"pk-python".to_owned()));
    }
}
